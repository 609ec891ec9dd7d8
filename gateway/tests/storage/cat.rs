//! A device's records in order, now and as they come.

use std::cell::RefCell;

use driftlog_gateway::cat::{CatError, CatOptions, Format, cat};
use driftlog_gateway::ledger::sled::SledLedger;
use driftlog_gateway::sink::archive::directory::OsDirectory;
use driftlog_gateway::sink::archive::{Archive, ArchiveConfig, Upkeep};
use driftlog_gateway::sink::commit::commit;
use driftlog_gateway::sink::{Batch, Entry};
use driftlog_proto::block::{Record, Severity};
use driftlog_proto::ids::{DeviceId, Lane};
use driftlog_proto::item::Cause;

use crate::fixture::{Device, ID, NOON, Store, line};

fn options(format: Format) -> CatOptions {
    CatOptions { device: DeviceId::new("pump-1").unwrap(), lane: None, format }
}

fn shown(store: &Store, options: &CatOptions) -> String {
    let mut out = Vec::new();
    cat(&store.directory, options, &mut out, &mut || false).unwrap();
    String::from_utf8(out).unwrap()
}

fn two_devices() -> Store {
    let (mut one, mut two) = (Device::new("pump-1"), Device::new("pump-10"));
    let mut urgent = Device { lane: Lane::Urgent, ..one.clone() };
    let records = [
        Record { severity: Severity::WARN, ..line(b"valve \x1b[31mstuck\x1b[0m") },
        line(br#"a message that names "host":{"id":"pump-10","name":"pump-10"}"#),
    ];
    Store::with(vec![
        one.start(1),
        two.start(1),
        one.block(&records),
        two.some(2),
        urgent.start(5),
        urgent.lines(&["fire"]),
        one.gap(3, Cause::Overflow),
        one.lines(&["after"]),
    ])
}

#[test]
fn a_devices_records_are_shown_in_order_and_no_others() {
    let store = two_devices();
    let text = shown(&store, &options(Format::Text));
    let expected = r#"2026-11-23T12:00:00.000000Z [start] driftlog: run 0000000000000001 begins: the first of this log
2026-11-23T12:00:00.000000Z WARN  /var/log/app.log: valve \u{1b}[31mstuck\u{1b}[0m
2026-11-23T12:00:00.001000Z -     /var/log/app.log: a message that names "host":{"id":"pump-10","name":"pump-10"}
2026-11-23T12:00:00.000000Z [start] driftlog: run 0000000000000005 begins: the first of this log
2026-11-23T12:00:00.000000Z -     /var/log/app.log: fire
2026-11-23T12:00:00.000000Z [gap] driftlog: 3 records from 2 to below 5 are gone: overflow
2026-11-23T12:00:00.000000Z -     /var/log/app.log: after
"#;
    assert_eq!(text, expected);
}

#[test]
fn one_lane_alone_can_be_shown() {
    let store = two_devices();
    let urgent = CatOptions { lane: Some(Lane::Urgent), ..options(Format::Text) };
    assert_eq!(shown(&store, &urgent).lines().count(), 2);
}

#[test]
fn as_json_the_documents_are_shown_as_they_stand() {
    let store = two_devices();
    let json = shown(&store, &options(Format::Json));
    let of_device: Vec<String> =
        store.text().into_iter().filter(|line| line.contains("\"host\":{\"id\":\"pump-1\",")).collect();
    assert_eq!(json.lines().collect::<Vec<_>>(), of_device);
    assert_eq!(of_device.len(), 7);
}

#[test]
fn raw_the_bodies_are_shown_bit_for_bit() {
    let mut device = Device::new("pump-1");
    let bodies: [&[u8]; 4] = [b"one\r", b"", b"\xff\x00\xfe", "zwölf".as_bytes()];
    let records: Vec<Record<'_>> = bodies.iter().map(|body| line(body)).collect();
    let store = Store::with(vec![device.start(1), device.block(&records), device.gap(1, Cause::Operator)]);
    let mut out = Vec::new();
    cat(&store.directory, &options(Format::Raw), &mut out, &mut || false).unwrap();
    assert_eq!(out, [&bodies.join(&b'\n')[..], b"\n"].concat());
}

#[test]
fn a_device_that_is_not_there_shows_nothing() {
    let mut out = Vec::new();
    let nobody = CatOptions { device: DeviceId::new("pump").unwrap(), ..options(Format::Json) };
    assert_eq!(cat(&two_devices().directory, &nobody, &mut out, &mut || false).unwrap(), 0);
    assert_eq!(cat(&Store::plain().directory, &nobody, &mut out, &mut || false).unwrap(), 0);
    assert!(out.is_empty());
}

#[test]
fn a_reader_that_went_away_is_told_apart() {
    struct Closed;
    impl std::io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let gone = cat(&two_devices().directory, &options(Format::Text), &mut Closed, &mut || false);
    assert!(matches!(gone, Err(CatError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe));
}

#[test]
fn following_goes_on_across_rotation_and_compression() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = SledLedger::open(&folder.path().join("ledger")).unwrap();
    let root = folder.path().join("archive");
    let config = ArchiveConfig { file_bytes_max: 2000, ..ArchiveConfig::default() };
    let open = Box::new(OsDirectory::new(&root));
    let mut archive = Archive::open(open, config, &mut ledger, ID).unwrap();
    let mut device = Device::new("pump-1");
    let mut round = 0;
    let out = RefCell::new(Vec::new());
    let mut follow = || {
        round += 1;
        if round > 20 {
            return false;
        }
        let entry: Entry = if round == 1 { device.start(1) } else { device.some(1 + round % 3) };
        let batch = Batch { number: 0, sink: 0, entries: vec![entry], writes: Vec::new() };
        commit(&mut archive, &mut ledger, &batch).unwrap();
        while archive.upkeep(&mut ledger, NOON).unwrap() == Upkeep::More {}
        true
    };
    let count =
        cat(&OsDirectory::new(&root), &options(Format::Json), &mut *out.borrow_mut(), &mut follow).unwrap();
    let all = crate::fixture::text(&OsDirectory::new(&root));
    assert_eq!(count, all.len() as u64);
    assert_eq!(String::from_utf8(out.into_inner()).unwrap().lines().collect::<Vec<_>>(), all);
    assert!(archive.files() > 3, "{} files", archive.files());
}

#[test]
fn following_joins_a_line_that_was_seen_half_and_survives_a_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("2026-11-23/000001.ndjson");
    std::fs::create_dir(folder.path().join("2026-11-23")).unwrap();
    let store = two_devices();
    let whole = store.directory.bytes("2026-11-23/000001.ndjson").unwrap();
    let mut sizes = [whole.len() / 2, whole.len() / 3, whole.len()].into_iter();
    std::fs::write(&path, &whole[..100]).unwrap();
    let mut out = Vec::new();
    let mut follow = || match sizes.next() {
        // First it grows, then a failed commit cuts it, then it grows again.
        Some(size) => {
            std::fs::write(&path, &whole[..size]).unwrap();
            true
        }
        None => false,
    };
    cat(&OsDirectory::new(folder.path()), &options(Format::Json), &mut out, &mut follow).unwrap();
    let shown = String::from_utf8(out).unwrap();
    for line in store.text().iter().filter(|line| line.contains("\"host\":{\"id\":\"pump-1\",")) {
        let is_there = shown.lines().any(|other| other == line) || line.contains("\"kind\":\"start\"");
        assert!(is_there, "{line}");
    }
}
