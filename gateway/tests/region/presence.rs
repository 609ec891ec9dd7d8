//! What is remembered of a device that speaks, and of one that has fallen silent.

use driftlog_proto::ids::{Seq, SessionId};
use driftlog_proto::time::Mono;

use crate::fixture::{Device, Shore};

/// Longer than a silent device is kept in memory.
const LONG_MS: u64 = 2 * 3_600_000;

#[test]
fn a_held_block_carries_the_time_of_its_arrival_and_not_that_of_its_turn() {
    let mut shore = Shore::new();
    let mut device = Device::new("pump-1");
    shore.greet(&mut device);
    let (start, lower, upper) = (device.start(), device.block(5, 100), device.block(5, 100));
    shore.hear(&device, &start);
    let arrival = shore.now.wall;
    shore.hear(&device, &upper);
    shore.pass(60_000);
    shore.hear(&device, &lower);
    let received: Vec<_> = shore.batch().unwrap().entries.iter().map(|entry| entry.received).collect();
    assert_eq!(received, [arrival, shore.now.wall, arrival]);
}

#[test]
fn the_echo_is_of_the_newest_reading_of_the_session_and_of_no_other() {
    let mut shore = Shore::new();
    let mut device = Device::new("pump-1");
    shore.greet(&mut device);
    let start = device.start();
    device.mono = Mono(9_000);
    let newest = device.block(5, 100);
    device.session = SessionId(8);
    device.mono = Mono(20_000);
    let of_another_session = device.block(5, 100);
    for message in [newest, start, of_another_session] {
        shore.hear(&device, &message);
    }
    let echo = shore.ack(&mut device).echo.unwrap();
    assert_eq!((echo.session, echo.mono), (SessionId(9), Mono(9_000)));
}

#[test]
fn a_device_that_falls_silent_during_its_commit_is_kept_until_that_is_over() {
    let mut shore = Shore::new();
    let mut device = Device::new("pump-1");
    shore.greet(&mut device);
    for message in [device.start(), device.block(5, 100)] {
        shore.hear(&device, &message);
    }
    shore.said();
    let batch = shore.batch().unwrap();
    shore.pass(LONG_MS);
    assert!(shore.batch().is_none(), "and silent devices have been looked for");
    shore.greet(&mut device);
    shore.region.handle_committed(shore.now, batch.number, &Ok(()));
    assert_eq!(shore.ack(&mut device).lanes[0].runs[0].seq, Seq(5));
}
