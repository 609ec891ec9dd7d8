//! Spools that are copied, wiped or put back to an older state.

use std::fs;
use std::path::Path;

use driftlog_tests::clock;
use driftlog_tests::device::{AgentSettings, Device};
use driftlog_tests::writer::Journal;

use crate::world::{LONG, World, append};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else if kind.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// Runs an agent until everything in its logs is on shore.
fn run_through(world: &mut World, device: &mut Device, journal: &Journal) {
    device.start().unwrap();
    let name = device.name().to_owned();
    world.wait_arrived(&[(&name, journal)], &mut [device]);
    device.stop().unwrap();
}

fn notices(world: &World) -> Vec<String> {
    let status = world.shore.page().status();
    status.into_iter().flat_map(|status| status.region.devices).flat_map(|device| device.notices).collect()
}

#[test]
fn two_copies_of_a_spool_that_both_run_are_noticed_and_nothing_is_lost_or_doubled() {
    let mut world = World::new();
    let mut one = world.device("pump-1", &AgentSettings::default());
    let first = append(&one.logs().join("a.log"), 0..300, "the time before");
    let mut files = vec![first];
    run_through(&mut world, &mut one, &Journal::of_files(&files).unwrap());
    let mut other = world.device_in("copy", "pump-1", &AgentSettings::default());
    copy(&one.state(), &other.state());
    files.push(append(&one.logs().join("b.log"), 0..300, "the original"));
    files.push(append(&other.logs().join("c.log"), 0..300, "the copy"));
    let journal = Journal::of_files(&files).unwrap();
    one.start().unwrap();
    other.start().unwrap();
    world.wait_arrived(&[("pump-1", &journal)], &mut [&mut one, &mut other]);
    // A device that is told of the other's lines can only be a copy; it is heard at each greeting.
    let is_noticed = clock::wait_until(LONG, || {
        for device in [&one, &other] {
            device.line().cut();
            device.line().mend();
            std::thread::sleep(std::time::Duration::from_millis(300));
        }
        notices(&world).iter().any(|notice| notice == "clone")
    });
    assert!(is_noticed, "{:?}", world.shore.page().status());
    one.stop().unwrap();
    other.stop().unwrap();
    world.shore.stop().unwrap();
    let comparison = world.compare(&[("pump-1", &journal)]);
    assert!(comparison.is_exact(), "{comparison:#?}");
    let audit = world.audit();
    assert!(audit.is_kept && audit.report.contains("clone"), "{}", audit.report);
}

#[test]
fn a_device_whose_spool_was_wiped_begins_anew() {
    let mut world = World::new();
    let mut device = world.device("pump-1", &AgentSettings::default());
    let first = append(&device.logs().join("a.log"), 0..300, "the time before");
    let mut journal = Journal::of_files(std::slice::from_ref(&first)).unwrap();
    run_through(&mut world, &mut device, &journal);
    fs::remove_dir_all(device.state()).unwrap();
    // The writer of that log is gone too; what it wrote is only in the journal.
    let kept = world.folder.path().join("a.log");
    fs::rename(&first, &kept).unwrap();
    let second = append(&device.logs().join("b.log"), 0..300, "the time after");
    journal = Journal::of_files(&[kept, second]).unwrap();
    device.start().unwrap();
    world.finish(vec![(device, journal)]);
}

#[test]
fn a_flash_that_forgot_what_was_published_is_noticed_and_no_line_is_lost() {
    let mut world = World::new();
    let mut device = world.device("pump-1", &AgentSettings::default());
    let file = device.logs().join("a.log");
    append(&file, 0..300, "the time that stayed");
    run_through(&mut world, &mut device, &Journal::of_files(std::slice::from_ref(&file)).unwrap());
    let backup = world.folder.path().join("backup");
    copy(&device.state(), &backup);
    append(&file, 300..600, "the time that was forgotten");
    run_through(&mut world, &mut device, &Journal::of_files(std::slice::from_ref(&file)).unwrap());
    fs::remove_dir_all(device.state()).unwrap();
    copy(&backup, &device.state());
    append(&file, 600..900, "the time after");
    let journal = Journal::of_files(std::slice::from_ref(&file)).unwrap();
    device.start().unwrap();
    world.wait_arrived(&[("pump-1", &journal)], &mut [&mut device]);
    let is_noticed = clock::wait_until(LONG, || notices(&world).iter().any(|notice| notice == "fork"));
    assert!(is_noticed, "{:?}", world.shore.page().status());
    device.stop().unwrap();
    world.shore.stop().unwrap();
    // The forgotten lines were read again and stand there under two identities, which is stated.
    let total = world.compare(&[("pump-1", &journal)]).total();
    assert_eq!((total.lost, total.changed), (0, 0), "{total:?}");
    let audit = world.audit();
    assert!(audit.is_kept && audit.report.contains("fork"), "{}", audit.report);
}
