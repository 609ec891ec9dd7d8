//! How large a spool is, how safe, and what it does when it is full.

use driftlog_proto::ids::Lane;

use super::error::SpoolError;

/// The smallest spool that may be configured.
pub const SPOOL_BYTES_MIN: u64 = 1024 * 1024;
/// Bytes of a segment at least, unless told otherwise.
const SEGMENT_BYTES_MIN: u64 = 128 * 1024;
/// Bytes of a segment at most, unless told otherwise.
const SEGMENT_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Segments that a spool has by default.
const SEGMENTS: u64 = 64;
/// Source cursors of a lane.
pub const CURSORS_MAX: usize = 1024;
/// Bytes of one source cursor.
pub const CURSOR_BYTES_MAX: usize = 1024;
/// Bytes of all source cursors of a lane; in a small spool an eighth of it.
const CURSORS_BYTES_MAX: u64 = 512 * 1024;
/// Kept free for a segment that needs more than its usual length.
const RESERVE_BYTES_MAX: u64 = 768 * 1024;

/// What a power cut may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Nothing that was sealed: every block is synced.
    Block,
    /// What was sealed since the last sync; its lines are read again.
    Interval {
        /// Milliseconds from a write to its sync at most.
        ms: u64,
    },
    /// What the operating system had not written yet, also what was already published: the same
    /// as flash that lies. Synced is when a segment is full, and each MiB.
    None,
}

/// What happens when a spool is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The oldest segment is dropped and declared.
    DropOldest,
    /// Nothing is taken until something is acknowledged.
    PauseSources,
}

/// A spool's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoolConfig {
    /// The lane.
    pub lane: Lane,
    /// Bytes of all its files.
    pub bytes_max: u64,
    /// Bytes of one file.
    pub segment_bytes: u32,
    /// What a power cut may cost.
    pub durability: Durability,
    /// What happens when it is full.
    pub overflow: Overflow,
}

impl SpoolConfig {
    /// A spool of this size with segments of a size that fits: every block synced, the oldest
    /// dropped.
    #[must_use]
    pub const fn new(lane: Lane, bytes_max: u64) -> Self {
        let share = bytes_max / SEGMENTS;
        let segment = if share < SEGMENT_BYTES_MIN {
            SEGMENT_BYTES_MIN
        } else if share > SEGMENT_BYTES_MAX {
            SEGMENT_BYTES_MAX
        } else {
            share
        };
        let segment_bytes = (segment / 4096 * 4096) as u32;
        Self { lane, bytes_max, segment_bytes, durability: Durability::Block, overflow: Overflow::DropOldest }
    }

    pub(crate) fn check(&self) -> Result<(), SpoolError> {
        let segment = u64::from(self.segment_bytes);
        if segment >= 4096 && segment.saturating_mul(4) <= self.bytes_max && self.segment_bytes <= 1 << 30 {
            return Ok(());
        }
        Err(SpoolError::Config { bytes_max: self.bytes_max, segment_bytes: self.segment_bytes })
    }

    /// Bytes of all cursors together.
    pub(crate) fn cursors_bytes_max(&self) -> usize {
        (self.bytes_max / 8).min(CURSORS_BYTES_MAX) as usize
    }

    /// Bytes that files of the usual length may take up.
    pub(crate) fn usual_bytes_max(&self) -> u64 {
        self.bytes_max - (self.bytes_max / 8).min(RESERVE_BYTES_MAX)
    }
}
