//! A kill and a power cut at every single step of writing, rotating, compressing and retention.

use driftlog_gateway::audit::audit;
use driftlog_gateway::ledger::Ledger;
use driftlog_gateway::sink::archive::{Archive, ArchiveConfig, Upkeep};
use driftlog_gateway::sink::commit::commit;
use driftlog_gateway::sink::{Batch, CommitError};

use crate::fixture::{DAY_NS, Device, NOON, Store, write};
use driftlog_proto::time::Unix;

const BATCHES: usize = 9;
const DONE: &str = "test/done";

fn store(retention_bytes_max: u64) -> Store {
    Store::new(ArchiveConfig { file_bytes_max: 2500, retention_bytes_max, ..ArchiveConfig::default() })
}

/// What the gateway commits: two devices, files that fill up, a day that ends.
fn batches() -> Vec<Batch> {
    let (mut one, mut two) = (Device::new("pump-1"), Device::new("pump-2"));
    let mut batches = Vec::new();
    for at in 0..BATCHES {
        let received = Unix(NOON.0 + at as i64 * DAY_NS / 4);
        (one.received, two.received) = (received, received);
        let mut entries = Vec::new();
        if at % 4 == 0 {
            entries.push(one.start(100 + at as u64));
            entries.push(two.start(200 + at as u64));
        }
        entries.extend([one.some(2 + at % 3), two.some(1), one.some(1)]);
        batches.push(Batch {
            number: at as u64,
            sink: 0,
            entries,
            writes: vec![write(DONE, &(at + 1).to_string())],
        });
    }
    batches
}

fn done(store: &Store) -> usize {
    let value = store.ledger.get(DONE.as_bytes()).unwrap();
    value.map_or(0, |value| String::from_utf8(value).unwrap().parse().unwrap())
}

/// Commits what is not yet committed, with upkeep between; ends at the first failure.
fn work(store: &Store, archive: &mut Archive, batches: &[Batch]) -> Result<(), CommitError> {
    let mut ledger = store.ledger.clone();
    for batch in &batches[done(store)..] {
        commit(archive, &mut ledger, batch)?;
        while archive.upkeep(&mut ledger, Unix(NOON.0))? == Upkeep::More {}
    }
    Ok(())
}

/// The lines after each batch, without any fault.
fn expected(retention_bytes_max: u64) -> (Vec<String>, Vec<usize>) {
    let store = store(retention_bytes_max);
    let batches = batches();
    let mut archive = store.open().unwrap();
    let (mut lines, mut ends) = (Vec::new(), vec![0]);
    let plain = Store::plain();
    let mut unlimited = plain.open().unwrap();
    for batch in &batches {
        commit(&mut archive, &mut store.ledger.clone(), batch).unwrap();
        plain.commit(&mut unlimited, batch.entries.clone()).unwrap();
        lines = plain.text();
        ends.push(lines.len());
    }
    (lines, ends)
}

/// Crashes at step `at`; answers whether the work was done before that.
fn crash(
    at: u64,
    power_cut: Option<u64>,
    retention_bytes_max: u64,
    lines: &[String],
    ends: &[usize],
) -> bool {
    let store = store(retention_bytes_max);
    let batches = batches();
    store.faults.crash_at(Some(at));
    let worked = match store.open() {
        Ok(mut archive) => work(&store, &mut archive, &batches).is_ok(),
        Err(_) => false,
    };
    let is_over = !store.faults.has_crashed();
    assert_eq!(worked, is_over, "step {at}: work fails only by the crash");
    let mut answers = power_cut.map(|seed| seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(at));
    let mut lose_power = || {
        if let Some(state) = &mut answers {
            store.directory.cut_power(|question| {
                *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(question);
                *state >> 33
            });
        }
    };
    lose_power();
    // A second crash while the first one is repaired.
    store.faults.crash_at(Some(at % 5));
    drop(store.open());
    lose_power();
    store.faults.crash_at(None);
    let mut archive = store.open().unwrap_or_else(|error| panic!("step {at}: {error}"));
    let there = store.text();
    let committed = &lines[..ends[done(&store)]];
    assert!(committed.ends_with(&there), "step {at}, {power_cut:?}: the archive is not what was committed");
    if retention_bytes_max == 0 {
        assert_eq!(there.len(), committed.len(), "step {at}, {power_cut:?}: lines are missing");
    }
    work(&store, &mut archive, &batches).unwrap();
    let there = store.text();
    assert!(lines.ends_with(&there) && (retention_bytes_max > 0 || there.len() == lines.len()), "step {at}");
    assert!(!audit(&store.directory, &[], &mut |_| {}).unwrap().is_broken());
    let leftovers = |name: &String| name.ends_with(".part");
    assert!(!store.directory.names().iter().any(leftovers), "{:?}", store.directory.names());
    is_over
}

#[test]
fn a_kill_at_any_step_leaves_exactly_what_was_committed() {
    let (lines, ends) = expected(0);
    assert!((0..2000).any(|at| crash(at, None, 0, &lines, &ends)), "the work never ended");
}

#[test]
fn a_power_cut_at_any_step_leaves_exactly_what_was_committed() {
    let (lines, ends) = expected(0);
    for seed in 0..3 {
        assert!((0..2000).any(|at| crash(at, Some(seed), 0, &lines, &ends)), "the work never ended");
    }
}

#[test]
fn a_kill_or_power_cut_while_files_leave_is_repaired() {
    let (lines, ends) = expected(4000);
    for power_cut in [None, Some(1), Some(2)] {
        assert!((0..2000).any(|at| crash(at, power_cut, 4000, &lines, &ends)), "the work never ended");
    }
}

#[test]
fn an_archive_that_rotates_compresses_and_forgets_does_all_three_in_this_test() {
    let store = store(4000);
    let mut archive = store.open().unwrap();
    work(&store, &mut archive, &batches()).unwrap();
    let names = store.directory.names();
    assert!(names.iter().any(|name| name.ends_with(".ndjson.zst")), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("000001")), "{names:?}");
    assert!(store.text().len() < expected(0).0.len());
}

#[test]
fn a_full_disk_leaves_archive_and_ledger_as_before_and_a_retry_works() {
    let batches = batches();
    for space in (0..4000).step_by(97) {
        let store = store(0);
        let mut archive = store.open().unwrap();
        commit(&mut archive, &mut store.ledger.clone(), &batches[0]).unwrap();
        let (ledger, lines) = (store.ledger.content(), store.text());
        store.faults.space(Some(space));
        let refused = work(&store, &mut archive, &batches);
        store.faults.space(None);
        match refused {
            Err(CommitError::Refused(reason)) => assert!(reason.contains("hint: make room"), "{reason}"),
            other => panic!("{space} bytes: {other:?}"),
        }
        if done(&store) == 1 {
            assert_eq!((store.ledger.content(), store.text()), (ledger, lines), "{space} bytes");
        }
        work(&store, &mut archive, &batches).unwrap();
        assert_eq!(store.text(), expected(0).0, "{space} bytes");
    }
}

#[test]
fn after_a_failed_sync_nothing_is_appended_to_that_file() {
    let store = Store::plain();
    let mut device = Device::new("pump-1");
    let mut archive = store.open().unwrap();
    store.commit(&mut archive, vec![device.start(1), device.some(3)]).unwrap();
    let before = store.directory.bytes("2026-11-23/000001.ndjson").unwrap();
    store.faults.sync_fails(true);
    let more = vec![device.some(2)];
    assert!(matches!(store.commit(&mut archive, more.clone()), Err(CommitError::Refused(_))));
    assert!(matches!(store.commit(&mut archive, more.clone()), Err(CommitError::Refused(_))));
    store.faults.sync_fails(false);
    store.commit(&mut archive, more).unwrap();
    assert_eq!(store.directory.bytes("2026-11-23/000001.ndjson").unwrap(), before);
    assert_eq!(store.text().len(), 6);
    // And even if the cut itself is lost with the power, opening repairs it.
    store.directory.put("2026-11-23/000001.ndjson", &[&before[..], b"{\"half\":"].concat());
    drop(store.open().unwrap());
    assert_eq!(store.directory.bytes("2026-11-23/000001.ndjson").unwrap(), before);
}

/// World 364688: a start cut what was not committed and could not sync that; the next one saw nothing to cut,
/// and with the power the bytes came back.
#[test]
fn what_a_start_has_cut_is_durable_although_its_sync_failed_at_first() {
    let mut device = Device::new("pump-1");
    let store = Store::with(vec![device.start(1), device.some(3)]);
    let path = "2026-11-23/000001.ndjson";
    let whole = store.directory.bytes(path).unwrap();
    store.directory.put(path, &[&whole[..], b"{\"not\":\"committed\"}\n"].concat());
    store.faults.sync_fails(true);
    store.open().unwrap_err();
    store.faults.sync_fails(false);
    drop(store.open().unwrap());
    store.directory.cut_power(|_| 0);
    assert_eq!(store.directory.bytes(path).unwrap(), whole);
}

#[test]
fn a_torn_last_line_is_cut_when_the_archive_is_opened() {
    let mut device = Device::new("pump-1");
    let store = Store::with(vec![device.start(1), device.some(3)]);
    let path = "2026-11-23/000001.ndjson";
    let whole = store.directory.bytes(path).unwrap();
    for torn in [&b"{"[..], b"{\"@timestamp\":\"2026", b"\0\0\0\0\n{}\n"] {
        store.directory.put(path, &[&whole[..], torn].concat());
        drop(store.open().unwrap());
        assert_eq!(store.directory.bytes(path).unwrap(), whole);
    }
}
