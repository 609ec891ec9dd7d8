//! The segments of a log in memory: where each begins, and how its frames are walked.

use std::collections::VecDeque;

use driftlog_proto::checksum::crc32c_seeded;
use driftlog_proto::ids::{Place, RunId};

use super::disk::{Disk, DiskError, Slot, read_again};
use super::frame::{FRAME_ALIGN, FRAME_HEADER_BYTES, FrameHeader};
use super::gaps::Gaps;
use super::header::{FRAMES_AT, Header};
use super::order::{Key, Runs};

/// Bytes read at a time when looking for the next frame behind damage.
const RESYNC_BYTES: usize = 16 * 1024;

/// What to do about bytes that the flash does not give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Say so.
    Fail,
    /// Take them for damaged, and look behind them.
    Skip,
}

/// One segment.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) slot: Slot,
    /// Length of its file.
    pub(crate) bytes: u32,
    pub(crate) index: u64,
    pub(crate) salt: u32,
    /// The run whose items it holds: a segment holds items of one run only.
    pub(crate) run: RunId,
    /// Its first item is that run's start.
    pub(crate) begins_run: bool,
    pub(crate) first: Place,
    /// Up to here it must be whole to count at all.
    pub(crate) whole: u32,
    /// No write or sync of it failed: its file may be used again.
    pub(crate) is_sound: bool,
}

impl Segment {
    pub(crate) fn new(slot: Slot, bytes: u64, header: &Header) -> Self {
        Self {
            slot,
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            index: header.index,
            salt: header.salt,
            run: header.lineage.first().map_or(RunId::ORIGIN, |(run, _)| *run),
            begins_run: header.begins_run,
            first: header.first,
            whole: header.whole,
            is_sound: true,
        }
    }

    /// The place before the first item of a frame.
    pub(crate) fn begin_of(&self, frame: &FrameHeader) -> Place {
        if frame.start_bytes > 0 {
            return self.first;
        }
        Place { run: self.run, seq: frame.first, chain: frame.previous }
    }

    /// The place after the last item of a frame.
    pub(crate) fn end_of(&self, frame: &FrameHeader) -> Place {
        frame.end_place(self.run)
    }

    /// The header of the frame at `offset`, which must end below `limit`.
    pub(crate) fn frame_at<D: Disk>(
        &self,
        disk: &mut D,
        offset: u32,
        limit: u32,
    ) -> Result<Option<FrameHeader>, DiskError> {
        let mut bytes = [0; FRAME_HEADER_BYTES];
        if offset.saturating_add(FRAME_HEADER_BYTES as u32) > limit
            || read_again(disk, self.slot, u64::from(offset), &mut bytes)? < FRAME_HEADER_BYTES
        {
            return Ok(None);
        }
        Ok(self.decode(&bytes, offset, limit))
    }

    fn decode(&self, bytes: &[u8], offset: u32, limit: u32) -> Option<FrameHeader> {
        let frame = FrameHeader::decode(bytes, self.salt, self.index, offset)?;
        let starts_where_it_may = frame.start_bytes == 0
            || (self.begins_run && frame.first == self.first.seq && frame.previous == self.first.chain);
        (frame.next_offset() <= limit && starts_where_it_may).then_some(frame)
    }

    /// The frame at `offset`, or the next one behind damage that begins there.
    pub(crate) fn next_frame<D: Disk>(
        &self,
        disk: &mut D,
        offset: u32,
        limit: u32,
        patience: Patience,
    ) -> Result<Option<FrameHeader>, DiskError> {
        match self.frame_at(disk, offset, limit) {
            Ok(Some(frame)) => Ok(Some(frame)),
            Err(error) if patience == Patience::Fail => Err(error),
            Ok(None) | Err(_) => {
                self.resynchronise(disk, offset.saturating_add(FRAME_ALIGN as u32), limit, patience)
            }
        }
    }

    fn resynchronise<D: Disk>(
        &self,
        disk: &mut D,
        from: u32,
        limit: u32,
        patience: Patience,
    ) -> Result<Option<FrameHeader>, DiskError> {
        let mut bytes = vec![0; RESYNC_BYTES];
        let mut at = from.max(FRAMES_AT);
        while at.saturating_add(FRAME_HEADER_BYTES as u32) <= limit {
            let wanted = bytes.len().min((limit - at) as usize);
            let piece = bytes.get_mut(..wanted).unwrap_or_default();
            let read = match read_again(disk, self.slot, u64::from(at), piece) {
                Err(_) if patience == Patience::Skip => {
                    at += wanted.next_multiple_of(FRAME_ALIGN) as u32;
                    continue;
                }
                read => read?,
            };
            let mut within = 0;
            while let Some(candidate) = piece.get(within..read).filter(|c| c.len() >= FRAME_HEADER_BYTES) {
                if let Some(frame) = self.decode(candidate, at + within as u32, limit) {
                    return Ok(Some(frame));
                }
                within += FRAME_ALIGN;
            }
            if within == 0 {
                break;
            }
            at += within as u32;
        }
        Ok(None)
    }

    /// Reads the items and the tail of a frame into `buf`, one behind the other; says whether each
    /// of the two is as it was written.
    pub(crate) fn read_frame<D: Disk>(
        &self,
        disk: &mut D,
        frame: &FrameHeader,
        buf: &mut Vec<u8>,
    ) -> Result<(bool, bool), DiskError> {
        let items = frame.items_bytes() as usize;
        let total = items + frame.tail_bytes as usize;
        buf.clear();
        buf.resize(total, 0);
        let at = u64::from(frame.offset) + FRAME_HEADER_BYTES as u64;
        if read_again(disk, self.slot, at, buf)? < total {
            return Ok((false, false));
        }
        let (items, tail) = buf.split_at(items);
        Ok((
            crc32c_seeded(self.salt, &[items]) == frame.items_checksum,
            crc32c_seeded(self.salt, &[tail]) == frame.tail_checksum,
        ))
    }

    /// Reads the items of a frame alone; `false` when they are damaged.
    pub(crate) fn read_items<D: Disk>(
        &self,
        disk: &mut D,
        frame: &FrameHeader,
        buf: &mut Vec<u8>,
    ) -> Result<bool, DiskError> {
        buf.clear();
        buf.resize(frame.items_bytes() as usize, 0);
        let at = u64::from(frame.offset) + FRAME_HEADER_BYTES as u64;
        let read = read_again(disk, self.slot, at, buf)?;
        Ok(read == buf.len() && crc32c_seeded(self.salt, &[buf]) == frame.items_checksum)
    }
}

/// The end of the log: the last segment is the only one that grows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tip {
    /// Opened in this run, and nothing failed: the next frame may go there.
    pub(crate) is_open: bool,
    /// Where the next frame goes.
    pub(crate) used: u32,
    /// Below here it is synced, up to this place.
    pub(crate) synced: u32,
    pub(crate) synced_end: Place,
    /// Below here it may be published, up to this place.
    pub(crate) durable: u32,
    pub(crate) durable_end: Place,
}

impl Tip {
    pub(crate) const fn at(place: Place) -> Self {
        Self { is_open: false, used: 0, synced: 0, synced_end: place, durable: 0, durable_end: place }
    }
}

/// A log: its segments, its gaps and its two ends.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(crate) base: Place,
    pub(crate) segments: VecDeque<Segment>,
    pub(crate) gaps: Gaps,
    pub(crate) runs: Runs,
    pub(crate) tip: Tip,
    /// The place after the last item, durable or not.
    pub(crate) end: Place,
}

impl Log {
    pub(crate) fn empty(base: Place) -> Self {
        Self {
            base,
            segments: VecDeque::new(),
            gaps: Gaps::default(),
            runs: Runs::default(),
            tip: Tip::at(base),
            end: base,
        }
    }

    pub(crate) fn key(&self, place: &Place) -> Key {
        self.runs.key(place)
    }

    /// Which segment holds what begins at a place with this key, and its items' end.
    pub(crate) fn locate(&self, key: Key) -> Option<usize> {
        self.segments.partition_point(|segment| self.key(&segment.first) <= key).checked_sub(1)
    }

    /// Where the items of a segment end: where the next one begins.
    pub(crate) fn end_of(&self, at: usize) -> Place {
        self.segments.get(at + 1).map_or(self.end, |next| next.first)
    }

    /// Below which offset frames of a segment may be read as items.
    pub(crate) fn limit_of(&self, at: usize) -> u32 {
        match self.segments.get(at) {
            Some(_) if at + 1 == self.segments.len() => self.tip.durable,
            Some(segment) => segment.bytes,
            None => 0,
        }
    }

    /// Takes out the segments at the front that nobody needs any longer: what is in them is
    /// acknowledged or declared gone. The last one stays.
    pub(crate) fn release(&mut self) -> Vec<Segment> {
        let frontier = self.key(&self.gaps.past(&self.base));
        let mut released = Vec::new();
        while self.segments.len() > 1 && self.key(&self.end_of(0)) <= frontier {
            released.extend(self.segments.pop_front());
        }
        released
    }
}

#[cfg(test)]
mod tests {
    use driftlog_proto::ids::{Chain, Seq};

    use super::super::frame::Frame;
    use super::*;

    const FIRST: Place = Place { run: RunId(7), seq: Seq(5), chain: Chain(9) };

    /// A frame with a start at this offset, which says that it comes behind this place.
    fn started(begin: Place, offset: u32) -> Vec<u8> {
        let frame = Frame {
            is_checkpoint: false,
            start: &[1; 20],
            block: &[2; 30],
            tail: &[],
            count: 1,
            first: begin.seq,
            previous: begin.chain,
            end: Chain(11),
        };
        let mut bytes = Vec::new();
        frame.encode(3, 4, offset, FRAMES_AT, &mut bytes);
        bytes
    }

    #[test]
    fn a_start_stands_only_where_a_segment_says_that_a_run_begins_and_ends_within_it() {
        let segment = Segment {
            slot: 1,
            bytes: 8192,
            index: 4,
            salt: 3,
            run: RunId(8),
            begins_run: true,
            first: FIRST,
            whole: 0,
            is_sound: true,
        };
        let is_read = |segment: &Segment, begin: Place, limit: u32| {
            segment.decode(&started(begin, 2048), 2048, limit).is_some()
        };
        let end = 2048 + 128;
        assert!(is_read(&segment, FIRST, end) && !is_read(&segment, FIRST, end - 1));
        assert!(!is_read(&segment, Place { seq: Seq(6), ..FIRST }, end));
        assert!(!is_read(&segment, Place { chain: Chain(8), ..FIRST }, end));
        assert!(!is_read(&Segment { begins_run: false, ..segment }, FIRST, end));
    }
}
