//! Appending: one write, one sync.

use driftlog_proto::ids::{Chain, Place, Seq};
use driftlog_proto::item::{self, ItemHeader};
use driftlog_proto::time::Mono;

use super::disk::{Disk, DiskError, DiskErrorKind};
use super::frame::Frame;
use super::roll::Need;
use super::tail::TailWriter;
use super::usage::SpoolEvent;
use super::{CURSOR_BYTES_MAX, CURSORS_MAX, Durability, Spool, SpoolError};

/// With durability `interval` or `none`: bytes that may be unsynced before the spool syncs anyway. What
/// a failed sync may have lost is read back and written again, so this bounds memory too.
const UNSYNCED_BYTES_MAX: u32 = 1024 * 1024;

/// Milliseconds before a sync that failed is tried again.
const RETRY_MS: u64 = 1000;

/// What a frame is to carry beside the tail.
pub(crate) struct Payload<'a> {
    pub(crate) start: &'a [u8],
    pub(crate) block: &'a [u8],
    pub(crate) count: u32,
    /// The place before the first item, and after the last.
    pub(crate) begin: Place,
    pub(crate) end: Place,
}

impl Payload<'_> {
    /// No item, at this place.
    pub(crate) const fn nothing(place: Place) -> Self {
        Self { start: &[], block: &[], count: 0, begin: place, end: place }
    }

    pub(crate) const fn frame<'f>(&'f self, tail: &'f [u8]) -> Frame<'f> {
        Frame {
            is_checkpoint: false,
            start: self.start,
            block: self.block,
            tail,
            count: self.count,
            first: self.begin.seq,
            previous: self.begin.chain,
            end: self.end.chain,
        }
    }
}

/// What a frame says beside its items.
#[derive(Clone, Copy)]
struct Said<'a> {
    cursors: &'a [(u64, &'a [u8])],
    forget: &'a [u64],
    /// It is written for the gaps' sake, and synced.
    gaps: bool,
    refers: Refers<'a>,
}

/// What a block to be appended refers to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Refers<'a> {
    /// The segment that it stands in and that must take the block; `None` when it refers to nothing.
    pub segment: Option<u64>,
    /// A copy of it, sealed, for the first block that refers to it.
    pub copies: &'a [&'a [u8]],
}

impl<D: Disk> Spool<D> {
    /// Appends a sealed block, which refers to nothing, together with the source cursors that it covers and
    /// the keys of those that are no longer needed. With durability `block` it is durable on return.
    ///
    /// # Errors
    /// As [`append_referring`](Self::append_referring).
    pub fn append(
        &mut self,
        now: Mono,
        sealed: &[u8],
        cursors: &[(u64, &[u8])],
        forget: &[u64],
    ) -> Result<(), SpoolError> {
        self.append_referring(now, sealed, cursors, forget, Refers::default())
    }

    /// As [`append`](Self::append), for a block that refers to others.
    ///
    /// # Errors
    /// Nothing has changed then; the same bytes may be given again, but after [`SpoolError::Elsewhere`]:
    /// what the block refers to stands in another segment. [`SpoolError::Disk`] and
    /// [`SpoolError::Full`] pass by themselves when there is room again; [`SpoolError::Malformed`],
    /// [`SpoolError::Misplaced`] and the limits of cursors are the caller's mistakes.
    pub fn append_referring(
        &mut self,
        now: Mono,
        sealed: &[u8],
        cursors: &[(u64, &[u8])],
        forget: &[u64],
        refers: Refers<'_>,
    ) -> Result<(), SpoolError> {
        let (header, _) = item::open(sealed).map_err(SpoolError::Malformed)?;
        let expected = self.tail();
        let ItemHeader::Block(block) = header else { return Err(SpoolError::Misplaced { expected }) };
        let begin = Place { run: block.run, seq: block.first, chain: block.prev };
        if begin != expected || block.lane != self.config.lane {
            return Err(SpoolError::Misplaced { expected });
        }
        self.check_cursors(cursors, forget)?;
        let end = Place { run: block.run, seq: block.end(), chain: Chain::after(sealed) };
        let start = self.start.take();
        let result = {
            let payload = Payload {
                start: start.as_ref().map_or(&[], |pending| pending.sealed.as_slice()),
                block: sealed,
                count: block.count,
                begin: if start.is_some() { self.log.end } else { begin },
                end,
            };
            self.append_frame(now, &payload, Said { cursors, forget, gaps: false, refers })
        };
        if result.is_err() {
            self.start = start;
        }
        self.noted(result)
    }

    /// Appends source cursors alone: lines were read and none of them was kept.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn append_cursors(
        &mut self,
        now: Mono,
        cursors: &[(u64, &[u8])],
        forget: &[u64],
    ) -> Result<(), SpoolError> {
        self.check_cursors(cursors, forget)?;
        let payload = Payload::nothing(self.log.end);
        let said = Said { cursors, forget, gaps: false, refers: Refers::default() };
        let result = self.append_frame(now, &payload, said);
        self.noted(result)
    }

    pub(crate) fn noted<T>(&mut self, result: Result<T, SpoolError>) -> Result<T, SpoolError> {
        if matches!(result, Err(SpoolError::Elsewhere)) {
            return result;
        }
        self.report.is_full =
            matches!(&result, Err(SpoolError::Full { .. } | SpoolError::GapsFull | SpoolError::Disk(_)));
        self.report.last_error = result.as_ref().err().map(ToString::to_string);
        result
    }

    fn check_cursors(&self, cursors: &[(u64, &[u8])], forget: &[u64]) -> Result<(), SpoolError> {
        let known = &self.state.cursors;
        let mut count = known.len();
        let mut bytes: usize = known.values().map(|cursor| cursor.len() + 10).sum();
        for (key, cursor) in cursors {
            if cursor.len() > CURSOR_BYTES_MAX {
                return Err(SpoolError::CursorTooLong { key: *key, bytes: cursor.len() });
            }
            let before = known.get(key).map_or(0, |cursor| cursor.len() + 10);
            count += usize::from(before == 0);
            bytes = bytes + cursor.len() + 10 - before;
        }
        let gone = forget.iter().filter_map(|key| known.get(key));
        for cursor in gone {
            count -= 1;
            bytes -= cursor.len() + 10;
        }
        if count > CURSORS_MAX || bytes > self.config.cursors_bytes_max() {
            return Err(SpoolError::TooManyCursors { count, bytes });
        }
        Ok(())
    }

    fn append_frame(&mut self, now: Mono, payload: &Payload<'_>, said: Said<'_>) -> Result<(), SpoolError> {
        self.put(now, payload, said)?;
        self.state.set_cursors(said.cursors.iter().copied(), said.forget);
        Ok(())
    }

    fn encode_tail(&self, with_gaps: bool, said: Said<'_>, tail: &mut Vec<u8>) {
        tail.clear();
        let writer = TailWriter {
            lane: self.config.lane,
            base: self.log.base,
            is_checkpoint: false,
            gaps: with_gaps.then_some((&self.log.gaps, &self.state.dropped)),
            copies: said.refers.copies,
        };
        writer.encode(said.cursors.iter().copied(), said.forget, tail);
    }

    /// Makes all gaps durable: a frame with the list of them, or a fresh segment, whose checkpoint
    /// has it.
    pub(crate) fn put_gaps(&mut self) -> Result<(), SpoolError> {
        let said = Said { cursors: &[], forget: &[], gaps: true, refers: Refers::default() };
        let result = self.put(Mono::default(), &Payload::nothing(self.log.end), said);
        self.noted(result)
    }

    /// Writes a frame where there is room for it.
    fn put(&mut self, now: Mono, payload: &Payload<'_>, said: Said<'_>) -> Result<(), SpoolError> {
        self.carry_over()?;
        let mut tail = std::mem::take(&mut self.tail_buf);
        self.encode_tail(said.gaps || self.log.gaps.must_be_stated(), said, &mut tail);
        let bytes = payload.frame(&tail).bytes();
        let room =
            self.log.segments.back().map_or(0, |segment| segment.bytes.saturating_sub(self.log.tip.used));
        let is_fresh = !payload.start.is_empty() || !self.log.tip.is_open || bytes > room as usize;
        let last = self.log.segments.back().map(|segment| segment.index);
        let is_elsewhere = said.refers.segment.is_some_and(|named| is_fresh || last != Some(named));
        let result = if is_elsewhere {
            Err(SpoolError::Elsewhere)
        } else if is_fresh {
            // The checkpoint has the gaps, and one more if something is dropped for this segment: a
            // list in the frame behind it would take that back.
            self.encode_tail(false, said, &mut tail);
            let frees = said.gaps || self.has_forgotten && !payload.start.is_empty();
            self.roll(payload, &tail, if frees { Need::State } else { Need::Items })
        } else {
            self.add(now, payload, &tail, said.gaps)
        };
        self.tail_buf = tail;
        result
    }

    /// Writes a frame behind the others.
    fn add(&mut self, now: Mono, payload: &Payload<'_>, tail: &[u8], sync: bool) -> Result<(), SpoolError> {
        let frame = payload.frame(tail);
        self.write(&frame).map_err(SpoolError::Disk)?;
        let sync = sync || self.config.durability == Durability::Block;
        if sync {
            self.sync_tip()?;
        }
        self.log.tip.used += frame.bytes() as u32;
        self.log.end = payload.end;
        if sync {
            self.note_synced();
            return Ok(());
        }
        self.unsynced_since.get_or_insert(now);
        if self.config.durability == Durability::None {
            self.log.tip.durable = self.log.tip.used;
            self.log.tip.durable_end = self.log.end;
        }
        if self.log.tip.used - self.log.tip.synced > UNSYNCED_BYTES_MAX {
            // The frame is taken, whatever comes of this; a failure shows at the next one.
            if let Err(error) = self.sync_now(now) {
                self.report.last_error = Some(error.to_string());
            }
        }
        Ok(())
    }

    fn write(&mut self, frame: &Frame<'_>) -> Result<(), DiskError> {
        let Some(segment) = self.log.segments.back() else { return Ok(()) };
        let tip = &self.log.tip;
        self.buf.clear();
        frame.encode(segment.salt, segment.index, tip.used, tip.synced, &mut self.buf);
        let result = self.disk.write_at(segment.slot, u64::from(tip.used), &self.buf);
        match &result {
            Ok(()) => self.note_stated(),
            Err(error) if error.kind == DiskErrorKind::Io => self.poison(),
            Err(_) => {}
        }
        result
    }

    pub(crate) fn sync_tip(&mut self) -> Result<(), SpoolError> {
        let Some(slot) = self.log.segments.back().map(|segment| segment.slot) else { return Ok(()) };
        self.disk.sync(slot).map_err(|error| {
            self.poison();
            SpoolError::Disk(error)
        })
    }

    /// The last segment's file failed: nothing more is written to it.
    pub(crate) fn poison(&mut self) {
        self.log.tip.is_open = false;
        if let Some(segment) = self.log.segments.back_mut().filter(|segment| segment.is_sound) {
            segment.is_sound = false;
            let slot = segment.slot;
            self.push_event(SpoolEvent::Poisoned { slot });
        }
    }

    /// A frame was written that states the base, and all gaps if any was not on the flash before.
    pub(crate) fn note_stated(&mut self) {
        self.log.gaps.note_stated();
        self.files.note_stated();
    }

    /// Everything written to the last segment is synced.
    pub(crate) fn note_synced(&mut self) {
        let tip = &mut self.log.tip;
        (tip.synced, tip.durable) = (tip.used, tip.used);
        (tip.synced_end, tip.durable_end) = (self.log.end, self.log.end);
        self.log.gaps.note_synced();
        self.unsynced_since = None;
        if tip.is_open {
            self.files.settle(&mut self.disk, u64::from(self.config.segment_bytes));
        }
    }

    /// Syncs what was written, when that is due.
    ///
    /// # Errors
    /// When the sync failed: the file is given up, and what was not synced is written again with
    /// the next append or sync.
    pub fn sync(&mut self, now: Mono) -> Result<(), SpoolError> {
        if now < self.poll_deadline() { Ok(()) } else { self.sync_now(now) }
    }

    /// Whether everything that was taken is synced.
    #[must_use]
    pub const fn is_synced(&self) -> bool {
        self.log.tip.synced == self.log.tip.used
    }

    /// Syncs what was written, whether it is due or not.
    ///
    /// # Errors
    /// As [`sync`](Self::sync).
    pub fn sync_now(&mut self, now: Mono) -> Result<(), SpoolError> {
        if self.is_synced() {
            return Ok(());
        }
        let result = if self.log.tip.is_open {
            self.sync_tip().map(|()| self.note_synced())
        } else {
            self.carry_over()
        };
        if let Err(error) = &result {
            // Not again at once.
            self.unsynced_since = Some(now);
            self.report.last_error = Some(error.to_string());
        }
        result
    }

    /// When [`sync`](Self::sync) is due: with durability `interval`, and when a sync failed.
    #[must_use]
    pub fn poll_deadline(&self) -> Mono {
        match (self.config.durability, self.unsynced_since) {
            (_, Some(since)) if !self.log.tip.is_open => since.plus_ms(RETRY_MS),
            (Durability::Interval { ms }, Some(since)) => since.plus_ms(ms),
            _ => Mono::FOREVER,
        }
    }

    /// The number that the next record gets.
    #[must_use]
    pub fn next_seq(&self) -> Seq {
        self.log.end.seq
    }
}
