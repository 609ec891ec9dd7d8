//! What is next, what is held, what is a duplicate, what is gone: the gateway's side of one lane.
//!
//! A lane's history is a small tree of runs. An item is delivered at its own run's `next` and
//! nowhere else; what comes early is held, what comes again is dropped, what is gone is declared.
//! Payloads stay with the caller, who keeps them under the slot numbers given here.
//!
//! The rules are those of `docs/guarantees.md`; their numbers stand beside the code.
//!
//! Costs: at most [`RUNS_MAX`] runs and [`HELD_ITEMS_MAX`] held items, each on the heap only while
//! it exists; an idle lane with one run takes some 300 bytes.
//!
//! Invariants, checked by `check` after every change in debug builds:
//! - R1: a run's lowest mark is not above its `next`.
//! - R2: a held block ends above its run's `next`.
//! - R3: parents stand before their children; no run stands twice.
//! - R4: a child's mark in a sink implies the parent's there at the child's begin or above.
//! - R5: the bytes held are the sum over the held items.

mod admission;
mod commit;
mod gaps;
mod held;
mod runs;

pub use runs::{Run, notice_bit};

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::ids::{AckNumber, Place, RunId, Seq};
use crate::item::{Cause, ItemHeader};
use crate::limits::{HELD_ITEMS_MAX, RUNS_MAX, SINKS_MAX};
use crate::message::{HelloLane, Told};
use held::{Held, What};

/// What the gateway states about a device beside its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Notice {
    /// The flash forgot what it had published: the run has an item at or above a child's begin,
    /// or two children.
    Fork,
    /// Two copies of the spool are running: each has echoed an `Ack` that is newer than the
    /// other's first message.
    Clone,
    /// The run is unknown here and was taken up at the device's base: what came before it was
    /// acknowledged by a ledger that is lost.
    LedgerLost,
    /// As `LedgerLost`, but this lane has given up a tombstone: what was forgotten may repeat.
    MayRepeat,
    /// The same run has two different histories.
    RunTwice,
    /// The spool was written on other hardware.
    HardwareChanged,
}

impl Notice {
    /// Every notice, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::Fork, Self::Clone, Self::LedgerLost, Self::MayRepeat, Self::RunTwice, Self::HardwareChanged];

    /// The notice's name in records and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fork => "fork",
            Self::Clone => "clone",
            Self::LedgerLost => "ledger_lost",
            Self::MayRepeat => "may_repeat",
            Self::RunTwice => "run_twice",
            Self::HardwareChanged => "hardware_changed",
        }
    }

    /// The notice's number.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is kept under this slot: keep its sealed bytes until the slot is delivered or released.
    Kept(u32),
    /// Everything in it is known already.
    Duplicate,
    /// It is dropped; the device will send it again.
    Dropped(Dropped),
}

/// Why an item is dropped that is not a duplicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// Its run is not known and nothing admits it yet.
    UnknownRun,
    /// It would admit a run, but echoes no `Ack` of this generation since the barrier.
    StaleEcho,
    /// There is no room above the acknowledged place.
    NoRoom,
    /// It contradicts the history of its run.
    RunTwice,
}

/// One step of the lane's history, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A run begins after `parent`.
    Start {
        /// The place in the parent; [`Place::ORIGIN`] for a root.
        parent: Place,
    },
    /// The block kept under this slot; it is the caller's now.
    Block {
        /// The slot.
        slot: u32,
    },
    /// Numbers that are gone: from `from` up to the step's end.
    Gap {
        /// The first number that is gone.
        from: Seq,
        /// Why.
        cause: Cause,
    },
    /// Something to be stated.
    Notice(Notice),
}

/// What comes out of a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// The next step of a run; `end` is the place after it.
    Deliver {
        /// The place after the step.
        end: Place,
        /// The step.
        step: Step,
    },
    /// The item kept under this slot is no longer needed.
    Release {
        /// The slot.
        slot: u32,
    },
}

/// Which sinks there are and which of them an acknowledgement waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sinks {
    /// How many: at most [`SINKS_MAX`].
    pub count: usize,
    /// Bit i: sink i is required.
    pub required: u8,
}

impl Sinks {
    /// The numbers of the required sinks.
    pub fn required(self) -> impl Iterator<Item = usize> {
        (0..self.count.min(SINKS_MAX)).filter(move |at| self.required & (1 << at) != 0)
    }
}

/// The receiver of one device's lane.
#[derive(Debug)]
pub struct Receiver {
    sinks: Sinks,
    /// Parents before children, in the order of admission.
    runs: Vec<Run>,
    held: Vec<Held>,
    held_bytes: u64,
    slots: u32,
    /// Only a message that echoes an `Ack` from here on admits a run (rule 7).
    barrier: AckNumber,
    /// A tombstone was given up, so that an old run may be admitted again.
    has_forgotten: bool,
    /// The oldest run that a message named since the last `Ack`.
    named: Option<RunId>,
    ready: VecDeque<Output>,
}

impl Receiver {
    /// The receiver of a lane as the ledger has it. `barrier` is the first `Ack` number of this
    /// generation. Each run's `next` becomes its lowest required mark, or its begin.
    #[must_use]
    pub fn new(sinks: Sinks, barrier: AckNumber, runs: Vec<Run>, has_forgotten: bool) -> Self {
        let mut receiver = Self {
            sinks,
            runs,
            held: Vec::new(),
            held_bytes: 0,
            slots: 0,
            barrier,
            has_forgotten,
            named: None,
            ready: VecDeque::new(),
        };
        receiver.release_orphans();
        receiver.rewind_marks();
        receiver.advance(barrier);
        receiver.check();
        receiver
    }

    /// The runs, parents before children.
    #[must_use]
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Whether a tombstone was given up in this lane.
    #[must_use]
    pub const fn has_forgotten(&self) -> bool {
        self.has_forgotten
    }

    /// Bytes of items held above a hole.
    #[must_use]
    pub const fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    /// Items held above a hole.
    #[must_use]
    pub fn held_items(&self) -> usize {
        self.held.len()
    }

    /// An item has arrived whole. `end` is the place after it, `bytes` its length, `issued` the
    /// number of the newest `Ack` issued, `room` the bytes that may still be held for this lane:
    /// an item that can be delivered at once at the lowest committed place needs none.
    pub fn handle_item(
        &mut self,
        header: &ItemHeader,
        end: Place,
        bytes: u32,
        told: Option<&Told>,
        issued: AckNumber,
        room: u64,
    ) -> Verdict {
        if let Some(told) = told {
            self.handle_told(told, issued);
        }
        self.name(header.begin().run);
        let what = match header {
            ItemHeader::Start(start) => What::Start { start: *start },
            ItemHeader::Block(block) => What::Block { block: *block },
            ItemHeader::Gap(gap) => What::gap(gap),
        };
        let heard = told.map_or(AckNumber::default(), |told| told.heard);
        let mut judged = self.judge(&what, end, heard);
        if judged == Err(Verdict::Dropped(Dropped::UnknownRun))
            && let Some(told) = told.filter(|told| self.position(told.base.run).is_none())
        {
            // Forgotten here since the device's `Hello`: it does not say another in this connection.
            self.admit_by_base(&told.base, heard, issued);
            judged = self.judge(&what, end, heard);
        }
        let verdict = match judged {
            Ok(()) => self.hold(what, end, bytes, heard, room),
            Err(verdict) => verdict,
        };
        self.advance(issued);
        self.check();
        verdict
    }

    /// What a `Hello` says about this lane (rules 4, 7 and 8).
    pub fn handle_hello(&mut self, lane: &HelloLane, heard: AckNumber, issued: AckNumber) {
        let told = Told { heard, run: lane.run, base: lane.base };
        self.handle_told(&told, issued);
        self.admit_by_base(&lane.base, heard, issued);
        self.advance(issued);
        self.check();
    }

    /// The spool was written on other hardware than it runs on.
    pub fn handle_hardware_changed(&mut self, run: RunId) {
        if let Some(at) = self.position(run) {
            self.state(at, Notice::HardwareChanged);
        }
    }

    /// The next output, if there is one.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.ready.pop_front()
    }

    /// Gives back memory that nothing uses at present; for a lane that has become idle.
    pub fn shrink(&mut self) {
        self.runs.shrink_to_fit();
        self.held.shrink_to_fit();
        self.ready.shrink_to_fit();
    }

    /// Delivers whatever can be delivered now.
    fn advance(&mut self, issued: AckNumber) {
        // Every round delivers a start that is due, delivers or releases a held item, takes a piece of one and
        // will not again before another run is there, or ends the loop.
        for _ in 0..=2 * (HELD_ITEMS_MAX + RUNS_MAX) {
            if !self.advance_start() && !self.advance_once(issued) {
                return;
            }
        }
    }

    fn position(&self, run: RunId) -> Option<usize> {
        self.runs.iter().position(|known| known.run == run)
    }

    /// Whether a message that has heard this `Ack` may admit a run (rule 7).
    fn is_fresh(&self, heard: AckNumber) -> bool {
        heard >= self.barrier && heard.generation == self.barrier.generation
    }

    /// States a notice once for each run; one of a run whose start is due follows that, since a
    /// notice is a mark too, and a child's comes after its parent's.
    fn state(&mut self, at: usize, notice: Notice) {
        let Some(run) = self.runs.get_mut(at) else { return };
        if run.notices & notice_bit(notice) == 0 {
            run.notices |= notice_bit(notice);
            let end = run.next;
            if !run.is_start_due {
                self.ready.push_back(Output::Deliver { end, step: Step::Notice(notice) });
            }
        }
    }

    /// Checks R1 to R5.
    fn check(&self) {
        if !cfg!(debug_assertions) {
            return;
        }
        assert!(self.runs.len() <= RUNS_MAX && self.held.len() <= HELD_ITEMS_MAX, "over a limit");
        for (at, run) in self.runs.iter().enumerate() {
            for mark in run.marks.iter().flatten() {
                assert!(
                    run.lowest(self.sinks).is_none_or(|low| low.seq <= run.next.seq),
                    "R1: {mark:?} above {run:?}"
                );
            }
            let before = self.runs.get(..at).unwrap_or_default();
            assert!(before.iter().all(|other| other.run != run.run), "R3: {:?} stands twice", run.run);
            assert!(
                self.runs.iter().skip(at).all(|other| other.run != run.parent.run),
                "R3: a parent after {:?}",
                run.run
            );
            if let Some(parent) = before.iter().find(|other| other.run == run.parent.run) {
                for (mine, theirs) in run.marks.iter().zip(&parent.marks) {
                    assert!(
                        mine.is_none() || theirs.is_some_and(|mark| mark.seq >= run.parent.seq),
                        "R4: {:?} is marked before its parent",
                        run.run
                    );
                }
            }
        }
        for held in &self.held {
            if let (What::Block { block }, Some(at)) = (&held.what, self.position(held.end.run)) {
                let next = self.runs.get(at).map(|run| run.next.seq);
                assert!(next.is_some_and(|next| block.end() > next), "R2: {block:?} held below {next:?}");
            }
        }
        assert!(self.held.iter().map(|held| u64::from(held.bytes)).sum::<u64>() == self.held_bytes, "R5");
    }
}
