//! Finding items in the log: one segment is scanned, from the nearest place that is remembered.

use std::collections::VecDeque;

use driftlog_proto::ids::{Chain, Place, RunId, Seq};
use driftlog_proto::limits::IN_FLIGHT_ITEMS_MAX;
use driftlog_proto::sender::{Boundary, Kind, Stored};

use super::disk::{Disk, DiskError};
use super::frame::FrameHeader;
use super::header::FRAMES_AT;
use super::segment::{Log, Patience, Segment};

/// Places remembered: what is on the air, twice over.
const TRAIL_MAX: usize = 2 * IN_FLIGHT_ITEMS_MAX;

/// Where items that were lately found end: the ring of what is on the air.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trail(VecDeque<Step>);

#[derive(Clone, Copy, Debug)]
struct Step {
    place: Place,
    segment: u64,
    /// The frame that holds what begins at the place.
    offset: u32,
}

impl Trail {
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    fn add(&mut self, step: Step) {
        if self.0.iter().any(|known| known.place == step.place) {
            return;
        }
        if self.0.len() >= TRAIL_MAX {
            self.0.pop_front();
        }
        self.0.push_back(step);
    }

    fn offset(&self, place: &Place, segment: u64) -> Option<u32> {
        self.0.iter().find(|step| step.place == *place && step.segment == segment).map(|step| step.offset)
    }

    fn chain(&self, run: RunId, seq: Seq) -> Option<Chain> {
        self.0.iter().find(|s| (s.place.run, s.place.seq) == (run, seq)).map(|step| step.place.chain)
    }
}

/// How much an item is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    /// Its frame's header is enough.
    Trust,
    /// Its bytes are read and checked too.
    Verify,
    /// So they are, and what the flash does not give counts as damaged.
    Insist,
}

/// What stands at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Item(Stored),
    /// What stood there is damaged; the next good item begins here, or the log ends here.
    Damaged(Place),
    Nothing,
}

/// The items of one frame as the log sees them.
struct Items {
    start: Option<Stored>,
    block: Option<Stored>,
}

impl Items {
    /// # Errors
    /// When the flash does not give the start's bytes. `Ok(None)`: they are damaged.
    fn of<D: Disk>(
        disk: &mut D,
        segment: &Segment,
        frame: &FrameHeader,
        buf: &mut Vec<u8>,
    ) -> Result<Option<Self>, DiskError> {
        let token = (segment.index << 32) + u64::from(frame.offset);
        let mut begin = segment.begin_of(frame);
        let mut start = None;
        if frame.start_bytes > 0 {
            if !segment.read_items(disk, frame, buf)? {
                return Ok(None);
            }
            let sealed = buf.get(..frame.start_bytes as usize).unwrap_or_default();
            let end = Place { run: segment.run, seq: frame.first, chain: Chain::after(sealed) };
            start = Some(Stored { begin, end, kind: Kind::Start, bytes: frame.start_bytes, token });
            begin = end;
        }
        let block = (frame.block_bytes > 0).then(|| Stored {
            begin,
            end: segment.end_of(frame),
            kind: Kind::Block,
            bytes: frame.block_bytes,
            token,
        });
        Ok(Some(Self { start, block }))
    }

    fn iter(&self) -> impl Iterator<Item = &Stored> {
        self.start.iter().chain(self.block.iter())
    }
}

impl Log {
    /// The item that begins at `place`, above the base and below what is durable.
    pub(crate) fn find<D: Disk>(
        &self,
        disk: &mut D,
        trail: &mut Trail,
        place: &Place,
        care: Care,
    ) -> Result<Found, DiskError> {
        let key = self.key(place);
        if key < self.key(&self.base) || key >= self.key(&self.tip.durable_end) {
            return Ok(Found::Nothing);
        }
        let Some(at) = self.locate(key) else {
            return Ok(self.segments.front().map_or(Found::Nothing, |first| Found::Damaged(first.first)));
        };
        let Some(segment) = self.segments.get(at) else { return Ok(Found::Nothing) };
        let is_last = at + 1 == self.segments.len();
        let end = if is_last { self.tip.durable_end } else { self.end_of(at) };
        let limit = self.limit_of(at);
        let mut offset = trail.offset(place, segment.index).unwrap_or(FRAMES_AT);
        let mut buf = Vec::new();
        let patience = if care == Care::Insist { Patience::Skip } else { Patience::Fail };
        while let Some(frame) = segment.next_frame(disk, offset, limit, patience)? {
            offset = frame.next_offset();
            if !frame.has_items() || self.key(&segment.end_of(&frame)) <= key {
                continue;
            }
            let begin = segment.begin_of(&frame);
            if self.key(&begin) > key {
                let next = if self.key(&begin) < self.key(&end) { begin } else { end };
                return Ok(Found::Damaged(next));
            }
            let items = match Items::of(disk, segment, &frame, &mut buf) {
                Ok(Some(items)) => items,
                Err(error) if care != Care::Insist => return Err(error),
                Ok(None) | Err(_) => return Ok(Found::Damaged(segment.end_of(&frame))),
            };
            // Another chain at this very number: whoever asks does not speak of this log.
            let Some(item) = items.iter().find(|item| item.begin == *place).copied() else {
                return Ok(Found::Nothing);
            };
            if care != Care::Trust {
                match segment.read_items(disk, &frame, &mut buf) {
                    Ok(true) => {}
                    Err(error) if care == Care::Verify => return Err(error),
                    Ok(false) | Err(_) => return Ok(Found::Damaged(segment.end_of(&frame))),
                }
            }
            let next = if item.kind == Kind::Start { frame.offset } else { offset };
            trail.add(Step { place: item.end, segment: segment.index, offset: next });
            return Ok(Found::Item(item));
        }
        Ok(Found::Damaged(end))
    }

    /// Where the log leaves `run` below number `seq`, above the base: a segment holds items of one
    /// run, and the first one of a run begins where the run before it ends.
    pub(crate) fn leaves(&self, run: RunId, seq: Seq) -> Option<Place> {
        let is_it = |segment: &&Segment| {
            let first = &segment.first;
            first.run == run
                && segment.run != run
                && first.seq < seq
                && self.key(first) > self.key(&self.base)
        };
        let leaves = self.segments.iter().find(is_it).map(|segment| segment.first)?;
        self.gaps.around(leaves.run, leaves.seq).is_none().then_some(leaves)
    }

    /// What stands at number `seq` of `run`, above the base.
    pub(crate) fn boundary<D: Disk>(
        &self,
        disk: &mut D,
        trail: &Trail,
        run: RunId,
        seq: Seq,
    ) -> Result<Boundary, DiskError> {
        let key = self.runs.key_of(run, seq);
        let is = |place: &Place| (place.run, place.seq) == (run, seq);
        if is(&self.base) || key < self.key(&self.base) || key > self.key(&self.tip.durable_end) {
            return Ok(Boundary::Unknown);
        }
        if self.gaps.around(run, seq).is_some() {
            return Ok(Boundary::InsideGap);
        }
        let ends = self.gaps.iter().flat_map(|hole| [&hole.from, &hole.to]);
        if let Some(place) = ends.chain([&self.tip.durable_end]).find(|place| is(place)) {
            return Ok(Boundary::At(place.chain));
        }
        if let Some(chain) = trail.chain(run, seq) {
            return Ok(Boundary::At(chain));
        }
        let Some(at) = self.locate(key) else { return Ok(Boundary::Unknown) };
        let Some(segment) = self.segments.get(at) else { return Ok(Boundary::Unknown) };
        // Behind the end may stand what the log had before it was cut there.
        let end = self.runs.end_of(segment.run, segment.first.seq).min(self.end_of(at).seq);
        if run == segment.run && seq > end {
            return Ok(Boundary::Unknown);
        }
        if is(&segment.first) {
            return Ok(Boundary::At(segment.first.chain));
        }
        self.boundary_within(disk, at, segment, run, seq)
    }

    fn boundary_within<D: Disk>(
        &self,
        disk: &mut D,
        at: usize,
        segment: &Segment,
        run: RunId,
        seq: Seq,
    ) -> Result<Boundary, DiskError> {
        let limit = self.limit_of(at);
        let mut offset = FRAMES_AT;
        let mut buf = Vec::new();
        while let Some(frame) = segment.next_frame(disk, offset, limit, Patience::Fail)? {
            offset = frame.next_offset();
            if !frame.has_items() {
                continue;
            }
            let end = segment.end_of(&frame);
            if (end.run, end.seq) == (run, seq) {
                return Ok(Boundary::At(end.chain));
            }
            if frame.start_bytes > 0 && (segment.run, frame.first) == (run, seq) {
                let items = Items::of(disk, segment, &frame, &mut buf)?;
                let start = items.and_then(|items| items.start);
                return Ok(start.map_or(Boundary::Unknown, |start| Boundary::At(start.end.chain)));
            }
            if frame.first > seq {
                break;
            }
        }
        Ok(Boundary::Unknown)
    }

    /// The segment and the frame that a token names.
    pub(crate) fn frame_of<D: Disk>(
        &self,
        disk: &mut D,
        item: &Stored,
    ) -> Result<Option<(&Segment, FrameHeader)>, DiskError> {
        let (index, offset) = ((item.token >> 32) as u32, item.token as u32);
        let Some(at) = self.segments.iter().position(|segment| segment.index as u32 == index) else {
            return Ok(None);
        };
        let Some(segment) = self.segments.get(at) else { return Ok(None) };
        let frame = segment.frame_at(disk, offset, self.limit_of(at))?;
        Ok(frame.map(|frame| (segment, frame)))
    }
}
