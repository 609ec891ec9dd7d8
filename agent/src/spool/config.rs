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

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;

    #[test]
    fn a_segment_is_a_sixty_fourth_of_the_spool_between_128_kib_and_4_mib_in_whole_pages() {
        let segment = |bytes_max| u64::from(SpoolConfig::new(Lane::Bulk, bytes_max).segment_bytes);
        assert_eq!(segment(SPOOL_BYTES_MIN), 128 * KIB);
        assert_eq!(segment(8 * MIB), 128 * KIB);
        assert_eq!(segment(64 * MIB), MIB);
        assert_eq!(segment(64 * MIB + 64 * 4096 - 1), MIB);
        assert_eq!(segment(64 * MIB + 64 * 4096), MIB + 4096);
        assert_eq!(segment(256 * MIB), 4 * MIB);
        assert_eq!(segment(1024 * MIB), 4 * MIB);
        assert_eq!(SPOOL_BYTES_MIN, MIB);
    }

    #[test]
    fn cursors_and_the_reserve_take_an_eighth_of_a_small_spool_and_a_fixed_share_of_a_large_one() {
        let small = SpoolConfig::new(Lane::Bulk, MIB);
        assert_eq!((small.cursors_bytes_max(), small.usual_bytes_max()), (128 * 1024, 896 * KIB));
        let large = SpoolConfig::new(Lane::Bulk, 64 * MIB);
        assert_eq!((large.cursors_bytes_max(), large.usual_bytes_max()), (512 * 1024, 64 * MIB - 768 * KIB));
    }

    #[test]
    fn segments_of_a_page_to_a_gibibyte_of_which_four_fit_are_accepted() {
        let check = |segment_bytes, bytes_max| {
            SpoolConfig { segment_bytes, ..SpoolConfig::new(Lane::Bulk, bytes_max) }.check().is_ok()
        };
        assert!(check(4096, 4 * 4096) && !check(4096, 4 * 4096 - 1) && !check(4095, MIB));
        assert!(check(1 << 30, 4 << 30) && !check((1 << 30) + 1, 8 << 30));
    }
}
