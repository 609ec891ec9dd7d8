//! How a lane stands in the ledger.

use driftlog_proto::ids::{AckNumber, DeviceId, Lane, Place, RunId};
use serde::{Deserialize, Serialize};

/// The version of [`LaneRecord`]'s encoding.
pub const RECORD_VERSION: u8 = 1;

/// A lane: its runs, parents before children.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneRecord {
    /// The runs, in the order of their admission.
    pub runs: Vec<RunRecord>,
    /// A finished run was forgotten, so that an old one may be taken up again.
    pub has_forgotten: bool,
}

/// A run: where it began and how far each sink has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The run.
    pub run: RunId,
    /// The place in its parent after which it begins; [`Place::ORIGIN`] for a root or where the
    /// parent is not known.
    pub parent: Place,
    /// The place after its start, or where it was taken up.
    pub begin: Place,
    /// The newest `Ack` when the run was first heard of.
    pub first_heard: AckNumber,
    /// The newest `Ack` that the run has echoed.
    pub last_echo: AckNumber,
    /// For each sink by name what it durably has of the run.
    pub marks: Vec<Mark>,
}

/// What one sink durably has of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The sink's name.
    pub sink: String,
    /// The place up to which it has the run's items.
    pub place: Place,
    /// Bits of the notices about the run that it has, by [`Notice::index`](driftlog_proto::receiver::Notice::index).
    pub notices: u8,
}

impl LaneRecord {
    /// The lane's key in the ledger.
    #[must_use]
    pub fn key(device: &DeviceId, lane: Lane) -> Vec<u8> {
        format!("lane/{device}/{}", lane.name()).into_bytes()
    }

    /// The bytes that stand in the ledger.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Encoding into a growing vector cannot fail: there is no limit to meet.
        postcard::to_extend(self, vec![RECORD_VERSION]).unwrap_or_default()
    }

    /// Reads what [`encode`](Self::encode) wrote; `None` when it is of another version or damaged.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (&version, rest) = bytes.split_first()?;
        if version != RECORD_VERSION {
            return None;
        }
        postcard::from_bytes(rest).ok()
    }
}
