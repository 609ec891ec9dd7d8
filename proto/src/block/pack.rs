//! Records into columns, one by one.

use core::fmt;

use super::record::{Ending, Flags, Record, Source};
use super::{
    COLUMNS, Codec, Column, Compress, Frame, LENGTHS_BYTES_MAX, SOURCE_OVERHEAD_BYTES_MAX, WORKSPACE_BYTES,
};
use crate::error::Misuse;
use crate::limits::{BLOCK_RECORDS_MAX, BLOCK_SOURCES_MAX, PATH_BYTES_MAX, RAW_BYTES_MAX, RECORD_BYTES_MAX};
use crate::time::Mono;
use crate::varint::{VARINT_BYTES_MAX, Varint, varint_bytes};

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
/// at most [`RAW_BYTES_MAX`]. Costs [`WORKSPACE_BYTES`] of the caller's memory, of which only what
/// is used is touched, and about 1.2 KiB of its own.
pub struct Packer<B> {
    buf: B,
    /// Bytes used of each column's room.
    used: [usize; COLUMNS],
    count: u32,
    body_bytes: usize,
    /// Microseconds of the record before.
    micros: u64,
    sources: u16,
    /// For each source: its file, and where its next record begins if nothing is left out.
    files: [u64; BLOCK_SOURCES_MAX],
    expected: [u64; BLOCK_SOURCES_MAX],
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
        Ok(Self {
            buf,
            used: [0; COLUMNS],
            count: 0,
            body_bytes: 0,
            micros: 0,
            sources: 0,
            files: [0; BLOCK_SOURCES_MAX],
            expected: [0; BLOCK_SOURCES_MAX],
        })
    }

    /// Forgets everything and begins an empty block whose header's `mono` will be `mono`.
    pub fn open(&mut self, mono: Mono) {
        self.used = [0; COLUMNS];
        self.count = 0;
        self.body_bytes = 0;
        self.micros = mono.0 / 1000;
        self.sources = 0;
    }

    /// The index of a source in this block; it is added if it is new.
    ///
    /// # Errors
    /// [`Full`] when there is no room for another; nothing was changed.
    pub fn source(&mut self, source: &Source<'_>) -> Result<u16, Full> {
        if let Some(index) = self.find(source) {
            return Ok(index);
        }
        if source.path.len() > PATH_BYTES_MAX {
            return Err(Full { limit: "PATH_BYTES_MAX" });
        }
        let index = self.sources;
        let full = Full { limit: "BLOCK_SOURCES_MAX" };
        let file = self.files.get_mut(usize::from(index)).ok_or(full)?;
        let expected = self.expected.get_mut(usize::from(index)).ok_or(full)?;
        let mut columns = Columns { buf: self.buf.as_mut(), used: self.used };
        columns.append(Column::Sources, Varint::new(source.path.len() as u64).bytes())?;
        columns.append(Column::Sources, source.path)?;
        columns.append(Column::Sources, &source.file.to_le_bytes())?;
        columns.check_total()?;
        self.used = columns.used;
        *file = source.file;
        *expected = 0;
        self.sources += 1;
        Ok(index)
    }

    /// Adds a record.
    ///
    /// # Errors
    /// [`Full`] when there is no room for it; nothing was changed.
    pub fn push(&mut self, record: &Record<'_>) -> Result<(), Full> {
        if record.body.len() > RECORD_BYTES_MAX {
            return Err(Full { limit: "RECORD_BYTES_MAX" });
        }
        if self.count >= BLOCK_RECORDS_MAX {
            return Err(Full { limit: "BLOCK_RECORDS_MAX" });
        }
        let unknown = Full { limit: "BLOCK_SOURCES_MAX" };
        let index = u8::try_from(record.source).map_err(|_| unknown)?;
        let expected = match self.expected.get_mut(usize::from(index)) {
            Some(expected) if record.source < self.sources => expected,
            _ => return Err(unknown),
        };
        let micros = record.mono.0 / 1000;
        let delta = micros.wrapping_sub(self.micros).cast_signed();
        let skip = record.offset.wrapping_sub(*expected).cast_signed();

        let mut columns = Columns { buf: self.buf.as_mut(), used: self.used };
        columns.append(Column::Times, Varint::signed(delta).bytes())?;
        columns.append(Column::Severities, &[record.severity.number()])?;
        columns.append(Column::SourceIndexes, &[index])?;
        columns.append(Column::Flags, &[Flags::of(record).encode()])?;
        columns.append(Column::Offsets, Varint::signed(skip).bytes())?;
        columns.append_body(record)?;
        columns.check_total()?;

        // Only now is the record in the block: before, what was written lay beyond what is used.
        self.used = columns.used;
        *expected = record.end_offset();
        self.micros = micros;
        self.count += 1;
        self.body_bytes += record.body.len();
        Ok(())
    }

    /// Whether one more record fits, whatever it is and whatever source it has.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let most = |column: Column| match column {
            Column::Sources => PATH_BYTES_MAX + SOURCE_OVERHEAD_BYTES_MAX,
            Column::Bodies => RECORD_BYTES_MAX + 1,
            Column::Lengths => 3,
            Column::Times | Column::Offsets => VARINT_BYTES_MAX,
            Column::Severities | Column::SourceIndexes | Column::Flags => 1,
        };
        let fits = |(column, used): (Column, usize)| used + most(column) <= column.room();
        let total: usize = self.used.iter().sum::<usize>() + Column::ALL.into_iter().map(most).sum::<usize>();
        self.count < BLOCK_RECORDS_MAX
            && usize::from(self.sources) < BLOCK_SOURCES_MAX
            && Column::ALL.into_iter().zip(self.used).all(fits)
            && total + LENGTHS_BYTES_MAX <= RAW_BYTES_MAX
    }

    /// How many records there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of all bodies.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        self.body_bytes
    }

    /// Bytes of the columns before compression, as they would be packed now.
    #[must_use]
    pub fn raw_bytes(&self) -> usize {
        self.used.iter().map(|&used| varint_bytes(used as u64) + used).sum()
    }

    /// Writes the block's payload to the beginning of `out`. A compression that makes it no
    /// smaller is not used. The records stay until [`open`](Self::open).
    ///
    /// # Errors
    /// [`Misuse::Limit`] when there is no record, [`Misuse::BufferTooSmall`] when the payload does
    /// not fit `out`, which never happens with [`RAW_BYTES_MAX`] bytes.
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
        for &used in &self.used {
            let varint = Varint::new(used as u64);
            let end = written + varint.bytes().len();
            lengths.get_mut(written..end).ok_or(Misuse::BufferTooSmall)?.copy_from_slice(varint.bytes());
            written = end;
        }
        let mut parts = [&[][..]; 1 + COLUMNS];
        let lengths: &'a [u8] = lengths.get(..written).unwrap_or_default();
        let columns = Column::ALL.into_iter().zip(self.used).map(|(column, used)| self.column(column, used));
        for (to, part) in parts.iter_mut().zip(core::iter::once(lengths).chain(columns)) {
            *to = part;
        }
        Ok(parts)
    }

    fn column(&self, column: Column, used: usize) -> &[u8] {
        let start = column.start();
        self.buf.as_ref().get(start..start + used).unwrap_or_default()
    }

    fn find(&self, source: &Source<'_>) -> Option<u16> {
        // Most lookups are of a file that is known, so compare the number before the path.
        let same_file = |index: u16| self.files.get(usize::from(index)) == Some(&source.file);
        (0..self.sources).find(|&index| same_file(index) && self.path(index) == Some(source.path))
    }

    fn path(&self, index: u16) -> Option<&[u8]> {
        let [used, ..] = self.used;
        let written = self.column(Column::Sources, used);
        super::unpack::Sources::new(written).nth(usize::from(index)).map(|source| source.path)
    }
}

/// The columns while something is added: `used` counts only once it is all in.
struct Columns<'a> {
    buf: &'a mut [u8],
    used: [usize; COLUMNS],
}

impl Columns<'_> {
    fn append(&mut self, column: Column, bytes: &[u8]) -> Result<(), Full> {
        let full = Full { limit: column.limit() };
        let used = self.used.get_mut(column as usize).ok_or(full)?;
        let end = *used + bytes.len();
        if end > column.room() {
            return Err(full);
        }
        let start = column.start();
        self.buf.get_mut(start + *used..start + end).ok_or(full)?.copy_from_slice(bytes);
        *used = end;
        Ok(())
    }

    /// A body that can be told by its newline keeps it and has the length 0; any other states its
    /// length.
    fn append_body(&mut self, record: &Record<'_>) -> Result<(), Full> {
        let by_newline = record.ending == Ending::Newline && memchr::memchr(b'\n', record.body).is_none();
        let length = if by_newline { 0 } else { record.body.len() as u64 + 1 };
        self.append(Column::Lengths, Varint::new(length).bytes())?;
        self.append(Column::Bodies, record.body)?;
        if by_newline { self.append(Column::Bodies, b"\n") } else { Ok(()) }
    }

    fn check_total(&self) -> Result<(), Full> {
        let total: usize = self.used.iter().sum();
        if total + LENGTHS_BYTES_MAX > RAW_BYTES_MAX {
            return Err(Full { limit: "RAW_BYTES_MAX" });
        }
        Ok(())
    }
}
