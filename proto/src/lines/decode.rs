//! Streams into the text.

use core::ops::Range;

use super::columns::{Columns, Form};
use super::stream::{STRIDE, copy};
use super::symbols::{
    BitReader, Cursors, EXPECTED, FAR_TEMPLATE, FORM, LINES, LITERAL, NEW_GROUP, NEW_TEMPLATE, NO_LISTS,
    RECENT, SAME, SymbolReader, TEMPLATE, bits_of, list_of, unzigzag,
};
use super::templates::{Slot, Template, Templates};
use super::{BITS_BYTES_MAX, ESCAPE, LINES_BYTES_MAX, SYMBOLS_BYTES_MAX, Span, Streams, TEXT_BYTES_MAX};
use crate::error::Malformed;

/// What is said of streams that are not what an encoder makes.
const WRONG: Malformed = Malformed::Columns("bodies");

/// Makes texts of streams, one after another; nothing of one is left for the next.
pub struct Decoder {
    templates: Templates,
    columns: Columns,
    lists: Cursors,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder; about 65 KiB.
    #[must_use]
    pub const fn new() -> Self {
        Self { templates: Templates::new(), columns: Columns::new(), lists: NO_LISTS }
    }

    /// Fills `out` with the text, whose length must be known. The work is bounded by the lengths
    /// of `out` and of the streams, whatever is in them.
    ///
    /// # Errors
    /// [`Malformed`] when the streams are over a limit, contradict themselves, or hold more or
    /// less than `out` takes.
    pub fn decode(&mut self, streams: &Streams<'_>, out: &mut [u8]) -> Result<(), Malformed> {
        let limits = [
            (streams.text.len() <= TEXT_BYTES_MAX, "TEXT_BYTES_MAX"),
            (streams.symbols.len() <= SYMBOLS_BYTES_MAX, "SYMBOLS_BYTES_MAX"),
            (streams.bits.len() <= BITS_BYTES_MAX, "BITS_BYTES_MAX"),
            (out.len() <= LINES_BYTES_MAX, "LINES_BYTES_MAX"),
        ];
        if let Some((_, limit)) = limits.into_iter().find(|(is_kept, _)| !is_kept) {
            return Err(Malformed::Limit(limit));
        }
        self.templates.clear();
        self.columns.clear();
        let mut lines = Lines {
            templates: &mut self.templates,
            columns: &mut self.columns,
            text: streams.text,
            read: 0,
            symbols: SymbolReader::new(streams.symbols, &mut self.lists).ok_or(WRONG)?,
            bits: BitReader::new(streams.bits),
            out,
            written: 0,
            before: None,
        };
        while lines.written < lines.out.len() {
            lines.line()?;
        }
        lines.is_at_end().then_some(()).ok_or(WRONG)
    }
}

/// A text that is being made.
struct Lines<'a> {
    templates: &'a mut Templates,
    columns: &'a mut Columns,
    text: &'a [u8],
    /// Bytes of the text that were read.
    read: usize,
    symbols: SymbolReader<'a>,
    bits: BitReader<'a>,
    out: &'a mut [u8],
    written: usize,
    /// The template of the line before.
    before: Option<u16>,
}

impl Lines<'_> {
    fn is_at_end(&self) -> bool {
        self.read == self.text.len() && self.symbols.is_at_end() && self.bits.is_at_end()
    }

    /// The next symbol of a list.
    fn symbol(&mut self, list: usize) -> Result<u8, Malformed> {
        self.symbols.take(list).ok_or(WRONG)
    }

    /// The next entry of the text.
    fn entry(&mut self) -> Result<Span, Malformed> {
        let rest = self.text.get(self.read..).ok_or(WRONG)?;
        let bytes = memchr::memchr(b'\n', rest).ok_or(WRONG)?;
        let entry = Span::new(self.read, self.read + bytes);
        self.read += bytes + 1;
        Ok(entry)
    }

    /// Part of the text.
    fn write(&mut self, start: usize, end: usize) -> Result<(), Malformed> {
        let count = end.checked_sub(start).ok_or(WRONG)?;
        let from = self.text.get(start..).ok_or(WRONG)?;
        copy(from, self.out.get_mut(self.written..).ok_or(WRONG)?, count).ok_or(WRONG)?;
        self.written += count;
        Ok(())
    }

    /// Part of a template.
    fn write_part(&mut self, mut start: usize, end: usize, has_escape: bool) -> Result<(), Malformed> {
        let text = self.text;
        while let Some(escape) =
            text.get(start..end).filter(|_| has_escape).and_then(|part| memchr::memchr(ESCAPE, part))
        {
            self.write(start, start + escape)?;
            self.write(start + escape + 1, start + escape + 2)?;
            start += escape + 2;
        }
        self.write(start, end)
    }

    fn line(&mut self) -> Result<(), Malformed> {
        match self.symbol(LINES)? {
            LITERAL => {
                let Span { start, end } = self.entry()?;
                self.write(start as usize, end as usize)?;
            }
            symbol => {
                let template = self.template(symbol)?;
                let before = self.before.replace(template).and_then(|before| self.templates.get_mut(before));
                if let Some(before) = before {
                    before.next = Some(template);
                }
                self.of_template(template)?;
            }
        }
        // The last line need not end.
        if let Some(newline) = self.out.get_mut(self.written) {
            *newline = b'\n';
            self.written += 1;
        }
        Ok(())
    }

    fn template(&mut self, symbol: u8) -> Result<u16, Malformed> {
        match symbol {
            EXPECTED => self.before.and_then(|before| self.templates.get(before)?.next).ok_or(WRONG),
            NEW_TEMPLATE => {
                let entry = self.entry()?;
                self.templates.add(self.text, entry, self.columns).ok_or(WRONG)
            }
            FAR_TEMPLATE.. => Ok(u16::from_be_bytes([symbol - FAR_TEMPLATE, self.symbol(LINES)?])),
            near => Ok(u16::from(near - TEMPLATE)),
        }
    }

    fn of_template(&mut self, number: u16) -> Result<(), Malformed> {
        let template = *self.templates.get(number).ok_or(WRONG)?;
        let mut at = template.text.start as usize;
        let mut first = 0;
        while let Some(&slot) = self.templates.slots_of(&template).get(first) {
            self.write_part(at, slot.at as usize, template.has_escape)?;
            let slots = first..first + usize::from(slot.group);
            first = slots.end;
            at = self.group(slot, &template, slots)?;
        }
        self.write_part(at, template.text.end as usize, template.has_escape)
    }

    /// Writes a group and returns where the template goes on.
    fn group(&mut self, slot: Slot, template: &Template, slots: Range<usize>) -> Result<usize, Malformed> {
        let symbol = self.symbol(list_of(slot.column))?;
        let column = self.columns.column(slot.column).ok_or(WRONG)?;
        let start = self.written;
        let last = self.templates.slots_of(template).get(slots.end - 1).ok_or(WRONG)?.at as usize;
        let variables = slots.len();
        match symbol {
            SAME => {
                let group = column.group;
                self.again(group)?;
                return Ok(last + 1);
            }
            RECENT..NEW_GROUP => {
                let recents = self.columns.recents(variables).ok_or(WRONG)?;
                let group = recents.take(usize::from(symbol - RECENT)).ok_or(WRONG)?;
                self.again(group)?;
            }
            NEW_GROUP.. => {
                self.variables(symbol - NEW_GROUP, template, slots)?;
                let group = Span::new(start, self.written);
                self.columns.recents(variables).ok_or(WRONG)?.put(self.out, group);
            }
        }
        self.columns.column(slot.column).ok_or(WRONG)?.group = Span::new(start, self.written);
        Ok(last + 1)
    }

    /// Writes what was written before.
    fn again(&mut self, group: Span) -> Result<(), Malformed> {
        let end = self.written + group.len();
        if group.len() == 0 || end > self.out.len() {
            return Err(WRONG);
        }
        let from = self.out.get(group.range().start..).and_then(|from| from.first_chunk::<STRIDE>()).copied();
        let to = self.out.get_mut(self.written..).and_then(|to| to.first_chunk_mut::<STRIDE>());
        match (from, to) {
            // What lies behind the group is written later.
            (Some(from), Some(to)) if group.len() <= STRIDE => *to = from,
            _ => self.out.copy_within(group.range(), self.written),
        }
        self.written = end;
        Ok(())
    }

    /// Writes a new group: its variables and what stands between them.
    fn variables(
        &mut self,
        mut symbol: u8,
        template: &Template,
        slots: Range<usize>,
    ) -> Result<(), Malformed> {
        let mut at = None;
        for number in slots {
            let slot = *self.templates.slots_of(template).get(number).ok_or(WRONG)?;
            if let Some(at) = at {
                self.write_part(at, slot.at as usize, template.has_escape)?;
                symbol = self.symbol(list_of(slot.column))?;
            }
            self.variable(slot.column, symbol)?;
            at = Some(slot.at as usize + 1);
        }
        Ok(())
    }

    fn variable(&mut self, number: u16, mut symbol: u8) -> Result<(), Malformed> {
        let list = list_of(number);
        if symbol == FORM {
            let form = Form::from_byte(self.symbol(list)?).ok_or(WRONG)?;
            self.columns.column(number).ok_or(WRONG)?.form = form;
            symbol = self.symbol(list)?;
        }
        let column = self.columns.column(number).ok_or(WRONG)?;
        if column.form == Form::Text {
            if symbol != 0 {
                return Err(WRONG);
            }
            let Span { start, end } = self.entry()?;
            return self.write(start as usize, end as usize);
        }
        let count = bits_of(symbol).ok_or(WRONG)?;
        let bits = self.bits.take(count).ok_or(WRONG)?;
        let difference = if count == 0 { u64::from(symbol) } else { bits | 1 << count };
        column.last = column.last.wrapping_add(unzigzag(difference));
        let (form, last) = (column.form, column.last);
        self.digits(form, last)
    }

    /// Writes a number, the last digit first.
    fn digits(&mut self, form: Form, mut number: u64) -> Result<(), Malformed> {
        let mut written = [b'0'; DIGITS_MAX];
        let mut count = 0;
        // A base that is known here is divided by in a few instructions.
        let mut digits = |base: u64, a: u8| {
            for to in written.iter_mut().rev() {
                // Below 16.
                let digit = (number % base) as u8;
                *to = if digit < 10 { b'0' + digit } else { a + digit - 10 };
                number /= base;
                count += 1;
                if number == 0 {
                    break;
                }
            }
        };
        let width = match form {
            Form::Decimal(width) => {
                digits(10, b'0');
                width
            }
            Form::Lower(width) => {
                digits(16, b'a');
                width
            }
            Form::Upper(width) => {
                digits(16, b'A');
                width
            }
            Form::Text => return Err(WRONG),
        };
        let count = count.max(usize::from(width));
        let from = written.get(DIGITS_MAX.checked_sub(count).ok_or(WRONG)?..).ok_or(WRONG)?;
        copy(from, self.out.get_mut(self.written..).ok_or(WRONG)?, count).ok_or(WRONG)?;
        self.written += count;
        Ok(())
    }
}

/// Digits of the largest number.
const DIGITS_MAX: usize = 20;
