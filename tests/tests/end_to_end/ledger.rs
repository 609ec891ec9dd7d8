//! A gateway that has lost its memory.

use std::fs;
use std::time::Duration;

use driftlog_tests::device::AgentSettings;
use driftlog_tests::process::{Process, run};
use driftlog_tests::writer::Journal;

use crate::world::{World, append, programs};

#[test]
fn a_gateway_without_its_ledger_does_not_guess_and_is_made_whole_from_its_archive() {
    let mut world = World::new();
    let mut device = world.device("pump-1", &AgentSettings::default());
    let file = append(&device.logs().join("a.log"), 0..1_000, "a");
    let journal = Journal::of_files(std::slice::from_ref(&file)).unwrap();
    device.start().unwrap();
    world.wait_arrived(&[("pump-1", &journal)], &mut [&mut device]);
    world.shore.kill();
    append(&file, 1_000..2_000, "a");
    fs::remove_dir_all(world.shore.data().join("ledger")).unwrap();

    let mut command = programs().gateway();
    command.arg("run").arg("--config").arg(world.shore.config());
    let log = world.folder.path().join("without-ledger.log");
    let mut process = Process::start("the gateway without its ledger", command, &log).unwrap();
    let status = process.wait(Duration::from_secs(60)).unwrap();
    let said = fs::read_to_string(&log).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("rebuild"), "{said}");

    let mut command = programs().gateway();
    command.arg("rebuild").arg("--config").arg(world.shore.config());
    let output = run(command).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    world.start_gateway();
    let journal = Journal::of_files(&[file]).unwrap();
    world.finish(vec![(device, journal)]);
}
