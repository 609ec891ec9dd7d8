//! A parsed configuration file that still knows on which line each key stands.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::ConfigError;
use super::keys::{KEYS, Key};

/// A configuration file in which every key is known.
#[derive(Debug)]
pub struct Document {
    path: PathBuf,
    text: String,
    /// Each key that is given, with where its value begins and ends.
    given: Vec<(String, std::ops::Range<usize>)>,
}

impl Document {
    /// Parses a file and checks that every key in it is known.
    ///
    /// # Errors
    /// [`ConfigError`]: not TOML, or an unknown key.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let mut document = Self { path: path.to_owned(), text: text.to_owned(), given: Vec::new() };
        let table = DeTable::parse(text).map_err(|error| document.toml_mistake(&error))?;
        let mut given = Vec::new();
        collect(table.get_ref(), "", &mut given);
        for Given { key, key_at, value_at, is_table } in given {
            if !is_table && is_known(&key, true) && !is_known(&key, false) {
                return Err(document.not_a_section(&key, key_at));
            }
            if !is_known(&key, is_table) {
                return Err(document.unknown(&key, key_at));
            }
            document.given.push((key, value_at));
        }
        Ok(document)
    }

    /// Reads the values.
    ///
    /// # Errors
    /// [`ConfigError`]: a value of another kind than its key takes.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        toml::from_str(&self.text).map_err(|error| self.toml_mistake(&error))
    }

    /// Whether a key is given.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.given.iter().any(|(given, _)| given == key)
    }

    /// A value that its key cannot take: `problem` completes "`value` …".
    #[must_use]
    pub fn wrong(&self, key: &str, value: impl Display, problem: impl Display) -> ConfigError {
        self.mistake(key, format!("{value} {problem}"), form(key))
    }

    /// A mistake at a key.
    #[must_use]
    pub fn mistake(&self, key: &str, problem: String, hint: Option<String>) -> ConfigError {
        let at = self.given.iter().find(|(given, _)| given == key).map(|(_, at)| at.start);
        ConfigError {
            file: self.path.clone(),
            line: at.map(|at| self.line(at)),
            key: Some(key.to_owned()),
            problem,
            hint,
        }
    }

    fn line(&self, at: usize) -> usize {
        let before = self.text.as_bytes().get(..at).unwrap_or(self.text.as_bytes());
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }

    fn not_a_section(&self, key: &str, at: usize) -> ConfigError {
        ConfigError {
            file: self.path.clone(),
            line: Some(self.line(at)),
            key: Some(key.to_owned()),
            problem: "is a section and takes no value".to_owned(),
            hint: Some(format!("write [{key}] and its keys on the lines below")),
        }
    }

    fn unknown(&self, key: &str, at: usize) -> ConfigError {
        let problem = format!("unknown key `{key}`");
        let hint = match nearest(key) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "docs/configure-gateway.md lists every key".to_owned(),
        };
        ConfigError {
            file: self.path.clone(),
            line: Some(self.line(at)),
            key: None,
            problem,
            hint: Some(hint),
        }
    }

    fn toml_mistake(&self, error: &toml::de::Error) -> ConfigError {
        let at = error.span().map(|span| span.start);
        // Of the values that contain the place the one that begins last is the innermost.
        let inside = |range: &std::ops::Range<usize>| at.is_some_and(|at| range.contains(&at));
        let key = self
            .given
            .iter()
            .filter(|(_, range)| inside(range))
            .max_by_key(|(_, range)| range.start)
            .map(|(key, _)| key.clone());
        ConfigError {
            file: self.path.clone(),
            line: at.map(|at| self.line(at)),
            hint: key.as_deref().and_then(form),
            key,
            problem: error.message().to_owned(),
        }
    }
}

struct Given {
    key: String,
    key_at: usize,
    value_at: std::ops::Range<usize>,
    is_table: bool,
}

fn collect(table: &DeTable<'_>, prefix: &str, given: &mut Vec<Given>) {
    for (name, value) in table {
        let name: &Spanned<_> = name;
        let key = if prefix.is_empty() {
            name.get_ref().to_string()
        } else {
            format!("{prefix}.{}", name.get_ref())
        };
        let is_table = matches!(value.get_ref(), DeValue::Table(_));
        given.push(Given { key: key.clone(), key_at: name.span().start, value_at: value.span(), is_table });
        if let DeValue::Table(inner) = value.get_ref()
            && is_known(&key, true)
        {
            collect(inner, &key, given);
        }
    }
}

fn is_known(key: &str, is_table: bool) -> bool {
    let below = |known: &Key| known.name.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
    KEYS.iter().any(|known| known.name == key) || (is_table && KEYS.iter().any(below))
}

fn form(key: &str) -> Option<String> {
    KEYS.iter().find(|known| known.name == key).map(|known| format!("`{key}` takes {}", known.takes))
}

/// The known key or section that most resembles this one, if any does.
fn nearest(key: &str) -> Option<&'static str> {
    let sections = KEYS.iter().filter_map(|known| known.name.split_once('.')).map(|(section, _)| section);
    let last = key.rsplit('.').next().unwrap_or(key);
    let candidates = KEYS.iter().map(|known| known.name).chain(sections).filter_map(|name| {
        let whole = distance(key, name);
        // The right key in the wrong section is near, too.
        let misplaced = name.rsplit('.').next() == Some(last);
        let far = if misplaced { 1 } else { whole };
        (far <= 1 + key.len() / 4).then_some((far, whole, name))
    });
    candidates.min().map(|(_, _, name)| name)
}

/// How many characters must be put in, left out or changed to turn one text into the other
/// (Levenshtein's distance).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (b, cell) in to.iter().zip(row.iter_mut().skip(1)) {
            let changed = diagonal + usize::from(a != *b);
            diagonal = *cell;
            left = changed.min(left + 1).min(*cell + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}
