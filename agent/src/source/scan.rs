//! Searching: which files match now, where those that are open have gone, what came back.

use std::collections::BTreeMap;

use driftlog_proto::time::Mono;

use super::cursor::Cursor;
use super::discover::{Candidate, Found, Patterns, walk};
use super::files::{FileErrorCause, Files, Stat};
use super::fingerprint::{Anchor, HEAD_BYTES_MAX, Head};
use super::fit::{Fit, fit};
use super::line::Within;
use super::names::{directory, file_name, is_rotation_of};
use super::table::{After, CLOSED_MAX, CLOSED_WAIT_MS, Entry, FILES_MAX, Leaving, Open, Role, Seal};
use super::turn::unused_key;
use super::{SourceNoticeKind, Sources};

impl<F: Files> Sources<F> {
    pub(crate) fn scan(&mut self, now: Mono) {
        let patterns: Vec<Patterns> = self.config.files.iter().map(|file| file.patterns.clone()).collect();
        let found = walk(&mut self.files, &patterns);
        for error in &found.failures {
            self.complain(error.path.clone(), SourceNoticeKind::Unreadable, || error.to_string());
        }
        if found.is_cut {
            self.complain(String::from("walk"), SourceNoticeKind::TooManyFiles, || {
                String::from(
                    "the patterns lead to more directories or files than are searched; make them narrower",
                )
            });
        }
        let mut moved = self.place_open(&found, now);
        let mut new = Vec::new();
        for candidate in self.choose_new(&found, now) {
            moved.extend(self.adopt(candidate, now));
            new.push(candidate.path.as_str());
        }
        self.find_closed(now);
        for (path, slot) in moved {
            self.wait_for(&path, Some(slot));
        }
        for path in new {
            self.wait_for(path, None);
        }
        self.expire(&found, now);
    }

    /// Where the open files are now. Returns the paths that those with a key are no longer at.
    fn place_open(&mut self, found: &Found, now: Mono) -> Vec<(String, usize)> {
        let mut places: BTreeMap<(u64, u64), Vec<&Candidate>> = BTreeMap::new();
        for file in &found.files {
            places.entry((file.stat.dev, file.stat.ino)).or_default().push(file);
        }
        let mut moved = Vec::new();
        for slot in self.table.slots() {
            let Some(entry) = self.table.entry_mut(slot) else { continue };
            let Some(open) = &mut entry.open else { continue };
            let id = (entry.cursor.dev, entry.cursor.ino);
            let names = places.get(&id).map(Vec::as_slice).unwrap_or_default();
            let was = entry.cursor.path.clone();
            let name = names.iter().find(|name| name.path == was).or(names.first());
            if let Some(name) = name {
                (open.leaving, open.source) = (None, Some(name.source));
                if name.path == was {
                    continue;
                }
                entry.cursor.path.clone_from(&name.path);
                entry.seal = Seal::Moved;
            } else {
                let is_there = |stat: Stat| (stat.dev, stat.ino) == id;
                let cut_off = found.is_cut || !found.failures.is_empty();
                if cut_off && self.files.stat(&was).is_ok_and(is_there) {
                    continue;
                }
                let is_deleted = open.is_nameless;
                if open.leaving.is_none_or(|leaving| leaving.is_deleted != is_deleted) {
                    open.leaving = Some(Leaving { since: now, is_deleted });
                }
            }
            moved.extend(entry.key.map(|_| (was, slot)));
        }
        moved
    }

    /// Which of the files found are not open and shall be: those with a cursor first, then those
    /// written last, as many as there is room for.
    fn choose_new<'a>(&mut self, found: &'a Found, now: Mono) -> Vec<&'a Candidate> {
        let mut new: BTreeMap<(u64, u64), &Candidate> = BTreeMap::new();
        for file in &found.files {
            if self.table.with_file(file.stat.dev, file.stat.ino).is_none() {
                new.entry((file.stat.dev, file.stat.ino)).or_insert(file);
            }
        }
        let mut new: Vec<&Candidate> = new.into_values().collect();
        let room = FILES_MAX.saturating_sub(self.table.open_count());
        let room = room + self.give_up_leaving(new.len().saturating_sub(room), now);
        if new.len() > room {
            self.complain(String::from("files"), SourceNoticeKind::TooManyFiles, || {
                format!(
                    "{} files match and {FILES_MAX} can be followed: those written last are; \
                     make the patterns narrower or exclude old files",
                    found.files.len()
                )
            });
        } else {
            self.complaints.remove("files");
        }
        let is_known = |file: &Candidate| {
            let may_be = |e: &Entry<F::Handle>| !e.is_overwritten && e.cursor.may_be(&file.stat, self.boot);
            self.table.iter().any(|(_, e)| e.open.is_none() && may_be(e))
        };
        new.sort_by_cached_key(|file| (!is_known(file), std::cmp::Reverse(file.stat.written)));
        new.truncate(room);
        new.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        new
    }

    /// Closes up to `count` files that were renamed away and read to their end, to make room.
    /// Returns how many.
    fn give_up_leaving(&mut self, count: usize, now: Mono) -> usize {
        let is_idle = |open: &Open<F::Handle>| {
            !open.is_queued && open.leaving.is_some_and(|leaving| !leaving.is_deleted)
        };
        let mut leaving: Vec<(Mono, usize)> = (self.table.iter())
            .filter_map(|(slot, e)| Some((e.open.as_ref().filter(|open| is_idle(open))?.grown_at, slot)))
            .collect();
        leaving.sort_unstable();
        leaving.truncate(count);
        for (_, slot) in &leaving {
            self.finish(*slot, now);
        }
        leaving.len()
    }

    /// Opens a file and finds its cursor by inode; without one it is fresh. Returns the path that
    /// it had before, if another, and in which slot it is.
    fn adopt(&mut self, candidate: &Candidate, now: Mono) -> Option<(String, usize)> {
        let opened = self.files.open(&candidate.path);
        let stat = opened.and_then(|handle| Ok((self.files.stat_open(&handle)?, handle)));
        let (stat, handle) = match stat {
            Ok(opened) => opened,
            Err(error) if error.cause == FileErrorCause::NotFound => return None,
            Err(error) => {
                self.complain(candidate.path.clone(), SourceNoticeKind::Unreadable, || error.to_string());
                return None;
            }
        };
        if self.table.with_file(stat.dev, stat.ino).is_some() {
            return None;
        }
        let place = Cursor::start(candidate.path.clone(), &stat, self.boot);
        let known = match self.closed_with_inode(&handle, &stat) {
            Ok(known) => known,
            Err(error) => {
                self.complain(candidate.path.clone(), SourceNoticeKind::Unreadable, || error.to_string());
                return None;
            }
        };
        let open = Open::new(handle, &stat, Some(candidate.source), Role::Fresh, now);
        let Some((slot, fit)) = known else {
            let slot = self.table.insert(Entry::fresh(place, open));
            self.enqueue(slot);
            return None;
        };
        let was = self.table.entry(slot)?.cursor.path.clone();
        let slot = if fit == Fit::Whole {
            self.reopen(slot, open, &place, now);
            slot
        } else {
            self.adopt_changed(slot, fit, open, place, now)?
        };
        Some((was, slot)).filter(|(was, _)| *was != candidate.path)
    }

    /// The closed file that this inode is, and how its bytes fit. The best, if there are several.
    fn closed_with_inode(
        &mut self,
        handle: &F::Handle,
        stat: &Stat,
    ) -> Result<Option<(usize, Fit)>, super::FileError> {
        let mut best: Option<(usize, Fit, (u8, u64))> = None;
        for (slot, entry) in self.table.iter() {
            if entry.open.is_some() || entry.is_overwritten || !entry.cursor.may_be(stat, self.boot) {
                continue;
            }
            let fit = fit(&mut self.files, handle, stat.len, &entry.cursor)?;
            let rank = match fit {
                Fit::Whole => (2, entry.cursor.here.offset),
                Fit::UpTo(anchor) => (1, anchor.offset),
                Fit::Not => (0, 0),
            };
            if best.is_none_or(|(_, _, most)| rank > most) {
                best = Some((slot, fit, rank));
            }
        }
        Ok(best.map(|(slot, fit, _)| (slot, fit)))
    }

    /// A file by its inode, but its bytes are no longer those that were read. Returns the slot in which it
    /// is read.
    fn adopt_changed(
        &mut self,
        known: usize,
        fit: Fit,
        open: Open<F::Handle>,
        place: Cursor,
        now: Mono,
    ) -> Option<usize> {
        let entry = self.table.entry_mut(known)?;
        let is_same_boot = entry.cursor.boot == self.boot;
        if let (Fit::UpTo(anchor), false) = (fit, is_same_boot) {
            return self.go_on_shorter(known, anchor, open, place);
        }
        entry.overwrite();
        let (key, path, offset) = (entry.key, place.path.clone(), entry.cursor.here.offset);
        let mut fresh = Entry::fresh(place, open);
        fresh.after = key.map(|_| After { slot: known, until_sealed: true });
        fresh.replaces = key;
        let slot = self.table.insert(fresh);
        self.enqueue(slot);
        let what = if is_same_boot { "was truncated or replaced" } else { "holds other bytes" };
        let rest = if self.find_beside(known, now).is_some() {
            "what it held is read on from its copy"
        } else {
            "what it held after that is missing, if it held more"
        };
        self.notices.say(
            SourceNoticeKind::Truncated,
            format!(
                "{path} {what} since the agent last ran, when {offset} bytes of it were read; {rest}, and it \
                 is read from the beginning"
            ),
        );
        Some(slot)
    }

    /// A file that lost bytes in a power cut is read on from an anchor. Returns the slot in which it is.
    pub(crate) fn go_on_shorter(
        &mut self,
        known: usize,
        anchor: Anchor,
        open: Open<F::Handle>,
        place: Cursor,
    ) -> Option<usize> {
        let entry = self.table.entry_mut(known)?;
        entry.overwrite();
        let (key, before) = (entry.key.unwrap_or(0), entry.cursor.clone());
        let (path, len, offset) = (place.path.clone(), open.seen.0, before.here.offset);
        let slot = self.go_on_at(&before, key, anchor, open, place);
        self.notices.say(
            SourceNoticeKind::Shorter,
            format!(
                "{path}: {offset} bytes were read before the power went, and of its {len} bytes now only the \
                 first {} are known to be the same; it is read on from there: up to {} bytes may repeat, and \
                 what its writer had not synced is missing",
                anchor.offset,
                offset - anchor.offset,
            ),
        );
        Some(slot)
    }

    /// Reads on from an anchor, under another key: behind it other bytes may stand than before. Returns the
    /// slot.
    pub(crate) fn go_on_at(
        &mut self,
        before: &Cursor,
        key: u64,
        anchor: Anchor,
        mut open: Open<F::Handle>,
        place: Cursor,
    ) -> usize {
        let mut head = [0; HEAD_BYTES_MAX];
        let n = self.files.read_at(&open.handle, 0, &mut head).unwrap_or(0);
        let n = usize::try_from(anchor.offset).map_or(n, |offset| n.min(offset));
        let seed = [key.to_le_bytes(), anchor.offset.to_le_bytes()].concat();
        let key = unused_key(&self.table, (place.ino, place.born), &seed);
        self.remember(key);
        open.role = Role::Read;
        let cursor = Cursor {
            within: Within::Start,
            head: Head::of(head.get(..n).unwrap_or_default()),
            here: anchor,
            earlier: before.earlier.up_to(anchor.offset),
            written: before.written,
            ..place
        };
        let mut entry = Entry::fresh(cursor, open);
        (entry.key, entry.seal, entry.begun) = (Some(key), Seal::Moved, anchor);
        let slot = self.table.insert(entry);
        self.enqueue(slot);
        slot
    }

    /// Looks beside their old places for the rest of files that did not come back.
    fn find_closed(&mut self, now: Mono) {
        for slot in self.table.slots() {
            let is_sought =
                self.table.entry(slot).is_some_and(|entry| entry.open.is_none() && !entry.is_finished);
            if is_sought {
                let was = self.table.entry(slot).map(|entry| entry.cursor.path.clone());
                if let (Some(slot), Some(path)) = (self.find_beside(slot, now), was) {
                    self.wait_for(&path, Some(slot));
                }
            }
        }
    }

    /// A file of which nothing was read is read after what was rotated away from where it stands: first what was
    /// begun, last the one in `slot` that stood there until now; then what stood there meanwhile and was rotated
    /// away unseen, as it was written. It may have a key: that of a line which went to the urgent lane before an
    /// agent ended. Where nothing was begun there is no order to keep.
    fn wait_for(&mut self, path: &str, slot: Option<usize>) {
        let is_rotated = |entry: &Entry<F::Handle>| {
            let other = entry.cursor.path.as_str();
            directory(other) == directory(path) && is_rotation_of(file_name(other), file_name(path))
        };
        let (mut begun, mut unseen, mut last) = (Vec::new(), Vec::new(), None);
        for (at, entry) in self.table.iter().filter(|(at, entry)| entry.open.is_some() && Some(*at) != slot) {
            let is_unread = entry.cursor.here == Anchor::START;
            if is_unread && entry.cursor.path == path {
                last = Some(at);
            } else if is_rotated(entry) {
                let rotated = if is_unread { &mut unseen } else { &mut begun };
                rotated.push((entry.cursor.written, entry.cursor.path.as_str(), at));
            }
        }
        begun.sort_unstable();
        unseen.sort_unstable();
        let mut order: Vec<usize> = begun.into_iter().map(|(.., at)| at).chain(slot).collect();
        if order.is_empty() {
            return;
        }
        order.extend(unseen.into_iter().map(|(.., at)| at).chain(last));
        for (before, at) in order.iter().zip(order.iter().skip(1)) {
            self.table.wait(*at, *before);
        }
    }

    /// Forgets what did not come back in time, or for which there is no room. The time of a file that may
    /// be there, and only cannot be looked at, opened or read, or for which there is no room among those that
    /// are followed, does not run. What was truncated is known until what took its place has a key: the two
    /// may begin alike.
    fn expire(&mut self, found: &Found, now: Mono) {
        let boot = self.boot;
        let mut closed: Vec<(Mono, usize)> = Vec::new();
        for (slot, entry) in self.table.iter_mut().filter(|(_, entry)| entry.open.is_none()) {
            let is_there = |cursor: &Cursor| found.files.iter().any(|file| cursor.may_be(&file.stat, boot));
            if !entry.is_finished && (found.is_hidden(&entry.cursor.path) || is_there(&entry.cursor)) {
                entry.closed_at = Some(now);
            }
            closed.push((*entry.closed_at.get_or_insert(now), slot));
        }
        closed.sort_unstable();
        let excess = closed.len().saturating_sub(CLOSED_MAX);
        let replaced = self.table.replaced();
        for (index, (since, slot)) in closed.into_iter().enumerate() {
            if index >= excess && now.ms_since(since) < CLOSED_WAIT_MS {
                continue;
            }
            let key = self.table.entry(slot).and_then(|entry| entry.key);
            if key.is_some_and(|key| replaced.contains(&key)) {
                continue;
            }
            if let Some(entry) = self.table.entry(slot).filter(|entry| !entry.is_finished) {
                self.notices.say(
                    SourceNoticeKind::Gone,
                    format!(
                        "{}, of which {} bytes were read, did not come back: what it held after that is \
                         missing, if it held more",
                        entry.cursor.path, entry.cursor.here.offset
                    ),
                );
            }
            self.forget(slot);
        }
    }
}
