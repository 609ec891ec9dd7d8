//! Templates by number, and the column of each variable in them.
//!
//! Neighbouring variables without a hard delimiter between them are a *group*: an address, a
//! version, a date. What a variable's column is follows from the template's text alone: the hash
//! of what stands from the last word before the group (letters and `_`) to the variable. When no
//! word stands between the group and the variable before it, the hash begins behind that one, and
//! that one's column belongs to it.

use core::ops::Range;

use heapless::Vec;

use super::columns::Columns;
use super::{ESCAPE, FNV_START, SLOTS_MAX, Span, TEMPLATES_MAX, VARIABLE, VARIABLES_MAX, fnv};

/// One template.
#[derive(Clone, Copy, Debug)]
pub(super) struct Template {
    /// Where it stands in the text, without its newline.
    pub(super) text: Span,
    /// Whether something in it is escaped.
    pub(super) has_escape: bool,
    slots: u16,
    count: u16,
    /// The template of the line that came after the last line with this one.
    pub(super) next: Option<u16>,
}

/// The place of a variable in a template.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    /// Where its byte stands in the text.
    pub(super) at: u32,
    pub(super) column: u16,
    /// How many variables the group has that begins here; 0 inside a group.
    pub(super) group: u8,
}

/// All templates of a text.
pub(super) struct Templates {
    templates: Vec<Template, TEMPLATES_MAX>,
    slots: Vec<Slot, SLOTS_MAX>,
}

impl Templates {
    pub(super) const fn new() -> Self {
        Self { templates: Vec::new(), slots: Vec::new() }
    }

    pub(super) fn clear(&mut self) {
        self.templates.clear();
        self.slots.clear();
    }

    pub(super) fn get(&self, number: u16) -> Option<&Template> {
        self.templates.get(usize::from(number))
    }

    pub(super) fn get_mut(&mut self, number: u16) -> Option<&mut Template> {
        self.templates.get_mut(usize::from(number))
    }

    /// The places of a template's variables.
    pub(super) fn slots_of(&self, template: &Template) -> &[Slot] {
        let start = usize::from(template.slots);
        self.slots.get(start..start + usize::from(template.count)).unwrap_or_default()
    }

    /// Whether there is room for a template with so many variables.
    pub(super) fn has_room(&self, variables: usize) -> bool {
        !self.templates.is_full() && self.slots.len() + variables <= SLOTS_MAX && variables <= VARIABLES_MAX
    }

    /// Gives the template that stands in `text` a number, and its variables their columns.
    ///
    /// `None` when there is no room; then there may be columns that no template has.
    pub(super) fn add(&mut self, text: &[u8], template: Span, columns: &mut Columns) -> Option<u16> {
        let start = self.slots.len();
        let mut group = start;
        let mut before = 0;
        for variable in Variables::new(text, template) {
            let key = if variable.follows { mix(variable.key, before) } else { variable.key };
            before = columns.find(key);
            if variable.is_first {
                group = self.slots.len();
            }
            let slot = Slot { at: variable.at as u32, column: before, group: 0 };
            self.slots.push(slot).ok()?;
            let first = self.slots.get_mut(group)?;
            first.group = first.group.checked_add(1)?;
        }
        let has_escape = memchr::memchr(ESCAPE, template.of(text)).is_some();
        // They are at most SLOTS_MAX and TEMPLATES_MAX.
        let (slots, count) = (start as u16, (self.slots.len() - start) as u16);
        let number = self.templates.len() as u16;
        self.templates.push(Template { text: template, has_escape, slots, count, next: None }).ok()?;
        Some(number)
    }
}

fn mix(key: u32, column: u16) -> u32 {
    column.to_le_bytes().into_iter().fold(key, fnv)
}

/// A variable of a template.
struct Variable {
    at: usize,
    /// Whether a group begins here.
    is_first: bool,
    /// Whether it begins one right behind another, with no word between.
    follows: bool,
    key: u32,
}

/// The variables of a template, in the order in which they stand.
struct Variables<'a> {
    text: &'a [u8],
    at: usize,
    end: usize,
    /// Where the last word begins; the template's beginning when there is none.
    word: usize,
    is_in_word: bool,
    /// Whether a word stands behind the last variable.
    has_word: bool,
    /// Behind the last variable.
    behind: Option<usize>,
    is_in_group: bool,
    /// The hash up to `at`, inside of a group.
    hash: u32,
}

impl<'a> Variables<'a> {
    fn new(text: &'a [u8], template: Span) -> Self {
        let Range { start: at, end } = template.range();
        let (is_in_word, has_word, is_in_group) = (false, false, false);
        Self { text, at, end, word: at, is_in_word, has_word, behind: None, is_in_group, hash: 0 }
    }

    fn variable(&mut self) -> Variable {
        let is_first = !self.is_in_group;
        let follows = is_first && !self.has_word && self.behind.is_some();
        if is_first {
            let from = self.behind.filter(|_| follows).unwrap_or(self.word);
            let context = self.text.get(from..self.at).unwrap_or_default();
            self.hash = context.iter().copied().fold(FNV_START, fnv);
        }
        self.hash = fnv(self.hash, VARIABLE);
        let at = self.at;
        self.at += 1;
        self.behind = Some(self.at);
        (self.is_in_group, self.has_word, self.is_in_word) = (true, false, false);
        Variable { at, is_first, follows, key: self.hash }
    }

    /// A byte that stays.
    fn pass(&mut self, kind: Kind, byte: u8) {
        let is_letter = kind == Kind::Letter;
        if is_letter && !self.is_in_word {
            self.word = self.at;
            self.has_word = true;
        }
        self.is_in_word = is_letter;
        if self.is_in_group {
            self.hash = fnv(self.hash, byte);
            self.is_in_group = kind != Kind::Hard;
        }
        self.at += 1;
    }
}

impl Iterator for Variables<'_> {
    type Item = Variable;

    fn next(&mut self) -> Option<Variable> {
        while let Some(&byte) = self.text.get(self.at).filter(|_| self.at < self.end) {
            match kind(byte) {
                Kind::Variable => return Some(self.variable()),
                Kind::Escape => {
                    self.pass(Kind::Other, ESCAPE);
                    let escaped = *self.text.get(self.at)?;
                    self.pass(kind(escaped), escaped);
                }
                kind => self.pass(kind, byte),
            }
        }
        None
    }
}

/// What a byte of a template is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Other,
    /// Of a word.
    Letter,
    /// Ends a group.
    Hard,
    Variable,
    Escape,
}

fn kind(byte: u8) -> Kind {
    const KINDS: [Kind; 256] = {
        let mut kinds = [Kind::Other; 256];
        let mut byte = 0;
        while byte < 256 {
            #[expect(clippy::indexing_slicing, reason = "below 256")]
            let to = &mut kinds[byte];
            *to = match byte as u8 {
                b'A'..=b'Z' | b'a'..=b'z' | b'_' => Kind::Letter,
                b' ' | b'\t' | b',' | b';' | b'=' | b'[' | b']' | b'(' | b')' | b'{' | b'}' => Kind::Hard,
                b'"' | b'\'' | b'|' | b'<' | b'>' => Kind::Hard,
                VARIABLE => Kind::Variable,
                ESCAPE => Kind::Escape,
                _ => Kind::Other,
            };
            byte += 1;
        }
        kinds
    };
    #[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
    KINDS[usize::from(byte)]
}
