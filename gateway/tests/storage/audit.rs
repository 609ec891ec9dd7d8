//! The audit finds each kind of break, and nothing in a clean archive.

use driftlog_gateway::audit::{Report, SpoolLane, Tally, audit};
use driftlog_gateway::sink::{Entry, Notice};
use driftlog_proto::ids::Lane;
use driftlog_proto::item::Cause;

use crate::fixture::{Device, Store};

const PATH: &str = "2026-11-23/000001.ndjson";

fn report(store: &Store) -> Report {
    audit(&store.directory, &[], &mut |_| {}).unwrap()
}

fn tally(entries: Vec<Entry>) -> (Tally, bool) {
    let report = report(&Store::with(entries));
    (report.lanes[0].tally.clone(), report.is_broken())
}

/// The first finding of an archive that is broken.
fn finding(entries: Vec<Entry>) -> (Tally, String) {
    let (tally, is_broken) = tally(entries);
    assert!(is_broken, "{tally:?}");
    let first = tally.findings.first().cloned().unwrap_or_default();
    (tally, first)
}

#[test]
fn a_clean_archive_passes() {
    let (mut one, mut two) = (Device::new("pump-1"), Device::new("pump-2"));
    let mut urgent = Device { lane: Lane::Urgent, ..one.clone() };
    let store = Store::with(vec![
        one.start(1),
        one.some(5),
        two.start(1),
        urgent.start(9),
        urgent.some(2),
        one.gap(100, Cause::Overflow),
        two.some(1),
        one.start(2),
        one.some(3),
        one.notice(Notice::HardwareChanged),
    ]);
    let report = report(&store);
    assert!(!report.is_broken(), "{report:?}");
    assert_eq!((report.files, report.lines, report.lanes.len()), (1, 17, 3));
    let tally = &report.lanes[0].tally;
    assert_eq!((tally.first, tally.last, tally.records, tally.runs), (Some(0), Some(107), 8, 2));
    assert_eq!((tally.declared(), tally.noticed(Notice::HardwareChanged)), (100, 1));
    let mut table = Vec::new();
    report.write_table(&mut table).unwrap();
    let table = String::from_utf8(table).unwrap();
    let expected = "\
device  lane    first  last  records  runs  double  disorder  missing  declared  notices
pump-1  bulk        0   107        8     2       0         0        0       100  hardware_changed 1
pump-1  urgent      0     1        2     1       0         0        0         0  -
pump-2  bulk        0     0        1     1       0         0        0         0  -

pump-1 bulk:
  100 records in 1 gaps declared gone: overflow

17 lines in 1 files: 11 records, 0 lost, 0 doubled, 0 out of order, 100 declared gone; promise kept
";
    assert_eq!(table, expected);
    let mut json = Vec::new();
    report.write_json("archive", &mut json).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!((&json["sink"], &json["is_broken"]), (&"archive".into(), &false.into()));
    assert_eq!(json["lanes"][0]["gaps"][0]["cause"], "overflow");
}

#[test]
fn one_identity_twice_is_found() {
    let mut device = Device::new("pump-1");
    let (start, block) = (device.start(1), device.some(3));
    let gap = device.gap(4, Cause::Overflow);
    let (double, what) = finding(vec![start.clone(), block.clone(), block.clone()]);
    assert_eq!((double.duplicates, double.records), (3, 6));
    assert_eq!(what, format!("{PATH}:5: run 0000000000000001: 0 is there twice"));
    let (double, _) = finding(vec![start.clone(), start.clone(), block.clone()]);
    assert_eq!(double.duplicates, 1);
    let (double, _) = finding(vec![start.clone(), block.clone(), gap.clone(), gap]);
    assert_eq!(double.duplicates, 4);
    let notice = device.notice(Notice::Clone);
    let (double, _) = finding(vec![start, block, notice.clone(), notice]);
    assert_eq!(double.duplicates, 1);
}

#[test]
fn out_of_order_is_found_and_is_not_called_missing_or_double() {
    let mut device = Device::new("pump-1");
    let (start, one, two, three) = (device.start(1), device.some(3), device.some(2), device.some(1));
    let (late, what) = finding(vec![start, one, three, two]);
    assert_eq!((late.out_of_order, late.missing, late.duplicates), (2, 0, 0));
    assert_eq!(what, format!("{PATH}:6: run 0000000000000001: 3 comes too late"));
}

#[test]
fn an_undeclared_hole_is_found_and_a_declared_one_is_not_one() {
    let mut device = Device::new("pump-1");
    let (start, one, _, three) = (device.start(1), device.some(3), device.some(2), device.some(1));
    let (hole, what) = finding(vec![start.clone(), one.clone(), three.clone()]);
    assert_eq!(hole.missing, 2);
    assert_eq!(what, "run 0000000000000001: 3 to 4 are missing and not declared");
    let mut other = Device::new("pump-1");
    other.start(1);
    other.some(3);
    let (declared, is_broken) = tally(vec![start, one, other.gap(2, Cause::Corruption), three]);
    assert!(!is_broken, "{declared:?}");
    assert_eq!((declared.missing, declared.declared(), declared.gaps[0].cause), (0, 2, "corruption"));
}

#[test]
fn a_child_before_its_parent_has_come_as_far_is_found() {
    let mut device = Device::new("pump-1");
    let (start, one, two) = (device.start(1), device.some(3), device.some(2));
    let (child, more) = (device.start(2), device.some(1));
    let (early, what) = finding(vec![start.clone(), one.clone(), child.clone(), more.clone(), two.clone()]);
    assert!(early.out_of_order > 0);
    assert!(
        what.contains("run 0000000000000002 starts at 5 when its parent 0000000000000001 is at 3"),
        "{what}"
    );
    let (clean, is_broken) = tally(vec![start, one, two, child, more]);
    assert!(!is_broken, "{clean:?}");
}

#[test]
fn a_run_without_a_start_or_with_an_unknown_parent_is_found() {
    let mut device = Device::new("pump-1");
    let (start, one) = (device.start(1), device.some(3));
    let (child, two) = (device.start(2), device.some(1));
    let (orphan, what) = finding(vec![one.clone()]);
    assert_eq!(orphan.broken_starts, 1);
    assert!(what.contains("has no start before its record 0"), "{what}");
    let (orphan, what) = finding(vec![child, two]);
    assert_eq!(orphan.broken_starts, 1);
    assert!(what.contains("follows run 0000000000000001, unknown"), "{what}");
    let (late, what) = finding(vec![one, start]);
    assert!(late.out_of_order == 1 && late.broken_starts == 1, "{what}");
}

#[test]
fn a_fork_is_found_and_breaks_the_promise_only_without_its_notice() {
    let mut device = Device::new("pump-1");
    let (start, one) = (device.start(1), device.some(3));
    let mut copy = device.clone();
    let parent_goes_on = vec![start.clone(), one.clone(), copy.start(2), copy.some(1), device.some(2)];
    let mut second = device.clone();
    second.place = copy.place;
    let (forked, what) = finding(parent_goes_on.clone());
    assert_eq!((forked.forks, forked.unstated_forks), (1, 1));
    assert!(what.contains("the history divides and no notice says so"), "{what}");
    let stated: Vec<Entry> = parent_goes_on.into_iter().chain([device.notice(Notice::Fork)]).collect();
    let (forked, is_broken) = tally(stated);
    assert!(!is_broken, "{forked:?}");
    assert_eq!((forked.forks, forked.noticed(Notice::Fork)), (1, 1));
    let mut base = Device::new("pump-1");
    let begin = vec![base.start(1), base.some(3)];
    let (mut left, mut right) = (base.clone(), base);
    let twins =
        begin.into_iter().chain([left.start(2), left.some(1), right.start(3), right.some(1)]).collect();
    assert_eq!(finding(twins).0.forks, 1, "two children");
}

#[test]
fn a_clone_is_reported() {
    let mut device = Device::new("pump-1");
    let (cloned, is_broken) = tally(vec![device.start(1), device.some(1), device.notice(Notice::Clone)]);
    assert!(!is_broken);
    assert_eq!(cloned.notices, [("clone", 1)]);
}

#[test]
fn what_is_there_although_it_was_declared_lost_is_counted_and_allowed() {
    let mut device = Device::new("pump-1");
    let start = device.start(1);
    let mut copy = device.clone();
    let (gap, lost) = (device.gap(3, Cause::Overflow), copy.some(3));
    let more = device.some(1);
    let (present, is_broken) = tally(vec![start.clone(), gap.clone(), lost.clone(), more.clone()]);
    assert!(!is_broken, "{present:?}");
    assert_eq!(present.declared_but_present, 3);
    let (twice, _) = finding(vec![start, gap, lost.clone(), lost, more]);
    assert_eq!((twice.declared_but_present, twice.duplicates), (3, 3), "but not twice");
}

#[test]
fn a_dead_letter_takes_its_numbers() {
    let mut device = Device::new("pump-1");
    let start = device.start(1);
    let driftlog_gateway::sink::What::Block { header, .. } = device.clone().some(4).what else {
        panic!("not a block")
    };
    let (dead, is_broken) = tally(vec![start, device.sealed(header, b"junk"), device.some(1)]);
    assert!(!is_broken, "{dead:?}");
    assert_eq!((dead.dead_letters, dead.dead_records, dead.records, dead.last), (1, 4, 1, Some(4)));
}

#[test]
fn damaged_lines_and_missing_files_are_found() {
    let mut device = Device::new("pump-1");
    let store = Store::with(vec![device.start(1), device.some(3)]);
    let bytes = store.directory.bytes(PATH).unwrap();
    let mut flipped = bytes.clone();
    let at = bytes.len() / 2;
    flipped[at] = b'\n';
    store.directory.put(PATH, &flipped);
    let damaged = report(&store);
    assert!(damaged.is_broken() && damaged.damaged_lines > 0, "{damaged:?}");
    store.directory.put(PATH, &bytes);
    store.directory.put("2026-11-25/000003.ndjson", b"");
    let missing = report(&store);
    assert_eq!((missing.damaged_files, missing.is_broken()), (1, true));
    assert_eq!(missing.findings, ["after file 1 comes file 3"]);
    store.directory.put("2026-11-25/000003.ndjson", b"torn");
    store.directory.put("2026-11-24/000002.ndjson.zst", b"no zstd frame");
    let unreadable = report(&store);
    assert_eq!((unreadable.damaged_files, unreadable.unfinished_bytes), (1, 4), "{unreadable:?}");
}

#[test]
fn a_line_that_is_being_written_is_no_break() {
    let mut device = Device::new("pump-1");
    let store = Store::with(vec![device.start(1), device.some(3)]);
    let bytes = store.directory.bytes(PATH).unwrap();
    store.directory.put(PATH, &bytes[..bytes.len() - 40]);
    let torn = report(&store);
    assert!(!torn.is_broken() && torn.unfinished_bytes > 0, "{torn:?}");
    assert_eq!(torn.lanes[0].tally.records, 2);
}

#[test]
fn an_archive_whose_oldest_files_retention_removed_is_followed_from_its_middle() {
    let mut device = Device::new("pump-1");
    let store = Store::with(vec![device.start(1), device.some(3), device.start(2), device.some(2)]);
    let bytes = store.directory.bytes(PATH).unwrap();
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let later = Store::plain();
    for from in [2, 4, 5] {
        later.directory.put("2026-11-24/000007.ndjson", &lines[from..].concat());
        let report = report(&later);
        assert!(report.is_headless && !report.is_broken(), "{report:?}");
    }
}

fn spool(device: &Device, base: &Device) -> String {
    let place = |device: &Device| {
        let place = device.place;
        format!(r#"{{"run":"{}","seq":{},"chain":"{}"}}"#, place.run, place.seq, place.chain)
    };
    let (base, next) = (place(base), place(device));
    format!(
        r#"{{"device_id":"{}","lane":"bulk","base":{base},"next":{next},"gaps":[],"bytes":17}}"#,
        device.id
    )
}

#[test]
fn what_a_spool_says_was_acknowledged_must_have_arrived() {
    let mut device = Device::new("pump-1");
    let mut entries = vec![device.start(1), device.some(3), device.some(2)];
    let acknowledged = device.clone();
    let later = device.some(4);
    let compare = |entries: &[Entry], spool: &str| {
        let store = Store::with(entries.to_vec());
        let spools = SpoolLane::parse(spool).unwrap();
        audit(&store.directory, &spools, &mut |_| {}).unwrap()
    };
    let good = compare(&entries, &spool(&device, &acknowledged));
    assert!(!good.is_broken(), "{good:?}");
    let finding = &good.spools[0];
    assert_eq!((finding.acknowledged, finding.archived, finding.waiting), (5, Some(5), 4));

    let broken = compare(&entries[..2], &spool(&device, &acknowledged));
    assert!(broken.is_broken());
    assert_eq!((broken.spools[0].missing, broken.spools[0].waiting), (2, 6));

    let mut other = acknowledged.clone();
    other.place.chain.0 ^= 1;
    let foreign = compare(&entries, &spool(&device, &other));
    assert!(foreign.is_broken() && foreign.spools[0].is_other_history);

    entries.push(later);
    let forgotten = compare(&entries, &spool(&acknowledged, &acknowledged));
    assert!(!forgotten.is_broken());
    assert_eq!(forgotten.spools[0].forgotten, 4, "the flash forgot what it had published");

    let nothing = compare(&entries, &spool(&device, &Device::new("pump-1")));
    assert!(!nothing.is_broken() && nothing.spools[0].acknowledged == 0);
    assert!(compare(&[], &spool(&device, &acknowledged)).is_broken(), "an archive that knows nothing of it");
}

#[test]
fn spools_are_read_one_after_another_or_in_an_array() {
    let device = Device::new("pump-1");
    let one = spool(&device, &device);
    assert_eq!(SpoolLane::parse(&format!("{one}\n{one}\n")).unwrap().len(), 2);
    assert_eq!(SpoolLane::parse(&format!("[{one},{one},{one}]")).unwrap().len(), 3);
    assert!(SpoolLane::parse("{\"lane\":1}").unwrap_err().contains("hint: give it the output of"));
    assert!(SpoolLane::parse(&one.replace("bulk", "slow")).unwrap_err().contains("there is no lane slow"));
}
