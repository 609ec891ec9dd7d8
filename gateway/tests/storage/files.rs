//! The archive's files: which there are, and whether they belong to the ledger.

use driftlog_gateway::ledger::Ledger;
use driftlog_gateway::sink::archive::directory::{Directory, OsDirectory};
use driftlog_gateway::sink::archive::state::ArchiveId;
use driftlog_gateway::sink::archive::{Archive, ArchiveConfig, OpenError, Upkeep};
use driftlog_gateway::sink::commit::commit;
use driftlog_gateway::sink::{Batch, Entry};
use driftlog_proto::time::Unix;

use crate::fixture::{DAY_NS, Device, ID, NOON, Store, text};

fn filled() -> Store {
    let mut device = Device::new("pump-1");
    Store::with(vec![device.start(1), device.some(3)])
}

#[test]
fn ten_thousand_devices_stay_a_handful_of_files() {
    let store = Store::new(ArchiveConfig { file_bytes_max: 4 * 1024 * 1024, ..ArchiveConfig::default() });
    let mut archive = store.open().unwrap();
    let entries: Vec<Entry> = (0..10_000)
        .flat_map(|at| {
            let mut device = Device::new(&format!("pump-{at}"));
            [device.start(1), device.some(1)]
        })
        .collect();
    for entries in entries.chunks(1000) {
        store.commit(&mut archive, entries.to_vec()).unwrap();
    }
    while archive.upkeep(&mut store.ledger.clone(), NOON).unwrap() == Upkeep::More {}
    assert_eq!(store.text().len(), 20_000);
    assert!(archive.files() <= 4, "{:?}", store.directory.names());
    assert_eq!(store.directory.names().len(), archive.files() + 1);
}

#[test]
fn files_are_rotated_by_size_and_by_the_utc_day_of_arrival() {
    let store =
        Store::new(ArchiveConfig { file_bytes_max: 3000, compress: false, ..ArchiveConfig::default() });
    let mut archive = store.open().unwrap();
    let mut device = Device::new("pump-1");
    let mut put = |device: &Device, entry: Entry| {
        let received = device.received;
        store.commit(&mut archive, vec![Entry { received, ..entry }]).unwrap();
    };
    let entry = device.start(1);
    put(&device, entry);
    for _ in 0..8 {
        let entry = device.some(1);
        put(&device, entry);
    }
    device.received = Unix(NOON.0 + DAY_NS);
    let entry = device.some(1);
    put(&device, entry);
    // What was held above a hole arrived the day before: it stays where the day is.
    device.received = NOON;
    let entry = device.some(1);
    put(&device, entry);
    // A clock that is set back by more than a day gets its own file again.
    device.received = Unix(NOON.0 - 3 * DAY_NS);
    let entry = device.some(1);
    put(&device, entry);
    let names = store.directory.names();
    assert_eq!(
        names,
        [
            "2026-11-20/000004.ndjson",
            "2026-11-23/000001.ndjson",
            "2026-11-23/000002.ndjson",
            "2026-11-24/000003.ndjson",
            "ID"
        ]
    );
    let length = store.directory.bytes(&names[1]).unwrap().len();
    assert!((3000..4000).contains(&length), "{length}");
    let sequences: Vec<String> = store.text().into_iter().skip(1).collect();
    assert!(sequences.iter().enumerate().all(|(at, line)| line.contains(&format!("\"sequence\":{at},"))));
}

#[test]
fn old_files_leave_by_age_and_the_open_one_stays() {
    let config = ArchiveConfig { retention_days: 2, compress: false, ..ArchiveConfig::default() };
    let store = Store::new(config);
    let mut archive = store.open().unwrap();
    let mut device = Device::new("pump-1");
    for day in 0..4 {
        device.received = Unix(NOON.0 + day * DAY_NS);
        let entry = if day == 0 { device.start(1) } else { device.some(1) };
        store.commit(&mut archive, vec![entry]).unwrap();
    }
    let upkeep = |archive: &mut Archive, now: i64| {
        while archive.upkeep(&mut store.ledger.clone(), Unix(NOON.0 + now * DAY_NS)).unwrap() == Upkeep::More
        {
        }
        archive.files()
    };
    assert_eq!(upkeep(&mut archive, 2), 4, "a file of two days ago may stay");
    assert_eq!(upkeep(&mut archive, 3), 3);
    assert_eq!(upkeep(&mut archive, 99), 1);
    assert_eq!(store.directory.names(), ["2026-11-26/000004.ndjson", "ID"]);
    drop(archive);
    assert_eq!(store.open().unwrap().files(), 1);
}

#[test]
fn an_archive_without_its_ledger_is_refused_and_the_command_is_named() {
    let store = filled();
    let before = store.directory.bytes("2026-11-23/000001.ndjson");
    let other = Store { ledger: Default::default(), ..store };
    let error = other.open().unwrap_err();
    assert!(matches!(error, OpenError::LedgerMissing { .. }), "{error}");
    assert!(error.to_string().contains("hint: if the ledger is lost, `driftlog-gateway rebuild`"), "{error}");
    assert_eq!(other.directory.bytes("2026-11-23/000001.ndjson"), before);
    assert!(other.ledger.content().is_empty(), "nothing is guessed");
}

#[test]
fn a_ledger_without_its_archive_is_refused_and_the_option_is_named() {
    let store = filled();
    let other = Store { directory: Default::default(), ..store };
    let error = other.open().unwrap_err().to_string();
    assert!(error.contains("is its disk mounted?") && error.contains("rebuild --force"), "{error}");
    assert!(other.directory.names().is_empty());
}

#[test]
fn a_ledger_and_an_archive_of_two_gateways_are_refused() {
    let store = filled();
    store.directory.put("ID", format!("{}\n", ArchiveId([1; 16])).as_bytes());
    let error = store.open().unwrap_err();
    assert!(matches!(error, OpenError::OtherArchive { .. }), "{error}");
}

#[test]
fn an_archive_that_is_shorter_than_the_ledger_counts_is_refused() {
    let store = filled();
    let path = "2026-11-23/000001.ndjson";
    let bytes = store.directory.bytes(path).unwrap();
    store.directory.put(path, &bytes[..bytes.len() - 1]);
    let error = store.open().unwrap_err().to_string();
    let expected = format!("has {} bytes and the ledger counts {}", bytes.len() - 1, bytes.len());
    assert!(error.contains(&expected), "{error}");
}

#[test]
fn a_new_gateway_that_was_killed_at_its_first_step_begins_again() {
    for torn in [&b""[..], b"5a5a"] {
        let store = Store::plain();
        store.directory.put("ID", torn);
        assert_eq!(store.open().unwrap().id(), ID);
    }
    // The id is durable, the ledger has not heard of it: it is taken as it stands.
    let other = Store::plain();
    other.directory.put("ID", format!("{}\n", ArchiveId([9; 16])).as_bytes());
    assert_eq!(other.open().unwrap().id(), ArchiveId([9; 16]));
}

#[test]
fn a_file_that_is_not_ours_is_left_alone() {
    let store = filled();
    for foreign in ["2026-11-23/notes.txt", "2020-01-01/000000.ndjson", "README"] {
        store.directory.put(foreign, b"mine");
    }
    drop(store.open().unwrap());
    for foreign in ["2026-11-23/notes.txt", "2020-01-01/000000.ndjson", "README"] {
        assert_eq!(store.directory.bytes(foreign).as_deref(), Some(&b"mine"[..]));
    }
}

#[test]
fn a_closed_file_that_an_operator_removed_is_forgotten() {
    let store = Store::new(ArchiveConfig { file_bytes_max: 1, compress: false, ..ArchiveConfig::default() });
    let mut archive = store.open().unwrap();
    let mut device = Device::new("pump-1");
    for _ in 0..3 {
        let entry = if device.place.run.0 == 0 { device.start(1) } else { device.some(1) };
        store.commit(&mut archive, vec![entry]).unwrap();
    }
    store.directory.clone().remove("2026-11-23/000001.ndjson").unwrap();
    assert_eq!(store.open().unwrap().files(), 2);
    assert_eq!(store.ledger.scan(b"archive/file/").unwrap().len(), 1);
}

#[test]
fn a_batch_without_entries_commits_its_writes_alone() {
    let store = filled();
    let mut archive = store.open().unwrap();
    let before = store.directory.bytes("2026-11-23/000001.ndjson");
    let writes = vec![crate::fixture::write("gateway/generation", "7")];
    commit(
        &mut archive,
        &mut store.ledger.clone(),
        &Batch { number: 1, sink: 0, entries: Vec::new(), writes },
    )
    .unwrap();
    assert_eq!(store.ledger.get(b"gateway/generation").unwrap().as_deref(), Some(&b"7"[..]));
    assert_eq!(store.directory.bytes("2026-11-23/000001.ndjson"), before);
}

#[test]
fn on_a_real_disk_it_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("archive");
    let mut ledger = driftlog_gateway::ledger::sled::SledLedger::open(&folder.path().join("ledger")).unwrap();
    let config =
        ArchiveConfig { file_bytes_max: 2000, retention_bytes_max: 1500, ..ArchiveConfig::default() };
    let mut device = Device::new("pump-1");
    for _ in 0..6 {
        let open = Box::new(OsDirectory::new(&root));
        let mut archive = Archive::open(open, config.clone(), &mut ledger, ID).unwrap();
        let entry = if device.place.run.0 == 0 { device.start(1) } else { device.some(4) };
        let batch = Batch { number: 0, sink: 0, entries: vec![entry], writes: Vec::new() };
        commit(&mut archive, &mut ledger, &batch).unwrap();
        while archive.upkeep(&mut ledger, NOON).unwrap() == Upkeep::More {}
    }
    let lines = text(&OsDirectory::new(&root));
    assert!(lines.last().unwrap().contains("\"sequence\":19,"), "{:?}", lines.last());
    assert!(lines.len() < 21, "retention has removed something");
    drop(ledger);
    let error = driftlog_gateway::ledger::sled::SledLedger::open(&folder.path().join("other"))
        .map(|mut other| Archive::open(Box::new(OsDirectory::new(&root)), config, &mut other, ID));
    assert!(matches!(error.unwrap(), Err(OpenError::LedgerMissing { .. })));
}
