//! The last segment at recovery: what of it counts, and what was torn.

use driftlog_proto::ids::{BootId, Place};
use driftlog_proto::item::{self, ItemHeader};
use driftlog_proto::time::{Mono, Unix};

use super::disk::Disk;
use super::frame::FrameHeader;
use super::header::FRAMES_AT;
use super::recover::Recovery;
use super::segment::{Patience, Segment, Tip};
use super::state::State;
use super::tail::Tail;

/// What stands in a last segment.
pub(crate) struct Survey {
    /// Below here some frame says that it was synced.
    pub(crate) synced: u32,
    /// All that was written when it was opened is there.
    pub(crate) is_whole: bool,
    pub(crate) checkpoint: bool,
}

/// Reads the headers of its frames, and the bytes of those without which it does not count.
pub(crate) fn survey<D: Disk>(disk: &mut D, segment: &Segment) -> Survey {
    let mut survey = Survey { synced: FRAMES_AT, is_whole: false, checkpoint: false };
    let mut offset = FRAMES_AT;
    let mut whole = FRAMES_AT;
    let mut buf = Vec::new();
    // A read that fails hides what it would have shown: that is damage like any other.
    while let Ok(Some(frame)) = segment.next_frame(disk, offset, segment.bytes, Patience::Skip) {
        if frame.offset == FRAMES_AT {
            survey.checkpoint = read_state(disk, segment, &frame).is_some();
        }
        if frame.offset == whole && whole < segment.whole {
            let read = segment.read_frame(disk, &frame, &mut buf);
            whole = if matches!(read, Ok((true, true))) { frame.next_offset() } else { whole };
        }
        survey.synced = survey.synced.max(frame.synced.min(frame.offset));
        offset = frame.next_offset();
    }
    survey.is_whole = survey.checkpoint && whole >= segment.whole;
    survey
}

/// The tail of a checkpoint, if it is whole.
pub(crate) fn read_state<D: Disk>(disk: &mut D, segment: &Segment, frame: &FrameHeader) -> Option<Vec<u8>> {
    let mut buf = Vec::new();
    match segment.read_frame(disk, frame, &mut buf) {
        Ok((_, true)) if frame.is_checkpoint => {
            buf.drain(..frame.items_bytes() as usize);
            Tail::decode(&buf).is_some_and(|tail| tail.is_checkpoint).then_some(buf)
        }
        _ => None,
    }
}

/// A last segment as it was read.
pub(crate) struct Walk {
    pub(crate) tip: Tip,
    /// What was damaged below what had been synced.
    pub(crate) damaged: Vec<(Place, Place)>,
}

/// Reads the last segment up to its torn tail.
pub(crate) fn walk_last<D: Disk>(
    disk: &mut D,
    segment: &Segment,
    survey: &Survey,
    state: &mut State,
    report: &mut Recovery,
) -> Walk {
    let mut buf = Vec::new();
    let mut damaged = Vec::new();
    let mut end = segment.first;
    let (mut synced_end, mut used) = (end, FRAMES_AT);
    while let Ok(Some(frame)) = segment.next_frame(disk, used, segment.bytes, Patience::Skip) {
        let (items, tail) = segment.read_frame(disk, &frame, &mut buf).unwrap_or((false, false));
        let skipped = frame.offset != used;
        let damage = skipped || !items || !tail;
        // A frame found behind a hole that reaches above what was synced is part of the torn tail.
        if damage && (used >= survey.synced || (skipped && frame.offset > survey.synced)) {
            break;
        }
        report.damaged_frames += usize::from(damage);
        report.cursors_lost |= skipped || !tail;
        let is_synced = frame.offset < survey.synced;
        if let Some(tail) = buf.get(frame.items_bytes() as usize..).filter(|_| tail).and_then(Tail::decode) {
            state.apply(&tail);
        }
        // A frame without items says where the log ended too: behind a hole, how far the hole went.
        let ends_hole = skipped && frame.first > end.seq;
        if frame.has_items() || ends_hole {
            // With its items damaged the frame's header still says exactly what is gone.
            let begin = if items { segment.begin_of(&frame) } else { segment.end_of(&frame) };
            if begin != end {
                damaged.push((end, begin));
            }
            end = segment.end_of(&frame);
            if items && frame.has_items() {
                report.newest = newest(buf.get(frame.start_bytes as usize..frame.items_bytes() as usize));
            }
        }
        used = frame.next_offset();
        if is_synced {
            synced_end = end;
        }
    }
    report.cut_bytes = torn_bytes(disk, segment, used);
    let synced = survey.synced.min(used);
    let tip = Tip { is_open: false, used, synced, synced_end, durable: used, durable_end: end };
    Walk { tip, damaged }
}

fn newest(block: Option<&[u8]>) -> Option<(BootId, Mono, Unix)> {
    match item::peek(block?)?.0 {
        ItemHeader::Block(header) => Some((header.boot, header.mono, header.wall)),
        _ => None,
    }
}

/// How much stands behind the last whole frame, as far as a frame's header there tells: what did not
/// get through at all cannot be told from what an earlier life of the file left.
fn torn_bytes<D: Disk>(disk: &mut D, segment: &Segment, used: u32) -> u64 {
    match segment.next_frame(disk, used, segment.bytes, Patience::Skip) {
        Ok(Some(frame)) => u64::from(frame.next_offset() - used),
        _ => 0,
    }
}
