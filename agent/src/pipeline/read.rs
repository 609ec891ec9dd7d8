//! Lines from the sources into the open blocks.

use driftlog_proto::block::{Ending, Format, Part, Record, Severity, Source};
use driftlog_proto::ids::Lane;
use driftlog_proto::limits::RECORD_BYTES_MAX;
use driftlog_proto::time::Now;

use super::lane::{LaneOut, Opened};
use super::routing::Route;
use super::{LINES_PER_POLL, NOTICE_PATH, Pipeline, SEAL_BYTES};
use crate::source::Files;
use crate::spool::disk::Disk;

impl<D: Disk, F: Files> Pipeline<D, F> {
    /// Takes lines while every open block has room for any of them, sealing those that are full.
    pub(super) fn read(&mut self, now: Now) {
        for _ in 0..LINES_PER_POLL {
            if self.is_paused() {
                return;
            }
            if self.is_divided || self.is_any_full() {
                // Sealing takes as long as a sync: what is read after it would carry an instant
                // before it was written. The next poll comes at once, with a new one.
                self.seal_first(now);
                self.has_more = true;
                return;
            }
            if !self.read_line(now) {
                // What is read from now on is given out in the next poll, with a later instant.
                self.has_more = self.sources.begin(now.mono);
                break;
            }
        }
        self.put_notices(now);
    }

    /// Whether a line can be taken: what has to be sealed first is sealed.
    fn make_room(&mut self, now: Now) -> bool {
        if self.is_paused() {
            return false;
        }
        if self.is_divided || self.is_any_full() {
            self.seal_first(now);
        }
        !self.is_paused() && !self.is_divided && self.lanes.iter().all(|lane| lane.packer.has_room())
    }

    /// Seals what has to be sealed before another line is taken.
    fn seal_first(&mut self, now: Now) {
        self.seal_lanes(now, false);
        if self.is_divided {
            self.is_divided = !self.settle_bulk(now);
        }
    }

    fn is_any_full(&self) -> bool {
        let is_full = |lane: &LaneOut<D>| !lane.packer.has_room() || lane.packer.body_bytes() >= SEAL_BYTES;
        self.lanes.iter().any(is_full)
    }

    /// Takes one line; false when there is none now.
    fn read_line(&mut self, now: Now) -> bool {
        let Some(line) = self.sources.poll_line(now.mono) else { return false };
        self.lines += 1;
        let severity = line.severity;
        self.cursors_moved.get_or_insert(now.mono);
        let lane = match self.routing.route(severity, line.file, line.end_offset) {
            Route::Skip => return true,
            Route::Urgent => {
                self.routing.handle_urgent(line.file, line.end_offset);
                Lane::Urgent
            }
            Route::Bulk => Lane::Bulk,
        };
        let Some(out) = self.lanes.iter_mut().find(|out| out.lane == lane) else { return true };
        let source = Source { path: line.path.as_bytes(), file: line.file };
        let is_pressing = severity >= Severity::ERROR;
        let is_put = out.put(now, &source, is_pressing, |source| Record {
            mono: now.mono,
            severity,
            source,
            offset: line.offset,
            ending: line.ending,
            part: line.part,
            cut: line.cut,
            format: line.format,
            body: line.body,
        });
        // Read again after a crash it would be divided elsewhere, or not at all: before the urgent
        // lane takes what comes after it, the bulk lane's cursor is to stand behind the division.
        let is_idle = line.ending == Ending::None && line.body.len() < RECORD_BYTES_MAX;
        self.is_divided |= is_put && is_idle && matches!(line.part, Part::First | Part::Middle);
        if !is_put {
            // The block had room for any record; should it not, the line waits for the next one.
            self.sources.put_back();
        }
        is_put
    }

    /// The agent's own notices travel with the records of a lane.
    fn put_notices(&mut self, now: Now) {
        while let Some(notice) = self.sources.poll_notice() {
            self.note(Lane::Bulk, notice.text);
        }
        while !self.notices.is_empty() {
            if !self.make_room(now) {
                return;
            }
            let Some((lane, text)) = self.notices.pop_front() else { return };
            let Some(out) = self.lanes.iter_mut().find(|out| out.lane == lane) else { continue };
            let source = Source { path: NOTICE_PATH.as_bytes(), file: 0 };
            out.put(now, &source, false, |source| Record {
                mono: now.mono,
                severity: Severity::WARN,
                source,
                offset: 0,
                ending: Ending::Newline,
                part: Part::Whole,
                cut: false,
                format: Format::Raw,
                body: text.as_bytes(),
            });
        }
    }
}

impl<D: Disk> LaneOut<D> {
    /// Puts a record into the open block; false when there was no room, after which the block is
    /// to be sealed at once.
    fn put<'a>(
        &mut self,
        now: Now,
        source: &Source<'_>,
        is_pressing: bool,
        record: impl FnOnce(u16) -> Record<'a>,
    ) -> bool {
        let opened = self.opened.get_or_insert_with(|| {
            self.packer.open(now.mono);
            self.pace.handle_opened(now.mono);
            Opened { mono: now.mono, wall: now.wall, clock: now.state, last: now.mono, is_pressing: false }
        });
        let put = self.packer.source(source).and_then(|index| self.packer.push(&record(index)));
        debug_assert!(put.is_ok(), "the block had room for any record: {put:?}");
        opened.is_pressing |= is_pressing || put.is_err();
        opened.last = now.mono;
        put.is_ok()
    }
}
