//! Looking at what is open: what grew, what shrank, whose last line has waited long enough.

use driftlog_proto::time::Mono;

use super::cursor::Cursor;
use super::files::{FileError, Files};
use super::fit::holds;
use super::table::{After, Entry, Open, Role};
use super::turn::{Ready, idle_line_ms};
use super::{SourceNoticeKind, Sources, SourcesConfig};

/// After a hint: no sooner than this after the last look.
pub(crate) const HINTED_LOOK_MS: u64 = 50;
/// After a hint: no sooner than this after the last scan.
pub(crate) const HINTED_SCAN_MS: u64 = 1_000;
/// Paths about which something was said that is not said again.
const COMPLAINTS_MAX: usize = 64;

impl<F: Files> Sources<F> {
    /// Looks at open files, searches directories and ends waits, each as far as it is due.
    pub fn handle_tick(&mut self, now: Mono) {
        // What is open is looked at before names are: a copy is known as one only while it is
        // known whether its original still stands.
        if now >= self.next_look.min(self.next_scan) {
            self.break_turn();
            self.looked_at = now;
            let mut has_changed = false;
            for slot in self.table.slots() {
                has_changed |= self.look(slot, now);
            }
            self.hints.handle_look(now, has_changed);
            let SourcesConfig { poll_ms, rescan_ms, .. } = self.config;
            let wait_ms = if self.hints.suffice(now) { rescan_ms.max(poll_ms) } else { poll_ms };
            self.next_look = now.plus_ms(wait_ms);
        }
        if now >= self.next_scan {
            self.scanned_at = now;
            self.next_scan = now.plus_ms(self.config.rescan_ms);
            self.scan(now);
        }
        for slot in self.table.slots() {
            let due = self.wakes_at(slot).is_some_and(|at| now >= at);
            if due {
                self.enqueue(slot);
            }
        }
        let stdin_due = self.stdin.as_ref().and_then(|stdin| stdin.idle_at()).is_some_and(|at| now >= at);
        if let Some(stdin) = self.stdin.as_mut().filter(|_| stdin_due) {
            stdin.is_queued = true;
            self.queue.push_back(Ready::Stdin);
        }
    }

    /// When [`Sources::handle_tick`] next has something to do, if no line is waiting.
    #[must_use]
    pub fn poll_deadline(&self) -> Mono {
        let files = self.table.slots().filter_map(|slot| self.wakes_at(slot));
        let stdin = self.stdin.as_ref().and_then(|stdin| stdin.idle_at());
        files.chain(stdin).chain([self.next_look, self.next_scan]).min().unwrap_or(Mono::FOREVER)
    }

    /// When a file that is not in the queue has to be read although it did not grow.
    fn wakes_at(&self, slot: usize) -> Option<Mono> {
        let open = self.table.open(slot).filter(|open| !open.is_queued)?;
        if matches!(open.role, Role::CopyOf(_)) {
            return open.leaves_at();
        }
        let idle = open.grown_at.plus_ms(idle_line_ms(&self.config, open.source));
        let idle = open.has_tail.then_some(idle);
        [idle, open.leaves_at()].into_iter().flatten().min()
    }

    pub(crate) fn enqueue(&mut self, slot: usize) {
        if let Some(open) = self.table.open_mut(slot)
            && !std::mem::replace(&mut open.is_queued, true)
        {
            self.queue.push_back(Ready::File(slot));
        }
    }

    /// Looks at an open file; whether it has changed.
    fn look(&mut self, slot: usize, now: Mono) -> bool {
        let Some(entry) = self.table.entry_mut(slot) else { return false };
        let Some(open) = &mut entry.open else { return false };
        let stat = match self.files.stat_open(&open.handle) {
            Ok(stat) => stat,
            Err(error) => {
                self.close_unreadable(slot, &error, now);
                return false;
            }
        };
        if (stat.links == 0) != open.is_nameless {
            // Some file systems say so of every file: the search for its name decides.
            open.is_nameless = stat.links == 0;
            self.next_scan = now;
        }
        let seen = (stat.len, stat.written);
        if open.seen == seen {
            if open.is_undecided {
                self.enqueue(slot);
            }
            return false;
        }
        let lost = (entry.key.is_none() && open.role == Role::Fresh)
            .then(|| open.seen.0.saturating_sub(stat.len))
            .filter(|lost| *lost > 0);
        open.seen = seen;
        if let Some(lost) = lost {
            let path = &entry.cursor.path;
            let text = format!("{path} was truncated before it was read: {lost} bytes or more are gone");
            self.notices.say(SourceNoticeKind::Truncated, text);
        }
        if matches!(open.role, Role::CopyOf(_)) {
            open.role = Role::Fresh;
        }
        // Before the search moves names: what was truncated is looked for beside where it was.
        match holds(&mut self.files, &open.handle, stat.len, &entry.cursor) {
            Ok(true) => self.enqueue(slot),
            Ok(false) => self.truncated(slot, now),
            Err(error) => self.close_unreadable(slot, &error, now),
        }
        true
    }

    /// A file lost bytes that were read: what follows in it is another file's content. What it held
    /// lives on in a copy, if there is one.
    pub(crate) fn truncated(&mut self, slot: usize, now: Mono) {
        let Some(entry) = self.table.entry_mut(slot) else { return };
        let Some(mut open) = entry.close(now) else { return };
        let (key, path) = (entry.key.or(entry.replaces), entry.cursor.path.clone());
        let offset = entry.cursor.here.offset;
        let after = match entry.key {
            Some(_) => Some(After { slot, until_sealed: true }),
            None => entry.after,
        };
        entry.overwrite();
        let Ok(stat) = self.files.stat_open(&open.handle) else { return };
        open.is_queued = false;
        open.has_tail = false;
        let mut fresh = Open::new(open.handle, &stat, open.source, Role::Fresh, now);
        fresh.leaving = open.leaving;
        let mut next = Entry::fresh(Cursor::start(path.clone(), &stat, self.boot), fresh);
        next.after = after;
        next.replaces = key;
        let next = self.table.insert(next);
        self.queue.retain(|ready| *ready != Ready::File(slot));
        self.enqueue(next);
        let rest = if self.find_copy(slot, now) {
            "what it held is read on from its copy"
        } else {
            "what it held after that is gone, unless a copy of it turns up"
        };
        self.notices.say(
            SourceNoticeKind::Truncated,
            format!("{path} was truncated after {offset} bytes of it were read; {rest}, and it is read from the beginning"),
        );
    }

    /// A file cannot be read: its cursor waits until it can.
    pub(crate) fn close_unreadable(&mut self, slot: usize, error: &FileError, now: Mono) {
        let Some(entry) = self.table.entry_mut(slot) else { return };
        let path = entry.cursor.path.clone();
        drop(entry.close(now));
        entry.is_finished = false;
        if entry.key.is_none() {
            self.table.remove(slot);
        }
        self.queue.retain(|ready| *ready != Ready::File(slot));
        let error = FileError { path: path.clone(), ..error.clone() };
        self.complain(path, SourceNoticeKind::Unreadable, || error.to_string());
    }

    /// Says something about a path once, until it is resolved.
    pub(crate) fn complain(&mut self, path: String, kind: SourceNoticeKind, text: impl FnOnce() -> String) {
        if self.complaints.len() < COMPLAINTS_MAX && self.complaints.insert(path) {
            self.notices.say(kind, text());
        }
    }

    /// A file that leaves was read to its end.
    pub(crate) fn finish(&mut self, slot: usize, now: Mono) {
        let Some(entry) = self.table.entry_mut(slot) else { return };
        let Some(open) = entry.close(now) else { return };
        entry.is_finished = true;
        let is_deleted = open.leaving.is_some_and(|leaving| leaving.is_deleted);
        let key = entry.key;
        drop(open);
        if key.is_none() || (is_deleted && !self.go_on_in_open_copy(slot, now)) {
            self.forget(slot);
        }
    }

    /// Removes an entry; its cursor is to be forgotten.
    pub(crate) fn forget(&mut self, slot: usize) {
        self.queue.retain(|ready| *ready != Ready::File(slot));
        if let Some(entry) = self.table.remove(slot)
            && let Some(key) = entry.key.filter(|_| entry.is_in_spool)
        {
            self.forgotten.push(key);
        }
    }
}
