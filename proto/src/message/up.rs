//! From the device to the gateway.

use serde::{Deserialize, Serialize};

use super::{Ask, Message};
use crate::error::Malformed;
use crate::ids::{AckNumber, BootId, Lane, Place, RunId, SessionId};
use crate::item::Cause;
use crate::limits::{
    LABEL_KEY_BYTES_MAX, LABEL_VALUE_BYTES_MAX, LABELS_MAX, LANES_MAX, SEQ_MAX, VERSION_BYTES_MAX,
};
use crate::time::{ClockState, Mono, Unix};

/// What a device says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::large_enum_variant,
    reason = "bounded without an allocator; a message lives on the stack for a moment"
)]
pub enum Up {
    /// Who I am and where my log stands; sent at every connection.
    Hello(Hello),
    /// One item of a lane's log; its sealed bytes are the message's tail.
    Item(Item),
    /// How I am.
    Beat(Beat),
    /// I have no longer what I was [asked](super::Down::Ask) for.
    Gone(Ask),
}

/// What the device's clocks showed at the very sending of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Monotonic time.
    pub mono: Mono,
    /// Wall clock.
    pub wall: Unix,
    /// How far the wall clock can be trusted.
    pub clock: ClockState,
    /// The last `Ack` heard, returned: closes a round trip as in NTP (RFC 5905 section 8).
    pub returned: Option<Returned>,
}

/// When the last `Ack` of this session was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returned {
    /// Its number.
    pub number: AckNumber,
    /// The gateway's time at its sending, as the `Ack` said.
    pub sent: Unix,
    /// The device's monotonic time at its arrival.
    pub heard: Mono,
}

/// Labels of a device: keys and values.
pub type Labels = heapless::Vec<
    (heapless::String<LABEL_KEY_BYTES_MAX>, heapless::String<LABEL_VALUE_BYTES_MAX>),
    LABELS_MAX,
>;

/// Who a device is and where each of its lanes stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The lowest protocol version that the agent speaks.
    pub protocol_min: u8,
    /// The highest protocol version that the agent speaks.
    pub protocol_max: u8,
    /// The agent's version.
    pub agent: heapless::String<VERSION_BYTES_MAX>,
    /// This connection.
    pub session: SessionId,
    /// This boot.
    pub boot: BootId,
    /// The clocks now.
    pub reading: Reading,
    /// The number of the last `Ack` heard, of whatever generation; zeros if none.
    pub heard: AckNumber,
    /// The spool was written on other hardware than it now runs on.
    pub hardware_changed: bool,
    /// What the operator calls this device.
    pub labels: Labels,
    /// Where each lane stands.
    pub lanes: heapless::Vec<HelloLane, LANES_MAX>,
}

/// Where a lane stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelloLane {
    /// The lane.
    pub lane: Lane,
    /// The current run; it may not have sealed anything yet.
    pub run: RunId,
    /// The place below which everything is acknowledged.
    pub base: Place,
    /// The place after the newest durable item.
    pub next: Place,
}

/// What a start or a gap says beside itself, so that it can admit a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The number of the last `Ack` heard, of whatever generation; zeros if none.
    pub heard: AckNumber,
    /// The device's current run of the lane.
    pub run: RunId,
    /// The place below which everything is acknowledged.
    pub base: Place,
}

/// The envelope of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The connection in which it is sent.
    pub session: SessionId,
    /// The clocks at this very sending, also at a repeated one.
    pub reading: Reading,
    /// For starts and gaps.
    pub told: Option<Told>,
}

/// How a device is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// The connection in which it is sent.
    pub session: SessionId,
    /// The clocks now.
    pub reading: Reading,
    /// Milliseconds since the agent started.
    pub uptime_ms: u64,
    /// Bytes of resident memory.
    pub memory_bytes: u64,
    /// Lines that were longer than a line may be, and were cut.
    pub lines_cut: u64,
    /// How each lane is.
    pub lanes: heapless::Vec<BeatLane, LANES_MAX>,
}

/// How a lane is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeatLane {
    /// The lane.
    pub lane: Lane,
    /// Bytes of the spool's segments on flash.
    pub spool_bytes: u64,
    /// Milliseconds since the oldest unacknowledged block was opened, as far as it is known.
    pub oldest_age_ms: u64,
    /// Records sealed and not acknowledged.
    pub records: u64,
    /// Records declared lost since the spool was made, by cause ([`Cause::index`]).
    pub dropped: [u64; Cause::ON_WIRE.len()],
    /// The sources wait because the spool is full or cannot be written.
    pub paused: bool,
}

impl Message for Up {
    fn has_tail(&self) -> bool {
        matches!(self, Self::Item(_))
    }

    fn check(&self) -> Result<(), Malformed> {
        let place = |place: &Place| if place.seq.0 > SEQ_MAX { Err(Malformed::Seq) } else { Ok(()) };
        match self {
            Self::Hello(hello) => {
                for (at, lane) in hello.lanes.iter().enumerate() {
                    if lane.run == RunId::ORIGIN {
                        return Err(Malformed::Run);
                    }
                    if hello.lanes.iter().take(at).any(|other| other.lane == lane.lane) {
                        return Err(Malformed::Limit("LANES_MAX"));
                    }
                    place(&lane.base)?;
                    place(&lane.next)?;
                }
                Ok(())
            }
            Self::Item(item) => match &item.told {
                Some(told) if told.run == RunId::ORIGIN => Err(Malformed::Run),
                Some(told) => place(&told.base),
                None => Ok(()),
            },
            Self::Gone(gone) => gone.check(),
            Self::Beat(beat) => {
                let is_doubled = |(at, lane): (usize, &BeatLane)| {
                    beat.lanes.iter().take(at).any(|other| other.lane == lane.lane)
                };
                if beat.lanes.iter().enumerate().any(is_doubled) {
                    return Err(Malformed::Limit("LANES_MAX"));
                }
                Ok(())
            }
        }
    }
}
