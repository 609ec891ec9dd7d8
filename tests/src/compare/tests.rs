use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use super::*;

/// An archive and the files that were written for it.
struct World {
    dir: tempfile::TempDir,
    archive: String,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("archive/2026-11-23")).unwrap();
        Self { dir, archive: String::new() }
    }

    fn written(&self, name: &str, text: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn record(&mut self, lane: &str, file: u64, offset: usize, body: &str, more: &str) {
        let time = "2026-11-23T06:00:00.000000000Z";
        writeln!(
            self.archive,
            r#"{{"@timestamp":"{time}","message":"{body}","event":{{"ingested":"{time}"}},"log":{{"offset":{offset},"file":{{"path":"/logs/a.log"}}}},"driftlog":{{"file":"{file:016x}"{more},"kind":"record","lane":"{lane}","clock":{{"bound_ns":10,"basis":"measured"}}}},"host":{{"id":"pump-1"}}}}"#
        )
        .unwrap();
    }

    /// All lines of a text, as records of the bulk lane.
    fn records(&mut self, file: u64, text: &str) {
        let mut offset = 0;
        for line in text.lines() {
            self.record("bulk", file, offset, line, "");
            offset += line.len() + 1;
        }
    }

    fn compare(&self, files: &[PathBuf]) -> DeviceComparison {
        fs::write(self.dir.path().join("archive/2026-11-23/000001.ndjson"), &self.archive).unwrap();
        let journal = Journal::of_files(files).unwrap();
        let comparison = compare(&self.dir.path().join("archive"), &[("pump-1", &journal)]).unwrap();
        assert_eq!(comparison.strange, Vec::<String>::new());
        comparison.devices["pump-1"].clone()
    }
}

#[test]
fn files_with_the_same_bytes_on_both_sides_are_exact_whatever_their_names() {
    let mut world = World::new();
    let files = [world.written("a.log", b"one\ntwo\n"), world.written("b.log", b"three\n\nfour\n")];
    world.records(7, "three\n\nfour\n");
    world.records(9, "one\ntwo\n");
    let found = world.compare(&files);
    assert!(found.is_exact(), "{found:?}");
    assert_eq!((found.lines_in, found.lines_out, found.bytes_in), (5, 5, 20));
}

#[test]
fn lanes_are_merged_and_parts_and_base64_put_together_again() {
    let mut world = World::new();
    let files = [world.written("a.log", b"info\nerror\nK\xfchl\nlong-line\nopen")];
    world.record("urgent", 1, 5, "error", "");
    world.record("bulk", 1, 0, "info", "");
    world.record("bulk", 1, 11, "K?hl", r#","body":"S/xobA==""#);
    world.record("bulk", 1, 16, "long-", r#","part":"first","ending":"none""#);
    world.record("bulk", 1, 21, "line", r#","part":"last""#);
    world.record("bulk", 1, 26, "open", r#","part":"first","ending":"none""#);
    let found = world.compare(&files);
    assert!(found.is_exact(), "{found:?}");
    assert_eq!(found.lines_out, 5);
}

#[test]
fn a_lost_line_is_found() {
    let mut world = World::new();
    let files = [world.written("a.log", b"one\ntwo\nthree\n")];
    world.record("bulk", 1, 0, "one", "");
    world.record("bulk", 1, 8, "three", "");
    let found = world.compare(&files);
    assert_eq!((found.lost, found.doubled, found.disordered, found.changed), (1, 0, 0, 0));
    assert_eq!(found.findings, ["a.log, offset 4: lost: two"]);
}

#[test]
fn a_file_of_which_little_has_arrived_is_still_known_for_what_it_is() {
    let mut world = World::new();
    let text: String = (0..1_000).map(|line| format!("line {line}\n")).collect();
    let files = [world.written("a.log", text.as_bytes())];
    world.record("bulk", 1, text.len() - 9, "line 999", "");
    let found = world.compare(&files);
    assert_eq!((found.lost, found.lines_out, found.changed), (999, 1, 0), "{found:?}");
}

#[test]
fn a_file_that_is_not_there_at_all_is_lost_line_by_line() {
    let world = World::new();
    let found = world.compare(&[world.written("a.log", b"one\ntwo\n")]);
    assert_eq!((found.lost, found.lines_out), (2, 0));
}

#[test]
fn a_line_that_is_there_twice_is_found_in_the_same_file_and_under_another_identity() {
    let mut world = World::new();
    let files = [world.written("a.log", b"one\ntwo\nthree\n")];
    world.records(1, "one\ntwo\nthree\n");
    world.record("bulk", 1, 8, "three", "");
    let found = world.compare(&files);
    assert_eq!((found.lost, found.doubled, found.disordered), (0, 1, 0));
    world.records(2, "one\ntwo\n");
    let found = world.compare(&files);
    assert_eq!((found.lost, found.doubled, found.changed), (0, 3, 0), "{found:?}");
    assert!(!found.is_exact());
}

#[test]
fn lines_in_the_wrong_order_are_found() {
    let mut world = World::new();
    let files = [world.written("a.log", b"one\ntwo\n")];
    world.record("bulk", 1, 4, "two", "");
    world.record("bulk", 1, 0, "one", "");
    assert_eq!(world.compare(&files).disordered, 1);
}

#[test]
fn a_changed_line_is_found() {
    let mut world = World::new();
    let files = [world.written("a.log", b"one\ntwo\nthree\n")];
    world.records(1, "one\ntWo\nthree\n");
    let found = world.compare(&files);
    assert_eq!((found.lost, found.doubled, found.changed), (0, 0, 1), "{found:?}");
}

#[test]
fn what_a_cut_left_out_is_not_lost() {
    let mut world = World::new();
    let files = [world.written("a.log", b"a-very-long-line\nnext\n")];
    world.record("bulk", 1, 0, "a-very", r#","cut":true"#);
    world.record("bulk", 1, 17, "next", "");
    let found = world.compare(&files);
    assert!(found.is_exact(), "{found:?}");
}

#[test]
fn a_record_cannot_happen_before_its_line_was_written_nor_after_it_arrived() {
    let mut world = World::new();
    let path = world.written("a.log", b"one\ntwo\n");
    world.records(1, "one\ntwo\n");
    fs::write(world.dir.path().join("archive/2026-11-23/000001.ndjson"), &world.archive).unwrap();
    let instant = document::instant("2026-11-23T06:00:00Z").unwrap();
    let time = |moments: Vec<(u64, i64)>| {
        let mut journal = Journal::of_files(std::slice::from_ref(&path)).unwrap();
        journal.files[0].moments = moments;
        let comparison = compare(&world.dir.path().join("archive"), &[("pump-1", &journal)]).unwrap();
        comparison.devices["pump-1"].time
    };
    let good = time(vec![(0, instant - 5), (4, instant + 10)]);
    assert_eq!((good.checked, good.early, good.late, good.bound_ns_max), (2, 0, 0, 10));
    assert_eq!(time(vec![(0, instant - 5), (4, instant + 11)]).early, 1);
}

#[test]
fn records_of_a_stranger_and_unreadable_lines_are_reported() {
    let mut world = World::new();
    world.records(1, "one\n");
    world.archive.push_str("{\"half\n");
    fs::write(world.dir.path().join("archive/2026-11-23/000001.ndjson"), &world.archive).unwrap();
    let comparison = compare(&world.dir.path().join("archive"), &[]).unwrap();
    assert_eq!(comparison.strange.len(), 2);
    assert!(!comparison.is_exact());
}
