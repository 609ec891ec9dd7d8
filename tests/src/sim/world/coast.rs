//! What outlives a gateway and is shared by two of them: the ledger, the archive's directory, and
//! two stand-ins for sinks that have no code in the gateway yet.
//!
//! The stand-ins keep the documents that the gateway's own writer makes. A *stream* takes a batch
//! and its ledger writes in one transaction, as a transactional log does. An *index* creates each
//! document under its identity, alone, in the one of several that the batch says, and the ledger
//! follows: what is created again in the same one meets a conflict. They slow down, fail, time out after
//! success, take a part, and reject documents.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use driftlog_gateway::ledger::memory::MemoryLedger;
use driftlog_gateway::ledger::{Ledger, LedgerError, Pair, Write};
use driftlog_gateway::sink::archive::simulated::{Faults, SimDirectory};
use driftlog_gateway::sink::ecs::Documents;
use driftlog_gateway::sink::{Batch, CommitError, Entry, What};

/// Where records go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SinkKind {
    /// The gateway's own archive.
    Archive,
    /// A stand-in: documents and ledger in one transaction.
    Stream,
    /// A stand-in: documents by identity, the ledger after them.
    Index,
}

impl SinkKind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Archive => "archive",
            Self::Stream => "stream",
            Self::Index => "index",
        }
    }
}

/// What is wrong with a stand-in now.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SinkFaults {
    /// It takes nothing.
    pub(crate) is_down: bool,
    /// Of a thousand batches so many end in a time-out although everything was taken.
    pub(crate) times_out_per_mille: u64,
    /// Of a thousand batches so many are taken in part.
    pub(crate) partial_per_mille: u64,
    /// Of a thousand blocks so many are rejected for their content, for ever.
    pub(crate) rejects_per_mille: u64,
}

/// What happens to a ledger's next commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Doubt {
    #[default]
    None,
    /// It is durable, and the gateway does not hear of it.
    Applied,
    /// It is not durable, and the gateway does not hear of that.
    Lost,
}

/// The number of an index, and an identity in it.
type Name = (u32, String);

/// The documents of a stand-in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelf {
    /// By number of the index and identity; what is of a batch that was not taken whole is there too.
    created: BTreeMap<Name, Vec<u8>>,
    /// The names in the order in which batches were taken whole.
    order: Vec<Name>,
    counted: BTreeSet<Name>,
}

#[derive(Clone, Debug)]
pub(crate) struct Coast {
    pub(crate) faults: Faults,
    pub(crate) directory: SimDirectory,
    pub(crate) ledger: FencedLedger,
    pub(crate) shelves: Rc<RefCell<BTreeMap<SinkKind, Shelf>>>,
    pub(crate) sink_faults: Rc<RefCell<BTreeMap<SinkKind, SinkFaults>>>,
}

/// A ledger that only its newest owner may change.
#[derive(Clone, Debug)]
pub(crate) struct FencedLedger {
    inner: MemoryLedger,
    newest: Rc<Cell<u64>>,
    own: u64,
    doubt: Rc<Cell<Doubt>>,
    /// Commits that are durable.
    applied: Rc<Cell<u64>>,
}

impl FencedLedger {
    fn new(faults: &Faults) -> Self {
        Self {
            inner: MemoryLedger::with_faults(faults.clone()),
            newest: Rc::default(),
            own: 0,
            doubt: Rc::default(),
            applied: Rc::default(),
        }
    }

    /// From now on this one is the owner, and what the others commit is refused.
    pub(crate) fn fence(&mut self) {
        self.own = self.newest.get() + 1;
        self.newest.set(self.own);
    }

    pub(crate) fn is_fenced(&self) -> bool {
        self.own != self.newest.get()
    }

    pub(crate) fn doubt(&self, doubt: Doubt) {
        self.doubt.set(doubt);
    }

    pub(crate) fn applied(&self) -> u64 {
        self.applied.get()
    }

    /// Everything in it is gone.
    pub(crate) fn lose(&mut self, faults: &Faults) {
        self.inner = MemoryLedger::with_faults(faults.clone());
    }
}

impl Ledger for FencedLedger {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, LedgerError> {
        self.inner.get(key)
    }

    fn scan(&self, prefix: &[u8]) -> Result<Vec<Pair>, LedgerError> {
        self.inner.scan(prefix)
    }

    fn commit(&mut self, writes: &[Write]) -> Result<(), LedgerError> {
        let failed = |reason: &str| Err(LedgerError { operation: "write", reason: reason.to_owned() });
        if self.is_fenced() {
            return failed("fenced by a newer gateway");
        }
        let doubt = self.doubt.take();
        if doubt == Doubt::Lost {
            return failed("simulated: no answer, and nothing done");
        }
        self.inner.commit(writes)?;
        self.applied.set(self.applied.get() + 1);
        if doubt == Doubt::Applied { failed("simulated: no answer, and all done") } else { Ok(()) }
    }
}

impl Coast {
    pub(crate) fn new() -> Self {
        let faults = Faults::default();
        Self {
            directory: SimDirectory::with_faults(faults.clone()),
            ledger: FencedLedger::new(&faults),
            faults,
            shelves: Rc::default(),
            sink_faults: Rc::default(),
        }
    }

    /// The lines of a stand-in, in the order in which commits counted them.
    pub(crate) fn lines(&self, kind: SinkKind) -> Vec<u8> {
        let shelves = self.shelves.borrow();
        let Some(shelf) = shelves.get(&kind) else { return Vec::new() };
        shelf.order.iter().filter_map(|name| shelf.created.get(name)).flatten().copied().collect()
    }

    fn is_down(&self, kind: SinkKind) -> Result<SinkFaults, CommitError> {
        let faults = self.sink_faults.borrow().get(&kind).copied().unwrap_or_default();
        if faults.is_down {
            return Err(CommitError::Refused("simulated: the sink is down".to_owned()));
        }
        Ok(faults)
    }

    /// Puts a batch and its ledger writes into the stream.
    pub(crate) fn commit(&mut self, batch: &Batch, documents: &mut Documents) -> Result<(), CommitError> {
        let faults = self.is_down(SinkKind::Stream)?;
        let lines = lines(batch, faults, documents);
        let before = self.ledger.applied();
        let outcome = self.ledger.commit(&batch.writes);
        if self.ledger.applied() > before {
            self.create(SinkKind::Stream, &lines, None);
            self.count(SinkKind::Stream, lines);
        }
        outcome.map_err(|error| CommitError::InDoubt(error.to_string()))
    }

    /// Puts a batch into the index; `draw` decides what goes wrong. Returns what was not there yet.
    pub(crate) fn deliver(
        &mut self,
        batch: &Batch,
        documents: &mut Documents,
        mut draw: impl FnMut() -> u64,
    ) -> Result<Vec<Entry>, CommitError> {
        let faults = self.is_down(SinkKind::Index)?;
        let lines = lines(batch, faults, documents);
        let partial = draw() % 1000 < faults.partial_per_mille;
        self.create(SinkKind::Index, &lines, partial.then(|| draw() as usize % (lines.len() + 1)));
        if partial {
            return Err(CommitError::Refused("simulated: a part was taken".to_owned()));
        }
        if draw() % 1000 < faults.times_out_per_mille {
            return Err(CommitError::Refused("simulated: time-out after success".to_owned()));
        }
        let is_new = self.count(SinkKind::Index, lines);
        Ok(batch
            .entries
            .iter()
            .zip(is_new)
            .filter(|(_, is_new)| *is_new)
            .map(|(entry, _)| entry.clone())
            .collect())
    }

    fn create(&self, kind: SinkKind, lines: &[(Name, Vec<u8>)], only: Option<usize>) {
        let mut shelves = self.shelves.borrow_mut();
        let shelf = shelves.entry(kind).or_default();
        for (name, line) in lines.iter().take(only.unwrap_or(usize::MAX)) {
            shelf.created.entry(name.clone()).or_insert_with(|| line.clone());
        }
    }

    /// A batch was taken whole. In an index that may happen twice, and the second time is a conflict.
    /// Returns for each line whether it was new.
    fn count(&self, kind: SinkKind, lines: Vec<(Name, Vec<u8>)>) -> Vec<bool> {
        let mut shelves = self.shelves.borrow_mut();
        let shelf = shelves.entry(kind).or_default();
        let count = |(name, _): (Name, Vec<u8>)| {
            let is_new = kind != SinkKind::Index || shelf.counted.insert(name.clone());
            if is_new {
                shelf.order.push(name);
            }
            is_new
        };
        lines.into_iter().map(count).collect()
    }
}

fn lines(batch: &Batch, faults: SinkFaults, documents: &mut Documents) -> Vec<(Name, Vec<u8>)> {
    batch.entries.iter().map(|entry| document(entry, faults.rejects_per_mille, documents)).collect()
}

/// An entry's identity in a sink, and its documents. The end of a gap belongs to its identity: a
/// gap that was created and not counted may come again, longer.
fn document(entry: &Entry, rejects_per_mille: u64, documents: &mut Documents) -> (Name, Vec<u8>) {
    let (kind, seq) = match &entry.what {
        What::Start { .. } => ("start", entry.end.seq.0),
        What::Block { header, .. } => ("block", header.first.0),
        What::Gap { from, to, .. } => ("gap", from.0 << 20 ^ to.0),
        What::Notice(notice) => ("notice", notice.index() as u64),
    };
    let identity = format!("{}/{}/{}/{kind}/{seq}", entry.device, entry.lane.name(), entry.run);
    let mut lines = Vec::new();
    match &entry.what {
        What::Block { header, sealed, refers_to, clock } if is_rejected(sealed, rejects_per_mille) => {
            // What cannot be read becomes a dead letter, by the gateway's own writer.
            let sealed = sealed.iter().copied().take(sealed.len() / 2).collect();
            let what = What::Block { header: *header, sealed, refers_to: refers_to.clone(), clock: *clock };
            documents.write(&Entry { what, ..entry.clone() }, &mut lines);
        }
        _ => documents.write(entry, &mut lines),
    }
    ((entry.index, identity), lines)
}

/// By its content, so that it is rejected again and again.
fn is_rejected(sealed: &[u8], per_mille: u64) -> bool {
    sealed.iter().rev().take(4).fold(0, |sum, byte| sum * 31 + u64::from(*byte)) % 1000 < per_mille
}
