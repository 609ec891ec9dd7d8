//! Every file that is known: what was read of it, and the open file while there is one.
//!
//! An entry whose file is not open is remembered for a while ([`CLOSED_WAIT_MS`]): its file may
//! come back under another name or once a file system is mounted, and must not be read again.

use std::collections::BTreeSet;

use driftlog_proto::time::Mono;

use super::cursor::Cursor;
use super::files::Stat;
use super::fingerprint::Anchor;

/// Files that are followed at once.
pub const FILES_MAX: usize = 256;
/// Files that are remembered without being open.
pub const CLOSED_MAX: usize = 256;
/// How long a file that is not open is remembered.
pub(crate) const CLOSED_WAIT_MS: u64 = 15 * 60 * 1000;
/// How long a deleted file is held open after its last growth, for a writer that holds it too.
pub(crate) const DELETED_WAIT_MS: u64 = 5_000;
/// How long a file that was renamed to where no pattern leads is held open after its last growth.
pub(crate) const RENAMED_WAIT_MS: u64 = 60 * 60 * 1000;

/// How an open file is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Nothing was read of it: it may turn out to be a copy.
    Fresh,
    /// It is read.
    Read,
    /// It is a copy of the file with this key, which goes on: it is not read.
    CopyOf(u64),
}

/// A file to which no pattern leads any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leaving {
    pub(crate) since: Mono,
    pub(crate) is_deleted: bool,
}

/// An open file.
#[derive(Debug)]
pub(crate) struct Open<H> {
    pub(crate) handle: H,
    /// The index of the `[[source]]` it belongs to; none for what is left of a rotated file.
    pub(crate) source: Option<usize>,
    pub(crate) role: Role,
    /// Length and time of writing when it was last looked at: what differs is to be read.
    pub(crate) seen: (u64, u64),
    /// Up to where bytes were seen.
    pub(crate) end: u64,
    /// When bytes were last seen to come.
    pub(crate) grown_at: Mono,
    /// There are bytes after the cursor that do not make a line yet.
    pub(crate) has_tail: bool,
    pub(crate) is_queued: bool,
    /// It is a copy of a file of which nothing was read either: which is read is decided later.
    pub(crate) is_undecided: bool,
    /// That it is a copy was said.
    pub(crate) is_said: bool,
    /// It had no name when it was last looked at.
    pub(crate) is_nameless: bool,
    pub(crate) leaving: Option<Leaving>,
}

impl<H> Open<H> {
    pub(crate) fn new(handle: H, stat: &Stat, source: Option<usize>, role: Role, now: Mono) -> Self {
        Self {
            handle,
            source,
            role,
            seen: (stat.len, stat.written),
            end: 0,
            grown_at: now,
            has_tail: false,
            is_queued: false,
            is_undecided: false,
            is_said: false,
            is_nameless: false,
            leaving: None,
        }
    }

    /// When a file that leaves is given up.
    pub(crate) fn leaves_at(&self) -> Option<Mono> {
        self.leaving.map(|leaving| {
            let wait = if leaving.is_deleted { DELETED_WAIT_MS } else { RENAMED_WAIT_MS };
            leaving.since.max(self.grown_at).plus_ms(wait)
        })
    }
}

/// Whether the spool has an entry's cursor as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seal {
    /// It has, or there is nothing to have.
    Settled,
    /// It has an older one, or none.
    Moved,
    /// It was offered for a frame that is not durable yet.
    Offered,
}

/// A file that must not be read before something else happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct After {
    /// The slot of the file that was at the same path before: it is read to its end first.
    pub(crate) slot: usize,
    /// Also wait until what was read of it is sealed, since both are the same inode.
    pub(crate) until_sealed: bool,
}

/// A known file.
#[derive(Debug)]
pub(crate) struct Entry<H> {
    /// Given when the first line is given out; what has none needs no cursor.
    pub(crate) key: Option<u64>,
    pub(crate) cursor: Cursor,
    /// Where its key begins.
    pub(crate) begun: Anchor,
    pub(crate) seal: Seal,
    /// Lines were given out since its cursor was last sealed.
    pub(crate) has_unsealed_lines: bool,
    /// A cursor with this key was offered to the spool, or came from it.
    pub(crate) is_in_spool: bool,
    pub(crate) after: Option<After>,
    /// The key of what the same file held until it was truncated: its own is made from it.
    pub(crate) replaces: Option<u64>,
    pub(crate) open: Option<Open<H>>,
    /// Since when it is not open; none while it is, and before the first scan.
    pub(crate) closed_at: Option<Mono>,
    /// It was read to the end before it was closed: nothing is missing if it does not come back.
    pub(crate) is_finished: bool,
    /// Its file was seen to hold other bytes: it goes on in a copy, if anywhere, and no longer under its inode.
    /// Not kept over a restart: a power cut may bring back what was truncated.
    pub(crate) is_overwritten: bool,
}

impl<H> Entry<H> {
    /// A file of which nothing was read.
    pub(crate) fn fresh(cursor: Cursor, open: Open<H>) -> Self {
        Self {
            key: None,
            cursor,
            begun: Anchor::START,
            seal: Seal::Settled,
            has_unsealed_lines: false,
            is_in_spool: false,
            after: None,
            replaces: None,
            open: Some(open),
            closed_at: None,
            is_finished: false,
            is_overwritten: false,
        }
    }

    /// A file that was read before the restart.
    pub(crate) fn recovered(key: u64, cursor: Cursor) -> Self {
        Self {
            key: Some(key),
            cursor,
            begun: Anchor::START,
            seal: Seal::Settled,
            has_unsealed_lines: false,
            is_in_spool: true,
            after: None,
            replaces: None,
            open: None,
            closed_at: None,
            is_finished: false,
            is_overwritten: false,
        }
    }

    /// Its file holds other bytes now.
    pub(crate) fn overwrite(&mut self) {
        (self.is_finished, self.is_overwritten) = (true, true);
    }

    pub(crate) fn close(&mut self, now: Mono) -> Option<Open<H>> {
        self.closed_at = Some(now);
        self.open.take()
    }
}

/// Entries by slot. A slot is stable as long as its entry lives.
#[derive(Debug)]
pub(crate) struct Table<H> {
    slots: Vec<Option<Entry<H>>>,
}

impl<H> Default for Table<H> {
    fn default() -> Self {
        Self { slots: Vec::new() }
    }
}

impl<H> Table<H> {
    pub(crate) fn insert(&mut self, entry: Entry<H>) -> usize {
        match self.slots.iter_mut().enumerate().find(|(_, slot)| slot.is_none()) {
            Some((index, slot)) => {
                *slot = Some(entry);
                index
            }
            None => {
                self.slots.push(Some(entry));
                self.slots.len() - 1
            }
        }
    }

    /// What waited for it waits for what it waited for.
    pub(crate) fn remove(&mut self, slot: usize) -> Option<Entry<H>> {
        let removed = self.slots.get_mut(slot)?.take()?;
        let waits = |entry: &&mut Entry<H>| entry.after.is_some_and(|after| after.slot == slot);
        self.slots.iter_mut().flatten().filter(waits).for_each(|entry| entry.after = removed.after);
        Some(removed)
    }

    /// Whether what a file has to wait for is still to happen.
    pub(crate) fn waits(&self, entry: &Entry<H>) -> bool {
        let before = entry.after.and_then(|after| Some((after, self.entry(after.slot)?)));
        before.is_some_and(|(after, before)| {
            let is_read = before.open.as_ref().is_none_or(|open| !open.is_queued);
            !is_read || after.until_sealed && before.has_unsealed_lines
        })
    }

    /// A file that waits for nothing is not read before another was read to its end, unless that waits for this
    /// one.
    pub(crate) fn wait(&mut self, slot: usize, before: usize) {
        if self.entry(slot).is_none_or(|entry| self.waits(entry)) {
            return;
        }
        let next = |&slot: &usize| self.entry(slot)?.after.map(|after| after.slot);
        if std::iter::successors(Some(before), next).any(|waits| waits == slot) {
            return;
        }
        if let Some(entry) = self.entry_mut(slot) {
            entry.after = Some(After { slot: before, until_sealed: false });
        }
    }

    pub(crate) fn entry(&self, slot: usize) -> Option<&Entry<H>> {
        self.slots.get(slot)?.as_ref()
    }

    pub(crate) fn entry_mut(&mut self, slot: usize) -> Option<&mut Entry<H>> {
        self.slots.get_mut(slot)?.as_mut()
    }

    pub(crate) fn open(&self, slot: usize) -> Option<&Open<H>> {
        self.entry(slot)?.open.as_ref()
    }

    pub(crate) fn open_mut(&mut self, slot: usize) -> Option<&mut Open<H>> {
        self.entry_mut(slot)?.open.as_mut()
    }

    /// Every slot number, used or not.
    pub(crate) fn slots(&self) -> std::ops::Range<usize> {
        0..self.slots.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &Entry<H>)> {
        self.slots.iter().enumerate().filter_map(|(slot, entry)| Some((slot, entry.as_ref()?)))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut Entry<H>)> {
        self.slots.iter_mut().enumerate().filter_map(|(slot, entry)| Some((slot, entry.as_mut()?)))
    }

    pub(crate) fn with_key(&self, key: u64) -> Option<(usize, &Entry<H>)> {
        self.iter().find(|(_, entry)| entry.key == Some(key))
    }

    /// The slot in which a file is open.
    pub(crate) fn with_file(&self, dev: u64, ino: u64) -> Option<usize> {
        self.iter()
            .find(|(_, e)| e.open.is_some() && e.cursor.dev == dev && e.cursor.ino == ino)
            .map(|(slot, _)| slot)
    }

    /// The keys that are to be known until a file that was truncated has a durable key of its own.
    pub(crate) fn replaced(&self) -> BTreeSet<u64> {
        let has_none = |entry: &Entry<H>| entry.key.is_none() || !entry.is_in_spool;
        self.iter().filter(|(_, entry)| has_none(entry)).filter_map(|(_, entry)| entry.replaces).collect()
    }

    pub(crate) fn open_count(&self) -> usize {
        self.iter().filter(|(_, entry)| entry.open.is_some()).count()
    }
}
