//! A fresh segment: making room, opening it, carrying over what a failed file may have lost.
//!
//! In this order, so that a power cut at any of these leaves a log that is whole:
//! 1. What is written is synced: the new header ends the segment before it.
//! 2. A segment that a former run left short is cut to what it holds.
//! 3. A file is taken, and a spare besides; if there is no room for one, the oldest segments
//!    become a gap.
//! 4. Header, checkpoint (with that gap) and first frame are written at once and synced.
//! 5. Only now do the files of the oldest segments count as free.

use driftlog_proto::ids::{Place, RunId, Seq};
use driftlog_proto::item::Cause;

use super::append::Payload;
use super::disk::{Disk, DiskErrorKind, Slot};
use super::frame::{Frame, FrameHeader};
use super::gaps::{Gaps, TableFull};
use super::header::{FRAMES_AT, Header, LINEAGE_MAX, salt};
use super::recover::FreeFile;
use super::segment::{Patience, Segment, Tip};
use super::tail::{Dropped, TailWriter};
use super::usage::SpoolEvent;
use super::{Overflow, Spool, SpoolError};

/// File lengths are multiples of this.
const PAGE_BYTES: u64 = 4096;
/// Capacity of the frame buffer that is kept between appends.
const BUFFER_BYTES_MAX: usize = 256 * 1024;

/// What is dropped to make room, decided and not yet done.
struct Drop {
    segments: usize,
    gaps: Gaps,
    dropped: Dropped,
    records: u64,
}

/// How a fresh segment begins.
struct Opening {
    first: Place,
    begins_run: bool,
    lineage: Vec<(RunId, Seq)>,
}

/// A frame read back from a file whose sync failed.
struct Carried {
    header: FrameHeader,
    /// Items, then the tail.
    bytes: Vec<u8>,
}

impl Carried {
    fn frame(&self) -> Frame<'_> {
        let header = &self.header;
        let (start, rest) = self.bytes.split_at_checked(header.start_bytes as usize).unwrap_or_default();
        let (block, tail) = rest.split_at_checked(header.block_bytes as usize).unwrap_or_default();
        Frame {
            is_checkpoint: false,
            start,
            block,
            tail,
            count: header.count,
            first: header.first,
            previous: header.previous,
            end: header.end,
        }
    }
}

impl<D: Disk> Spool<D> {
    /// Opens a fresh segment with this frame in it, durable on return.
    pub(crate) fn roll(&mut self, payload: &Payload<'_>, tail: &[u8]) -> Result<(), SpoolError> {
        if self.log.tip.synced < self.log.tip.used {
            self.sync_tip()?;
            self.note_synced();
        }
        let begins_run = !payload.start.is_empty();
        let mut lineage = self.lineage.clone();
        if begins_run {
            lineage.insert(0, (self.run, payload.begin.seq));
            lineage.truncate(LINEAGE_MAX);
        }
        let opening = Opening { first: self.log.end, begins_run, lineage };
        self.open_segment(&opening, &[payload.frame(tail)], payload.end)?;
        if begins_run {
            self.log.runs.add(self.run, payload.begin.seq);
            self.lineage = opening.lineage;
        }
        Ok(())
    }

    /// When the last file failed with frames in it that are not known to be on the flash: writes
    /// them again into a fresh segment. What cannot be read back is declared.
    pub(crate) fn carry_over(&mut self) -> Result<(), SpoolError> {
        let tip = self.log.tip;
        if tip.is_open || tip.synced == tip.used {
            return Ok(());
        }
        let Some(segment) = self.log.segments.back().cloned() else { return Ok(()) };
        let mut carried: Vec<Carried> = Vec::new();
        let mut missing = Vec::new();
        let (mut offset, mut end) = (tip.synced.max(FRAMES_AT), tip.synced_end);
        while let Ok(Some(header)) = segment.next_frame(&mut self.disk, offset, tip.used, Patience::Skip) {
            offset = header.next_offset();
            let mut bytes = Vec::new();
            let whole = segment.read_frame(&mut self.disk, &header, &mut bytes);
            if header.is_checkpoint || !matches!(whole, Ok((true, true))) {
                continue;
            }
            if header.has_items() && segment.begin_of(&header) != end {
                missing.push((end, segment.begin_of(&header)));
            }
            end = if header.has_items() { segment.end_of(&header) } else { end };
            carried.push(Carried { header, bytes });
        }
        if end != self.log.end {
            missing.push((end, self.log.end));
        }
        for (from, to) in missing {
            self.declare(&from, &to, Cause::Corruption)?;
        }
        let begins_run = carried.iter().any(|frame| frame.header.start_bytes > 0);
        let opening = Opening { first: tip.synced_end, begins_run, lineage: self.lineage.clone() };
        let frames: Vec<_> = carried.iter().map(Carried::frame).collect();
        self.trail.clear();
        self.open_segment(&opening, &frames, self.log.end)
    }

    /// Declares what lies between two places gone. Not durable before the next frame with gaps.
    pub(crate) fn declare(&mut self, from: &Place, to: &Place, cause: Cause) -> Result<(), SpoolError> {
        let mut gaps = self.log.gaps.clone();
        let records = match gaps.cover(&self.log.runs, from, to, cause) {
            Ok(records) => records,
            Err(TableFull) => return Err(SpoolError::GapsFull),
        };
        self.log.gaps = gaps;
        self.trail.clear();
        if let Some(lost) = self.state.dropped.get_mut(cause.index()) {
            *lost += records;
        }
        self.announce(from, to, cause, records);
        for segment in self.log.release() {
            self.retire(&segment);
        }
        Ok(())
    }

    fn announce(&mut self, from: &Place, to: &Place, cause: Cause, records: u64) {
        // The gap as it now stands in the log may reach further than what was just declared.
        let low = self.log.key(from);
        let standing = self.log.gaps.iter().rev().find(|hole| self.log.key(&hole.from) <= low);
        let (from, to) = standing.map_or((*from, *to), |hole| (hole.from, hole.to));
        self.push_event(SpoolEvent::Dropped { from, to, cause, records });
    }

    pub(crate) fn retire(&mut self, segment: &Segment) {
        let file = FreeFile { slot: segment.slot, bytes: u64::from(segment.bytes) };
        self.files.retire(file, segment.is_sound);
    }

    fn open_segment(
        &mut self,
        opening: &Opening,
        frames: &[Frame<'_>],
        end: Place,
    ) -> Result<(), SpoolError> {
        self.cut_short();
        let checkpoint_bytes = self.checkpoint_bytes();
        let frames_bytes: usize = frames.iter().map(Frame::bytes).sum();
        let need = u64::from(FRAMES_AT) + (checkpoint_bytes + frames_bytes) as u64;
        let need = need.max(u64::from(self.config.segment_bytes)).next_multiple_of(PAGE_BYTES);
        let file = self.take_file(need)?;
        self.files.taken = Some(file);
        let drop = self.make_spare();
        self.files.taken = None;
        if drop.is_err() {
            self.files.free.push(file);
        }
        let drop = drop?;
        let segment = self.write_segment(opening, frames, file, drop.as_ref())?;
        self.note_opened(segment, drop, end);
        Ok(())
    }

    /// Header, checkpoint and frames, in one write and one sync.
    fn write_segment(
        &mut self,
        opening: &Opening,
        frames: &[Frame<'_>],
        file: FreeFile,
        drop: Option<&Drop>,
    ) -> Result<Segment, SpoolError> {
        let index = self.index_next;
        self.index_next += 1;
        let oldest = drop.map_or(0, |drop| drop.segments);
        let header = Header {
            lane: self.config.lane,
            begins_run: opening.begins_run,
            salt: salt(self.run, index, self.config.lane),
            index,
            previous: self
                .log
                .segments
                .iter()
                .rev()
                .find(|s| s.first != opening.first)
                .map_or(0, |s| s.index),
            oldest: self.log.segments.get(oldest).map_or(index, |segment| segment.index),
            hardware: self.hardware,
            first: opening.first,
            lineage: opening.lineage.clone(),
        };
        self.buf.clear();
        self.buf.extend_from_slice(&header.encode());
        let tail = self.checkpoint(drop);
        let nothing = Payload::nothing(opening.first);
        let checkpoint = Frame { is_checkpoint: true, ..nothing.frame(&tail) };
        for frame in std::iter::once(&checkpoint).chain(frames) {
            let offset = self.buf.len() as u32;
            frame.encode(header.salt, index, offset, FRAMES_AT, &mut self.buf);
        }
        // Whatever comes of this, the segment before ends here: the new header may be on the flash.
        self.log.tip.is_open = false;
        let written = self.disk.write_at(file.slot, 0, &self.buf);
        if let Err(error) = written.and_then(|()| self.disk.sync(file.slot)) {
            match error.kind {
                DiskErrorKind::Full | DiskErrorKind::ReadOnly => self.files.free.push(file),
                _ => self.files.discard(&mut self.disk, file),
            }
            return Err(SpoolError::Disk(error));
        }
        Ok(Segment::new(file.slot, file.bytes, &header))
    }

    fn note_opened(&mut self, segment: Segment, drop: Option<Drop>, end: Place) {
        let used = self.buf.len() as u32;
        self.buf.clear();
        self.buf.shrink_to(BUFFER_BYTES_MAX);
        if let Some(drop) = &drop {
            for _ in 0..drop.segments {
                if let Some(segment) = self.log.segments.pop_front() {
                    self.retire(&segment);
                }
            }
        }
        // The one before may hold nothing: its run never sealed anything, or its file failed.
        let first = segment.first;
        if let Some(before) = self.log.segments.pop_back_if(|before| before.first == first) {
            self.retire(&before);
        }
        self.log.segments.push_back(segment);
        self.log.end = end;
        self.log.tip =
            Tip { is_open: true, used, synced: used, synced_end: end, durable: used, durable_end: end };
        if let Some(drop) = drop {
            self.apply(drop);
        }
        for segment in self.log.release() {
            self.retire(&segment);
        }
        self.note_stated();
        self.note_synced();
    }

    fn apply(&mut self, drop: Drop) {
        self.log.gaps = drop.gaps;
        self.state.dropped = drop.dropped;
        self.trail.clear();
        let from = self.log.base;
        let to = self.log.gaps.at(from.run, from.seq).map_or(from, |hole| hole.to);
        let records = drop.records;
        self.push_event(SpoolEvent::Dropped { from, to, cause: Cause::Overflow, records });
    }

    /// The checkpoint's tail: the state before the frames that follow it.
    fn checkpoint(&self, drop: Option<&Drop>) -> Vec<u8> {
        let gaps = drop.map_or((&self.log.gaps, &self.state.dropped), |drop| (&drop.gaps, &drop.dropped));
        let writer =
            TailWriter { lane: self.config.lane, base: self.log.base, is_checkpoint: true, gaps: Some(gaps) };
        let mut tail = Vec::new();
        writer.encode(self.state.synced_cursors(), &[], &mut tail);
        tail
    }

    fn checkpoint_bytes(&self) -> usize {
        let tail = self.checkpoint(None);
        // One gap may come to it.
        Payload::nothing(self.log.end).frame(&tail).bytes() + 2048
    }

    /// Cuts a last segment that will not be written any longer to what it holds, so that many
    /// restarts do not eat the spool's size.
    fn cut_short(&mut self) {
        let tip = self.log.tip;
        let Some(segment) = self.log.segments.back_mut().filter(|_| !tip.is_open) else { return };
        let bytes = u64::from(tip.used).next_multiple_of(PAGE_BYTES);
        let waste = u64::from(segment.bytes).saturating_sub(bytes);
        if waste > u64::from(self.config.segment_bytes) / 8 && self.disk.resize(segment.slot, bytes).is_ok() {
            segment.bytes = bytes as u32;
        }
    }

    /// Bytes of all files.
    pub(crate) fn allocated(&self) -> u64 {
        let log: u64 = self.log.segments.iter().map(|segment| u64::from(segment.bytes)).sum();
        log + self.files.bytes()
    }

    /// A file of at least this length.
    fn take_file(&mut self, bytes: u64) -> Result<FreeFile, SpoolError> {
        if let Some(file) = self.files.take(bytes) {
            return Ok(file);
        }
        let room = self.config.bytes_max.saturating_sub(self.allocated());
        if bytes <= room {
            match self.create(bytes) {
                Err(SpoolError::Disk(error)) if error.kind == DiskErrorKind::Full => {}
                other => return other,
            }
        }
        if self.files.grow(&mut self.disk, bytes, room).map_err(SpoolError::Disk)? {
            if let Some(file) = self.files.take(bytes) {
                return Ok(file);
            }
        }
        Err(SpoolError::Full { bytes_max: self.config.bytes_max })
    }

    fn create(&mut self, bytes: u64) -> Result<FreeFile, SpoolError> {
        let is_taken = |slot: &Slot| {
            self.files.has_slot(*slot) || self.log.segments.iter().any(|segment| segment.slot == *slot)
        };
        let slot = (0..).find(|slot| !is_taken(slot)).expect("there are fewer files than numbers");
        self.disk.create(slot, bytes).map_err(SpoolError::Disk)?;
        let file = FreeFile { slot, bytes };
        if let Err(error) = self.disk.sync_dir() {
            self.files.discard(&mut self.disk, file);
            return Err(SpoolError::Disk(error));
        }
        Ok(file)
    }

    /// Sees to it that a spare file will be there when the next segment is opened. Returns what
    /// must be dropped for it.
    fn make_spare(&mut self) -> Result<Option<Drop>, SpoolError> {
        let usual = u64::from(self.config.segment_bytes);
        if self.files.has_spare(usual) {
            return Ok(None);
        }
        let allocated = self.allocated();
        if allocated + usual <= self.config.usual_bytes_max() {
            match self.create(usual) {
                Ok(file) => {
                    self.files.free.push(file);
                    return Ok(None);
                }
                Err(SpoolError::Disk(error)) if error.kind == DiskErrorKind::Full => {}
                Err(error) => return Err(error),
            }
        }
        match self.config.overflow {
            Overflow::PauseSources => Err(SpoolError::Full { bytes_max: self.config.bytes_max }),
            Overflow::DropOldest => self.choose_drop(allocated).map(Some),
        }
    }

    fn choose_drop(&self, allocated: u64) -> Result<Drop, SpoolError> {
        let usual = u64::from(self.config.segment_bytes);
        let mut drop =
            Drop { segments: 0, gaps: self.log.gaps.clone(), dropped: self.state.dropped, records: 0 };
        let mut freed = 0;
        for (at, segment) in self.log.segments.iter().enumerate() {
            let covered =
                drop.gaps.cover(&self.log.runs, &self.log.base, &self.log.end_of(at), Cause::Overflow);
            drop.records += covered.map_err(|TableFull| SpoolError::GapsFull)?;
            drop.segments = at + 1;
            freed += u64::from(segment.bytes);
            let is_spare = segment.is_sound && u64::from(segment.bytes) == usual;
            if is_spare || allocated - freed + usual <= self.config.usual_bytes_max() {
                if let Some(lost) = drop.dropped.get_mut(Cause::Overflow.index()) {
                    *lost += drop.records;
                }
                return Ok(drop);
            }
        }
        Err(SpoolError::Full { bytes_max: self.config.bytes_max })
    }
}
