//! How far every known file was read, for a person.

use super::Sources;
use super::files::Files;
use super::table::Role;

/// How far one known file was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceStatus<'a> {
    /// Where it was last seen.
    pub path: &'a str,
    /// Its key, once something was read.
    pub file: Option<u64>,
    /// How far it was read.
    pub offset: u64,
    /// How long it is as far as seen; 0 when it is not open.
    pub len: u64,
    /// What is being done with it.
    pub state: SourceState,
}

/// What is being done with a known file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// It is read as it grows.
    Followed,
    /// It was renamed away or deleted: it is read to its end.
    Leaving,
    /// It is a copy of another: it is not read.
    Copy,
    /// It is not open; its cursor is kept in case it comes back.
    Remembered,
}

impl<F: Files> Sources<F> {
    /// Every known file.
    pub fn status(&self) -> impl Iterator<Item = SourceStatus<'_>> {
        self.table.iter().map(|(_, entry)| SourceStatus {
            path: &entry.cursor.path,
            file: entry.key,
            offset: entry.cursor.here.offset,
            len: entry.open.as_ref().map_or(0, |open| open.seen.0.max(open.end)),
            state: match &entry.open {
                None => SourceState::Remembered,
                Some(open) if matches!(open.role, Role::CopyOf(_)) => SourceState::Copy,
                Some(open) if open.leaving.is_some() => SourceState::Leaving,
                Some(_) => SourceState::Followed,
            },
        })
    }
}
