//! The bytes that say what comes next, and the bits of large numbers.
//!
//! | where | symbol | says |
//! | --- | --- | --- |
//! | a line begins | 0 | the template that followed when the last line's template was there before |
//! | | 1 | a new template: the next entry of the text |
//! | | 2 | no template: the line is the next entry of the text |
//! | | 3 to 251 | template 0 to 248 |
//! | | 252, 253 | template 256 × (symbol - 252) + the next symbol |
//! | a group begins | 0 | the column's last group again |
//! | | 1 to 32 | the recent group of that rank, 1 the latest |
//! | | 33 and more | a new group; 33 less is the first variable's symbol |
//! | a variable | 0 to 127 | what the number is more than the column's last, zigzag |
//! | | 128 to 184 | the same with 8 to 64 bits, of which all but the highest are in the bits |
//! | | 185 | the form changes to the next symbol; the variable's symbol follows |
//!
//! A variable in the form of text has symbol 0 and is the next entry of the text.

use super::columns::RECENTS_MAX;
use super::stream::Stream;
use super::{BITS_BYTES_MAX, COLUMNS_MAX, Full, SYMBOLS_BYTES_MAX, Span};
use crate::varint;

/// A line: the template that is expected.
pub(super) const EXPECTED: u8 = 0;
/// A line: a template that was not there before.
pub(super) const NEW_TEMPLATE: u8 = 1;
/// A line: no template.
pub(super) const LITERAL: u8 = 2;
/// A line: template 0.
pub(super) const TEMPLATE: u8 = 3;
/// A line: template 256 times what is above this, plus the next symbol.
pub(super) const FAR_TEMPLATE: u8 = 252;
/// A group: the same again.
pub(super) const SAME: u8 = 0;
/// A group: the latest of the recent ones.
pub(super) const RECENT: u8 = 1;
/// A group: new, and the symbol of its first variable is 0.
pub(super) const NEW_GROUP: u8 = RECENT + RECENTS_MAX as u8;
/// A variable: from here on the symbol says how many bits there are.
pub(super) const LARGE: u8 = 128;
/// A variable: another form.
pub(super) const FORM: u8 = LARGE + 57;

/// Bits of the smallest number that is not its own symbol.
const LARGE_BITS: u32 = LARGE.ilog2() + 1;

/// A number as a symbol and bits: `(symbol, bits, how many)`.
pub(super) fn large(number: u64) -> (u8, u64, u32) {
    if number < u64::from(LARGE) {
        return (number as u8, 0, 0);
    }
    let bits = u64::BITS - number.leading_zeros() - 1;
    // 7 to 63.
    (LARGE + (bits + 1 - LARGE_BITS) as u8, number & !(1 << bits), bits)
}

/// Bits that belong to a symbol, if it is one of a number.
pub(super) fn bits_of(symbol: u8) -> Option<u32> {
    match symbol {
        0..LARGE => Some(0),
        LARGE..FORM => Some(u32::from(symbol - LARGE) + LARGE_BITS - 1),
        FORM.. => None,
    }
}

/// Differences in either direction: small ones are small.
pub(super) const fn zigzag(difference: u64) -> u64 {
    let signed = difference.cast_signed();
    ((signed << 1) ^ (signed >> 63)).cast_unsigned()
}

/// [`zigzag`] backwards.
pub(super) const fn unzigzag(number: u64) -> u64 {
    (number >> 1) ^ (number & 1).wrapping_neg()
}

/// Lists of symbols: [`LINES`] and one for each column.
const LISTS_MAX: usize = COLUMNS_MAX + 1;
/// The list of what begins lines.
pub(super) const LINES: usize = 0;

/// The list of a column's groups and variables.
pub(super) const fn list_of(column: u16) -> usize {
    column as usize + 1
}

/// Symbols that stand together while they are written.
const CHUNK: usize = 16;
/// Chunks of all lists: each list may have one that is almost empty.
const CHUNKS_MAX: usize = (SYMBOLS_BYTES_MAX - LENGTHS_BYTES_MAX) / CHUNK;
/// Bytes for the lengths of the lists, which stand before them: two each, and how many there are.
const LENGTHS_BYTES_MAX: usize = 3 * LISTS_MAX + 3;

#[derive(Clone, Copy)]
struct List {
    first: u16,
    last: u16,
    len: u32,
}

/// Symbols as they come, list by list.
pub(super) struct SymbolWriter {
    lists: [List; LISTS_MAX],
    chunks: [[u8; CHUNK]; CHUNKS_MAX],
    next: [u16; CHUNKS_MAX],
    used: usize,
    /// Lists up to the last with a symbol.
    count: usize,
    /// Whether all symbols go to one list.
    is_single: bool,
}

impl SymbolWriter {
    pub(super) const fn new() -> Self {
        Self {
            lists: [List { first: 0, last: 0, len: 0 }; LISTS_MAX],
            chunks: [[0; CHUNK]; CHUNKS_MAX],
            next: [0; CHUNKS_MAX],
            used: 0,
            count: 0,
            is_single: false,
        }
    }

    /// Forgets everything. `is_single`: what follows becomes one list in the order in which it
    /// comes, which is fewer bytes when it is short.
    pub(super) fn clear(&mut self, is_single: bool) {
        self.is_single = is_single;
        self.lists.fill(List { first: 0, last: 0, len: 0 });
        (self.used, self.count) = (0, 0);
    }

    pub(super) fn push(&mut self, list: usize, symbol: u8) -> Result<(), Full> {
        let list = if self.is_single { LINES } else { list };
        let List { first, last, len } = self.lists.get_mut(list).ok_or(Full)?;
        let at = *len as usize % CHUNK;
        if at == 0 {
            // Below CHUNKS_MAX, when there is room.
            let new = self.used as u16;
            if *len == 0 {
                *first = new;
                self.count = self.count.max(list + 1);
            } else {
                *self.next.get_mut(usize::from(*last)).ok_or(Full)? = new;
            }
            *last = new;
            self.used += 1;
        }
        let chunk = self.chunks.get_mut(usize::from(*last)).ok_or(Full)?;
        *chunk.get_mut(at).ok_or(Full)? = symbol;
        *len += 1;
        Ok(())
    }

    /// Writes how many lists there are, their lengths, and the lists.
    pub(super) fn write(&self, to: &mut Stream<SYMBOLS_BYTES_MAX>) -> Result<(), Full> {
        let lists = self.lists.get(..self.count).unwrap_or_default();
        to.append_varint(self.count as u64)?;
        for list in lists {
            to.append_varint(list.len.into())?;
        }
        for list in lists {
            let (mut at, mut left) = (usize::from(list.first), list.len as usize);
            while left > 0 {
                let chunk = self.chunks.get(at).ok_or(Full)?;
                to.append(chunk, left.min(CHUNK))?;
                left = left.saturating_sub(CHUNK);
                at = self.next.get(at).copied().unwrap_or_default().into();
            }
        }
        Ok(())
    }
}

/// [`SymbolWriter`] backwards.
pub(super) struct SymbolReader<'a> {
    lists: &'a mut Cursors,
    bytes: &'a [u8],
    /// Whether there is one list, which then holds all.
    is_single: bool,
}

/// Of each list what is left of it.
pub(super) type Cursors = [Span; LISTS_MAX];
/// Before the lengths are read.
pub(super) const NO_LISTS: Cursors = [Span { start: 0, end: 0 }; LISTS_MAX];

impl<'a> SymbolReader<'a> {
    /// Reads the lengths; `None` when they are not those of what follows.
    pub(super) fn new(bytes: &'a [u8], lists: &'a mut Cursors) -> Option<Self> {
        lists.fill(Span::new(0, 0));
        let mut rest = bytes;
        let count = usize::try_from(varint::take(&mut rest)?).ok()?;
        let mut end = 0;
        for list in lists.get_mut(..count)? {
            let len = usize::try_from(varint::take(&mut rest)?).ok().filter(|&len| len <= rest.len())?;
            *list = Span::new(end, end + len);
            end += len;
            if end > bytes.len() {
                return None;
            }
        }
        (end == rest.len()).then_some(Self { lists, bytes: rest, is_single: count == 1 })
    }

    /// The next symbol of a list.
    pub(super) fn take(&mut self, list: usize) -> Option<u8> {
        let list = if self.is_single { LINES } else { list };
        let cursor = self.lists.get_mut(list).filter(|cursor| cursor.start < cursor.end)?;
        let symbol = self.bytes.get(cursor.start as usize);
        cursor.start += 1;
        symbol.copied()
    }

    /// Whether all lists were read to their ends.
    pub(super) fn is_at_end(&self) -> bool {
        self.lists.iter().all(|cursor| cursor.start == cursor.end)
    }
}

/// Bits one after another, lowest first.
pub(super) struct BitWriter {
    pub(super) bytes: Stream<BITS_BYTES_MAX>,
    pending: u128,
    count: u32,
}

impl BitWriter {
    pub(super) const fn new() -> Self {
        Self { bytes: Stream::new(), pending: 0, count: 0 }
    }

    pub(super) fn clear(&mut self) {
        self.bytes.truncate(0);
        (self.pending, self.count) = (0, 0);
    }

    /// The lowest `count` bits of `bits`, at most 64; the others are 0.
    pub(super) fn put(&mut self, bits: u64, count: u32) -> Result<(), Full> {
        self.pending |= u128::from(bits) << self.count;
        self.count += count;
        while self.count >= 8 {
            self.byte()?;
        }
        Ok(())
    }

    /// Fills the last byte with zeros.
    pub(super) fn end(&mut self) -> Result<(), Full> {
        if self.count > 0 { self.byte() } else { Ok(()) }
    }

    fn byte(&mut self) -> Result<(), Full> {
        // The mask keeps eight bits.
        self.bytes.push((self.pending & 0xff) as u8)?;
        self.pending >>= 8;
        self.count = self.count.saturating_sub(8);
        Ok(())
    }
}

/// [`BitWriter`] backwards.
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    pending: u128,
    count: u32,
}

impl<'a> BitReader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, pending: 0, count: 0 }
    }

    /// The next `count` bits, at most 64; `None` when there are fewer.
    pub(super) fn take(&mut self, count: u32) -> Option<u64> {
        while self.count < count {
            let (&byte, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            self.pending |= u128::from(byte) << self.count;
            self.count += 8;
        }
        let bits = self.pending & ((1u128 << count) - 1);
        self.pending >>= count;
        self.count -= count;
        // At most 64 bits are left by the mask.
        Some(bits as u64)
    }

    /// Whether all that is left is the zeros that fill the last byte.
    pub(super) const fn is_at_end(&self) -> bool {
        self.bytes.is_empty() && self.pending == 0
    }
}
