//! A bad line: messages that are changed, delayed and cut off in the middle.

use std::time::Duration;

use driftlog_tests::clock;
use driftlog_tests::corpus::Random;
use driftlog_tests::device::AgentSettings;

use crate::world::{LONG, World, rounds, seed};

fn settings() -> AgentSettings {
    AgentSettings { delay_ms_max: 50, backoff_ms_max: 200, ..AgentSettings::default() }
}

#[test]
fn a_message_that_was_changed_on_the_way_is_refused_and_sent_again() {
    let world = World::new();
    let mut device = world.device("pump-1", &settings());
    let writer = world.writer(&device, 3_000, seed());
    device.start().unwrap();
    for wanted in 1..=5 {
        device.line().corrupt_next();
        assert!(clock::wait_until(LONG, || device.line().corrupted() == wanted));
    }
    world.finish(vec![(device, writer.stop().unwrap())]);
}

#[test]
fn a_line_that_is_slow_and_cut_again_and_again_costs_no_record() {
    let world = World::new();
    let mut device = world.device("pump-1", &settings());
    device.line().delay(Duration::from_millis(40));
    let writer = world.writer(&device, 3_000, seed());
    let mut random = Random::new(seed());
    device.start().unwrap();
    for _ in 0..rounds() {
        std::thread::sleep(Duration::from_millis(random.between(20, 250)));
        device.line().cut();
        std::thread::sleep(Duration::from_millis(random.between(0, 80)));
        device.line().mend();
    }
    device.line().delay(Duration::ZERO);
    world.finish(vec![(device, writer.stop().unwrap())]);
}
