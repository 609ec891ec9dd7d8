//! Memory is one budget, and what does not fit is sent again.

use driftlog_proto::ids::Seq;

use crate::fixture::{Device, Shore};

#[test]
fn items_above_a_hole_are_held_within_the_lane_s_share_and_the_rest_is_dropped() {
    let mut shore = Shore::with(|config| config.credit_bytes_max = 10_000);
    let mut device = Device::new("pump-1");
    shore.greet(&mut device);
    let start = device.start();
    let blocks: Vec<Vec<u8>> = (0..30).map(|_| device.block(1, 1_000)).collect();
    shore.hear(&device, &start);
    for block in &blocks[1..] {
        shore.hear(&device, block);
    }
    let memory = memory_bytes(&shore);
    assert!(memory > 8_000 && memory <= 10_000, "{memory} bytes held");
    assert!(shore.region.counters().dropped_no_room > 15);
    // The hole is filled: the lowest item needs no room, and what was held follows it.
    shore.hear(&device, &blocks[0]);
    shore.commit_all();
    let here = shore.region.counters().records;
    assert!((8..=10).contains(&here), "{here} records");
    assert_eq!(memory_bytes(&shore), 0, "everything is given back");
    // What was dropped comes again, as a sender sends it: a window above what is acknowledged.
    for block in &blocks[here as usize..] {
        shore.hear(&device, block);
        shore.commit_all();
    }
    assert_eq!(shore.region.counters().records, 30);
}

#[test]
fn a_thousand_returning_devices_stay_within_the_budget_and_all_come_through() {
    let mut shore = Shore::with(|config| config.memory_bytes_max = 200_000);
    let mut devices: Vec<Device> = (0..1000).map(|at| Device::new(&format!("pump-{at}"))).collect();
    let mut blocks = Vec::new();
    for device in &mut devices {
        shore.greet(device);
        let start = device.start();
        shore.hear(device, &start);
        blocks.push([device.block(1, 1_000), device.block(1, 1_000)]);
    }
    for (device, blocks) in devices.iter().zip(&blocks) {
        // Out of order: the second needs room, the first does not.
        shore.hear(device, &blocks[1]);
        assert!(memory_bytes(&shore) <= 200_000);
    }
    for round in 0..2 {
        for (device, blocks) in devices.iter().zip(&blocks) {
            shore.hear(device, &blocks[round]);
            shore.commit_all();
        }
    }
    assert_eq!(shore.region.counters().records, 2_000);
    assert_eq!(memory_bytes(&shore), 0);
}

#[test]
fn credit_shrinks_as_more_lanes_are_active() {
    let mut shore = Shore::with(|config| {
        config.memory_bytes_max = 100_000;
        config.credit_bytes_max = 50_000;
    });
    let mut devices: Vec<Device> = (0..10).map(|at| Device::new(&format!("pump-{at}"))).collect();
    shore.greet(&mut devices[0]);
    let hello = devices[0].hello();
    shore.hear(&devices[0], &hello);
    let alone = shore.ack(&mut devices[0]).lanes[0].credit;
    for device in &mut devices {
        shore.greet(device);
    }
    shore.batch();
    let hello = devices[0].hello();
    shore.hear(&devices[0], &hello);
    let among_ten = shore.ack(&mut devices[0]).lanes[0].credit;
    assert_eq!((alone, among_ten), (50_000, 10_000));
    assert_eq!(devices[0].tail.seq, Seq::ZERO);
}

fn memory_bytes(shore: &Shore) -> u64 {
    let mut text = String::new();
    shore.region.metrics(&mut text, shore.now).unwrap();
    let line = text.lines().find(|line| line.starts_with("driftlog_gateway_items_memory_bytes ")).unwrap();
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

/// A simulated world: the lowest item of each run needs no room, and there are many runs.
#[test]
fn what_needs_no_room_passes_the_budget_by_one_budget_and_is_taken_once_there_is_room() {
    let mut shore = Shore::with(|config| config.memory_bytes_max = 20_000);
    let mut devices: Vec<Device> = (0..100).map(|at| Device::new(&format!("pump-{at}"))).collect();
    let mut blocks = Vec::new();
    for device in &mut devices {
        shore.greet(device);
        let start = device.start();
        shore.hear(device, &start);
        blocks.push(device.block(1, 1_000));
    }
    for (device, block) in devices.iter().zip(&blocks) {
        shore.hear(device, block);
    }
    let memory = memory_bytes(&shore);
    assert!((40_000..42_000).contains(&memory), "{memory} bytes");
    for _ in 0..3 {
        shore.commit_all();
        for (device, block) in devices.iter().zip(&blocks) {
            shore.hear(device, block);
        }
    }
    shore.commit_all();
    assert_eq!(shore.region.counters().records, 100);
}
