//! A fresh segment: making room, opening it, carrying over what a failed file may have lost.
//!
//! In this order, so that a power cut at any of these leaves a log that is whole:
//! 1. What is written is synced: the new header ends the segment before it.
//! 2. A segment that a former run left short is cut to what it holds.
//! 3. A file is taken, and a spare besides; if there is no room for one, the oldest segments
//!    become a gap.
//! 4. Header, checkpoint (with that gap) and first frame are written at once and synced.
//! 5. Only now do the files of the oldest segments count as free.

use driftlog_proto::block::Reference;
use driftlog_proto::ids::{Place, RunId, Seq};
use driftlog_proto::item::{self, Cause, ItemHeader};

use super::append::Payload;
use super::disk::Disk;
use super::frame::{Frame, FrameHeader};
use super::gaps::TableFull;
use super::header::{FRAMES_AT, Header, LINEAGE_MAX, salt};
use super::quota::Drop;
use super::recover::FreeFile;
use super::referred::Blocks;
use super::segment::{Patience, Segment, Tip};
use super::tail::{Tail, TailWriter};
use super::usage::SpoolEvent;
use super::{Spool, SpoolError, again};

/// File lengths are multiples of this.
pub(crate) const PAGE_BYTES: u64 = 4096;
/// Capacity of the frame buffer that is kept between appends.
const BUFFER_BYTES_MAX: usize = 256 * 1024;

/// What a fresh segment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// New items or cursors: there must be a spare besides.
    Items,
    /// Gaps that must become durable, what a failed file held, or the first block of a run whose start alone
    /// the gateway can acknowledge: it may take the spare, for without it nothing would ever be freed again.
    State,
}

/// How a fresh segment begins.
struct Opening {
    first: Place,
    begins_run: bool,
    lineage: Vec<(RunId, Seq)>,
    /// Its frames stand, perhaps, in the segment before too: without all of them it must not end that.
    is_carried: bool,
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
    pub(crate) fn roll(&mut self, payload: &Payload<'_>, tail: &[u8], need: Need) -> Result<(), SpoolError> {
        if !self.is_synced() {
            self.sync_tip()?;
            self.note_synced();
        }
        let begins_run = !payload.start.is_empty();
        let mut lineage = self.lineage.clone();
        if begins_run {
            lineage.insert(0, (self.run, payload.begin.seq));
            lineage.truncate(LINEAGE_MAX);
        }
        let opening = Opening { first: self.log.end, begins_run, lineage, is_carried: false };
        self.open_segment(&opening, &[payload.frame(tail)], payload.end, need)?;
        if begins_run {
            self.log.runs.add(self.run, payload.begin.seq);
            self.lineage = opening.lineage;
        }
        Ok(())
    }

    /// When the last file has frames that are not known to be on the flash and is not written any
    /// longer: sees to it that they are. Found so at the start, they are written once more where they
    /// stand; in a file that failed, into a fresh segment.
    pub(crate) fn carry_over(&mut self) -> Result<(), SpoolError> {
        let tip = self.log.tip;
        if tip.is_open || tip.synced == tip.used {
            return Ok(());
        }
        let Some(segment) = self.log.segments.back().cloned() else { return Ok(()) };
        if segment.is_sound && again(&mut self.disk, segment.slot, tip.synced, tip.used).is_ok() {
            self.note_synced();
            return Ok(());
        }
        self.poison();
        self.write_elsewhere(&segment)
    }

    /// Copies the frames that a failed file may have lost into a fresh segment. What cannot be read
    /// back is declared.
    fn write_elsewhere(&mut self, segment: &Segment) -> Result<(), SpoolError> {
        let tip = self.log.tip;
        let mut carried: Vec<Carried> = Vec::new();
        let (mut missing, mut copied) = (Vec::new(), Vec::new());
        let (mut offset, mut end) = (tip.synced.max(FRAMES_AT), tip.synced_end);
        while let Ok(Some(header)) = segment.next_frame(&mut self.disk, offset, tip.used, Patience::Skip) {
            offset = header.next_offset();
            let mut bytes = Vec::new();
            let whole = segment.read_frame(&mut self.disk, &header, &mut bytes);
            if header.is_checkpoint || !matches!(whole, Ok((true, true))) {
                continue;
            }
            let block = bytes.get(header.start_bytes as usize..header.items_bytes() as usize);
            let copies = self.copies_for(block.unwrap_or_default(), &mut copied);
            let tail = self.tail_anew(bytes.get(header.items_bytes() as usize..), &copies);
            let Some(tail) = tail else { continue };
            bytes.truncate(header.items_bytes() as usize);
            bytes.extend_from_slice(&tail);
            if header.has_items() && segment.begin_of(&header) != end {
                missing.push((end, segment.begin_of(&header)));
            }
            end = if header.has_items() { segment.end_of(&header) } else { end };
            carried.push(Carried { header, bytes });
        }
        if end != self.log.end {
            missing.push((end, self.log.end));
        }
        if !missing.is_empty() {
            // The cursors of what is declared count too, and stand behind those that are carried over.
            carried.push(self.cursors_anew());
        }
        for (from, to) in missing {
            self.declare(&from, &to, Cause::Corruption)?;
        }
        let begins_run = carried.iter().any(|frame| frame.header.start_bytes > 0);
        let lineage = self.lineage.clone();
        let opening = Opening { first: tip.synced_end, begins_run, lineage, is_carried: true };
        let frames: Vec<_> = carried.iter().map(Carried::frame).collect();
        self.trail.clear();
        self.open_segment(&opening, &frames, self.log.end, Need::State)
    }

    /// A frame with all cursors and no item, at the end of the log.
    fn cursors_anew(&self) -> Carried {
        let writer = TailWriter::new(self.config.lane, self.log.base);
        let mut bytes = Vec::new();
        writer.encode(self.cursors(), &[], &mut bytes);
        let end = self.log.end;
        let header = FrameHeader {
            items_checksum: 0,
            tail_checksum: 0,
            offset: 0,
            synced: 0,
            is_checkpoint: false,
            start_bytes: 0,
            block_bytes: 0,
            tail_bytes: bytes.len() as u32,
            count: 0,
            first: end.seq,
            previous: end.chain,
            end: end.chain,
        };
        Carried { header, bytes }
    }

    /// What a block that is carried over refers to stays behind in the file that failed, which goes before it
    /// does: so the first that refers to it takes a copy along. Nothing where it has become unreadable.
    fn copies_for(&mut self, sealed: &[u8], copied: &mut Vec<Reference>) -> Blocks {
        let Ok((ItemHeader::Block(header), payload)) = item::open(sealed) else { return Blocks::new() };
        let Ok(Some(reference)) = Reference::of(&header, payload) else { return Blocks::new() };
        if copied.contains(&reference) {
            return Blocks::new();
        }
        copied.push(reference);
        self.log.referred(&mut self.disk, header.run, &reference).ok().flatten().unwrap_or_default()
    }

    /// The tail of a frame that is carried over: its cursors, under the base and the gaps of now, which
    /// stand in the checkpoint before it, and copies of what it refers to.
    fn tail_anew(&self, tail: Option<&[u8]>, copies: &[Vec<u8>]) -> Option<Vec<u8>> {
        let tail = Tail::decode(tail?)?;
        let copies: Vec<&[u8]> = copies.iter().map(Vec::as_slice).collect();
        let writer = TailWriter { copies: &copies, ..TailWriter::new(self.config.lane, self.log.base) };
        let mut anew = Vec::new();
        writer.encode(tail.cursors.iter().copied(), &tail.forget, &mut anew);
        Some(anew)
    }

    /// Declares what lies between two places gone, as far as it is not acknowledged. Not durable before
    /// the next frame with gaps.
    pub(crate) fn declare(&mut self, from: &Place, to: &Place, cause: Cause) -> Result<(), SpoolError> {
        let from = if self.log.key(from) < self.log.key(&self.log.base) { &self.log.base } else { from };
        if self.log.key(to) <= self.log.key(from) {
            return Ok(());
        }
        let from = &from.clone();
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
        let from = standing.map_or(*from, |hole| hole.from);
        let to = standing.map_or(*to, |_| self.log.gaps.past(&from));
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
        need: Need,
    ) -> Result<(), SpoolError> {
        self.cut_short();
        let frames_bytes: usize = frames.iter().map(Frame::bytes).sum();
        let bytes = u64::from(FRAMES_AT) + (self.checkpoint_bytes() + frames_bytes) as u64;
        let (file, drop) = self.reserve(bytes.next_multiple_of(PAGE_BYTES), need)?;
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
        let tail = self.checkpoint(drop);
        let nothing = Payload::nothing(opening.first);
        let checkpoint = Frame { is_checkpoint: true, ..nothing.frame(&tail) };
        let carried: usize = if opening.is_carried { frames.iter().map(Frame::bytes).sum() } else { 0 };
        let header = Header {
            whole: FRAMES_AT + (checkpoint.bytes() + carried) as u32,
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
        for frame in std::iter::once(&checkpoint).chain(frames) {
            let offset = self.buf.len() as u32;
            frame.encode(header.salt, index, offset, FRAMES_AT, &mut self.buf);
        }
        // Whatever comes of this, the segment before ends here: the new header may be on the flash.
        self.log.tip.is_open = false;
        let written = self.disk.write_at(file.slot, 0, &self.buf);
        if let Err(error) = written.and_then(|()| self.disk.sync(file.slot)) {
            // It is not removed before a segment of a higher index is durable: a power cut could bring
            // it back when its index has been given to another. Other files are tried before it.
            self.files.give_back(file);
            return Err(SpoolError::Disk(error));
        }
        self.files.note_used();
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

    pub(crate) fn apply(&mut self, drop: Drop) {
        self.log.gaps = drop.gaps;
        self.state.dropped = drop.dropped;
        self.trail.clear();
        let from = self.log.base;
        // Gaps of other causes may stand at the base, and between what was dropped.
        let to = self.log.gaps.past(&from);
        let records = drop.records;
        self.push_event(SpoolEvent::Dropped { from, to, cause: Cause::Overflow, records });
    }

    /// The checkpoint's tail: the state before new frames. (Frames that are carried over are in it
    /// already: the segment counts only with all of them.)
    fn checkpoint(&self, drop: Option<&Drop>) -> Vec<u8> {
        let gaps = drop.map_or((&self.log.gaps, &self.state.dropped), |drop| (&drop.gaps, &drop.dropped));
        let plain = TailWriter::new(self.config.lane, self.log.base);
        let writer = TailWriter { is_checkpoint: true, gaps: Some(gaps), ..plain };
        let mut tail = Vec::new();
        writer.encode(self.cursors(), &[], &mut tail);
        tail
    }

    fn checkpoint_bytes(&self) -> usize {
        let tail = self.checkpoint(None);
        // One gap may come to it.
        Payload::nothing(self.log.end).frame(&tail).bytes() + 2048
    }
}
