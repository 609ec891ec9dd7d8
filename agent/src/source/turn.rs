//! Turns: files that have something to read stand in a queue; the first fills the one buffer, its
//! lines are given out, and it goes to the end of the queue if there may be more.

use driftlog_proto::block::{Ending, Format, Part, Severity};
use driftlog_proto::limits::RECORD_BYTES_MAX;
use driftlog_proto::time::Mono;

use super::cursor::file_key;
use super::files::Files;
use super::fingerprint::{ANCHOR_BYTES_MAX, Anchor};
use super::fit::has_same_head;
use super::line::{self, Step, Supply, Within};
use super::table::{Role, Seal, Table};
use super::{SourceNoticeKind, Sources, SourcesConfig, parse};

/// What a turn reads at once: and before it the bytes that show that the file is still the same.
pub(crate) const BUFFER_BYTES: usize = ANCHOR_BYTES_MAX + 64 * 1024;
/// Bytes of a first line that go into the key of its file.
const KEY_BYTES_MAX: usize = 256;

const _: () = assert!(
    BUFFER_BYTES > ANCHOR_BYTES_MAX + RECORD_BYTES_MAX,
    "a full buffer must hold a line or a part, or a turn would give out nothing"
);

/// Who stands in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ready {
    File(usize),
    Stdin,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Turn {
    File(FileTurn),
    Stdin,
}

/// A file's turn: the buffer holds `filled` bytes of it from offset `begins` on, of which those
/// before `at` are passed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileTurn {
    pub(crate) slot: usize,
    pub(crate) begins: u64,
    pub(crate) filled: usize,
    pub(crate) at: usize,
    supply: Supply,
}

/// What to restore when a line is given back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Last {
    pub(crate) slot: Option<usize>,
    pub(crate) taken: usize,
    pub(crate) within: Within,
    pub(crate) is_cut: bool,
}

/// A line, by where it lies. No slot: standard input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given {
    pub(crate) slot: Option<usize>,
    pub(crate) key: u64,
    pub(crate) from: usize,
    pub(crate) offset: u64,
    pub(crate) body: usize,
    pub(crate) taken: usize,
    pub(crate) ending: Ending,
    pub(crate) part: Part,
    pub(crate) is_cut: bool,
    pub(crate) severity: Severity,
    pub(crate) format: Format,
}

/// Where in a line the cursor stands after a step, and what the step's record shows.
pub(crate) fn after(
    within: Within,
    at: u64,
    body: &[u8],
    ending: Ending,
    part: Part,
) -> (Within, Severity, Format) {
    let (severity, format) = match (within, part) {
        (Within::Line { severity, .. }, _) => (Severity::new(severity).unwrap_or_default(), Format::Raw),
        (_, Part::Whole) => parse::recognise(body),
        (_, _) => (parse::recognise(body).0, Format::Raw),
    };
    let begun = if let Within::Line { begun, .. } = within { begun } else { at };
    let goes_on = ending == Ending::None && matches!(part, Part::First | Part::Middle);
    // Where a line is divided because it was idle, it is divided elsewhere when it is read again
    // after a crash. Lanes would disagree about what they have of it: from here on it shows no
    // severity, and so takes the bulk lane, where its bytes and its cursor reach the flash as one.
    let is_idle = goes_on && body.len() < RECORD_BYTES_MAX;
    let severity = if is_idle { Severity::UNSPECIFIED } else { severity };
    let next = if goes_on { Within::Line { begun, severity: severity.number() } } else { Within::Start };
    (next, severity, format)
}

impl<F: Files> Sources<F> {
    pub(crate) fn next_given(&mut self, now: Mono) -> Option<Given> {
        self.last = None;
        loop {
            let given = match self.turn {
                Some(Turn::File(turn)) => self.advance(turn),
                Some(Turn::Stdin) => self.advance_stdin(now),
                None => return None,
            };
            match given {
                Some(given) => return Some(given),
                None => self.end_turn(now),
            }
        }
    }

    /// The next record of the file whose turn it is.
    fn advance(&mut self, mut turn: FileTurn) -> Option<Given> {
        loop {
            let entry = self.table.entry_mut(turn.slot)?;
            let window = self.buffer.get(turn.at..turn.filled).unwrap_or_default();
            let (within, offset, from) = (entry.cursor.within, turn.begins + turn.at as u64, turn.at);
            let (body, taken, ending, part, is_cut) = match line::step(within, offset, window, turn.supply) {
                Step::Wait => return None,
                Step::Skip { taken, is_over } => {
                    turn.at += taken;
                    entry.seal = Seal::Moved;
                    if is_over {
                        entry.cursor.within = Within::Start;
                    }
                    self.turn = Some(Turn::File(turn));
                    continue;
                }
                Step::Give { body, taken, ending, part, is_cut } => (body, taken, ending, part, is_cut),
            };
            let bytes = window.get(..body).unwrap_or_default();
            let (next, severity, format) = after(within, offset, bytes, ending, part);
            entry.cursor.within = if is_cut { Within::Cut } else { next };
            entry.seal = Seal::Moved;
            entry.has_unsealed_lines = true;
            let key = entry.key;
            turn.at += taken;
            self.turn = Some(Turn::File(turn));
            self.last = Some(Last { slot: Some(turn.slot), taken, within, is_cut });
            let key = key.unwrap_or_else(|| self.name(turn.slot));
            if is_cut {
                self.say_cut(turn.slot, offset + body as u64);
            }
            let slot = Some(turn.slot);
            return Some(Given {
                slot,
                key,
                from,
                offset,
                body,
                taken,
                ending,
                part,
                is_cut,
                severity,
                format,
            });
        }
    }

    /// Gives a file its key: its first line is at the beginning of the buffer.
    fn name(&mut self, slot: usize) -> u64 {
        let filled = match self.turn {
            Some(Turn::File(turn)) => turn.filled,
            _ => 0,
        };
        let head = self.buffer.get(..filled.min(KEY_BYTES_MAX)).unwrap_or_default();
        let first_line = memchr::memchr(b'\n', head).map_or(head, |end| head.get(..=end).unwrap_or(head));
        let Some(entry) = self.table.entry(slot) else { return 0 };
        let stat = (entry.cursor.ino, entry.cursor.born);
        let replaced = entry.replaces.map(u64::to_le_bytes);
        let seed = [replaced.as_ref().map_or(&[][..], |key| key), first_line].concat();
        let key = unused_key(&self.table, stat, &seed);
        if let Some(entry) = self.table.entry_mut(slot) {
            entry.key = Some(key);
        }
        self.remember(key);
        key
    }

    /// A key is in use: it is not to be forgotten, should it have been before.
    pub(crate) fn remember(&mut self, key: u64) {
        if self.forgotten.contains(&key) {
            self.forgotten.retain(|forgotten| *forgotten != key);
            self.forgotten_offered = 0;
        }
    }

    fn say_cut(&mut self, slot: usize, end: u64) {
        self.lines_cut += 1;
        let Some(entry) = self.table.entry(slot) else { return };
        let text = format!(
            "{}: a line longer than {} bytes was cut before offset {}; the rest of it is skipped",
            entry.cursor.path,
            driftlog_proto::limits::LINE_BYTES_MAX,
            end,
        );
        self.notices.say(SourceNoticeKind::LineCut, text);
    }

    /// Brings the cursor of the file whose turn it is up to where the turn has come.
    pub(crate) fn settle(&mut self) {
        let Some(Turn::File(turn)) = self.turn else { return };
        let Some(entry) = self.table.entry_mut(turn.slot) else { return };
        let passed = self.buffer.get(..turn.at).unwrap_or_default();
        entry.cursor.head.extend(turn.begins, passed);
        entry.cursor.here = Anchor::at(turn.begins + turn.at as u64, passed);
    }

    /// Ends the turn, if there is one, before everything in the buffer was given out.
    pub(crate) fn break_turn(&mut self) {
        self.settle();
        self.last = None;
        match self.turn.take() {
            Some(Turn::File(turn)) => self.queue.push_front(Ready::File(turn.slot)),
            Some(Turn::Stdin) => self.queue.push_front(Ready::Stdin),
            None => {}
        }
    }

    /// Nothing more can be given out of what the turn has read.
    fn end_turn(&mut self, now: Mono) {
        self.settle();
        match self.turn.take() {
            Some(Turn::File(turn)) => {
                let Some(open) = self.table.open_mut(turn.slot) else { return };
                if turn.filled == BUFFER_BYTES {
                    self.queue.push_back(Ready::File(turn.slot));
                    return;
                }
                open.is_queued = false;
                open.has_tail = turn.at < turn.filled;
                if turn.supply == Supply::Over {
                    self.finish(turn.slot, now);
                }
            }
            Some(Turn::Stdin) => {
                if let Some(stdin) = &mut self.stdin {
                    stdin.is_queued = false;
                }
            }
            None => {}
        }
    }

    /// Gives the turn to the first in the queue who may have it.
    pub(crate) fn begin_turn(&mut self, now: Mono) -> bool {
        let mut waiting = 0;
        while waiting < self.queue.len() {
            match self.queue.pop_front() {
                Some(Ready::Stdin) => {
                    self.turn = Some(Turn::Stdin);
                    return true;
                }
                Some(Ready::File(slot)) if !self.may_begin(slot) => {
                    self.queue.push_back(Ready::File(slot));
                    waiting += 1;
                }
                Some(Ready::File(slot)) => {
                    if self.fill(slot, now) {
                        return true;
                    }
                    // What was waited for may have happened.
                    waiting = 0;
                }
                None => return false,
            }
        }
        false
    }

    /// Whether what this file has to wait for has happened.
    fn may_begin(&mut self, slot: usize) -> bool {
        let Some(entry) = self.table.entry(slot) else { return true };
        let may = !self.table.waits(entry);
        if may && let Some(entry) = self.table.entry_mut(slot) {
            entry.after = None;
        }
        may
    }

    /// Reads from a file's cursor on into the buffer, after the bytes before it proved to be the
    /// same. `false`: there is nothing to give out of it now.
    fn fill(&mut self, slot: usize, now: Mono) -> bool {
        let Some(entry) = self.table.entry(slot) else { return false };
        let Some(open) = &entry.open else { return false };
        let leaves = open.leaves_at().is_some_and(|at| now >= at);
        if matches!(open.role, Role::CopyOf(_)) {
            self.leave_queue(slot);
            if leaves {
                self.finish(slot, now);
            }
            return false;
        }
        let here = entry.cursor.here;
        let before = Anchor::reach(here.offset);
        let begins = here.offset - before as u64;
        let is_fresh = open.role == Role::Fresh;
        let filled = match self.files.read_at(&open.handle, begins, &mut self.buffer) {
            Ok(filled) => filled,
            Err(error) => {
                self.close_unreadable(slot, &error, now);
                return false;
            }
        };
        let same = self.buffer.get(..before).filter(|_| filled >= before);
        let is_same = same.is_some_and(|bytes| Anchor::at(here.offset, bytes) == here);
        if !is_same || !has_same_head(&mut self.files, &open.handle, &entry.cursor) {
            self.truncated(slot, now);
            return false;
        }
        if is_fresh && (filled == 0 || !self.is_new(slot, now)) {
            self.leave_queue(slot);
            if leaves && filled == 0 {
                self.finish(slot, now);
            }
            return false;
        }
        let Some(entry) = self.table.entry_mut(slot) else { return false };
        self.complaints.remove(&entry.cursor.path);
        let Some(open) = &mut entry.open else { return false };
        let end = begins + filled as u64;
        if end > open.end {
            (open.end, open.grown_at) = (end, now);
        }
        let supply = if filled == BUFFER_BYTES {
            Supply::Open
        } else if open.leaves_at().is_some_and(|at| now >= at) {
            // Asked again: bytes that came just now prolong the wait.
            Supply::Over
        } else if now >= open.grown_at.plus_ms(idle_line_ms(&self.config, open.source)) {
            Supply::Idle
        } else {
            Supply::Open
        };
        self.turn = Some(Turn::File(FileTurn { slot, begins, filled, at: before, supply }));
        true
    }

    fn leave_queue(&mut self, slot: usize) {
        if let Some(open) = self.table.open_mut(slot) {
            open.is_queued = false;
        }
    }
}

/// How long an unfinished last line of a file waits.
pub(crate) fn idle_line_ms(config: &SourcesConfig, source: Option<usize>) -> u64 {
    let source = source.and_then(|source| config.files.get(source));
    source.map_or(SourcesConfig::IDLE_LINE_MS, |source| source.idle_line_ms)
}

/// The key of the lowest generation that no known file has.
pub(crate) fn unused_key<H>(table: &Table<H>, stat: (u64, u64), first_line: &[u8]) -> u64 {
    (0..)
        .map(|generation| file_key(stat, first_line, generation))
        .find(|key| table.with_key(*key).is_none())
        .unwrap_or(0)
}
