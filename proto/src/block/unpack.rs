//! Columns into records, everything checked first.

use super::record::{Ending, Flags, Record, Severity, Source};
use super::strong::{self, Scratch};
use super::{COLUMNS, Codec, Column, Decompress, Frame};
use crate::error::Malformed;
use crate::item::BlockHeader;
use crate::limits::{
    BLOCK_RECORDS_MAX, BLOCK_SOURCES_MAX, PATH_BYTES_MAX, PAYLOAD_BYTES_MAX, RAW_BYTES_MAX, RECORD_BYTES_MAX,
};
use crate::time::Mono;
use crate::varint;

/// The largest whole microsecond that fits nanoseconds in 64 bits.
const MICROS_MAX: u64 = u64::MAX / 1000;

/// Reads a block's payload and checks all of it.
///
/// `blocks` are those that it refers to, sealed and in order ([`Reference`](super::Reference));
/// none for any other. `scratch` takes the columns. The work is bounded by the limits and by the header's claims,
/// whatever the bytes are.
///
/// # Errors
/// [`Malformed`]: which claim is not kept. A header whose claim is over a limit is
/// [`Malformed::Limit`].
pub fn unpack<'a, D: Decompress + ?Sized>(
    header: &BlockHeader,
    payload: &'a [u8],
    blocks: &[&[u8]],
    decompress: &mut D,
    scratch: &'a mut Scratch,
) -> Result<Block<'a>, Malformed> {
    let codec = Codec::try_from(header.codec)?;
    if header.count == 0 || header.count > BLOCK_RECORDS_MAX {
        return Err(Malformed::Limit("BLOCK_RECORDS_MAX"));
    }
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(Malformed::Limit("PAYLOAD_BYTES_MAX"));
    }
    let raw_bytes = header.raw_bytes as usize;
    if raw_bytes > RAW_BYTES_MAX {
        return Err(Malformed::Limit("RAW_BYTES_MAX"));
    }
    let raw = match codec {
        Codec::Stored if payload.len() < raw_bytes => return Err(Malformed::Truncated),
        Codec::Stored if payload.len() > raw_bytes => return Err(Malformed::TrailingBytes),
        Codec::Stored => payload,
        Codec::Zstd => {
            let out = scratch.columns.get_mut(..raw_bytes).ok_or(Malformed::Limit("RAW_BYTES_MAX"))?;
            if decompress.decompress(Frame::Standard, payload, out) != Some(raw_bytes) {
                return Err(Malformed::Compression);
            }
            out
        }
        Codec::Strong => strong::unpack(raw_bytes, payload, decompress, scratch)?,
        Codec::Referring => strong::unpack_referring(header, payload, blocks, decompress, scratch)?,
    };
    let block = Block {
        columns: split(raw)?,
        count: header.count,
        micros: header.mono.0 / 1000,
        sources: 0,
        body_bytes: 0,
    };
    block.checked()
}

/// Divides the columns by their lengths, which stand before them.
fn split(raw: &[u8]) -> Result<[&[u8]; COLUMNS], Malformed> {
    let mut rest = raw;
    let mut lengths = [0; COLUMNS];
    for length in &mut lengths {
        *length = varint::take(&mut rest).ok_or(Malformed::Truncated)?;
    }
    let mut columns = [&[][..]; COLUMNS];
    for (column, length) in columns.iter_mut().zip(lengths) {
        let length = usize::try_from(length).map_err(|_| Malformed::Truncated)?;
        (*column, rest) = rest.split_at_checked(length).ok_or(Malformed::Truncated)?;
    }
    if rest.is_empty() { Ok(columns) } else { Err(Malformed::TrailingBytes) }
}

/// The records of a block, all of them known to be sound.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    columns: [&'a [u8]; COLUMNS],
    count: u32,
    /// Microseconds from which the first time is counted.
    micros: u64,
    sources: u16,
    body_bytes: usize,
}

impl<'a> Block<'a> {
    /// The sources, in the order of their indexes.
    pub fn sources(&self) -> impl Iterator<Item = Source<'a>> + Clone + use<'a> {
        let [sources, ..] = self.columns;
        Sources::new(sources)
    }

    /// The records, in order. Their times are absolute.
    pub fn records(&self) -> impl Iterator<Item = Record<'a>> + Clone + use<'a> {
        Records { cursor: self.cursor(), left: self.count }
    }

    /// How many records there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Bytes of all bodies.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        self.body_bytes
    }

    fn cursor(&self) -> Cursor<'a> {
        Cursor {
            columns: self.columns,
            micros: self.micros,
            sources: self.sources,
            expected: [0; BLOCK_SOURCES_MAX],
        }
    }

    /// Walks over everything once: after this nothing can fail.
    fn checked(mut self) -> Result<Self, Malformed> {
        let [mut rest, ..] = self.columns;
        while !rest.is_empty() {
            if usize::from(self.sources) == BLOCK_SOURCES_MAX {
                return Err(Malformed::Limit("BLOCK_SOURCES_MAX"));
            }
            let source = take_source(&mut rest).ok_or(Malformed::Columns(Column::Sources.name()))?;
            if source.path.len() > PATH_BYTES_MAX {
                return Err(Malformed::Limit("PATH_BYTES_MAX"));
            }
            self.sources += 1;
        }
        let mut cursor = self.cursor();
        for _ in 0..self.count {
            self.body_bytes += cursor.take()?.body.len();
        }
        match Column::ALL.into_iter().zip(cursor.columns).skip(1).find(|(_, left)| !left.is_empty()) {
            Some((column, _)) => Err(Malformed::Columns(column.name())),
            None => Ok(self),
        }
    }
}

/// The records of a block that was checked.
#[derive(Clone)]
struct Records<'a> {
    cursor: Cursor<'a>,
    left: u32,
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        self.left = self.left.checked_sub(1)?;
        self.cursor.take().ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

/// The sources of a block, as far as they are well formed.
#[derive(Clone)]
pub(super) struct Sources<'a> {
    rest: &'a [u8],
}

impl<'a> Sources<'a> {
    pub(super) fn new(column: &'a [u8]) -> Self {
        Self { rest: column }
    }
}

impl<'a> Iterator for Sources<'a> {
    type Item = Source<'a>;

    fn next(&mut self) -> Option<Source<'a>> {
        take_source(&mut self.rest)
    }
}

fn take_source<'a>(rest: &mut &'a [u8]) -> Option<Source<'a>> {
    let bytes = usize::try_from(varint::take(rest)?).ok()?;
    let (path, after) = rest.split_at_checked(bytes)?;
    let (file, after) = after.split_first_chunk()?;
    *rest = after;
    Some(Source { path, file: u64::from_le_bytes(*file) })
}

/// What is not yet read of each column. (The sources stay whole: they are read apart.)
#[derive(Clone)]
struct Cursor<'a> {
    columns: [&'a [u8]; COLUMNS],
    micros: u64,
    sources: u16,
    expected: [u64; BLOCK_SOURCES_MAX],
}

impl<'a> Cursor<'a> {
    fn take(&mut self) -> Result<Record<'a>, Malformed> {
        let [_, bodies, lengths, times, severities, indexes, flags, offsets] = &mut self.columns;
        let wrong = |column: Column| Malformed::Columns(column.name());

        let delta = varint::take_signed(times).ok_or(wrong(Column::Times))?;
        self.micros = self
            .micros
            .checked_add_signed(delta)
            .filter(|&micros| micros <= MICROS_MAX)
            .ok_or(wrong(Column::Times))?;

        let severity = byte(severities).and_then(Severity::new).ok_or(wrong(Column::Severities))?;
        let flags = byte(flags).and_then(Flags::decode).ok_or(wrong(Column::Flags))?;

        let source = byte(indexes).map(u16::from).ok_or(wrong(Column::SourceIndexes))?;
        let expected = match self.expected.get_mut(usize::from(source)) {
            Some(expected) if source < self.sources => expected,
            _ => return Err(wrong(Column::SourceIndexes)),
        };
        let skip = varint::take_signed(offsets).ok_or(wrong(Column::Offsets))?;
        let offset = expected.wrapping_add_signed(skip);

        let length = varint::take(lengths).ok_or(wrong(Column::Lengths))?;
        let body = take_body(bodies, length, flags.ending)?;
        let Flags { ending, part, cut, format } = flags;
        let mono = Mono(self.micros * 1000);
        let record = Record { mono, severity, source, offset, ending, part, cut, format, body };
        *expected = record.end_offset();
        Ok(record)
    }
}

fn byte(column: &mut &[u8]) -> Option<u8> {
    let (&byte, rest) = column.split_first()?;
    *column = rest;
    Some(byte)
}

fn take_body<'a>(bodies: &mut &'a [u8], length: u64, ending: Ending) -> Result<&'a [u8], Malformed> {
    let wrong = Malformed::Columns(Column::Bodies.name());
    let (body, rest) = match length.checked_sub(1) {
        Some(bytes) => {
            let bytes = usize::try_from(bytes).map_err(|_| wrong)?;
            bodies.split_at_checked(bytes).ok_or(wrong)?
        }
        None if ending == Ending::None => return Err(Malformed::Columns(Column::Lengths.name())),
        None => {
            let at = memchr::memchr(b'\n', bodies).ok_or(wrong)?;
            let (body, rest) = bodies.split_at_checked(at).ok_or(wrong)?;
            (body, rest.split_first().ok_or(wrong)?.1)
        }
    };
    if body.len() > RECORD_BYTES_MAX {
        return Err(Malformed::Limit("RECORD_BYTES_MAX"));
    }
    *bodies = rest;
    Ok(body)
}
