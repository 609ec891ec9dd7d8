//! What the core hands to its sinks.

pub mod archive;
pub mod commit;
pub mod ecs;
pub mod kafka;
mod letter;
pub mod search;

use std::sync::Arc;

use driftlog_proto::clock::Line;
use driftlog_proto::ids::{DeviceId, Lane, Place, RunId, Seq};
use driftlog_proto::item::{BlockHeader, Cause};
pub use driftlog_proto::receiver::Notice;
use driftlog_proto::time::Unix;

use crate::ledger::Write;

/// What the operator calls a device, keys and values: as many bytes as it has, where a message has room for the
/// most that are allowed.
pub type Labels = Vec<(String, String)>;

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
    /// The number of the index that takes it, in a sink that has such; else 0.
    pub index: u32,
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
        /// The sealed blocks that it refers to, in order.
        refers_to: Vec<Arc<[u8]>>,
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

/// What one commit of a sink makes durable: the entries in the sink and, in the same atomic
/// step, the writes in the ledger.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Counts the batches of a sink in this generation.
    pub number: u64,
    /// Which sink takes it, by its place in
    /// [`RegionConfig::sinks`](crate::region::RegionConfig::sinks); one behind the last: the ledger alone.
    pub sink: usize,
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
    /// Another gateway has the ledger now: this one must end.
    Superseded(String),
}

impl CommitError {
    /// What went wrong, for people.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Refused(reason) | Self::InDoubt(reason) | Self::Superseded(reason) => reason,
        }
    }
}
