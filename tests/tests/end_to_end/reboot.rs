//! A device that is off the network for long and is switched off and on all the while.

use driftlog_tests::clock;
use driftlog_tests::corpus::Random;
use driftlog_tests::device::AgentSettings;
use driftlog_tests::writer::Journal;

use crate::world::{LONG, World, append, seed};

const REBOOTS: u64 = 50;
const LINES: u64 = 40;

#[test]
fn a_device_that_was_switched_on_fifty_times_while_offline_delivers_every_line() {
    let world = World::new();
    let settings = AgentSettings { delay_ms_max: 20, backoff_ms_max: 200, ..AgentSettings::default() };
    let mut device = world.device("pump-1", &settings);
    device.line().cut();
    let file = device.logs().join("a.log");
    let mut random = Random::new(seed());
    for boot in 0..REBOOTS {
        // No battery behind the clock: each boot begins in 1970, and each is another boot.
        let boot_id = u128::from(random.number()) << 64 | u128::from(random.number());
        device.set_clock(-(clock::wall_ns() / 1_000_000), 0, Some(boot_id)).unwrap();
        append(&file, boot * LINES..(boot + 1) * LINES, "a");
        device.start().unwrap();
        let sealed = |device: &driftlog_tests::device::Device| {
            let status = device.status();
            status.map_or(0, |status| status.core.lanes.iter().map(|lane| lane.sealed).sum::<u64>())
        };
        let is_sealed = clock::wait_until(LONG, || sealed(&device) >= (boot + 1) * LINES);
        assert!(is_sealed, "boot {boot}: {:?}", device.status());
        device.kill();
    }
    device.line().mend();
    device.start().unwrap();
    world.finish(vec![(device, Journal::of_files(&[file]).unwrap())]);
}
