//! Devices that seal items as the real ones do, and archives to put them into.

use std::sync::Arc;

use driftlog_gateway::ledger::Write;
use driftlog_gateway::ledger::memory::MemoryLedger;
use driftlog_gateway::sink::archive::directory::Directory;
use driftlog_gateway::sink::archive::read::{Lines, files};
use driftlog_gateway::sink::archive::simulated::{Faults, SimDirectory};
use driftlog_gateway::sink::archive::state::ArchiveId;
use driftlog_gateway::sink::archive::{Archive, ArchiveConfig, OpenError};
use driftlog_gateway::sink::commit::commit;
use driftlog_gateway::sink::{Batch, CommitError, Entry, Labels, Notice, What};
use driftlog_proto::block::{
    Codec, Compress, Ending, Format, Frame, Packer, Part, Record, Severity, Source, WORKSPACE_BYTES,
};
use driftlog_proto::clock::{Basis, Line};
use driftlog_proto::ids::{BootId, Chain, DeviceId, Lane, Place, RunId, Seq};
use driftlog_proto::item::{BlockHeader, Cause, ItemHeader, Start, seal};
use driftlog_proto::limits::{ITEM_BYTES_MAX, PAYLOAD_BYTES_MAX};
use driftlog_proto::time::{ClockState, Mono, Unix};

/// 2026-11-23T12:00:00Z.
pub(crate) const NOON: Unix = Unix(1_795_435_200_000_000_000);
pub(crate) const DAY_NS: i64 = 86_400_000_000_000;
pub(crate) const ID: ArchiveId = ArchiveId([0x5a; 16]);

struct Uncompressed;

impl Compress for Uncompressed {
    fn compress(&mut self, _frame: Frame<'_>, _parts: &[&[u8]], _out: &mut [u8]) -> Option<usize> {
        None
    }
}

pub(crate) fn line(body: &[u8]) -> Record<'_> {
    Record {
        mono: Mono(0),
        severity: Severity::UNSPECIFIED,
        source: 0,
        offset: 0,
        ending: Ending::Newline,
        part: Part::Whole,
        cut: false,
        format: Format::Raw,
        body,
    }
}

/// One lane of a device: what it seals continues its history.
#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) id: DeviceId,
    pub(crate) lane: Lane,
    pub(crate) place: Place,
    pub(crate) received: Unix,
    pub(crate) labels: Arc<Labels>,
    pub(crate) source: Vec<u8>,
}

impl Device {
    pub(crate) fn new(id: &str) -> Self {
        Self {
            id: DeviceId::new(id).unwrap(),
            lane: Lane::Bulk,
            place: Place::ORIGIN,
            received: NOON,
            labels: Arc::default(),
            source: b"/var/log/app.log".to_vec(),
        }
    }

    pub(crate) fn entry(&self, what: What) -> Entry {
        Entry {
            device: self.id.clone(),
            lane: self.lane,
            run: self.place.run,
            end: self.place,
            received: self.received,
            labels: self.labels.clone(),
            index: 0,
            what,
        }
    }

    /// A run begins where the last one ended.
    pub(crate) fn start(&mut self, run: u64) -> Entry {
        let parent = self.place;
        let start = ItemHeader::Start(Start { lane: self.lane, run: RunId(run), parent });
        let mut out = vec![0; 256];
        let length = seal(&start, &[], &mut out).unwrap();
        self.place = start.end(&out[..length]);
        self.entry(What::Start { parent })
    }

    /// A block of lines.
    pub(crate) fn lines(&mut self, lines: &[&str]) -> Entry {
        let records: Vec<Record<'_>> = lines.iter().map(|text| line(text.as_bytes())).collect();
        self.block(&records)
    }

    /// A block of `count` short lines.
    pub(crate) fn some(&mut self, count: usize) -> Entry {
        let lines: Vec<String> =
            (0..count).map(|at| format!("valve {} opened", self.place.seq.0 + at as u64)).collect();
        self.lines(&lines.iter().map(String::as_str).collect::<Vec<_>>())
    }

    pub(crate) fn block(&mut self, records: &[Record<'_>]) -> Entry {
        let base = Mono(5_000_000_000);
        let mut packer = Packer::new(vec![0; WORKSPACE_BYTES]).unwrap();
        packer.open(base);
        let source = packer.source(&Source { path: &self.source, file: 0xf11e }).unwrap();
        let mut offset = 100;
        for (at, record) in records.iter().enumerate() {
            let mono = Mono(base.0 + at as u64 * 1_000_000);
            packer.push(&Record { mono, source, offset, ..*record }).unwrap();
            offset += record.body.len() as u64 + u64::from(record.ending == Ending::Newline);
        }
        let mut payload = vec![0; PAYLOAD_BYTES_MAX];
        let packed = packer.pack(Codec::Stored, &mut Uncompressed, &mut payload).unwrap();
        let header = BlockHeader {
            lane: self.lane,
            run: self.place.run,
            first: self.place.seq,
            prev: self.place.chain,
            count: records.len() as u32,
            boot: BootId([7; 16]),
            mono: base,
            span_ns: (records.len() as u64 - 1) * 1_000_000,
            wall: Unix(1_000_000_000_000_000_000),
            clock: ClockState::Unset,
            codec: packed.codec.number(),
            raw_bytes: packed.raw_bytes,
        };
        self.sealed(header, &payload[..packed.bytes])
    }

    pub(crate) fn sealed(&mut self, header: BlockHeader, payload: &[u8]) -> Entry {
        let item = ItemHeader::Block(header);
        let mut out = vec![0; ITEM_BYTES_MAX];
        let length = seal(&item, payload, &mut out).unwrap();
        out.truncate(length);
        self.place = item.end(&out);
        let clock =
            Line { at: header.mono, time: NOON, rate_ppb: 0, bound_ns: 1_500_000, basis: Basis::Measured };
        self.entry(What::Block { header, sealed: out.into(), refers_to: Vec::new(), clock })
    }

    /// The next `count` numbers are gone.
    pub(crate) fn gap(&mut self, count: u64, cause: Cause) -> Entry {
        let from = self.place.seq;
        self.place = Place { seq: Seq(from.0 + count), chain: Chain(0xc0de + from.0), ..self.place };
        self.entry(What::Gap { from, to: self.place.seq, cause })
    }

    pub(crate) fn notice(&self, notice: Notice) -> Entry {
        self.entry(What::Notice(notice))
    }
}

/// An archive in memory with its ledger.
pub(crate) struct Store {
    pub(crate) directory: SimDirectory,
    pub(crate) ledger: MemoryLedger,
    pub(crate) faults: Faults,
    pub(crate) config: ArchiveConfig,
}

impl Store {
    pub(crate) fn new(config: ArchiveConfig) -> Self {
        let faults = Faults::default();
        Self {
            directory: SimDirectory::with_faults(faults.clone()),
            ledger: MemoryLedger::with_faults(faults.clone()),
            faults,
            config,
        }
    }

    pub(crate) fn plain() -> Self {
        Self::new(ArchiveConfig { compress: false, ..ArchiveConfig::default() })
    }

    pub(crate) fn open(&self) -> Result<Archive, OpenError> {
        Archive::open(Box::new(self.directory.clone()), self.config.clone(), &mut self.ledger.clone(), ID)
    }

    pub(crate) fn commit(&self, archive: &mut Archive, entries: Vec<Entry>) -> Result<(), CommitError> {
        commit(archive, &mut self.ledger.clone(), &Batch { number: 0, sink: 0, entries, writes: Vec::new() })
    }

    /// Puts all entries into a new archive at once.
    pub(crate) fn with(entries: Vec<Entry>) -> Self {
        let store = Self::plain();
        let mut archive = store.open().unwrap();
        store.commit(&mut archive, entries).unwrap();
        store
    }

    pub(crate) fn text(&self) -> Vec<String> {
        text(&self.directory)
    }
}

/// Every line of an archive, in order.
pub(crate) fn text(directory: &dyn Directory) -> Vec<String> {
    let mut all = Vec::new();
    for file in files(directory).unwrap() {
        let mut lines = Lines::open(directory, &file).unwrap().unwrap();
        while let Some(line) = lines.next_line().unwrap() {
            assert!(line.is_whole, "{file:?}: line {} has no end", line.number);
            all.push(String::from_utf8(line.bytes.to_vec()).unwrap());
        }
    }
    all
}

pub(crate) fn write(key: &str, value: &str) -> Write {
    Write { key: key.into(), value: Some(value.into()) }
}
