//! Records into columns, one by one.

use core::fmt;

use super::held::Held;
use super::record::{Record, Source};
use super::{COLUMNS, Codec, Column, Compress, Frame, LENGTHS_BYTES_MAX, WORKSPACE_BYTES};
use crate::error::Misuse;
use crate::time::Mono;
use crate::varint::{Varint, varint_bytes};

/// There is no room: nothing was changed. Seal the block, open the next and try again.
///
/// What breaks a limit of its own (`RECORD_BYTES_MAX`, `PATH_BYTES_MAX`, an index that no source
/// has) fits no block; everything else fits one that was just opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// The limit that was reached.
    pub limit: &'static str,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the block is full: {}", self.limit)
    }
}

impl core::error::Error for Full {}

/// What [`Packer::pack`] wrote: the block header's claims about its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    /// How it is compressed.
    pub codec: Codec,
    /// Bytes before compression.
    pub raw_bytes: u32,
    /// Bytes written.
    pub bytes: usize,
}

/// Collects the records of one block.
///
/// Invariant: what stands in the columns is a payload that [`unpack`](super::unpack) accepts, of
/// at most [`RAW_BYTES_MAX`](crate::limits::RAW_BYTES_MAX). Costs [`WORKSPACE_BYTES`] of the caller's memory, of which only what
/// is used is touched, and about 1.2 KiB of its own.
pub struct Packer<B> {
    buf: B,
    held: Held,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Packer<B> {
    /// An empty block, opened at [`Mono`] 0, in the given buffer.
    ///
    /// # Errors
    /// [`Misuse::BufferTooSmall`] when it has fewer than [`WORKSPACE_BYTES`].
    pub fn new(buf: B) -> Result<Self, Misuse> {
        if buf.as_ref().len() < WORKSPACE_BYTES {
            return Err(Misuse::BufferTooSmall);
        }
        Ok(Self { buf, held: Held::new() })
    }

    /// Forgets everything and begins an empty block whose header's `mono` will be `mono`.
    pub fn open(&mut self, mono: Mono) {
        self.held.open(mono);
    }

    /// The index of a source in this block; it is added if it is new.
    ///
    /// # Errors
    /// [`Full`] when there is no room for another; nothing was changed.
    pub fn source(&mut self, source: &Source<'_>) -> Result<u16, Full> {
        self.held.source(source, self.buf.as_mut())
    }

    /// Adds a record.
    ///
    /// # Errors
    /// [`Full`] when there is no room for it; nothing was changed.
    pub fn push(&mut self, record: &Record<'_>) -> Result<(), Full> {
        self.held.push(record, self.buf.as_mut())
    }

    /// Whether one more record fits, whatever it is and whatever source it has.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.held.has_room()
    }

    /// How many records there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.held.count
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.count == 0
    }

    /// Bytes of all bodies.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        self.held.body_bytes
    }

    /// The file of each source, in the order of their indexes, and the bytes of its bodies.
    pub fn files(&self) -> impl Iterator<Item = (u64, u32)> {
        self.held.files()
    }

    /// Bytes of the columns before compression, as they would be packed now.
    #[must_use]
    pub fn raw_bytes(&self) -> usize {
        self.held.used.iter().map(|&used| varint_bytes(used as u64) + used).sum()
    }

    /// Writes the block's payload to the beginning of `out`. A compression that makes it no
    /// smaller is not used. The records stay until [`open`](Self::open).
    ///
    /// # Errors
    /// [`Misuse::Limit`] when there is no record, [`Misuse::BufferTooSmall`] when the payload does
    /// not fit `out`, which never happens with [`RAW_BYTES_MAX`](crate::limits::RAW_BYTES_MAX) bytes.
    pub fn pack<C: Compress + ?Sized>(
        &self,
        codec: Codec,
        compress: &mut C,
        out: &mut [u8],
    ) -> Result<Packed, Misuse> {
        if self.is_empty() {
            return Err(Misuse::Limit("BLOCK_RECORDS_MAX"));
        }
        let raw_bytes = self.raw_bytes();
        let raw = u32::try_from(raw_bytes).map_err(|_| Misuse::Limit("RAW_BYTES_MAX"))?;
        let mut lengths = [0; LENGTHS_BYTES_MAX];
        let parts = self.parts(&mut lengths)?;
        if codec == Codec::Zstd {
            let room = out.len().min(raw_bytes.saturating_sub(1));
            let room = out.get_mut(..room).unwrap_or_default();
            if let Some(bytes) = compress.compress(Frame::Standard, &parts, room) {
                return Ok(Packed { codec, raw_bytes: raw, bytes });
            }
        }
        let mut rest = out;
        for part in parts {
            let (to, after) = rest.split_at_mut_checked(part.len()).ok_or(Misuse::BufferTooSmall)?;
            to.copy_from_slice(part);
            rest = after;
        }
        Ok(Packed { codec: Codec::Stored, raw_bytes: raw, bytes: raw_bytes })
    }

    /// The payload before compression: the lengths of the columns, then the columns.
    pub(super) fn parts<'a>(
        &'a self,
        lengths: &'a mut [u8; LENGTHS_BYTES_MAX],
    ) -> Result<[&'a [u8]; 1 + COLUMNS], Misuse> {
        let mut written = 0;
        for &used in &self.held.used {
            let varint = Varint::new(used as u64);
            let end = written + varint.bytes().len();
            lengths.get_mut(written..end).ok_or(Misuse::BufferTooSmall)?.copy_from_slice(varint.bytes());
            written = end;
        }
        let mut parts = [&[][..]; 1 + COLUMNS];
        let lengths: &'a [u8] = lengths.get(..written).unwrap_or_default();
        let buf = self.buf.as_ref();
        let columns = Column::ALL.into_iter().zip(self.held.used).map(|(column, used)| column.of(buf, used));
        for (to, part) in parts.iter_mut().zip(core::iter::once(lengths).chain(columns)) {
            *to = part;
        }
        Ok(parts)
    }
}
