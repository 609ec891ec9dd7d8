//! A spool that is full: the oldest is dropped and declared, or the sources wait.

use driftlog_tests::clock;
use driftlog_tests::device::{AgentSettings, Device, is_done};
use driftlog_tests::writer::Journal;

use crate::world::{LONG, World, append};

const LINES: u64 = 400_000;

/// A device whose spool has a megabyte and whose logs, compressed, come to more.
fn offline(world: &World, overflow: &'static str) -> (Device, Journal) {
    let settings =
        AgentSettings { delay_ms_max: 50, bulk_bytes_max: 1 << 20, overflow, ..AgentSettings::default() };
    let device = world.device("pump-1", &settings);
    device.line().cut();
    let mut random = driftlog_tests::corpus::Random::new(1);
    let path = device.logs().join("a.log");
    let mut text = String::new();
    for line in 0..LINES {
        text.push_str(&format!("line {line} {:016x}\n", random.number()));
    }
    std::fs::write(&path, text).unwrap();
    let journal = Journal::of_files(&[path]).unwrap();
    (device, journal)
}

#[test]
fn what_overflow_drops_is_declared_to_the_record() {
    let mut world = World::new();
    let (mut device, journal) = offline(&world, "drop-oldest");
    device.start().unwrap();
    let is_read =
        clock::wait_until(LONG, || device.status().is_some_and(|status| status.core.lines >= LINES));
    assert!(is_read, "{:?}", device.status());
    device.line().mend();
    let is_sent = clock::wait_until(LONG, || device.status().is_some_and(|status| is_done(&status, LINES)));
    assert!(is_sent, "{:?}", device.status());
    device.stop().unwrap();
    world.shore.stop().unwrap();
    let total = world.compare(&[("pump-1", &journal)]).total();
    assert!(total.lost > 0 && total.lines_out > 0, "{total:?}");
    // The agent's own words about the loss are records too, and may be among those dropped.
    assert!(total.declared >= total.lost && total.declared <= total.lost + 100, "{total:?}");
    assert_eq!((total.doubled, total.disordered, total.changed), (0, 0, 0), "{total:?}");
    let audit = world.audit();
    assert!(audit.is_kept && audit.report.contains("overflow"), "{}", audit.report);
}

#[test]
fn sources_that_wait_for_room_lose_nothing() {
    let world = World::new();
    let (mut device, journal) = offline(&world, "pause-sources");
    device.start().unwrap();
    let is_paused = clock::wait_until(LONG, || {
        device.status().is_some_and(|status| status.core.lanes.iter().any(|lane| lane.paused))
    });
    assert!(is_paused, "{:?}", device.status());
    append(&device.logs().join("b.log"), 0..100, "b, written while the sources wait");
    device.line().mend();
    let mut files = journal.files;
    files.extend(Journal::of_files(&[device.logs().join("b.log")]).unwrap().files);
    world.finish(vec![(device, Journal { files })]);
}
