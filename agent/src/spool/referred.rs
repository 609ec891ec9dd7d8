//! Blocks that another refers to, found again: where they stand, whatever is acknowledged of them,
//! or in the copy that the first block referring to them brought.

use std::collections::VecDeque;

use driftlog_proto::block::Reference;
use driftlog_proto::ids::RunId;

use super::disk::{Disk, DiskError};
use super::frame::FrameHeader;
use super::header::FRAMES_AT;
use super::segment::{Log, Patience, Segment};
use super::tail::Tail;
use super::{Spool, SpoolError};

/// Sealed blocks, in order.
pub(crate) type Blocks = Vec<Vec<u8>>;

impl Log {
    /// What a block of `run` refers to; `None` when it is nowhere whole.
    pub(crate) fn referred<D: Disk>(
        &self,
        disk: &mut D,
        run: RunId,
        reference: &Reference,
    ) -> Result<Option<Blocks>, DiskError> {
        let mut failed = None;
        for (at, segment) in self.segments.iter().enumerate() {
            let is_before = self.end_of(at).run == run && self.end_of(at).seq <= reference.seq;
            if segment.run != run || is_before {
                continue;
            }
            match referred_in(disk, segment, self.limit_of(at), reference) {
                Ok(None) => {}
                Ok(Some(blocks)) => return Ok(Some(blocks)),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(None), Err)
    }
}

/// An error only when nothing whole was found, and something could not be read.
fn referred_in<D: Disk>(
    disk: &mut D,
    segment: &Segment,
    limit: u32,
    reference: &Reference,
) -> Result<Option<Blocks>, DiskError> {
    let mut before: VecDeque<FrameHeader> = VecDeque::new();
    let mut offset = FRAMES_AT;
    let mut failed = None;
    while let Some(frame) = segment.next_frame(disk, offset, limit, Patience::Skip)? {
        offset = frame.next_offset();
        if frame.block_bytes == 0 {
            continue;
        }
        let first = frame.first;
        let blocks = if first > reference.seq {
            copies(disk, segment, &frame)
        } else {
            before.push_back(frame);
            if before.len() > usize::from(reference.count) {
                before.pop_front();
            }
            if first < reference.seq {
                continue;
            }
            before.iter().map(|frame| own(disk, segment, frame)).collect()
        };
        match blocks {
            Ok(blocks) if reference.is_met_by(segment.run, &blocks) => return Ok(Some(blocks)),
            Ok(_) => {}
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(None), Err)
}

/// A frame's block; nothing when it is damaged.
fn own<D: Disk>(disk: &mut D, segment: &Segment, frame: &FrameHeader) -> Result<Vec<u8>, DiskError> {
    let mut items = Vec::new();
    let is_whole = segment.read_items(disk, frame, &mut items)?;
    Ok(if is_whole { items.split_off((frame.start_bytes as usize).min(items.len())) } else { Vec::new() })
}

/// The copies that a frame brought.
fn copies<D: Disk>(disk: &mut D, segment: &Segment, frame: &FrameHeader) -> Result<Blocks, DiskError> {
    let mut bytes = Vec::new();
    let (_, is_tail_whole) = segment.read_frame(disk, frame, &mut bytes)?;
    let tail = bytes.get(frame.items_bytes() as usize..).filter(|_| is_tail_whole).and_then(Tail::decode);
    Ok(tail.map(|tail| tail.copies.iter().map(|copy| copy.to_vec()).collect()).unwrap_or_default())
}

impl<D: Disk> Spool<D> {
    /// The segment that takes the next block, if there is room for it.
    #[must_use]
    pub fn segment(&self) -> Option<u64> {
        let segment = self.log.segments.back().filter(|_| self.log.tip.is_open && self.start.is_none());
        segment.map(|segment| segment.index)
    }

    /// Whether the log has anything of this run: of another one it cannot say that it is gone.
    #[must_use]
    pub fn has_run(&self, run: RunId) -> bool {
        self.log.segments.iter().any(|segment| segment.run == run)
    }

    /// The sealed blocks that a block of `run` refers to, also when they are acknowledged; `None`
    /// when they are nowhere whole.
    ///
    /// # Errors
    /// When the flash does not give their bytes. Try again later.
    pub fn referred(&mut self, run: RunId, reference: &Reference) -> Result<Option<Blocks>, SpoolError> {
        self.log.referred(&mut self.disk, run, reference).map_err(SpoolError::Disk)
    }
}
