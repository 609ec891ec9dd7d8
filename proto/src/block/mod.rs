//! What is inside a block: records, packed in columns and then compressed.
//!
//! A [`Packer`] takes records one by one into a buffer of the caller's, without an allocation and
//! without ever holding more than [`RAW_BYTES_MAX`]; [`unpack`] checks all of a payload before it
//! shows the first record, so that reading the records cannot fail. Bodies come back bit for bit.
//!
//! The columns of the plain codec (`docs/wire-format.md` has the table to build from), from which
//! the strong codec differs in how the bodies stand:
//!
//! ```text
//! eight varints: the bytes of each column
//! sources        varint length, path, file (8 bytes, little endian); for each source
//! bodies         the bodies; a body whose length is 0 is followed by its newline
//! lengths        varint: 0 the body ends before the next newline, else its bytes + 1
//! times          signed varint: microseconds since the record before (the first: since the
//!                header's mono, in whole microseconds)
//! severities     1 byte
//! source indexes 1 byte
//! flags          1 byte: 1 no newline, 2|4 part, 8 cut, 16 JSON
//! offsets        signed varint: bytes left out since the end of the source's record before
//! ```
//!
//! Newlines stay among the bodies because that is cheaper than their lengths (measured: 5 %), and
//! the bodies come first because they then fill a compressor's first block alone.

mod held;
mod pack;
mod record;
mod reference;
mod strong;
mod unpack;

pub use pack::{Full, Packed, Packer};
pub use record::{Ending, Format, Part, Record, Severity, Source};
pub use reference::{Prefix, Reference};
pub use strong::Scratch;
pub use unpack::{Block, unpack};

use crate::error::Malformed;
use crate::limits::{BLOCK_RECORDS_MAX, BLOCK_SOURCES_MAX, PATH_BYTES_MAX, RAW_BYTES_MAX, RECORD_BYTES_MAX};
use crate::varint::VARINT_BYTES_MAX;

/// How a payload is compressed: the header's codec number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Codec {
    /// The plain columns as they are.
    Stored = 0,
    /// The plain columns as one zstd frame (RFC 8878).
    Zstd = 1,
    /// The bodies by templates and columns of their own, the rest beside them (`strong.rs`).
    Strong = 2,
    /// The strong codec with earlier blocks before its streams (`reference.rs`).
    Referring = 3,
}

impl Codec {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Stored, Self::Zstd, Self::Strong, Self::Referring];

    /// The number in the header.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Zstd => "zstd",
            Self::Strong => "strong",
            Self::Referring => "referring",
        }
    }
}

impl TryFrom<u8> for Codec {
    type Error = Malformed;

    fn try_from(number: u8) -> Result<Self, Malformed> {
        Self::ALL.get(usize::from(number)).copied().ok_or(Malformed::Codec(number))
    }
}

/// What is around compressed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A zstd frame (RFC 8878).
    Standard,
    /// The same without its magic number, and with these bytes before what it holds: a dictionary of raw
    /// content; none when they are empty.
    Bare(&'a [u8]),
}

/// Makes bytes fewer. Lives outside of this crate, since compressors bring a C library.
pub trait Compress {
    /// Compresses the parts, one after another, into one frame in `out` and returns the bytes written; `None`
    /// when there is no room for them, after which the compressor is as good as new.
    fn compress(&mut self, frame: Frame<'_>, parts: &[&[u8]], out: &mut [u8]) -> Option<usize>;
}

/// Makes them what they were.
pub trait Decompress {
    /// Decompresses `input` into `out` and returns the bytes written; `None` when it is not valid
    /// or does not fit. Never takes more memory than a named limit, whatever `input` claims.
    fn decompress(&mut self, frame: Frame<'_>, input: &[u8], out: &mut [u8]) -> Option<usize>;
}

/// The columns, in the order in which they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
enum Column {
    Sources,
    Bodies,
    Lengths,
    Times,
    Severities,
    SourceIndexes,
    Flags,
    Offsets,
}

/// How many columns there are.
const COLUMNS: usize = 8;
/// Bytes that the column lengths before the columns may take: each is below 2^21.
const LENGTHS_BYTES_MAX: usize = 3 * COLUMNS;
/// Bytes of a source beside its path: the path's length and the file.
const SOURCE_OVERHEAD_BYTES_MAX: usize = 2 + 8;
/// Bytes that the packer keeps for all times of a block: a first one in full and then up to
/// 4 bytes each, enough for two minutes between any two records. Beyond that the block is full.
const TIMES_BYTES_MAX: usize = VARINT_BYTES_MAX + 4 * BLOCK_RECORDS_MAX as usize;
/// Bytes that the packer keeps for all offsets of a block: one in full for each source, and then up
/// to 4 bytes each, enough for skipping 128 MiB between any two records.
const OFFSETS_BYTES_MAX: usize = VARINT_BYTES_MAX * BLOCK_SOURCES_MAX + 4 * BLOCK_RECORDS_MAX as usize;

impl Column {
    const ALL: [Self; COLUMNS] = [
        Self::Sources,
        Self::Bodies,
        Self::Lengths,
        Self::Times,
        Self::Severities,
        Self::SourceIndexes,
        Self::Flags,
        Self::Offsets,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Sources => "sources",
            Self::Bodies => "bodies",
            Self::Lengths => "lengths",
            Self::Times => "times",
            Self::Severities => "severities",
            Self::SourceIndexes => "source indexes",
            Self::Flags => "flags",
            Self::Offsets => "offsets",
        }
    }

    /// Bytes that the packer keeps for it.
    const fn room(self) -> usize {
        match self {
            Self::Sources => BLOCK_SOURCES_MAX * (PATH_BYTES_MAX + SOURCE_OVERHEAD_BYTES_MAX),
            Self::Bodies => RAW_BYTES_MAX,
            Self::Lengths => 3 * BLOCK_RECORDS_MAX as usize,
            Self::Times => TIMES_BYTES_MAX,
            Self::Severities | Self::SourceIndexes | Self::Flags => BLOCK_RECORDS_MAX as usize,
            Self::Offsets => OFFSETS_BYTES_MAX,
        }
    }

    /// Bytes that one more record, of a source that is not known yet, takes at most.
    const fn record_bytes_max(self) -> usize {
        match self {
            Self::Sources => PATH_BYTES_MAX + SOURCE_OVERHEAD_BYTES_MAX,
            Self::Bodies => RECORD_BYTES_MAX + 1,
            Self::Lengths => 3,
            Self::Times | Self::Offsets => VARINT_BYTES_MAX,
            Self::Severities | Self::SourceIndexes | Self::Flags => 1,
        }
    }

    /// What stands in it, in the packer's buffer, when so many bytes of it are used.
    fn of(self, buf: &[u8], used: usize) -> &[u8] {
        let start = self.start();
        buf.get(start..start + used).unwrap_or_default()
    }

    /// The limit that is reached when its room is used up.
    const fn limit(self) -> &'static str {
        match self {
            Self::Sources => "BLOCK_SOURCES_MAX",
            Self::Bodies => "RAW_BYTES_MAX",
            Self::Times => "TIMES_BYTES_MAX",
            Self::Offsets => "OFFSETS_BYTES_MAX",
            Self::Lengths | Self::Severities | Self::SourceIndexes | Self::Flags => "BLOCK_RECORDS_MAX",
        }
    }

    /// Where its room begins in the packer's buffer.
    const fn start(self) -> usize {
        let mut start = 0;
        let mut before = 0;
        while before < self as usize {
            #[expect(clippy::indexing_slicing, reason = "a number of a column is below COLUMNS")]
            let column = Self::ALL[before];
            start += column.room();
            before += 1;
        }
        start
    }
}

/// Bytes of the buffer that a [`Packer`] works in.
pub const WORKSPACE_BYTES: usize = Column::Offsets.start() + Column::Offsets.room();

const _: () = assert!(RAW_BYTES_MAX < 1 << 21, "the length of a column must fit three bytes");
const _: () = assert!(BLOCK_SOURCES_MAX <= 256, "a source index must fit a byte");
const _: () = assert!(PATH_BYTES_MAX < 1 << 14, "the length of a path must fit two bytes");
