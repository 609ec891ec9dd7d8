//! What is urgent overtakes a backlog.

use std::fs::OpenOptions;
use std::io::Write as _;

use driftlog_tests::clock;
use driftlog_tests::compare::read_lines;
use driftlog_tests::device::AgentSettings;
use driftlog_tests::writer::Journal;

use crate::world::{LONG, World, append};

const BACKLOG: u64 = 200_000;

#[test]
fn an_error_at_the_end_of_a_backlog_arrives_before_the_backlog_does() {
    let mut world = World::new();
    let mut device = world.device("pump-1", &AgentSettings::default());
    device.line().cut();
    let path = append(&device.logs().join("a.log"), 0..BACKLOG, "a backlog");
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"ERROR the pump runs dry\n").unwrap();
    device.start().unwrap();
    let is_read = clock::wait_until(LONG, || {
        device.status().is_some_and(|status| {
            status.core.lines > BACKLOG && status.core.lanes.iter().all(|lane| lane.open == 0)
        })
    });
    assert!(is_read, "{:?}", device.status());
    // Slow enough that the backlog takes a few seconds.
    device.line().throttle(300_000);
    device.line().mend();
    let journal = Journal::of_files(&[path]).unwrap();
    world.wait_arrived(&[("pump-1", &journal)], &mut [&mut device]);
    let (mut records, mut before) = (0, None);
    // A file may be compressed, and so be gone, between looking and reading.
    let is_read = clock::wait_until(LONG, || {
        (records, before) = (0, None);
        let read = read_lines(&world.shore.archive(), |line| {
            let line = String::from_utf8_lossy(line);
            if line.contains("the pump runs dry") {
                before = Some(records);
            }
            records += u64::from(line.contains(r#""kind":"record""#));
            Ok(())
        });
        read.is_ok()
    });
    assert!(is_read);
    let before = before.unwrap();
    assert!(before < records / 2, "{before} of {records} records came before the error");
    device.line().throttle(0);
    world.finish(vec![(device, journal)]);
}
