//! A lost ledger comes back from the archive.

use std::collections::BTreeMap;

use driftlog_gateway::audit::audit;
use driftlog_gateway::ledger::memory::MemoryLedger;
use driftlog_gateway::ledger::record::{LaneRecord, Mark, RunRecord};
use driftlog_gateway::ledger::sled::SledLedger;
use driftlog_gateway::ledger::{Ledger, Write};
use driftlog_gateway::rebuild::{RebuildError, RebuildOptions, Rebuilt, rebuild, rebuild_folder};
use driftlog_gateway::sink::archive::directory::OsDirectory;
use driftlog_gateway::sink::archive::simulated::{Faults, SimDirectory};
use driftlog_gateway::sink::archive::state::ArchiveId;
use driftlog_gateway::sink::archive::{Archive, ArchiveConfig, Upkeep};
use driftlog_gateway::sink::commit::commit;
use driftlog_gateway::sink::{Batch, Entry, Notice, What};
use driftlog_proto::ids::{AckNumber, Place};
use driftlog_proto::item::Cause;
use driftlog_proto::limits::RUNS_MAX;
use driftlog_proto::receiver::notice_bit;

use crate::fixture::{Device, ID, NOON, Store};

const OPTIONS: RebuildOptions = RebuildOptions { force: false, without_marks: false, fresh: ID };

/// The lane records that a gateway keeps while it commits these entries.
#[derive(Default)]
struct Gateway {
    lanes: BTreeMap<Vec<u8>, LaneRecord>,
}

impl Gateway {
    fn writes(&mut self, entries: &[Entry]) -> Vec<Write> {
        for entry in entries {
            let key = LaneRecord::key(&entry.device, entry.lane);
            let lane = self.lanes.entry(key).or_default();
            let mark = Mark { sink: "archive".to_owned(), place: entry.end, notices: 0 };
            let at = lane.runs.iter().position(|run| run.run == entry.run).unwrap_or_else(|| {
                let parent = match entry.what {
                    What::Start { parent } => parent,
                    _ => Place::ORIGIN,
                };
                lane.runs.push(RunRecord {
                    run: entry.run,
                    parent,
                    begin: entry.end,
                    // The archive does not say when a run was first heard.
                    first_heard: AckNumber { generation: u64::MAX, counter: u64::MAX },
                    last_echo: AckNumber::default(),
                    marks: vec![mark],
                });
                lane.runs.len() - 1
            });
            let mark = &mut lane.runs[at].marks[0];
            mark.place = entry.end;
            if let What::Notice(notice) = entry.what {
                mark.notices |= notice_bit(notice);
            }
        }
        let write =
            |(key, lane): (&Vec<u8>, &LaneRecord)| Write { key: key.clone(), value: Some(lane.encode()) };
        self.lanes.iter().map(write).collect()
    }
}

fn history() -> Vec<Vec<Entry>> {
    let (mut one, mut two) = (Device::new("pump-1"), Device::new("pump-2"));
    let mut three = Device::new("pump-3");
    three.place =
        Place { run: driftlog_proto::ids::RunId(77), seq: driftlog_proto::ids::Seq(1000), ..one.place };
    vec![
        vec![one.start(1), one.some(4), two.start(1), two.some(1)],
        vec![one.gap(7, Cause::Overflow), one.some(2), one.notice(Notice::HardwareChanged)],
        vec![one.start(2), one.some(3), three.notice(Notice::LedgerLost), three.some(5)],
        vec![two.some(9), one.start(3), one.gap(2, Cause::Corruption), one.start(4), one.some(1)],
        vec![two.notice(Notice::Fork), three.some(1), one.some(1)],
    ]
}

fn filled(config: ArchiveConfig) -> (Store, Archive, Gateway) {
    let store = Store::new(config);
    let mut archive = store.open().unwrap();
    let mut gateway = Gateway::default();
    for entries in history() {
        let writes = gateway.writes(&entries);
        let mut ledger = store.ledger.clone();
        commit(&mut archive, &mut ledger, &Batch { number: 0, sink: 0, entries, writes }).unwrap();
        while archive.upkeep(&mut ledger, NOON).unwrap() == Upkeep::More {}
    }
    (store, archive, gateway)
}

fn rebuilt(store: &Store) -> (MemoryLedger, Rebuilt) {
    let mut ledger = MemoryLedger::default();
    let rebuilt = rebuild(&mut store.directory.clone(), &mut ledger, &OPTIONS).unwrap();
    (ledger, rebuilt)
}

#[test]
fn it_gives_exactly_the_ledger_that_was_lost() {
    for (file_bytes_max, compress) in [(u64::MAX, false), (3000, false), (3000, true), (1, true)] {
        let config = ArchiveConfig { file_bytes_max, compress, ..ArchiveConfig::default() };
        let (store, _, _) = filled(config);
        let (ledger, rebuilt) = rebuilt(&store);
        assert_eq!(ledger.content(), store.ledger.content(), "{file_bytes_max} {compress}");
        assert_eq!((rebuilt.lanes, rebuilt.runs, rebuilt.cut, rebuilt.damaged_lines), (3, 6, None, 0));
        let other = Store { ledger, ..store };
        let mut archive = other.open().unwrap();
        let mut device = Device::new("pump-9");
        other.commit(&mut archive, vec![device.start(1), device.some(1)]).unwrap();
    }
}

#[test]
fn an_unfinished_block_at_the_end_is_cut_and_kept_aside() {
    let (store, _, gateway) = filled(ArchiveConfig { compress: false, ..ArchiveConfig::default() });
    let path = "2026-11-23/000001.ndjson";
    let whole = store.directory.bytes(path).unwrap();
    let mut next = Device::new("pump-2");
    (next.place.run, next.place.seq) = (driftlog_proto::ids::RunId(1), driftlog_proto::ids::Seq(10));
    let (mut documents, mut torn) = (driftlog_gateway::sink::ecs::Documents::new(), Vec::new());
    documents.write(&next.some(3), &mut torn);
    // The last record alone says that the block is whole.
    let last = torn[..torn.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    let first = torn.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for length in [1, first - 1, first, last, torn.len() - 1] {
        store.directory.put(path, &[&whole[..], &torn[..length]].concat());
        let (ledger, rebuilt) = rebuilt(&store);
        assert_eq!(store.directory.bytes(path).unwrap(), whole);
        let kept = format!("cut/000001-from-{}", whole.len());
        assert_eq!(rebuilt.cut, Some((length as u64, kept.clone())));
        assert_eq!(store.directory.bytes(&kept).unwrap(), torn[..length]);
        for (key, lane) in &gateway.lanes {
            assert_eq!(ledger.get(key).unwrap().unwrap(), lane.encode());
        }
    }
    // A batch that is whole there counts, although the ledger never had it.
    store.directory.put(path, &[&whole[..], &torn].concat());
    let (ledger, rebuilt) = rebuilt(&store);
    assert_eq!(rebuilt.cut, None);
    let two = LaneRecord::decode(&ledger.get(b"lane/pump-2/bulk").unwrap().unwrap()).unwrap();
    assert_eq!(two.runs[0].marks[0].place, next.place);
    assert!(!audit(&store.directory, &[], &mut |_| {}).unwrap().is_broken());
}

#[test]
fn a_damaged_line_within_the_archive_is_reported_and_does_not_stop_it() {
    let (store, _, _) =
        filled(ArchiveConfig { file_bytes_max: 1, compress: false, ..ArchiveConfig::default() });
    let path = "2026-11-23/000002.ndjson";
    let mut bytes = store.directory.bytes(path).unwrap();
    bytes[0] = b'#';
    store.directory.put(path, &bytes);
    let (_, rebuilt) = rebuilt(&store);
    assert_eq!(rebuilt.damaged_lines, 1);
    let mut told = Vec::new();
    rebuilt.write(&mut told).unwrap();
    assert!(
        String::from_utf8(told).unwrap().contains("1 lines are damaged\nhint: see `driftlog-gateway audit`")
    );
}

#[test]
fn a_ledger_that_is_there_is_not_replaced_unless_told() {
    let (store, _, _) = filled(ArchiveConfig::default());
    let refused = rebuild(&mut store.directory.clone(), &mut store.ledger.clone(), &OPTIONS);
    assert!(matches!(refused, Err(RebuildError::LedgerExists)));
    assert!(refused.unwrap_err().to_string().contains("`--force` sets it aside"));
}

/// World 114071: every sync of a new archive had failed, its ledger was lost, and the one that was made names
/// an id that the next power cut took away.
#[test]
fn an_id_that_was_never_synced_is_durable_before_the_ledger_names_it() {
    let faults = Faults::default();
    let directory = SimDirectory::with_faults(faults.clone());
    let open = |ledger: &mut MemoryLedger, fresh| {
        Archive::open(Box::new(directory.clone()), ArchiveConfig::default(), ledger, fresh)
    };
    faults.sync_fails(true);
    open(&mut MemoryLedger::default(), ID).unwrap_err();
    let mut ledger = MemoryLedger::default();
    rebuild(&mut directory.clone(), &mut ledger, &OPTIONS).unwrap_err();
    faults.sync_fails(false);
    rebuild(&mut directory.clone(), &mut ledger, &OPTIONS).unwrap();
    directory.cut_power(|_| 1);
    open(&mut ledger, ArchiveId([7; 16])).unwrap();
}

#[test]
fn without_marks_every_lane_begins_at_its_devices_base() {
    let (store, _, _) = filled(ArchiveConfig::default());
    let mut ledger = MemoryLedger::default();
    let options = RebuildOptions { without_marks: true, ..OPTIONS };
    rebuild(&mut store.directory.clone(), &mut ledger, &options).unwrap();
    assert!(ledger.scan(b"lane/").unwrap().is_empty());
    assert!(Store { ledger, ..store }.open().is_ok());
}

#[test]
fn more_runs_than_a_ledger_remembers_leave_the_newest() {
    let store = Store::plain();
    let mut archive = store.open().unwrap();
    let mut device = Device::new("pump-1");
    for run in 1..=RUNS_MAX as u64 + 10 {
        store.commit(&mut archive, vec![device.start(run), device.some(1)]).unwrap();
    }
    let (ledger, _) = rebuilt(&store);
    let lane = LaneRecord::decode(&ledger.get(b"lane/pump-1/bulk").unwrap().unwrap()).unwrap();
    assert!(lane.has_forgotten);
    assert_eq!(lane.runs.len(), RUNS_MAX);
    assert_eq!((lane.runs[0].run.0, lane.runs[RUNS_MAX - 1].run.0), (11, RUNS_MAX as u64 + 10));
}

#[test]
fn on_a_real_disk_the_old_ledger_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let (archive_path, ledger_path) = (folder.path().join("archive"), folder.path().join("ledger"));
    let mut device = Device::new("pump-1");
    {
        let mut ledger = SledLedger::open(&ledger_path).unwrap();
        let directory = Box::new(OsDirectory::new(&archive_path));
        let mut archive = Archive::open(directory, ArchiveConfig::default(), &mut ledger, ID).unwrap();
        let entries = vec![device.start(1), device.some(3)];
        commit(&mut archive, &mut ledger, &Batch { number: 0, sink: 0, entries, writes: Vec::new() })
            .unwrap();
    }
    let mut told = Vec::new();
    let refused = rebuild_folder(&archive_path, &ledger_path, &OPTIONS, &mut told);
    assert!(matches!(refused, Err(RebuildError::LedgerExists)), "{refused:?}");
    let force = RebuildOptions { force: true, ..OPTIONS };
    let rebuilt = rebuild_folder(&archive_path, &ledger_path, &force, &mut told).unwrap();
    assert_eq!(rebuilt.replaced, Some(folder.path().join("ledger.replaced-1")));
    assert!(folder.path().join("ledger.replaced-1").exists());
    let told = String::from_utf8(told).unwrap();
    assert!(told.contains("4 documents in 1 files; the new ledger has 1 runs in 1 lanes"), "{told}");
    std::fs::remove_dir_all(&ledger_path).unwrap();
    rebuild_folder(&archive_path, &ledger_path, &OPTIONS, &mut Vec::new()).unwrap();
    let mut ledger = SledLedger::open(&ledger_path).unwrap();
    let lane = LaneRecord::decode(&ledger.get(b"lane/pump-1/bulk").unwrap().unwrap()).unwrap();
    assert_eq!(lane.runs[0].marks[0].place, device.place);
    let directory = Box::new(OsDirectory::new(&archive_path));
    assert_eq!(Archive::open(directory, ArchiveConfig::default(), &mut ledger, ID).unwrap().id(), ID);
}
