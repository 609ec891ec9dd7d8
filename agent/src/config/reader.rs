//! Reads a TOML document key by key and remembers every key that it was asked for, so that an
//! unknown key, its nearest known one and its line come from the code that reads, not from a list.
//!
//! A fault does not stop the reading: all of a file's faults are reported at once.

use std::cell::RefCell;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Fault, nearest};

/// One document being read, and what was found wrong with it.
pub(crate) struct Document<'i> {
    text: &'i str,
    faults: RefCell<Vec<Fault>>,
    #[cfg(test)]
    keys: RefCell<Vec<String>>,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Given<T> {
    pub(crate) value: T,
    pub(crate) at: Range<usize>,
}

/// One table of the document, or the absence of one.
pub(crate) struct Section<'d, 'i> {
    document: &'d Document<'i>,
    table: Option<&'d DeTable<'i>>,
    /// Dotted, empty for the root.
    name: String,
    known: Vec<&'static str>,
}

impl<'i> Document<'i> {
    pub(crate) fn new(text: &'i str) -> Self {
        Self {
            text,
            faults: RefCell::default(),
            #[cfg(test)]
            keys: RefCell::default(),
        }
    }

    /// Parses the text; a syntax error becomes the only fault.
    pub(crate) fn parse(&self) -> Option<Spanned<DeTable<'i>>> {
        match DeTable::parse(self.text) {
            Ok(table) => Some(table),
            Err(error) => {
                let at = error.span().unwrap_or(0..0);
                let what = error.message().replace('\n', ", ");
                self.fault(&at, format!("this is not TOML: {what}"), None);
                None
            }
        }
    }

    pub(crate) fn root<'d>(&'d self, table: &'d DeTable<'i>) -> Section<'d, 'i> {
        Section { document: self, table: Some(table), name: String::new(), known: Vec::new() }
    }

    pub(crate) fn fault(&self, at: &Range<usize>, what: String, hint: Option<String>) {
        let before = self.text.get(..at.start).unwrap_or(self.text);
        let line = 1 + before.bytes().filter(|byte| *byte == b'\n').count();
        self.faults.borrow_mut().push(Fault { line, what, hint });
    }

    pub(crate) fn fault_without_line(&self, what: String, hint: Option<String>) {
        self.faults.borrow_mut().push(Fault { line: 0, what, hint });
    }

    pub(crate) fn into_faults(self) -> Vec<Fault> {
        self.faults.into_inner()
    }

    /// Every key that was asked for, dotted, each once: for the test of the documentation.
    #[cfg(test)]
    pub(crate) fn keys(&self) -> Vec<String> {
        self.keys.borrow().clone()
    }
}

impl<'d, 'i> Section<'d, 'i> {
    pub(crate) fn document(&self) -> &'d Document<'i> {
        self.document
    }

    /// The key as an operator would write it in full.
    pub(crate) fn full(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    fn ask(&mut self, key: &'static str) -> Option<&'d Spanned<DeValue<'i>>> {
        self.known.push(key);
        #[cfg(test)]
        {
            let full = self.full(key);
            let mut keys = self.document.keys.borrow_mut();
            if !keys.contains(&full) {
                keys.push(full);
            }
        }
        self.table?.get(key)
    }

    fn wrong_type(&self, key: &str, wanted: &str, found: &Spanned<DeValue<'_>>) {
        let what = format!("`{}` must be {wanted}, not {}", self.full(key), kind(found.as_ref()));
        self.document.fault(&found.span(), what, None);
    }

    pub(crate) fn text(&mut self, key: &'static str) -> Option<Given<String>> {
        let found = self.ask(key)?;
        let Some(value) = found.as_ref().as_str() else {
            self.wrong_type(key, "text in quotes", found);
            return None;
        };
        if value.is_empty() {
            let what = format!("`{}` is empty", self.full(key));
            self.document.fault(&found.span(), what, Some("give a value or remove the line".to_owned()));
            return None;
        }
        Some(Given { value: value.to_owned(), at: found.span() })
    }

    /// A whole number within a range, or `default`.
    pub(crate) fn number(&mut self, key: &'static str, default: u64, range: RangeInclusive<u64>) -> u64 {
        let Some(found) = self.ask(key) else { return default };
        let parsed = found.as_ref().as_integer().map(|integer| {
            let digits = integer.as_str().trim_start_matches('+');
            i128::from_str_radix(digits, integer.radix()).unwrap_or(i128::MAX)
        });
        let Some(value) = parsed else {
            self.wrong_type(key, "a whole number", found);
            return default;
        };
        match u64::try_from(value) {
            Ok(value) if range.contains(&value) => value,
            _ => {
                let what = format!(
                    "`{}` is {value}; it must lie between {} and {}",
                    self.full(key),
                    range.start(),
                    range.end()
                );
                self.document.fault(&found.span(), what, None);
                default
            }
        }
    }

    /// One of a few words, or `default`.
    pub(crate) fn word<T: Copy>(&mut self, key: &'static str, words: &[(&'static str, T)], default: T) -> T {
        let Some(found) = self.ask(key) else { return default };
        let Some(value) = found.as_ref().as_str() else {
            self.wrong_type(key, "text in quotes", found);
            return default;
        };
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == value) {
            return *meaning;
        }
        let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let what = format!("`{}` is \"{value}\"; it must be one of: {}", self.full(key), names.join(", "));
        let hint = nearest(value, &names).map(|name| format!("did you mean \"{name}\"?"));
        self.document.fault(&found.span(), what, hint);
        default
    }

    /// A list of texts; a single text counts as a list of one.
    pub(crate) fn texts(&mut self, key: &'static str) -> Vec<Given<String>> {
        let Some(found) = self.ask(key) else { return Vec::new() };
        let items: Vec<_> = match found.as_ref() {
            DeValue::Array(items) => items.iter().collect(),
            DeValue::String(_) => vec![found],
            _ => {
                self.wrong_type(key, "a list of texts", found);
                return Vec::new();
            }
        };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match item.as_ref().as_str() {
                Some("") => {
                    self.document.fault(
                        &item.span(),
                        format!("`{}` holds an empty text", self.full(key)),
                        None,
                    );
                }
                Some(text) => texts.push(Given { value: text.to_owned(), at: item.span() }),
                None => self.wrong_type(key, "a list of texts", item),
            }
        }
        texts
    }

    /// A table of texts under keys that the operator chooses.
    pub(crate) fn pairs(&mut self, key: &'static str) -> Vec<(Given<String>, Given<String>)> {
        let Some(found) = self.ask(key) else { return Vec::new() };
        let Some(table) = found.as_ref().as_table() else {
            self.wrong_type(key, "a table of texts", found);
            return Vec::new();
        };
        let mut pairs = Vec::with_capacity(table.len());
        for (name, value) in table {
            match value.as_ref().as_str() {
                Some(text) => pairs.push((
                    Given { value: name.as_ref().to_string(), at: name.span() },
                    Given { value: text.to_owned(), at: value.span() },
                )),
                None => self.wrong_type(&format!("{key}.{}", name.as_ref()), "text in quotes", value),
            }
        }
        pairs.sort_by_key(|(name, _)| name.at.start);
        pairs
    }

    /// The table under a key; an absent one reads as empty.
    pub(crate) fn section(&mut self, key: &'static str) -> Self {
        self.known.push(key);
        let name = self.full(key);
        let found = self.table.and_then(|table| table.get(key));
        let table = found.and_then(|value| {
            let table = value.as_ref().as_table();
            if table.is_none() {
                self.wrong_type(key, "a table", value);
            }
            table
        });
        Section { document: self.document, table, name, known: Vec::new() }
    }

    /// The tables of a list (`[[key]]`), each with the place where it begins.
    pub(crate) fn sections(&mut self, key: &'static str) -> Vec<Given<Self>> {
        self.known.push(key);
        let Some(found) = self.table.and_then(|table| table.get(key)) else { return Vec::new() };
        let Some(items) = found.as_ref().as_array() else {
            self.document.fault(
                &found.span(),
                format!("`{}` must be a list of tables", self.full(key)),
                Some(format!("begin each with [[{}]]", self.full(key))),
            );
            return Vec::new();
        };
        let mut sections = Vec::with_capacity(items.len());
        for item in items.iter() {
            let Some(table) = item.as_ref().as_table() else {
                self.wrong_type(key, "a list of tables", item);
                continue;
            };
            let value = Section {
                document: self.document,
                table: Some(table),
                name: self.full(key),
                known: Vec::new(),
            };
            sections.push(Given { value, at: item.span() });
        }
        sections
    }

    /// Where the value of a key stands, if it is there.
    pub(crate) fn place(&self, key: &str) -> Option<Range<usize>> {
        self.table?.get(key).map(Spanned::span)
    }

    pub(crate) fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// Reports the keys that nobody asked for.
    pub(crate) fn finish(self) {
        let Some(table) = self.table else { return };
        for (key, _) in table {
            let word = key.as_ref().as_ref();
            if self.known.contains(&word) {
                continue;
            }
            let place = if self.name.is_empty() { String::new() } else { format!(" in [{}]", self.name) };
            let hint = match nearest(word, &self.known) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("known here: {}", self.known.join(", ")),
            };
            self.document.fault(&key.span(), format!("unknown key `{word}`{place}"), Some(hint));
        }
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
