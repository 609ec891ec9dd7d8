//! SIGTERM: an agent seals, sends if it can and ends well; one that may not run says so.

use std::time::Duration;

use driftlog_tests::clock;
use driftlog_tests::device::AgentSettings;
use driftlog_tests::process::Process;
use driftlog_tests::writer::Journal;

use crate::world::{LONG, World, append, programs};

#[test]
fn an_agent_that_is_asked_to_stop_seals_and_sends_what_it_has_read() {
    let world = World::new();
    // Nothing is sealed by itself in the time of this test.
    let mut device =
        world.device("pump-1", &AgentSettings { delay_ms_max: 60_000, ..AgentSettings::default() });
    let file = append(&device.logs().join("a.log"), 0..500, "a");
    device.start().unwrap();
    let has_read = |device: &driftlog_tests::device::Device| {
        device.status().is_some_and(|status| status.link.is_up && status.core.lines >= 500)
    };
    assert!(clock::wait_until(LONG, || has_read(&device)), "{:?}", device.status());
    let status = device.status().unwrap();
    assert!(status.core.lanes.iter().all(|lane| lane.acknowledged == 0), "{status:?}");
    device.stop().unwrap();
    let journal = Journal::of_files(&[file]).unwrap();
    let comparison = world.compare(&[("pump-1", &journal)]);
    assert!(comparison.is_exact(), "{comparison:#?}");
}

#[test]
fn an_agent_that_is_asked_to_stop_while_it_is_offline_ends_well_and_sends_later() {
    let mut world = World::new();
    let mut device =
        world.device("pump-1", &AgentSettings { delay_ms_max: 60_000, ..AgentSettings::default() });
    device.line().cut();
    let file = append(&device.logs().join("a.log"), 0..500, "a");
    device.start().unwrap();
    let lines =
        |device: &driftlog_tests::device::Device| device.status().map_or(0, |status| status.core.lines);
    assert!(clock::wait_until(LONG, || lines(&device) >= 500), "{:?}", device.status());
    device.stop().unwrap();
    device.line().mend();
    device.start().unwrap();
    let journal = Journal::of_files(&[file]).unwrap();
    world.wait_arrived(&[("pump-1", &journal)], &mut [&mut device]);
    world.finish(vec![(device, journal)]);
}

#[test]
fn a_second_agent_on_the_same_spool_is_refused_and_the_first_goes_on() {
    let world = World::new();
    let mut device = world.device("pump-1", &AgentSettings::default());
    device.start().unwrap();
    assert!(clock::wait_until(LONG, || device.status().is_some()));
    let mut command = programs().agent();
    command.arg("run").arg("--config").arg(device.config());
    let log = world.folder.path().join("second.log");
    let mut second = Process::start("the second agent", command, &log).unwrap();
    let status = second.wait(Duration::from_secs(60)).unwrap();
    let said = std::fs::read_to_string(&log).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("another") && said.contains("hint:"), "{said}");
    let file = append(&device.logs().join("a.log"), 0..500, "a");
    let journal = Journal::of_files(&[file]).unwrap();
    world.finish(vec![(device, journal)]);
}

#[test]
fn a_second_gateway_on_the_same_data_is_refused_and_the_first_goes_on() {
    let world = World::new();
    let mut command = programs().gateway();
    command.arg("run").arg("--config").arg(world.shore.config());
    let log = world.folder.path().join("second.log");
    let mut second = Process::start("the second gateway", command, &log).unwrap();
    let status = second.wait(Duration::from_secs(60)).unwrap();
    let said = std::fs::read_to_string(&log).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("another") && said.contains("hint:"), "{said}");
    let mut device = world.device("pump-1", &AgentSettings::default());
    let file = append(&device.logs().join("a.log"), 0..500, "a");
    device.start().unwrap();
    let journal = Journal::of_files(&[file]).unwrap();
    world.finish(vec![(device, journal)]);
}
