//! A text into its streams.

use core::fmt;

use heapless::Vec;

use super::columns::{Column, Columns, Form};
use super::scan::Scan;
use super::stream::Stream;
use super::symbols::{
    BitWriter, EXPECTED, FAR_TEMPLATE, FORM, LINES, LITERAL, NEW_GROUP, NEW_TEMPLATE, RECENT, SAME,
    SymbolWriter, TEMPLATE, large, list_of, zigzag,
};
use super::templates::{Slot, Templates};
use super::{
    ESCAPE, LINES_BYTES_MAX, SYMBOLS_BYTES_MAX, Span, Streams, TEMPLATES_MAX, TEXT_BYTES_MAX, VARIABLE,
    VARIABLES_MAX,
};

/// Places of the index that are looked at before a line is made a literal.
const PROBES_MAX: usize = 16;
/// Bytes of a text from which each column has a list of its own: below, the lists' lengths cost
/// more than they bring (measured).
const LISTS_BYTES_MIN: usize = 8 * 1024;
/// Places of the index.
const INDEX: usize = 2 * TEMPLATES_MAX;

/// A text does not fit the streams, or is longer than [`LINES_BYTES_MAX`]: it is to be compressed
/// as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text does not fit the streams of the lines codec")
    }
}

impl core::error::Error for Full {}

/// Makes streams of texts, one after another; nothing of one is left for the next.
pub struct Encoder {
    said: Said,
    templates: Templates,
    columns: Columns,
    /// By hash: the number of a template plus 1, or 0.
    index: [u16; INDEX],
    variables: Vec<Span, VARIABLES_MAX>,
    /// The template of the line before.
    before: Option<u16>,
    /// Whether the text has bytes that are escaped in templates.
    has_special: bool,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// An encoder; about 345 KiB, which belong into memory that is taken once.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            said: Said {
                text: Stream::new(),
                symbols: SymbolWriter::new(),
                lists: Stream::new(),
                bits: BitWriter::new(),
            },
            templates: Templates::new(),
            columns: Columns::new(),
            index: [0; INDEX],
            variables: Vec::new(),
            before: None,
            has_special: false,
        }
    }

    /// The streams of `raw`, which may be any bytes; lines end with a newline.
    ///
    /// # Errors
    /// [`Full`]; the next text finds the encoder as good as new.
    pub fn encode(&mut self, raw: &[u8]) -> Result<Streams<'_>, Full> {
        if raw.len() > LINES_BYTES_MAX {
            return Err(Full);
        }
        self.clear(raw.len() < LISTS_BYTES_MIN);
        self.has_special = memchr::memchr2(VARIABLE, ESCAPE, raw).is_some();
        let mut start = 0;
        for newline in memchr::memchr_iter(b'\n', raw) {
            self.line(raw, Span::new(start, newline))?;
            start = newline + 1;
        }
        if start < raw.len() {
            self.line(raw, Span::new(start, raw.len()))?;
        }
        self.said.symbols.write(&mut self.said.lists)?;
        self.said.bits.end()?;
        Ok(Streams {
            text: self.said.text.as_slice(),
            symbols: self.said.lists.as_slice(),
            bits: self.said.bits.bytes.as_slice(),
        })
    }

    fn clear(&mut self, is_single: bool) {
        self.said.text.truncate(0);
        self.said.symbols.clear(is_single);
        self.said.lists.truncate(0);
        self.said.bits.clear();
        self.templates.clear();
        self.columns.clear();
        self.index.fill(0);
        self.before = None;
    }

    fn line(&mut self, raw: &[u8], line: Span) -> Result<(), Full> {
        let start = self.said.text.len();
        let scanned = Scan::scan(raw, self.has_special, line, &mut self.said.text, &mut self.variables).ok();
        match scanned.and_then(|()| self.template(start)) {
            Some(template) => {
                self.say_template(template, start)?;
                self.groups(raw, template)
            }
            None => {
                self.said.text.truncate(start);
                self.said.line(LITERAL)?;
                self.said.entry(line.of(raw))
            }
        }
    }

    /// The template that stands at the end of the text, from `start`; a new one when there is
    /// room. One that is known stays in the text until it is said.
    fn template(&mut self, start: usize) -> Option<u16> {
        let end = self.said.text.len() - 1;
        let template = Span::new(start, end);
        let text = self.said.text.as_slice();
        let is_it = |known: Span| known.len() == template.len() && known.of(text) == template.of(text);
        let known = |number: u16| self.templates.get(number).is_some_and(|known| is_it(known.text));
        let expected = self.before.and_then(|before| self.templates.get(before)?.next);
        if let Some(expected) = expected.filter(|&expected| known(expected)) {
            return Some(expected);
        }
        let hash = hash(template.of(text));
        for probe in 0..PROBES_MAX {
            let at = hash.wrapping_add(probe) % INDEX;
            match self.index.get(at)?.checked_sub(1) {
                Some(number) if known(number) => return Some(number),
                Some(_) => {}
                None => {
                    if !self.templates.has_room(self.variables.len()) {
                        return None;
                    }
                    let number = self.templates.add(text, template, &mut self.columns)?;
                    *self.index.get_mut(at)? = number + 1;
                    return Some(number);
                }
            }
        }
        None
    }

    fn say_template(&mut self, template: u16, start: usize) -> Result<(), Full> {
        let is_new = self.templates.get(template).is_some_and(|known| known.text.start as usize == start);
        if !is_new {
            self.said.text.truncate(start);
        }
        let before = self.before.replace(template).and_then(|before| self.templates.get_mut(before));
        let expected = before.and_then(|before| before.next.replace(template));
        let [high, low] = template.to_be_bytes();
        match TEMPLATE.checked_add(low) {
            _ if is_new => self.said.line(NEW_TEMPLATE),
            _ if expected == Some(template) => self.said.line(EXPECTED),
            Some(symbol) if high == 0 && symbol < FAR_TEMPLATE => self.said.line(symbol),
            _ => {
                self.said.line(FAR_TEMPLATE + high)?;
                self.said.line(low)
            }
        }
    }

    fn groups(&mut self, raw: &[u8], template: u16) -> Result<(), Full> {
        let Self { said, templates, columns, variables, .. } = self;
        let mut slots =
            templates.get(template).map(|template| templates.slots_of(template)).unwrap_or_default();
        let mut words = variables.as_slice();
        while let Some(first) = slots.first() {
            let variables = usize::from(first.group);
            let (of_group, slots_behind) = slots.split_at_checked(variables).ok_or(Full)?;
            let (of_words, words_behind) = words.split_at_checked(variables).ok_or(Full)?;
            said.group(columns, raw, of_group, of_words)?;
            (slots, words) = (slots_behind, words_behind);
        }
        Ok(())
    }
}

/// The streams.
struct Said {
    text: Stream<TEXT_BYTES_MAX>,
    symbols: SymbolWriter,
    /// The symbols, list after list, when all are said.
    lists: Stream<SYMBOLS_BYTES_MAX>,
    bits: BitWriter,
}

impl Said {
    /// What begins a line.
    fn line(&mut self, symbol: u8) -> Result<(), Full> {
        self.symbols.push(LINES, symbol)
    }

    /// An entry of the text as it stands.
    fn entry(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.text.append(bytes, bytes.len())?;
        self.text.push(b'\n')
    }

    fn group(
        &mut self,
        columns: &mut Columns,
        raw: &[u8],
        slots: &[Slot],
        words: &[Span],
    ) -> Result<(), Full> {
        let (Some(slot), Some(first), Some(last)) = (slots.first(), words.first(), words.last()) else {
            return Ok(());
        };
        let group = Span { start: first.start, end: last.end };
        let list = list_of(slot.column);
        let column = columns.column(slot.column).ok_or(Full)?;
        if column.group.of(raw) == group.of(raw) {
            return self.symbols.push(list, SAME);
        }
        column.group = group;
        if let Some(rank) = columns.recents(slots.len()).and_then(|recents| recents.find(raw, group)) {
            // Below RECENTS_MAX.
            return self.symbols.push(list, RECENT + rank as u8);
        }
        let mut shift = NEW_GROUP;
        for (slot, word) in slots.iter().zip(words) {
            let column = columns.column(slot.column).ok_or(Full)?;
            self.variable(list_of(slot.column), column, word.of(raw), shift)?;
            shift = 0;
        }
        Ok(())
    }

    fn variable(&mut self, list: usize, column: &mut Column, word: &[u8], mut shift: u8) -> Result<(), Full> {
        let mut number = column.form.number(word);
        if number.is_none() {
            let form = Form::other(word);
            number = form.number(word);
            if form != column.form {
                column.form = form;
                self.symbols.push(list, FORM + shift)?;
                self.symbols.push(list, form.byte())?;
                shift = 0;
            }
        }
        let Some(number) = number else {
            self.symbols.push(list, shift)?;
            return self.entry(word);
        };
        let (symbol, bits, count) = large(zigzag(number.wrapping_sub(column.last)));
        column.last = number;
        self.symbols.push(list, symbol + shift)?;
        self.bits.put(bits, count)
    }
}

/// A hash that stays inside the encoder: eight bytes at a time.
fn hash(bytes: &[u8]) -> usize {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let step = |hash: u64, word: u64| (hash ^ word).wrapping_mul(ODD).rotate_left(29);
    let (words, rest) = bytes.as_chunks::<8>();
    let hash = words.iter().fold(bytes.len() as u64, |hash, word| step(hash, u64::from_le_bytes(*word)));
    let hash = rest.iter().fold(hash, |hash, &byte| step(hash, u64::from(byte)));
    // Any bits of it will do.
    (hash.wrapping_mul(ODD) >> 40) as usize
}
