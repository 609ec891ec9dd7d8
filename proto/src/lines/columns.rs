//! What is remembered of variables: for each column its last values and how they are written.

use heapless::Vec;

use super::scan::{DECIMAL_DIGITS_MAX, HEX_DIGITS_MAX};
use super::{COLUMNS_MAX, Span};

/// Groups that a list of recent ones holds.
pub(super) const RECENTS_MAX: usize = 32;
/// Bytes that a group must have to be in a list: less is as cheap to say again.
const RECENT_BYTES_MIN: usize = 3;
/// Lists of recent groups: one for each number of variables up to this; the last has all above.
const LISTS: usize = 8;

/// How a column's values are written. A number has at least as many digits as the width says,
/// with zeros in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Decimal; the width is at most 19.
    Decimal(u8),
    /// Hexadecimal with a to f; the width is at most 16.
    Lower(u8),
    /// Hexadecimal with A to F; the width is at most 16.
    Upper(u8),
    /// As it stands.
    Text,
}

/// Added to the width in the byte that says [`Form::Lower`].
const LOWER: u8 = 32;
/// The same for [`Form::Upper`].
const UPPER: u8 = 64;
/// The byte that says [`Form::Text`].
const TEXT: u8 = 96;

impl Form {
    pub(super) const fn byte(self) -> u8 {
        match self {
            Self::Decimal(width) => width,
            Self::Lower(width) => LOWER + width,
            Self::Upper(width) => UPPER + width,
            Self::Text => TEXT,
        }
    }

    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        let is_hex = |width: u8| usize::from(width) <= HEX_DIGITS_MAX;
        match byte {
            0..LOWER => (usize::from(byte) <= DECIMAL_DIGITS_MAX).then_some(Self::Decimal(byte)),
            LOWER..UPPER => Some(byte - LOWER).filter(|&width| is_hex(width)).map(Self::Lower),
            UPPER..TEXT => Some(byte - UPPER).filter(|&width| is_hex(width)).map(Self::Upper),
            TEXT => Some(Self::Text),
            _ => None,
        }
    }

    /// The number that comes out as `word` in this form, if there is one.
    pub(super) fn number(self, word: &[u8]) -> Option<u64> {
        let (width, digits_max, base) = match self {
            Self::Decimal(width) => (width, DECIMAL_DIGITS_MAX, 10),
            Self::Lower(width) | Self::Upper(width) => (width, HEX_DIGITS_MAX, 16),
            Self::Text => return None,
        };
        let width = usize::from(width);
        let has_zeros = word.len() > 1 && word.first() == Some(&b'0');
        let is_wide = if has_zeros { word.len() == width } else { word.len() >= width };
        if !is_wide || word.is_empty() || word.len() > digits_max {
            return None;
        }
        // So few digits fit 64 bits.
        let push = |number: u64, digit: u8| number.wrapping_mul(base).wrapping_add(u64::from(digit));
        let digits = word.iter();
        match self {
            Self::Decimal(_) => digits.copied().try_fold(0, |all, byte| Some(push(all, decimal(byte)?))),
            Self::Lower(_) => digits.copied().try_fold(0, |all, byte| Some(push(all, hex(byte, b'a')?))),
            _ => digits.copied().try_fold(0, |all, byte| Some(push(all, hex(byte, b'A')?))),
        }
    }

    /// The form for a word that this one does not fit.
    pub(super) fn other(word: &[u8]) -> Self {
        let width = if word.first() == Some(&b'0') && word.len() > 1 { word.len() } else { 0 };
        let hex_width = word.len().min(HEX_DIGITS_MAX);
        // Widths are at most 19.
        [
            Self::Decimal(width.min(DECIMAL_DIGITS_MAX) as u8),
            Self::Lower(hex_width as u8),
            Self::Upper(hex_width as u8),
        ]
        .into_iter()
        .find(|form| form.number(word).is_some())
        .unwrap_or(Self::Text)
    }
}

fn decimal(byte: u8) -> Option<u8> {
    Some(byte.wrapping_sub(b'0')).filter(|&digit| digit < 10)
}

fn hex(byte: u8, a: u8) -> Option<u8> {
    let letter = || Some(byte.wrapping_sub(a)).filter(|&letter| letter < 6).map(|letter| letter + 10);
    decimal(byte).or_else(letter)
}

/// What is remembered of one column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    key: u32,
    pub(super) form: Form,
    /// The last number.
    pub(super) last: u64,
    /// The last group that this column was the first of.
    pub(super) group: Span,
}

/// All columns of a text, and the recent groups.
pub(super) struct Columns {
    columns: Vec<Column, COLUMNS_MAX>,
    /// By key: the number of a column plus 1, or 0.
    index: [u16; 2 * COLUMNS_MAX],
    recents: [Recents; LISTS],
}

impl Columns {
    pub(super) const fn new() -> Self {
        Self { columns: Vec::new(), index: [0; 2 * COLUMNS_MAX], recents: [const { Recents::new() }; LISTS] }
    }

    pub(super) fn clear(&mut self) {
        self.columns.clear();
        self.index.fill(0);
        self.recents.iter_mut().for_each(|recents| recents.clear());
    }

    /// The number of the column with this key, which is made if there is none.
    pub(super) fn find(&mut self, key: u32) -> u16 {
        let mut at = key as usize % self.index.len();
        // The index has twice as many places as there are columns, so one of them is free.
        while let Some(place) = self.index.get_mut(at) {
            let Some(number) = place.checked_sub(1) else {
                let column = Column { key, form: Form::Decimal(0), last: 0, group: Span::default() };
                // At most COLUMNS_MAX.
                let new = self.columns.len() as u16;
                if self.columns.push(column).is_err() {
                    return new - 1;
                }
                *place = new + 1;
                return new;
            };
            if self.columns.get(usize::from(number)).is_some_and(|column| column.key == key) {
                return number;
            }
            at = (at + 1) % self.index.len();
        }
        0
    }

    pub(super) fn column(&mut self, number: u16) -> Option<&mut Column> {
        self.columns.get_mut(usize::from(number))
    }

    /// The recent groups of so many variables.
    pub(super) fn recents(&mut self, variables: usize) -> Option<&mut Recents> {
        self.recents.get_mut(variables.min(LISTS) - 1)
    }
}

/// Groups of some number of variables, the one that was used last in front.
pub(super) struct Recents {
    count: usize,
    /// Of each the length and the last bytes, to tell most others at once; 0 for none.
    tails: [u32; RECENTS_MAX],
    groups: [Span; RECENTS_MAX],
}

impl Recents {
    const fn new() -> Self {
        let none = Span { start: 0, end: 0 };
        Self { count: 0, tails: [0; RECENTS_MAX], groups: [none; RECENTS_MAX] }
    }

    fn clear(&mut self) {
        *self = Self::new();
    }

    /// Where `group`, a part of `text`, stands; it comes to the front. One that is not there is
    /// put in front.
    pub(super) fn find(&mut self, text: &[u8], group: Span) -> Option<usize> {
        let bytes = group.of(text);
        let tail = tail(bytes)?;
        // All of them, since that takes few instructions, and most often there is none.
        if self.tails.iter().fold(false, |is_there, &other| is_there | (other == tail)) {
            let mut ranks = self.tails.iter().zip(&self.groups).enumerate();
            let is_it = |(_, (other, group)): &(_, (&u32, &Span))| **other == tail && group.of(text) == bytes;
            if let Some((rank, _)) = ranks.find(is_it) {
                self.take(rank)?;
                return Some(rank);
            }
        }
        self.put(text, group);
        None
    }

    /// The group that stands there; it comes to the front.
    pub(super) fn take(&mut self, rank: usize) -> Option<Span> {
        let group = *self.groups.get(..self.count)?.get(rank)?;
        let tail = *self.tails.get(rank)?;
        self.move_back(rank);
        self.set_front(tail, group);
        Some(group)
    }

    /// Puts a group that is not here in front, if it is long enough.
    pub(super) fn put(&mut self, text: &[u8], group: Span) {
        let Some(tail) = tail(group.of(text)) else { return };
        self.count = RECENTS_MAX.min(self.count + 1);
        self.move_back(self.count - 1);
        self.set_front(tail, group);
    }

    /// Moves the first ones, so many, by one place.
    fn move_back(&mut self, ranks: usize) {
        self.tails.copy_within(..ranks, 1);
        self.groups.copy_within(..ranks, 1);
    }

    fn set_front(&mut self, tail: u32, group: Span) {
        let [first_tail, ..] = &mut self.tails;
        let [first_group, ..] = &mut self.groups;
        (*first_tail, *first_group) = (tail, group);
    }
}

/// Of a group that is long enough for a list.
fn tail(group: &[u8]) -> Option<u32> {
    let [a, b, c] = *group.last_chunk::<RECENT_BYTES_MIN>()?;
    // Any bits of the length will do.
    Some(u32::from_le_bytes([group.len() as u8, a, b, c]))
}
