//! The items of a lane's log, sealed: the bytes on flash are the bytes on the wire.
//!
//! ```text
//! offset  size      what
//! 0       1         version (1)
//! 1       variable  postcard of ItemHeader
//! …       variable  payload: a block's packed columns; empty for a start or a gap
//! end-4   4         CRC-32C of all bytes before it, little endian
//! ```
//!
//! The chain after a start or a block is [`Chain::after`] its sealed bytes. A gap has no part in
//! the chain: the chain after it is that of its `to` place.

use serde::{Deserialize, Serialize};

use crate::checksum::crc32c;
use crate::error::{Malformed, Misuse, decoding, encoding};
use crate::ids::{BootId, Chain, Lane, Place, RunId, Seq};
use crate::limits::{
    BLOCK_RECORDS_MAX, GAP_STARTS_MAX, ITEM_BYTES_MAX, ITEM_OVERHEAD_BYTES_MAX, PAYLOAD_BYTES_MAX,
    RAW_BYTES_MAX, SEQ_MAX,
};
use crate::time::{ClockState, Mono, Unix};

/// The version of the sealed form.
pub const ITEM_VERSION: u8 = 1;
/// Bytes of the checksum at the end.
const CHECKSUM_BYTES: usize = 4;

/// A run begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The lane.
    pub lane: Lane,
    /// The run that begins.
    pub run: RunId,
    /// The place in the parent run after which it begins; [`Place::ORIGIN`] for the first run of
    /// a lane. Its `seq` is the run's first number, N; its `chain` is the start's `prev`.
    pub parent: Place,
}

/// The header of a block of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockHeader {
    /// The lane.
    pub lane: Lane,
    /// The run whose records these are.
    pub run: RunId,
    /// The number of the first record.
    pub first: Seq,
    /// The chain before this block.
    pub prev: Chain,
    /// How many records: 1 to [`BLOCK_RECORDS_MAX`].
    pub count: u32,
    /// The boot in which the records were read.
    pub boot: BootId,
    /// Monotonic time of that boot when the block was opened; record times are counted from it.
    pub mono: Mono,
    /// Nanoseconds from there to the last record.
    pub span_ns: u64,
    /// The wall clock at the instant `mono`.
    pub wall: Unix,
    /// How far that wall clock could be trusted.
    pub clock: ClockState,
    /// The codec of the payload, see [`block::Codec`](crate::block::Codec).
    pub codec: u8,
    /// Bytes of the columns before compression: at most [`RAW_BYTES_MAX`].
    pub raw_bytes: u32,
}

impl BlockHeader {
    /// The number after the last record.
    #[must_use]
    pub fn end(&self) -> Seq {
        Seq(self.first.0.saturating_add(u64::from(self.count)))
    }
}

/// Why records are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Cause {
    /// The spool was full and its policy is to drop the oldest.
    Overflow,
    /// The flash lost or changed what was written.
    Corruption,
    /// The gateway refused the block for breaking a limit.
    Refused,
    /// A person removed it.
    Operator,
    /// The gateway had lost its ledger; the device says that this was acknowledged before.
    AcknowledgedBefore,
    /// The run fell silent for so long that it was closed.
    Closed,
    /// A sink for which no acknowledgement waits had fallen too far behind: it alone lacks them. Made by the
    /// gateway, and never on the wire.
    #[serde(skip)]
    Missed,
}

impl Cause {
    /// Every cause, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Overflow,
        Self::Corruption,
        Self::Refused,
        Self::Operator,
        Self::AcknowledgedBefore,
        Self::Closed,
        Self::Missed,
    ];

    /// Those that stand on the wire and in spools: all but the last.
    pub const ON_WIRE: [Self; 6] = {
        let [a, b, c, d, e, f, _] = Self::ALL;
        [a, b, c, d, e, f]
    };

    /// The cause's name in records and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Overflow => "overflow",
            Self::Corruption => "corruption",
            Self::Refused => "refused",
            Self::Operator => "operator",
            Self::AcknowledgedBefore => "acknowledged_before",
            Self::Closed => "closed",
            Self::Missed => "missed",
        }
    }

    /// The cause's number in tables.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// The starts that a gap swallowed, in order, as (run, N).
pub type GapStarts = heapless::Vec<(RunId, Seq), GAP_STARTS_MAX>;

/// Records that are gone: everything from one place to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The lane.
    pub lane: Lane,
    /// Where the gap begins; its run, seq and chain are the item's run, first number and `prev`.
    pub from: Place,
    /// Where the log goes on.
    pub to: Place,
    /// Why.
    pub cause: Cause,
    /// Every start between the two places, in order, never truncated.
    pub starts: GapStarts,
}

impl Gap {
    /// How many records are gone.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.to.seq.since(self.from.seq)
    }
}

/// The head of a sealed item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::large_enum_variant,
    reason = "bounded without an allocator; a gap is rare and lives on the stack for a moment"
)]
pub enum ItemHeader {
    /// A run begins.
    Start(Start),
    /// Records.
    Block(BlockHeader),
    /// Records that are gone.
    Gap(Gap),
}

impl ItemHeader {
    /// The lane of the item.
    #[must_use]
    pub fn lane(&self) -> Lane {
        match self {
            Self::Start(start) => start.lane,
            Self::Block(block) => block.lane,
            Self::Gap(gap) => gap.lane,
        }
    }

    /// The run and the first number by which the item is named.
    #[must_use]
    pub fn name(&self) -> (RunId, Seq) {
        match self {
            Self::Start(start) => (start.run, start.parent.seq),
            Self::Block(block) => (block.run, block.first),
            Self::Gap(gap) => (gap.from.run, gap.from.seq),
        }
    }

    /// The place before the item, in its own history.
    #[must_use]
    pub fn begin(&self) -> Place {
        match self {
            Self::Start(start) => start.parent,
            Self::Block(block) => Place { run: block.run, seq: block.first, chain: block.prev },
            Self::Gap(gap) => gap.from,
        }
    }

    /// The place after the item, given its sealed bytes.
    #[must_use]
    pub fn end(&self, sealed: &[u8]) -> Place {
        match self {
            Self::Start(start) => {
                Place { run: start.run, seq: start.parent.seq, chain: Chain::after(sealed) }
            }
            Self::Block(block) => Place { run: block.run, seq: block.end(), chain: Chain::after(sealed) },
            Self::Gap(gap) => gap.to,
        }
    }

    fn check(&self, payload: &[u8]) -> Result<(), Malformed> {
        match self {
            Self::Start(start) => {
                let root = start.parent.run == RunId::ORIGIN;
                if start.run == RunId::ORIGIN || start.run == start.parent.run {
                    return Err(Malformed::Run);
                }
                if start.parent.seq.0 > SEQ_MAX || (root && start.parent != Place::ORIGIN) {
                    return Err(Malformed::Seq);
                }
            }
            Self::Block(block) => {
                if block.run == RunId::ORIGIN {
                    return Err(Malformed::Run);
                }
                if block.count == 0 || block.count > BLOCK_RECORDS_MAX {
                    return Err(Malformed::Limit("BLOCK_RECORDS_MAX"));
                }
                if block.raw_bytes as usize > RAW_BYTES_MAX {
                    return Err(Malformed::Limit("RAW_BYTES_MAX"));
                }
                if payload.len() > PAYLOAD_BYTES_MAX {
                    return Err(Malformed::Limit("PAYLOAD_BYTES_MAX"));
                }
                block.first.plus(u64::from(block.count))?;
                return Ok(());
            }
            Self::Gap(gap) => check_gap(gap)?,
        }
        if payload.is_empty() { Ok(()) } else { Err(Malformed::TrailingBytes) }
    }
}

/// Numbers never run backwards through a gap, and its last run is that of `to`.
fn check_gap(gap: &Gap) -> Result<(), Malformed> {
    if gap.to.run == RunId::ORIGIN {
        return Err(Malformed::Run);
    }
    if gap.to.seq.0 > SEQ_MAX {
        return Err(Malformed::Seq);
    }
    let mut run = gap.from.run;
    let mut seq = gap.from.seq;
    for &(next_run, n) in &gap.starts {
        if next_run == RunId::ORIGIN || next_run == run {
            return Err(Malformed::Run);
        }
        if n < seq || (run == RunId::ORIGIN && n != Seq::ZERO) {
            return Err(Malformed::Order);
        }
        (run, seq) = (next_run, n);
    }
    if run != gap.to.run || gap.to.seq < seq {
        return Err(Malformed::Order);
    }
    Ok(())
}

/// Writes a sealed item into `out` and returns its length in bytes.
///
/// # Errors
/// [`Misuse::BufferTooSmall`] when `out` is too small, [`Misuse::Limit`] when the item would
/// pass [`ITEM_BYTES_MAX`].
pub fn seal(header: &ItemHeader, payload: &[u8], out: &mut [u8]) -> Result<usize, Misuse> {
    let (version, rest) = out.split_first_mut().ok_or(Misuse::BufferTooSmall)?;
    *version = ITEM_VERSION;
    let head = postcard::to_slice(header, rest).map_err(encoding)?.len();
    let body = 1 + head;
    let end = body.checked_add(payload.len()).ok_or(Misuse::BufferTooSmall)?;
    out.get_mut(body..end).ok_or(Misuse::BufferTooSmall)?.copy_from_slice(payload);
    finish_seal(out, end)
}

/// As [`seal`], for a payload that already stands in `out` at [`PAYLOAD_AT`]: it is moved up to
/// the header, so that packing needs no second buffer.
///
/// # Errors
/// As [`seal`].
pub fn seal_in_place(header: &ItemHeader, payload_bytes: usize, out: &mut [u8]) -> Result<usize, Misuse> {
    let (front, _) = out.split_at_mut_checked(PAYLOAD_AT).ok_or(Misuse::BufferTooSmall)?;
    let (version, rest) = front.split_first_mut().ok_or(Misuse::BufferTooSmall)?;
    *version = ITEM_VERSION;
    let body = 1 + postcard::to_slice(header, rest).map_err(encoding)?.len();
    let from = PAYLOAD_AT..PAYLOAD_AT.checked_add(payload_bytes).ok_or(Misuse::BufferTooSmall)?;
    if from.end > out.len() {
        return Err(Misuse::BufferTooSmall);
    }
    out.copy_within(from, body);
    finish_seal(out, body + payload_bytes)
}

/// Where [`seal_in_place`] expects the payload.
pub const PAYLOAD_AT: usize = ITEM_OVERHEAD_BYTES_MAX;

fn finish_seal(out: &mut [u8], end: usize) -> Result<usize, Misuse> {
    let total = end + CHECKSUM_BYTES;
    if total > ITEM_BYTES_MAX {
        return Err(Misuse::Limit("ITEM_BYTES_MAX"));
    }
    let (sealed, rest) = out.split_at_mut_checked(end).ok_or(Misuse::BufferTooSmall)?;
    let room = rest.get_mut(..CHECKSUM_BYTES).ok_or(Misuse::BufferTooSmall)?;
    room.copy_from_slice(&crc32c(sealed).to_le_bytes());
    Ok(total)
}

/// Reads a sealed item: its header and its payload, everything checked but the payload's inside.
///
/// # Errors
/// [`Malformed`]: which of the bytes' claims is not kept.
pub fn open(sealed: &[u8]) -> Result<(ItemHeader, &[u8]), Malformed> {
    if sealed.len() > ITEM_BYTES_MAX {
        return Err(Malformed::Limit("ITEM_BYTES_MAX"));
    }
    let (body, checksum) = sealed
        .len()
        .checked_sub(CHECKSUM_BYTES)
        .and_then(|at| sealed.split_at_checked(at))
        .ok_or(Malformed::Truncated)?;
    if crc32c(body).to_le_bytes() != checksum {
        return Err(Malformed::Checksum);
    }
    let (header, payload) = parse(body)?;
    header.check(payload)?;
    Ok((header, payload))
}

/// The header of an item whose checksum does not match, as far as it can be read: enough to name
/// it in a `Nack`, and not to be trusted for anything else.
#[must_use]
pub fn peek(sealed: &[u8]) -> Option<(ItemHeader, u32)> {
    let checksum = sealed.len().checked_sub(CHECKSUM_BYTES).and_then(|at| sealed.split_at_checked(at))?;
    let (header, _) = parse(checksum.0).ok()?;
    Some((header, u32::from_le_bytes(checksum.1.try_into().ok()?)))
}

/// The checksum that a sealed item ends with.
#[must_use]
pub fn checksum(sealed: &[u8]) -> Option<u32> {
    let at = sealed.len().checked_sub(CHECKSUM_BYTES)?;
    Some(u32::from_le_bytes(sealed.get(at..)?.try_into().ok()?))
}

fn parse(body: &[u8]) -> Result<(ItemHeader, &[u8]), Malformed> {
    let (&version, rest) = body.split_first().ok_or(Malformed::Truncated)?;
    if version != ITEM_VERSION {
        return Err(Malformed::Version(version));
    }
    postcard::take_from_bytes(rest).map_err(decoding)
}
