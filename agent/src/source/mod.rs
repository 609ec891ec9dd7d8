//! Sources: files that grow, rotate, shrink and vanish, and standard input, turned into lines.
//!
//! # What it promises
//! Every byte of a file that matches is given out once, in order, as body or ending of a line, and
//! the file's cursor lies behind exactly what was given out. So when lines and cursors reach the
//! spool in one frame, neither `kill -9` nor a power cut re-reads or skips a line. Where the way a
//! file is rotated makes that impossible, nothing is skipped silently: what may repeat or be
//! missing is said in a notice.
//!
//! # What a file is
//! An open file is what its handle leads to: names come and go, the inode stays as long as it is
//! open. A file that is not open is found again by inode and time of birth, where the file system
//! keeps one, and *believed* only when its bytes agree: the fingerprint of its head (what was read
//! of the first 1,024 bytes) and of the 256 bytes before the cursor. The same bytes are
//! read again whenever a file changed, and show one that was truncated and has grown again.
//!
//! Its `file` key is made from inode, birth and first line when the first line is given out, so a
//! restart that finds no cursor yet makes the same key again. A key is never used for other bytes:
//! what is truncated goes on under another key, which is made from the old one too; so that one is
//! remembered until the new one is durable.
//!
//! # What is decided where it is not clear
//! - *Same boot, shorter or other bytes before the cursor*: truncated (or replaced with the inode
//!   reused). A new file from 0. What was there before is looked for in a copy (copytruncate): a
//!   file with a rotation's name and the same bytes. The old identity goes on in the copy.
//! - *Other boot, shorter or other bytes*: the power went before its writer synced. Reading goes on
//!   at the last remembered end of a line whose bytes agree, under a new key, with a notice; from 0
//!   only if nothing agrees, for then it is another file.
//! - *A copy is believed* when head and the bytes at the cursor agree, it was not made before its
//!   original, and it is either known to be younger (by its birth or, where that is not known, because it was
//!   written after the original was first seen) or at least 256 bytes were compared. These must agree
//!   too with a file of which a part of its first line was read, and which vanished without being seen
//!   truncated or read to its end: it may have been removed, and another's first line begins alike. In doubt a file is new: a line twice is better than a line lost.
//! - *Same path, other inode*: a new file, unless all of a 1,024-byte head and the bytes at the
//!   cursor of a file that is gone agree (a file system was moved).
//! - *Renamed to where no pattern leads*: followed to its end through the open file, an hour past
//!   its last growth; while the agent is down, found by inode among the rotation names beside it.
//! - *Deleted*: read to its end, 5 s past its last growth; its unfinished last line is given out.
//! - *A successor waits*: a new file at a path is read after the old one's rest, and a truncated
//!   file's new content only once the old lines are sealed.
//!
//! # What it costs
//! One buffer of 64 KiB for all files, one file descriptor and some 500 bytes for each, no
//! allocation for a line. Idle: one `fstat` per file and look, one directory walk per rescan. Where changes are told
//! (`hints`), files are looked at with each walk, otherwise each second.
//!
//! The call rule: `handle_*`, then [`Sources::begin`], then [`Sources::poll_line`] until `None`, and
//! again while something begins; then sleep until [`Sources::poll_deadline`]. Between [`Sources::changed_cursors`] and
//! [`Sources::cursors_sealed`] no line is polled.

mod config;
mod cursor;
mod discover;
mod files;
mod fingerprint;
mod fit;
mod hints;
mod identify;
mod line;
mod look;
mod names;
mod notice;
mod os_files;
mod parse;
mod scan;
mod sim_files;
mod status;
mod stdin;
mod survey;
mod table;
mod turn;
pub mod watch;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};

use driftlog_proto::block::{Ending, Format, Part, Severity};
use driftlog_proto::ids::BootId;
use driftlog_proto::time::Mono;

use cursor::Cursor;
use hints::Hints;
use line::Within;
use notice::Notices;
use stdin::Stdin;
use table::{Entry, Seal, Table};
use turn::{Given, Ready, Turn};

pub use config::{FileSource, SourcesConfig};
pub use cursor::CURSOR_BYTES_MAX;
pub use discover::{PatternError, Patterns};
pub use files::{FileError, FileErrorCause, Files, Kind, Stat};
pub use notice::{SourceNotice, SourceNoticeKind};
pub use os_files::OsFiles;
pub use parse::recognise;
pub use sim_files::{SimFiles, SimHandle};
pub use status::{SourceState, SourceStatus};
pub use stdin::STDIN_BYTES_MAX;
pub use survey::{Survey, Usual, survey, usual};
pub use table::{CLOSED_MAX, FILES_MAX};

/// The path that lines from standard input carry.
pub const STDIN_PATH: &str = "stdin";

/// A line, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The path at which its file was last seen.
    pub path: &'a str,
    /// The key of its file: the same under every name and over restarts, never that of other bytes.
    pub file: u64,
    /// Where the body begins in the file.
    pub offset: u64,
    /// Where the ending ends: the cursor.
    pub end_offset: u64,
    /// The bytes, without the ending.
    pub body: &'a [u8],
    /// What followed.
    pub ending: Ending,
    /// All of a line, or which part.
    pub part: Part,
    /// The line was longer than a line may be; what follows up to the newline is skipped.
    pub cut: bool,
    /// What the line shows as its severity; for a later part, what the first part showed.
    pub severity: Severity,
    /// Whether a whole line is a JSON object.
    pub format: Format,
}

/// The sources: see the module.
#[derive(Debug)]
pub struct Sources<F: Files> {
    config: SourcesConfig,
    files: F,
    boot: BootId,
    table: Table<F::Handle>,
    queue: VecDeque<Ready>,
    turn: Option<Turn>,
    buffer: Box<[u8]>,
    last: Option<turn::Last>,
    stdin: Option<Stdin>,
    notices: Notices,
    forgotten: Vec<u64>,
    forgotten_offered: usize,
    complaints: BTreeSet<String>,
    looked_at: Mono,
    scanned_at: Mono,
    next_look: Mono,
    next_scan: Mono,
    hints: Hints,
    lines_cut: u64,
}

impl<F: Files> Sources<F> {
    /// Sources that go on behind the cursors of the last durable frame. Touches no file: the first
    /// [`Sources::handle_tick`] does.
    pub fn new(
        config: SourcesConfig,
        files: F,
        boot: BootId,
        cursors: impl Iterator<Item = (u64, Vec<u8>)>,
    ) -> Self {
        let at = if config.files.is_empty() { Mono::FOREVER } else { Mono(0) };
        let mut sources = Self {
            stdin: config.stdin_idle_line_ms.map(Stdin::new),
            config,
            files,
            boot,
            table: Table::default(),
            queue: VecDeque::with_capacity(FILES_MAX + 1),
            turn: None,
            buffer: vec![0; turn::BUFFER_BYTES].into_boxed_slice(),
            last: None,
            notices: Notices::default(),
            forgotten: Vec::new(),
            forgotten_offered: 0,
            complaints: BTreeSet::new(),
            looked_at: Mono(0),
            scanned_at: Mono(0),
            next_look: at,
            next_scan: at,
            hints: Hints::default(),
            lines_cut: 0,
        };
        for (key, bytes) in cursors {
            sources.recover(key, &bytes);
        }
        sources
    }

    fn recover(&mut self, key: u64, bytes: &[u8]) {
        match Cursor::decode(bytes) {
            Some(cursor) => {
                self.table.insert(Entry::recovered(key, cursor));
            }
            None => {
                self.forgotten.push(key);
                self.notices.say(
                    SourceNoticeKind::CursorUnknown,
                    format!(
                        "the cursor {key:016x} in the spool is not one of this version and is dropped; \
                         its file is read again from the beginning"
                    ),
                );
            }
        }
    }

    /// Whether every change is told by [`Sources::handle_changed`], as far as whoever tells them knows. Until this is
    /// called, it is not.
    pub fn handle_watched(&mut self, is_watched: bool) {
        self.hints.handle_watched(is_watched);
        if !is_watched && !self.config.files.is_empty() {
            self.next_look = self.next_look.min(self.looked_at.plus_ms(self.config.poll_ms));
        }
    }

    /// Something changed in a directory or a file: look sooner.
    pub fn handle_changed(&mut self) {
        self.hints.handle_changed();
        if !self.config.files.is_empty() {
            self.next_look = self.next_look.min(self.looked_at.plus_ms(look::HINTED_LOOK_MS));
            self.next_scan = self.next_scan.min(self.scanned_at.plus_ms(look::HINTED_SCAN_MS));
        }
    }

    /// Reads the next piece of a file or of standard input, unless one is begun. `false`: there is
    /// nothing until [`Sources::poll_deadline`], a hint, or (where a truncated file waits for its
    /// old lines to be durable) [`Sources::cursors_sealed`].
    ///
    /// Every line of a piece was written before this returned: an instant that is taken afterwards
    /// is not before the line.
    pub fn begin(&mut self, now: Mono) -> bool {
        self.turn.is_some() || self.begin_turn(now)
    }

    /// The next line or part of a line of the piece that was begun; the cursor of its file then
    /// lies behind it. Files take turns of 64 KiB. `None`: the piece is at its end.
    pub fn poll_line(&mut self, now: Mono) -> Option<Line<'_>> {
        let given = self.next_given(now)?;
        Some(self.line(given))
    }

    fn line(&self, given: Given) -> Line<'_> {
        let (path, body) = match &self.stdin {
            Some(stdin) if given.slot.is_none() => (STDIN_PATH, stdin.passed(given.taken)),
            _ => {
                let entry = given.slot.and_then(|slot| self.table.entry(slot));
                let bytes = self.buffer.get(given.from..).unwrap_or_default();
                (entry.map_or("", |entry| entry.cursor.path.as_str()), bytes)
            }
        };
        Line {
            path,
            file: given.key,
            offset: given.offset,
            end_offset: given.offset + given.taken as u64,
            body: body.get(..given.body).unwrap_or_default(),
            ending: given.ending,
            part: given.part,
            cut: given.is_cut,
            severity: given.severity,
            format: given.format,
        }
    }

    /// Gives the last polled line back, for a block that has no room for it: it is polled again.
    /// Only directly after [`Sources::poll_line`]; otherwise nothing happens.
    pub fn put_back(&mut self) {
        let Some(last) = self.last.take() else { return };
        if last.is_cut {
            // It will be cut, said and counted again.
            self.lines_cut -= 1;
            self.notices.take_back(SourceNoticeKind::LineCut);
        }
        match (&mut self.turn, last.slot) {
            (Some(Turn::File(turn)), Some(slot)) if turn.slot == slot => {
                turn.at -= last.taken;
                if let Some(entry) = self.table.entry_mut(slot) {
                    entry.cursor.within = last.within;
                }
            }
            (Some(Turn::Stdin), None) => {
                if let Some(stdin) = &mut self.stdin {
                    stdin.pass_back(last.taken);
                    stdin.within = last.within;
                }
            }
            _ => {}
        }
    }

    /// Calls `each` with key and bytes of every cursor that moved since it was last sealed: they
    /// belong in the frame of the block that holds the lines polled so far.
    pub fn changed_cursors(&mut self, mut each: impl FnMut(u64, &[u8])) {
        self.last = None;
        self.settle();
        let mut buf = [0; CURSOR_BYTES_MAX];
        for (_, entry) in self.table.iter_mut() {
            let (Some(key), Seal::Moved | Seal::Offered) = (entry.key, entry.seal) else { continue };
            entry.cursor.boot = self.boot;
            if entry.cursor.within == Within::Start {
                let here = entry.cursor.here;
                entry.cursor.earlier.push(here);
            }
            entry.seal = Seal::Offered;
            entry.is_in_spool = true;
            each(key, entry.cursor.encode(&mut buf));
        }
    }

    /// Calls `each` with the cursor of every file that `is_wanted`, as it was before its first line
    /// was given out, but with the head that was read since: what finds the file again, or its copy,
    /// under the same key, if its lines come to be durable before a cursor behind them is.
    pub fn first_cursors(&mut self, is_wanted: impl Fn(u64) -> bool, mut each: impl FnMut(u64, &[u8])) {
        self.last = None;
        self.settle();
        let mut buf = [0; CURSOR_BYTES_MAX];
        for (_, entry) in self.table.iter_mut() {
            let Some(key) = entry.key.filter(|key| is_wanted(*key)) else { continue };
            let cursor = Cursor {
                boot: self.boot,
                within: Within::Start,
                here: entry.begun,
                earlier: entry.cursor.earlier.up_to(entry.begun.offset),
                ..entry.cursor.clone()
            };
            entry.is_in_spool = true;
            each(key, cursor.encode(&mut buf));
        }
    }

    /// Whether [`Sources::changed_cursors`] or [`Sources::forgotten`] has anything to say.
    #[must_use]
    pub fn has_changed_cursors(&self) -> bool {
        let moved = |(_, entry): (_, &Entry<F::Handle>)| entry.key.is_some() && entry.seal != Seal::Settled;
        !self.forgotten.is_empty() || self.table.iter().any(moved)
    }

    /// Keys of files that are gone and read: the frame may forget them. Whoever keeps something
    /// else by key (the urgent lane) must drop it too.
    pub fn forgotten(&mut self) -> &[u64] {
        self.forgotten_offered = self.forgotten.len();
        &self.forgotten
    }

    /// The frame with the changed cursors, and without the forgotten, is durable.
    pub fn cursors_sealed(&mut self) {
        self.forgotten.drain(..self.forgotten_offered);
        self.forgotten_offered = 0;
        for (_, entry) in self.table.iter_mut() {
            if entry.seal == Seal::Offered {
                entry.seal = Seal::Settled;
                entry.has_unsealed_lines = false;
            }
        }
    }

    /// Bytes from standard input: returns how many were taken. 0 when there is no room: try again
    /// after lines were polled.
    pub fn handle_stdin(&mut self, bytes: &[u8]) -> usize {
        self.last = None;
        let Some(stdin) = &mut self.stdin else { return 0 };
        let taken = stdin.take(bytes);
        if taken > 0 && !std::mem::replace(&mut stdin.is_queued, true) {
            self.queue.push_back(Ready::Stdin);
        }
        taken
    }

    /// Standard input ended: its unfinished last line is complete.
    pub fn stdin_closed(&mut self) {
        let Some(stdin) = &mut self.stdin else { return };
        stdin.close();
        if !std::mem::replace(&mut stdin.is_queued, true) {
            self.queue.push_back(Ready::Stdin);
        }
    }

    /// Whether standard input ended and everything from it was given out.
    #[must_use]
    pub fn is_stdin_over(&self) -> bool {
        self.stdin.as_ref().is_some_and(Stdin::is_over)
    }

    /// The next thing that a person should know.
    pub fn poll_notice(&mut self) -> Option<SourceNotice> {
        self.notices.poll()
    }

    /// How many lines were cut because they were too long.
    #[must_use]
    pub fn lines_cut(&self) -> u64 {
        self.lines_cut
    }
}
