//! Acknowledgement follows the commit, and nothing else.

use driftlog_gateway::sink::{CommitError, What};
use driftlog_proto::ids::{Lane, Seq};
use driftlog_proto::message::Ack;

use crate::fixture::{Device, Shore};

fn acknowledged(ack: &Ack) -> Option<Seq> {
    ack.lanes.first().and_then(|lane| lane.runs.last()).map(|place| place.seq)
}

#[test]
fn a_block_is_acknowledged_only_after_its_commit() {
    let mut shore = Shore::new();
    let mut device = Device::new("pump-1");
    shore.greet(&mut device);
    let (start, block) = (device.start(), device.block(5, 100));
    shore.hear(&device, &start);
    shore.hear(&device, &block);
    let ack = shore.ack(&mut device);
    assert_eq!(acknowledged(&ack), None, "nothing is durable yet");
    let received = ack.lanes[0].received[0];
    assert_eq!(
        (received.run, received.first, received.end),
        (device.run, Seq(0), Seq(5)),
        "but it has arrived"
    );

    let batch = shore.batch().unwrap();
    assert!(shore.batch().is_none(), "one batch at a time");
    assert!(matches!(batch.entries[0].what, What::Start { .. }));
    assert!(matches!(&batch.entries[1].what, What::Block { header, .. } if header.count == 5));
    assert_eq!(batch.entries[1].labels[0].1.as_str(), "north");
    shore.region.handle_committed(shore.now, batch.number, &Ok(()));
    let ack = shore.ack(&mut device);
    assert_eq!(acknowledged(&ack), Some(Seq(5)));
    assert_eq!(ack.lanes[0].runs[0].chain, device.tail.chain);
    assert!(ack.lanes[0].received.is_empty());
}

#[test]
fn a_refused_batch_is_tried_again_later_and_nothing_is_acknowledged_meanwhile() {
    let mut shore = Shore::new();
    let mut device = Device::new("pump-1");
    shore.greet(&mut device);
    let (start, block) = (device.start(), device.block(5, 100));
    shore.hear(&device, &start);
    shore.hear(&device, &block);
    let first = shore.batch().unwrap();
    shore.region.handle_committed(shore.now, first.number, &Err(CommitError::Refused("no space".to_owned())));
    assert!(shore.batch().is_none(), "not at once");
    let ack = shore.ack(&mut device);
    assert_eq!(acknowledged(&ack), None);
    shore.pass(300);
    let again = shore.batch().expect("after a while");
    assert_eq!((again.number, again.entries.len()), (first.number, first.entries.len()));
    shore.region.handle_committed(shore.now, again.number, &Ok(()));
    assert_eq!(acknowledged(&shore.ack(&mut device)), Some(Seq(5)));
    assert_eq!(shore.region.counters().records, 5);
}

#[test]
fn a_gateway_that_starts_again_goes_on_at_the_committed_mark() {
    let mut shore = Shore::new();
    let mut device = Device::new("pump-1");
    shore.greet(&mut device);
    let (start, first) = (device.start(), device.block(5, 100));
    shore.hear(&device, &start);
    shore.hear(&device, &first);
    shore.commit_all();
    let second = device.block(3, 100);
    shore.hear(&device, &second);
    // Killed before the second block's commit: it is forgotten, and taken again.
    shore.restart();
    shore.hear(&device, &first);
    shore.hear(&device, &second);
    assert_eq!(shore.region.counters().duplicates, 1);
    let batches = shore.commit_all();
    assert_eq!(batches.len(), 1);
    assert_eq!(batches[0].entries.len(), 1, "only what was not durable");
    assert_eq!(batches[0].entries[0].labels[0].1.as_str(), "north", "labels are in the ledger");
    let ack = shore.ack(&mut device);
    assert_eq!(acknowledged(&ack), Some(Seq(8)));
}

#[test]
fn each_start_of_a_gateway_has_a_higher_generation_even_if_its_clock_went_back() {
    let mut shore = Shore::new();
    let mut device = Device::new("pump-1");
    shore.greet(&mut device);
    let first = device.heard;
    shore.now.wall.0 -= 1_000_000_000_000_000_000;
    shore.restart();
    shore.greet(&mut device);
    assert!(device.heard > first, "{} after {first}", device.heard);
    assert_eq!(device.heard.generation, first.generation + 1);
}

#[test]
fn a_child_s_start_waits_for_the_commit_of_its_parent() {
    let mut shore = Shore::new();
    let mut device = Device::new("pump-1");
    shore.greet(&mut device);
    let mut messages = vec![device.start(), device.block(2, 10)];
    device.run.0 += 1;
    messages.extend([device.start(), device.block(2, 10)]);
    for message in &messages {
        shore.hear(&device, message);
    }
    let batches = shore.commit_all();
    assert_eq!(batches.len(), 2, "the parent's end is committed before the child's start");
    assert!(matches!(batches[1].entries[0].what, What::Start { parent } if parent.seq == Seq(2)));
    assert_eq!(acknowledged(&shore.ack(&mut device)), Some(Seq(4)));
}

#[test]
fn urgent_lanes_come_first_and_bulk_lanes_in_turn() {
    let mut shore = Shore::with(|config| config.memory_bytes_max = 1 << 26);
    let mut devices: Vec<Device> = (0..4).map(|at| Device::new(&format!("pump-{at}"))).collect();
    devices[3].lane = Lane::Urgent;
    for device in &mut devices {
        shore.greet(device);
        let (start, block) = (device.start(), device.block(1, 10));
        shore.hear(device, &start);
        shore.hear(device, &block);
    }
    let batch = shore.batch().unwrap();
    let order: Vec<&str> = batch.entries.iter().map(|entry| entry.device.as_str()).collect();
    assert_eq!(order, ["pump-3", "pump-3", "pump-0", "pump-0", "pump-1", "pump-1", "pump-2", "pump-2"]);
}

#[test]
fn one_device_s_backlog_does_not_fill_a_batch() {
    let mut shore = Shore::with(|config| {
        config.memory_bytes_max = 1 << 28;
        config.credit_bytes_max = 1 << 26;
    });
    let (mut heavy, mut light) = (Device::new("a-heavy"), Device::new("b-light"));
    for device in [&mut heavy, &mut light] {
        shore.greet(device);
        let start = device.start();
        shore.hear(device, &start);
    }
    for _ in 0..100 {
        let block = heavy.block(1, 100_000);
        shore.hear(&heavy, &block);
    }
    let block = light.block(1, 10);
    shore.hear(&light, &block);
    let batch = shore.batch().unwrap();
    assert!(
        batch
            .entries
            .iter()
            .any(|entry| entry.device == light.id && matches!(entry.what, What::Block { .. }))
    );
}
