//! Is this file that one? Names and inodes propose, bytes decide.

use driftlog_proto::time::Mono;

use super::cursor::Cursor;
use super::files::{FileError, Files, Kind, Stat};
use super::fingerprint::{ANCHOR_BYTES_MAX, Anchor, HEAD_BYTES_MAX, Head};
use super::fit::{Fit, fit, holds, is_beginning_of};
use super::line::Within;
use super::names::{directory, file_name, is_compressed, is_rotation_of, join};
use super::table::{Entry, Leaving, Open, Role, Seal};
use super::turn::unused_key;
use super::{SourceNoticeKind, Sources};

/// Bytes that must be compared before a file is taken for a copy that is not known to be younger.
const EVIDENCE_BYTES_MIN: u16 = 256;
/// Files with a rotation's name that are looked at for one that is sought.
const SIBLINGS_MAX: usize = 64;

/// Whether a file may be a copy of one with this cursor, as far as names and times tell; and
/// whether that is so little that many bytes must agree. Where births are not known, what was
/// written after the original was first seen is known to be younger.
fn may_be_copy(path: &str, (born, written): (u64, u64), of: &Cursor) -> Option<Evidence> {
    let births_known = born != 0 && of.born != 0;
    let is_younger = if births_known { born > of.born } else { written > of.written };
    let (name, original) = (file_name(path), file_name(&of.path));
    if births_known && born < of.born {
        None
    } else if is_rotation_of(name, original) {
        Some(if is_younger { Evidence::Any } else { Evidence::Some })
    } else if path == of.path {
        Some(Evidence::Most)
    } else {
        None
    }
}

/// How much must be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evidence {
    Any,
    Some,
    Most,
}

impl Evidence {
    fn bytes_min(self) -> u64 {
        match self {
            Self::Any => 1,
            Self::Some => u64::from(EVIDENCE_BYTES_MIN),
            Self::Most => HEAD_BYTES_MAX as u64,
        }
    }

    /// Of a file that was not seen to be truncated nor read to its end, and is not there: it may have been
    /// removed, and many a file's first line begins as another's did.
    fn of_closed(self, cursor: &Cursor, is_finished: bool) -> Self {
        let is_in_first_line = matches!(cursor.within, Within::Line { begun: 0, .. });
        if self == Self::Any && is_in_first_line && !is_finished { Self::Some } else { self }
    }
}

/// Whether a fit with a file that is gone makes another file its copy. Less than all of what was
/// read will do under a rotation's name, if it reaches beyond the head.
fn is_believed(fit: Fit, evidence: Evidence) -> bool {
    match fit {
        Fit::Whole => true,
        Fit::UpTo(anchor) => evidence != Evidence::Most && anchor.offset >= HEAD_BYTES_MAX as u64,
        Fit::Not => false,
    }
}

/// The file that another is a copy of, and how the copy fits its cursor if it is gone.
#[derive(Clone, Copy, Debug)]
struct Original {
    slot: usize,
    fit: Option<Fit>,
    is_unread: bool,
}

impl<F: Files> Sources<F> {
    /// Whether the first bytes of a fresh file are to be read. If it is a copy of a file that goes
    /// on, it is set aside; if of one that is gone, that one goes on in it.
    pub(crate) fn is_new(&mut self, slot: usize, now: Mono) -> bool {
        let original = self.check_originals(slot, now).and_then(|()| self.original_of(slot));
        let is_undecided = matches!(original, Ok(Some(Original { is_unread: true, .. })));
        if let Some(open) = self.table.open_mut(slot) {
            open.is_undecided = is_undecided;
            if matches!(original, Ok(None)) {
                open.role = Role::Read;
            }
        }
        match original {
            Ok(None) => true,
            Ok(Some(original)) => {
                if !is_undecided {
                    self.set_aside(slot, original, now);
                }
                false
            }
            Err(error) => {
                self.close_unreadable(slot, &error, now);
                false
            }
        }
    }

    /// Notices that files of which this one may be a copy were truncated since they were looked at:
    /// then the copy holds their rest.
    fn check_originals(&mut self, slot: usize, now: Mono) -> Result<(), FileError> {
        for other in self.table.slots().filter(|other| *other != slot) {
            let (Some(entry), Some(original)) = (self.table.entry(slot), self.table.entry(other)) else {
                continue;
            };
            let Some(open) = original.open.as_ref().filter(|_| original.key.is_some()) else { continue };
            let times = (entry.cursor.born, entry.cursor.written);
            if may_be_copy(&entry.cursor.path, times, &original.cursor).is_none() {
                continue;
            }
            let len = self.files.stat_open(&open.handle)?.len;
            if !holds(&mut self.files, &open.handle, len, &original.cursor)? {
                self.truncated(other, now);
            }
        }
        Ok(())
    }

    /// The file that this one is a copy of.
    fn original_of(&mut self, slot: usize) -> Result<Option<Original>, FileError> {
        let Some(entry) = self.table.entry(slot) else { return Ok(None) };
        let Some(open) = &entry.open else { return Ok(None) };
        let Stat { len, written, .. } = self.files.stat_open(&open.handle)?;
        let mut best: Option<((bool, u64), Original)> = None;
        for (other_slot, other) in self.table.iter().filter(|(other, _)| *other != slot) {
            let Some(evidence) = may_be_copy(&entry.cursor.path, (entry.cursor.born, written), &other.cursor)
            else {
                continue;
            };
            let is_unread = other.key.is_none();
            let offset = other.cursor.here.offset;
            let known = offset.max(other.cursor.head.bytes.into());
            let (is_copy, fit) = match &other.open {
                Some(_) if evidence == Evidence::Most => (false, None),
                Some(original) => {
                    let compared = if is_unread { len } else { known.min(len) };
                    let is_enough = compared >= evidence.bytes_min();
                    let copy = &open.handle;
                    (is_enough && is_beginning_of(&mut self.files, copy, len, &original.handle)?, None)
                }
                None => {
                    let evidence = evidence.of_closed(&other.cursor, other.is_finished);
                    let fit = fit(&mut self.files, &open.handle, len, &other.cursor)?;
                    let is_enough = u64::from(other.cursor.head.bytes) >= evidence.bytes_min();
                    (is_enough && is_believed(fit, evidence), Some(fit))
                }
            };
            // After a power cut a file may be known twice: as it was, and as it became.
            let rank = (!matches!(fit, Some(Fit::UpTo(_))), offset);
            if is_copy && best.is_none_or(|(most, _)| rank > most) {
                best = Some((rank, Original { slot: other_slot, fit, is_unread }));
            }
        }
        Ok(best.map(|(_, original)| original))
    }

    /// Deals with a fresh file that is a copy of the one in slot `original`.
    fn set_aside(&mut self, slot: usize, original: Original, now: Mono) {
        let Some((of, key)) =
            self.table.entry(original.slot).and_then(|entry| Some((entry.cursor.clone(), entry.key?)))
        else {
            return;
        };
        let Some(entry) = self.table.entry_mut(slot) else { return };
        let Some(open) = &mut entry.open else { return };
        let (copy, of_path) = (&entry.cursor.path, &of.path);
        let text = match original.fit {
            None => format!("{copy} is a copy of {of_path} and is not read as long as that is there"),
            Some(Fit::Whole) => {
                format!(
                    "{copy} is a copy of {of_path}, which is gone: it is read on from offset {}",
                    of.here.offset
                )
            }
            Some(Fit::UpTo(anchor)) => format!(
                "{copy} is a copy of {of_path}, which is gone and of which {} bytes were read: it is read on from \
                 offset {}, and lines may repeat",
                of.here.offset, anchor.offset
            ),
            Some(Fit::Not) => return,
        };
        if !std::mem::replace(&mut open.is_said, true) {
            self.notices.say(SourceNoticeKind::Copy, text);
        }
        match original.fit {
            Some(Fit::Whole) => self.go_on_in(original.slot, slot, now),
            Some(Fit::UpTo(anchor)) => self.go_on_in_at(&of, key, anchor, slot),
            _ => open.role = Role::CopyOf(key),
        }
    }

    /// A file of which less is there than was read of its original is read on from an anchor.
    fn go_on_in_at(&mut self, of: &Cursor, key: u64, anchor: Anchor, copy: usize) {
        let Some(entry) = self.table.remove(copy) else { return };
        self.queue.retain(|ready| *ready != super::Ready::File(copy));
        if let Some(mut open) = entry.open {
            open.is_queued = false;
            self.go_on_at(of, key, anchor, open, entry.cursor);
        }
    }

    /// The file in `slot` goes on in the one that is open in `copy`, whose entry ends.
    fn go_on_in(&mut self, slot: usize, copy: usize, now: Mono) {
        let Some(entry) = self.table.remove(copy) else { return };
        self.queue.retain(|ready| *ready != super::Ready::File(copy));
        if let Some(open) = entry.open {
            self.reopen(slot, open, &entry.cursor, now);
        }
    }

    /// A known file is open again, at the path and inode of `place`.
    pub(crate) fn reopen(&mut self, slot: usize, mut open: Open<F::Handle>, place: &Cursor, now: Mono) {
        let Some(entry) = self.table.entry_mut(slot) else { return };
        let cursor = &mut entry.cursor;
        let was = (cursor.dev, cursor.ino, cursor.born, cursor.boot);
        if was != (place.dev, place.ino, place.born, self.boot) || cursor.path != place.path {
            (cursor.dev, cursor.ino, cursor.born) = (place.dev, place.ino, place.born);
            cursor.path.clone_from(&place.path);
            entry.seal = Seal::Moved;
        }
        open.role = Role::Read;
        open.is_queued = false;
        open.has_tail = false;
        (open.end, open.grown_at) = (0, now);
        entry.open = Some(open);
        entry.closed_at = None;
        (entry.is_finished, entry.is_overwritten) = (false, false);
        self.enqueue(slot);
    }

    /// Looks for a copy in which a file goes on that was truncated: among what is open and set
    /// aside, then beside it.
    pub(crate) fn find_copy(&mut self, slot: usize, now: Mono) -> bool {
        self.go_on_in_open_copy(slot, now) || self.find_beside(slot, now).is_some()
    }

    /// As [`Sources::find_copy`], among what is open.
    pub(crate) fn go_on_in_open_copy(&mut self, slot: usize, now: Mono) -> bool {
        let Some(entry) = self.table.entry(slot) else { return false };
        let Some(key) = entry.key else { return false };
        let is_copy =
            |e: &Entry<F::Handle>| e.open.as_ref().is_some_and(|open| open.role == Role::CopyOf(key));
        let copies: Vec<usize> =
            self.table.iter().filter(|(_, e)| is_copy(e)).map(|(slot, _)| slot).collect();
        let mut found = None;
        for copy in copies {
            let (Some(entry), Some(open)) = (self.table.entry(slot), self.table.open(copy)) else { continue };
            let Ok(stat) = self.files.stat_open(&open.handle) else { continue };
            let fits = fit(&mut self.files, &open.handle, stat.len, &entry.cursor);
            if found.is_none() && fits == Ok(Fit::Whole) {
                found = Some(copy);
            } else if (stat.len, stat.written) == open.seen && stat.len <= entry.cursor.here.offset {
                self.pass_over(copy, key);
            } else if let Some(open) = self.table.open_mut(copy) {
                // Its original is no longer there to be compared with: it is looked at anew.
                open.role = Role::Fresh;
                self.enqueue(copy);
            }
        }
        if let Some(copy) = found {
            self.go_on_in(slot, copy, now);
        }
        found.is_some()
    }

    /// A copy that was compared with its original, now gone, when all that it holds was read there:
    /// its cursor stands at its end.
    fn pass_over(&mut self, copy: usize, original: u64) {
        let Some((entry, open)) = self.table.entry(copy).and_then(|e| Some((e, e.open.as_ref()?))) else {
            return;
        };
        let len = open.seen.0;
        let reach = Anchor::reach(len);
        let (mut head, mut last) = ([0; HEAD_BYTES_MAX], [0; ANCHOR_BYTES_MAX]);
        let read = self.files.read_at(&open.handle, 0, &mut head).and_then(|n| {
            let last = last.get_mut(..reach).unwrap_or_default();
            Ok((n, self.files.read_at(&open.handle, len - reach as u64, last)?))
        });
        let Ok((n, _)) = read else { return };
        let seed = [original.to_le_bytes(), len.to_le_bytes()].concat();
        let key = unused_key(&self.table, (entry.cursor.ino, entry.cursor.born), &seed);
        self.remember(key);
        let Some(entry) = self.table.entry_mut(copy) else { return };
        entry.cursor.head = Head::of(head.get(..n).unwrap_or_default());
        entry.cursor.here = Anchor::at(len, last.get(..reach).unwrap_or_default());
        (entry.key, entry.seal) = (Some(key), Seal::Moved);
        if let Some(open) = &mut entry.open {
            open.role = Role::Read;
        }
    }

    /// Looks for a closed file beside where it was: renamed, or copied, under a rotation's name that
    /// no pattern may lead to.
    pub(crate) fn find_beside(&mut self, slot: usize, now: Mono) -> Option<usize> {
        let entry = self.table.entry(slot)?;
        let (cursor, is_finished, is_overwritten) =
            (entry.cursor.clone(), entry.is_finished, entry.is_overwritten);
        for path in self.siblings(&cursor.path) {
            let Ok(stat) = self.files.stat(&path) else { continue };
            if self.table.with_file(stat.dev, stat.ino).is_some() {
                continue;
            }
            let is_it = !is_overwritten && cursor.may_be(&stat, self.boot);
            let Some(evidence) =
                may_be_copy(&path, (stat.born, stat.written), &cursor).or(is_it.then_some(Evidence::Any))
            else {
                continue;
            };
            if !is_it && u64::from(cursor.head.bytes) < evidence.of_closed(&cursor, is_finished).bytes_min() {
                continue;
            }
            let Ok(handle) = self.files.open(&path) else { continue };
            let Ok(stat) = self.files.stat_open(&handle) else { continue };
            let Ok(fit) = fit(&mut self.files, &handle, stat.len, &cursor) else { continue };
            let mut open = Open::new(handle, &stat, None, Role::Read, now);
            open.leaving = Some(Leaving { since: now, is_deleted: false });
            let place = Cursor::start(path, &stat, self.boot);
            match fit {
                Fit::Whole => {
                    self.reopen(slot, open, &place, now);
                    return Some(slot);
                }
                Fit::UpTo(anchor) if is_it && cursor.boot != self.boot => {
                    return self.go_on_shorter(slot, anchor, open, place);
                }
                _ => {}
            }
        }
        None
    }

    /// Regular files with the name of a rotation of `path` in its directory, last written first.
    fn siblings(&mut self, path: &str) -> Vec<String> {
        let (dir, original) = (directory(path), file_name(path));
        let mut found: Vec<(u64, String)> = Vec::new();
        let mut names = Vec::new();
        let listed = self.files.list(dir, &mut |name, kind| {
            let fits = |name: &&str| is_rotation_of(name, original) && !is_compressed(name);
            if let Some(name) = name.filter(fits).filter(|_| matches!(kind, Kind::File | Kind::Link)) {
                names.push(join(dir, name));
            }
        });
        if listed.is_err() {
            return Vec::new();
        }
        for path in names {
            if let Ok(Stat { kind: Kind::File, written, .. }) = self.files.stat(&path) {
                found.push((written, path));
            }
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.truncate(SIBLINGS_MAX);
        found.into_iter().map(|(_, path)| path).collect()
    }
}
