//! What the core hands to its sinks.

pub mod archive;
pub mod commit;
pub mod ecs;

use std::sync::Arc;

use driftlog_proto::clock::Line;
use driftlog_proto::ids::{DeviceId, Lane, Place, RunId, Seq};
use driftlog_proto::item::{BlockHeader, Cause};
use driftlog_proto::message::Labels;
use driftlog_proto::time::Unix;

use crate::ledger::Write;

/// One step of a lane's log, in order, on its way into a sink.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The device.
    pub device: DeviceId,
    /// The lane.
    pub lane: Lane,
    /// The run that it belongs to.
    pub run: RunId,
    /// The place after it: the mark that the sink has once this is durable.
    pub end: Place,
    /// The gateway's wall clock when it arrived.
    pub received: Unix,
    /// What the operator calls the device.
    pub labels: Arc<Labels>,
    /// What it is.
    pub what: What,
}

/// What an entry is.
#[derive(Clone, Debug)]
pub enum What {
    /// A run begins after `parent`.
    Start {
        /// The place in the parent run; [`Place::ORIGIN`] for a root.
        parent: Place,
    },
    /// Records, still sealed.
    Block {
        /// The block's header.
        header: BlockHeader,
        /// The sealed bytes, as the device wrote them.
        sealed: Arc<[u8]>,
        /// When its records happened.
        clock: Line,
    },
    /// Records that are gone: from `from` up to, not including, `to`, all of this run.
    Gap {
        /// The first number that is gone.
        from: Seq,
        /// The number after the last that is gone.
        to: Seq,
        /// Why.
        cause: Cause,
    },
    /// Something that the gateway states about the device beside its records.
    Notice(Notice),
}

/// What the gateway states about a device beside its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Notice {
    /// The flash forgot what it had published: the run has items at or above a child's begin, or
    /// two children.
    Fork,
    /// Two copies of the spool are running.
    Clone,
    /// The run is unknown here and was taken up at the device's base: what came before it was
    /// acknowledged by a ledger that is lost.
    LedgerLost,
    /// As `LedgerLost`, but a tombstone has been given up since: earlier records may repeat.
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
}

/// What one commit of a sink makes durable: the entries in the sink and, in the same atomic
/// step, the writes in the ledger.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Counts the batches of a sink in this generation.
    pub number: u64,
    /// The entries, in the order in which they go into the sink.
    pub entries: Vec<Entry>,
    /// The ledger's entries as they stand once the batch is durable.
    pub writes: Vec<Write>,
}

/// Why a commit failed.
#[derive(Debug)]
pub enum CommitError {
    /// Nothing of the batch is in the sink or in the ledger; it may be tried again.
    Refused(String),
    /// It is not known whether the ledger has it: the gateway must load its ledger afresh.
    InDoubt(String),
}
