//! From the gateway to the device. Every field is absolute and idempotent: a message that is
//! lost, doubled or late does no harm.

use serde::{Deserialize, Serialize};

use super::Message;
use crate::block::Reference;
use crate::error::Malformed;
use crate::ids::{AckNumber, Lane, Place, RunId, Seq, SessionId};
use crate::limits::{ACK_RANGES_MAX, ACK_RUNS_MAX, LANES_MAX, REFERENCE_BLOCKS_MAX, SEQ_MAX};
use crate::time::{Mono, Unix};

/// What a gateway says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::large_enum_variant,
    reason = "bounded without an allocator; a message lives on the stack for a moment"
)]
pub enum Down {
    /// What is durable, and what may come. Goes to the retained topic `ack`.
    Ack(Ack),
    /// An item that arrived broken or over a limit.
    Nack(Nack),
    /// Why this device is not served.
    Refuse(Refusal),
    /// Blocks that others refer to and that the gateway lacks: send them again, or say that they are
    /// [gone](super::Up::Gone).
    Ask(Ask),
}

/// The last word on every lane of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Its number.
    pub number: AckNumber,
    /// The gateway's wall clock at its sending.
    pub sent: Unix,
    /// The message that it answers, if that one's session is known.
    pub echo: Option<Echo>,
    /// The lanes that the gateway knows of.
    pub lanes: heapless::Vec<AckLane, LANES_MAX>,
}

/// The newest message of a session that the gateway had heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echo {
    /// Its session.
    pub session: SessionId,
    /// The device's monotonic time at its sending.
    pub mono: Mono,
    /// The gateway's wall clock at its arrival.
    pub received: Unix,
}

/// The last word on one lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AckLane {
    /// The lane.
    pub lane: Lane,
    /// For each run that concerns the device, oldest first: the place below which everything is
    /// durable in every required sink. A chain of 0 where a place lies inside a gap.
    pub runs: heapless::Vec<Place, ACK_RUNS_MAX>,
    /// Numbers that arrived above: hints which free nothing and expire.
    pub received: heapless::Vec<Range, ACK_RANGES_MAX>,
    /// Bytes of items that the device may have on the air above what is durable.
    pub credit: u32,
}

/// Records of one run that arrived: from `first` up to, not including, `end`. An empty range says
/// that the run's start arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The run.
    pub run: RunId,
    /// The first number.
    pub first: Seq,
    /// The number after the last.
    pub end: Seq,
}

/// An item that cannot be taken as it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nack {
    /// The lane.
    pub lane: Lane,
    /// The item's run.
    pub run: RunId,
    /// The item's first number.
    pub seq: Seq,
    /// The checksum that stood at its end.
    pub checksum: u32,
    /// What is wrong with it.
    pub reason: NackReason,
}

/// Blocks that others refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The lane.
    pub lane: Lane,
    /// The blocks' run.
    pub run: RunId,
    /// Which blocks of it.
    pub reference: Reference,
}

impl Ask {
    pub(super) fn check(&self) -> Result<(), Malformed> {
        if self.run == RunId::ORIGIN {
            return Err(Malformed::Run);
        }
        if self.reference.seq.0 > SEQ_MAX {
            return Err(Malformed::Seq);
        }
        match usize::from(self.reference.count) {
            1..=REFERENCE_BLOCKS_MAX => Ok(()),
            _ => Err(Malformed::Limit("REFERENCE_BLOCKS_MAX")),
        }
    }
}

/// What is wrong with an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NackReason {
    /// Its checksum does not match: verify your own copy and send it again, or declare a gap.
    Checksum,
    /// It breaks a limit: declare a gap.
    Limit,
}

/// Why a device is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// No protocol version in common; the gateway's range follows.
    Protocol {
        /// The lowest that the gateway speaks.
        min: u8,
        /// The highest that the gateway speaks.
        max: u8,
    },
    /// The gateway does not serve this device id.
    DeviceNotAllowed,
    /// An operator has set the device aside.
    Quarantined,
}

impl Message for Down {
    fn has_tail(&self) -> bool {
        false
    }

    fn check(&self) -> Result<(), Malformed> {
        let seq = |seq: Seq| if seq.0 > SEQ_MAX { Err(Malformed::Seq) } else { Ok(()) };
        let ack = match self {
            Self::Ack(ack) => ack,
            Self::Nack(nack) => return seq(nack.seq),
            Self::Refuse(_) => return Ok(()),
            Self::Ask(ask) => return ask.check(),
        };
        for (at, lane) in ack.lanes.iter().enumerate() {
            if ack.lanes.iter().take(at).any(|other| other.lane == lane.lane) {
                return Err(Malformed::Limit("LANES_MAX"));
            }
            lane.runs.iter().try_for_each(|place| seq(place.seq))?;
            for range in &lane.received {
                seq(range.end)?;
                if range.end < range.first {
                    return Err(Malformed::Order);
                }
            }
        }
        Ok(())
    }
}
