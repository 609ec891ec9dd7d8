//! What the columns of an open block hold.

use super::pack::Full;
use super::record::{Ending, Flags, Record, Source};
use super::{COLUMNS, Column, LENGTHS_BYTES_MAX};
use crate::limits::{BLOCK_RECORDS_MAX, BLOCK_SOURCES_MAX, PATH_BYTES_MAX, RAW_BYTES_MAX, RECORD_BYTES_MAX};
use crate::time::Mono;
use crate::varint::Varint;

/// What the columns hold, apart from their bytes: so that it is compiled here, for speed if a build
/// wants that of this crate alone, and not where a buffer is given its type.
pub(super) struct Held {
    /// Bytes used of each column's room.
    pub(super) used: [usize; COLUMNS],
    pub(super) count: u32,
    pub(super) body_bytes: usize,
    /// Microseconds of the record before.
    micros: u64,
    sources: u16,
    /// For each source: its file, bytes of its bodies, and where its next record begins if nothing is left
    /// out.
    files: [u64; BLOCK_SOURCES_MAX],
    bodies: [u32; BLOCK_SOURCES_MAX],
    expected: [u64; BLOCK_SOURCES_MAX],
}

impl Held {
    pub(super) const fn new() -> Self {
        Self {
            used: [0; COLUMNS],
            count: 0,
            body_bytes: 0,
            micros: 0,
            sources: 0,
            files: [0; BLOCK_SOURCES_MAX],
            bodies: [0; BLOCK_SOURCES_MAX],
            expected: [0; BLOCK_SOURCES_MAX],
        }
    }

    pub(super) fn open(&mut self, mono: Mono) {
        self.used = [0; COLUMNS];
        self.count = 0;
        self.body_bytes = 0;
        self.micros = mono.0 / 1000;
        self.sources = 0;
    }

    pub(super) fn source(&mut self, source: &Source<'_>, buf: &mut [u8]) -> Result<u16, Full> {
        if let Some(index) = self.find(source, buf) {
            return Ok(index);
        }
        if source.path.len() > PATH_BYTES_MAX {
            return Err(Full { limit: "PATH_BYTES_MAX" });
        }
        let index = self.sources;
        let full = Full { limit: "BLOCK_SOURCES_MAX" };
        let file = self.files.get_mut(usize::from(index)).ok_or(full)?;
        let bodies = self.bodies.get_mut(usize::from(index)).ok_or(full)?;
        let expected = self.expected.get_mut(usize::from(index)).ok_or(full)?;
        let mut columns = Columns { buf, used: self.used };
        columns.append(Column::Sources, Varint::new(source.path.len() as u64).bytes())?;
        columns.append(Column::Sources, source.path)?;
        columns.append(Column::Sources, &source.file.to_le_bytes())?;
        columns.check_total()?;
        self.used = columns.used;
        (*file, *bodies, *expected) = (source.file, 0, 0);
        self.sources += 1;
        Ok(index)
    }

    pub(super) fn push(&mut self, record: &Record<'_>, buf: &mut [u8]) -> Result<(), Full> {
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

        let mut columns = Columns { buf, used: self.used };
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
        if let Some(bodies) = self.bodies.get_mut(usize::from(index)) {
            // All of a block are below RAW_BYTES_MAX.
            *bodies += record.body.len() as u32;
        }
        Ok(())
    }

    pub(super) fn has_room(&self) -> bool {
        let mut total = LENGTHS_BYTES_MAX;
        for (column, used) in Column::ALL.into_iter().zip(self.used) {
            let most = used + column.record_bytes_max();
            if most > column.room() {
                return false;
            }
            total += most;
        }
        self.count < BLOCK_RECORDS_MAX
            && usize::from(self.sources) < BLOCK_SOURCES_MAX
            && total <= RAW_BYTES_MAX
    }

    /// The file of each source, and the bytes of its bodies.
    pub(super) fn files(&self) -> impl Iterator<Item = (u64, u32)> {
        self.files.iter().copied().zip(self.bodies).take(usize::from(self.sources))
    }

    fn find(&self, source: &Source<'_>, buf: &[u8]) -> Option<u16> {
        // Most lookups are of a file that is known, so compare the number before the path.
        let same_file = |index: u16| self.files.get(usize::from(index)) == Some(&source.file);
        (0..self.sources).find(|&index| same_file(index) && self.path(index, buf) == Some(source.path))
    }

    fn path<'a>(&self, index: u16, buf: &'a [u8]) -> Option<&'a [u8]> {
        let [used, ..] = self.used;
        let written = Column::Sources.of(buf, used);
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
