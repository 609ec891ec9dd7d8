//! What can go wrong with a spool. After every error nothing has changed: try again later.

use std::fmt;

use driftlog_proto::error::Malformed;
use driftlog_proto::ids::{Lane, Place};

use super::disk::{DiskError, Slot, file_name};

/// The spool could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpoolError {
    /// The flash failed, is full or cannot be written.
    Disk(DiskError),
    /// The spool is at its `bytes_max` and nothing may be dropped.
    Full {
        /// Its limit.
        bytes_max: u64,
    },
    /// Nothing more may be dropped: the list of gaps is full until some are acknowledged.
    GapsFull,
    /// The sealed bytes are not an item.
    Malformed(Malformed),
    /// The sealed item is not the next one of this log.
    Misplaced {
        /// Where the next block is to be sealed.
        expected: Place,
    },
    /// The block refers to blocks of another segment than the one that takes it: pack it anew, and it
    /// refers to nothing.
    Elsewhere,
    /// A cursor is longer than a cursor may be.
    CursorTooLong {
        /// Its key.
        key: u64,
        /// Its bytes.
        bytes: usize,
    },
    /// More cursors, or more bytes of them, than a spool of this size keeps.
    TooManyCursors {
        /// How many there would be.
        count: usize,
        /// How many bytes they would have.
        bytes: usize,
    },
    /// Of all its files not one can be read.
    Unreadable {
        /// How many there are.
        files: usize,
        /// How the first of them failed.
        error: DiskError,
    },
    /// A file was written by another version of the agent.
    Version {
        /// Which file.
        slot: Slot,
        /// The format it has.
        found: u16,
    },
    /// A file belongs to another lane.
    Lane {
        /// Which file.
        slot: Slot,
        /// The lane it belongs to.
        found: Lane,
    },
    /// The spool's sizes do not fit each other.
    Config {
        /// Bytes of the whole.
        bytes_max: u64,
        /// Bytes of a segment.
        segment_bytes: u32,
    },
}

impl fmt::Display for SpoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(error) => error.fmt(f),
            Self::Full { bytes_max } => write!(
                f,
                "the spool is full ({bytes_max} bytes) and its policy is to pause the sources\n\
                 hint: it goes on when the gateway acknowledges; a larger bytes_max buys time"
            ),
            Self::GapsFull => f.write_str(
                "nothing more may be dropped before the gateway acknowledges some of the gaps declared so far",
            ),
            Self::Malformed(error) => write!(f, "not a sealed item: {error}"),
            Self::Misplaced { expected } => write!(f, "the sealed item does not follow {expected}"),
            Self::Elsewhere => f.write_str("what the block refers to is in another segment"),
            Self::CursorTooLong { key, bytes } => write!(f, "cursor {key:016x} has {bytes} bytes"),
            Self::TooManyCursors { count, bytes } => write!(
                f,
                "{count} source cursors of together {bytes} bytes are more than this spool keeps\n\
                 hint: fewer files, or a larger bytes_max"
            ),
            Self::Unreadable { files, error } => write!(
                f,
                "none of its files can be read ({files} in number): {error}\n\
                 hint: it may pass with a power cycle; if not, move the directory away to begin anew"
            ),
            Self::Version { slot, found } => write!(
                f,
                "{} has spool format {found}, which this agent does not know\n\
                 hint: run the agent that wrote it until all is acknowledged, or move the directory away",
                file_name(*slot)
            ),
            Self::Lane { slot, found } => write!(
                f,
                "{} belongs to the lane {}\nhint: each lane has a directory of its own",
                file_name(*slot),
                found.name()
            ),
            Self::Config { bytes_max, segment_bytes } => write!(
                f,
                "a spool of {bytes_max} bytes cannot have segments of {segment_bytes} bytes\n\
                 hint: at least four segments must fit"
            ),
        }
    }
}

impl std::error::Error for SpoolError {}
