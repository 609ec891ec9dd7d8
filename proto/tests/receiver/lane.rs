//! A receiver with the clock of its `Ack`s, and short words for items and outputs.

use driftlog_proto::ids::{AckNumber, Chain, Lane as Which, Place, RunId, Seq};
use driftlog_proto::item::{BlockHeader, Cause, Gap, ItemHeader, Start};
use driftlog_proto::message::{HelloLane, Told};
use driftlog_proto::receiver::{Notice, Output, Receiver, Run, Sinks, Step, Verdict};
use driftlog_proto::time::{ClockState, Mono, Unix};

/// An item and the place after it.
pub(crate) type Item = (ItemHeader, Place);

/// One required sink.
pub(crate) const ONE: Sinks = Sinks { count: 1, required: 1 };
/// Two required sinks.
pub(crate) const TWO: Sinks = Sinks { count: 2, required: 3 };

/// The place before record `seq` of a run, with a chain of its own.
pub(crate) fn place(run: u64, seq: u64) -> Place {
    Place { run: RunId(run), seq: Seq(seq), chain: Chain(10_000 * run + seq) }
}

/// The same place with a chain that nobody knows.
pub(crate) fn unchained(place: Place) -> Place {
    Place { chain: Chain::ROOT, ..place }
}

/// The same place in another history.
pub(crate) fn otherwise(place: Place) -> Place {
    Place { chain: Chain(7_777_777), ..place }
}

pub(crate) fn number(generation: u64, counter: u64) -> AckNumber {
    AckNumber { generation, counter }
}

pub(crate) fn start(run: u64, parent: Place) -> Item {
    let end = place(run, parent.seq.0);
    (ItemHeader::Start(Start { lane: Which::Bulk, run: RunId(run), parent }), end)
}

/// The first run of a lane.
pub(crate) fn root(run: u64) -> Item {
    start(run, Place::ORIGIN)
}

/// Records `first` to, not including, `end`.
pub(crate) fn block(run: u64, first: u64, end: u64) -> Item {
    block_between(place(run, first), place(run, end))
}

pub(crate) fn block_between(from: Place, to: Place) -> Item {
    let header = BlockHeader {
        lane: Which::Bulk,
        run: from.run,
        first: from.seq,
        prev: from.chain,
        count: (to.seq.0 - from.seq.0) as u32,
        boot: Default::default(),
        mono: Mono(0),
        span_ns: 0,
        wall: Unix(0),
        clock: ClockState::Unset,
        codec: 0,
        raw_bytes: 0,
    };
    (ItemHeader::Block(header), to)
}

/// An overflow from one place to another, with the starts that it swallowed.
pub(crate) fn gap(from: Place, to: Place, starts: &[(u64, u64)]) -> Item {
    let starts = starts.iter().map(|&(run, n)| (RunId(run), Seq(n))).collect();
    (ItemHeader::Gap(Gap { lane: Which::Bulk, from, to, cause: Cause::Overflow, starts }), to)
}

/// What comes out, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Out {
    Start(Place),
    Block(Place),
    /// From this number to this place.
    Gap(u64, Place),
    Notice(Notice, u64),
}

pub(crate) struct Lane {
    pub(crate) receiver: Receiver,
    /// The newest `Ack`.
    pub(crate) issued: AckNumber,
    /// How many items were let go of: a start when it is delivered, a gap when it is done with, and
    /// what never gets its turn.
    pub(crate) released: usize,
}

impl Lane {
    /// Nothing is known; generation 1, ten `Ack`s were issued.
    pub(crate) fn new(sinks: Sinks) -> Self {
        Self::loaded(sinks, Vec::new())
    }

    /// As the ledger has it.
    pub(crate) fn loaded(sinks: Sinks, runs: Vec<Run>) -> Self {
        Self { receiver: Receiver::new(sinks, number(1, 1), runs, false), issued: number(1, 10), released: 0 }
    }

    /// Hears items of a device that has heard the newest `Ack`; each is kept.
    pub(crate) fn keep(&mut self, items: &[Item]) {
        for item in items {
            let verdict = self.hear(item);
            assert!(matches!(verdict, Verdict::Kept(_)), "{verdict:?}: {item:?}");
        }
    }

    pub(crate) fn hear(&mut self, item: &Item) -> Verdict {
        self.hear_with(item, self.issued)
    }

    /// Hears an item whose device has heard that `Ack`, and runs the item's run.
    pub(crate) fn hear_with(&mut self, item: &Item, heard: AckNumber) -> Verdict {
        let told = Told { heard, run: item.1.run, base: Place::ORIGIN };
        // A block says nothing but itself.
        let told = Some(told).filter(|_| !matches!(item.0, ItemHeader::Block(_)));
        self.hear_all(item, told, 100, 10_000)
    }

    pub(crate) fn hear_all(&mut self, item: &Item, told: Option<Told>, bytes: u32, room: u64) -> Verdict {
        self.receiver.handle_item(&item.0, item.1, bytes, told.as_ref(), self.issued, room)
    }

    /// `Hello` of a device in this run, with this base, which has heard that `Ack`.
    pub(crate) fn hello(&mut self, run: u64, base: Place, heard: AckNumber) {
        let lane = HelloLane { lane: Which::Bulk, run: RunId(run), base, next: base };
        self.receiver.handle_hello(&lane, heard, self.issued);
    }

    /// Everything that was delivered since.
    pub(crate) fn out(&mut self) -> Vec<Out> {
        let mut out = Vec::new();
        while let Some(output) = self.receiver.poll_output() {
            let Output::Deliver { end, step } = output else {
                self.released += 1;
                continue;
            };
            out.push(match step {
                Step::Start { .. } => Out::Start(end),
                Step::Block { .. } => Out::Block(end),
                Step::Gap { from, .. } => Out::Gap(from.0, end),
                Step::Notice(notice) => Out::Notice(notice, end.run.0),
            });
        }
        out
    }

    /// The first sink has everything up to here.
    pub(crate) fn store(&mut self, place: Place) {
        self.receiver.handle_stored(0, &place);
    }

    /// The run with this number.
    pub(crate) fn run(&self, run: u64) -> Run {
        *self.receiver.runs().iter().find(|known| known.run == RunId(run)).expect("the run is known")
    }

    /// The numbers of the runs that are known, in their order.
    pub(crate) fn known(&self) -> Vec<u64> {
        self.receiver.runs().iter().map(|run| run.run.0).collect()
    }
}
