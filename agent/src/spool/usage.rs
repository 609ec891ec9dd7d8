//! What a person and the gateway are told about a spool.

use std::collections::VecDeque;

use driftlog_proto::ids::{BootId, Place};
use driftlog_proto::item::{self, Cause, ItemHeader};
use driftlog_proto::sender::Kind;
use driftlog_proto::time::{Mono, Unix};

use super::disk::{Disk, Slot};
use super::find::{Care, Found};
use super::tail::Dropped;
use super::{Recovery, Spool};

/// Events kept for the caller; older ones give way. A sender that misses one finds itself at a
/// place that is gone, and reads on from the base.
const EVENTS_MAX: usize = 64;
/// Items read at most to find the oldest block.
const OLDEST_ITEMS_MAX: usize = 130;

/// Something that the caller should know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpoolEvent {
    /// A gap now stands in the log where items were.
    Dropped {
        /// Where the gap that now stands in the log begins.
        from: Place,
        /// Where it ends, or the last of the gaps that stand behind it side by side.
        to: Place,
        /// Why.
        cause: Cause,
        /// Records newly declared lost.
        records: u64,
    },
    /// A write or sync of this file failed; it is not written any longer.
    Poisoned {
        /// Which file.
        slot: Slot,
    },
}

/// How a spool is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolUsage {
    /// Bytes of all files, spares included.
    pub bytes: u64,
    /// What they may be at most.
    pub bytes_max: u64,
    /// Segments in the log.
    pub segments: usize,
    /// Records sealed and neither acknowledged nor declared lost.
    pub records_waiting: u64,
    /// Gaps not yet acknowledged.
    pub gaps: usize,
    /// Boot, monotonic and wall time of the oldest block that waits.
    pub oldest: Option<(BootId, Mono, Unix)>,
    /// Records declared lost since the spool was made, by [`Cause::index`].
    pub dropped: Dropped,
    /// The last append was refused: the sources wait.
    pub is_full: bool,
    /// What went wrong last, if it did not go well since.
    pub last_error: Option<String>,
}

/// What is kept for being asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) events: VecDeque<SpoolEvent>,
    pub(crate) is_full: bool,
    pub(crate) last_error: Option<String>,
    /// The oldest block, and the base for which that holds.
    pub(crate) oldest: Option<(Place, (BootId, Mono, Unix))>,
}

impl<D: Disk> Spool<D> {
    /// What happened since the last call.
    pub fn poll_event(&mut self) -> Option<SpoolEvent> {
        self.report.events.pop_front()
    }

    pub(crate) fn push_event(&mut self, event: SpoolEvent) {
        if self.report.events.len() >= EVENTS_MAX {
            self.report.events.pop_front();
        }
        self.report.events.push_back(event);
    }

    /// How the spool is. Reads the header of the oldest block when the base moved.
    pub fn usage(&mut self) -> SpoolUsage {
        let oldest = self.oldest();
        let lost: u64 = self.log.gaps.iter().map(|hole| hole.to.seq.since(hole.from.seq)).sum();
        SpoolUsage {
            bytes: self.allocated(),
            bytes_max: self.config.bytes_max,
            segments: self.log.segments.len(),
            records_waiting: self.log.end.seq.since(self.log.base.seq).saturating_sub(lost),
            gaps: self.log.gaps.iter().len(),
            oldest,
            dropped: self.state.dropped,
            is_full: self.report.is_full,
            last_error: self.report.last_error.clone(),
        }
    }

    fn oldest(&mut self) -> Option<(BootId, Mono, Unix)> {
        let mut place = self.log.gaps.past(&self.log.base);
        if let Some((_, oldest)) = self.report.oldest.filter(|(known, _)| *known == place) {
            return Some(oldest);
        }
        let from = place;
        for _ in 0..OLDEST_ITEMS_MAX {
            let Ok(Found::Item(item)) = self.log.find(&mut self.disk, &mut self.trail, &place, Care::Trust)
            else {
                return None;
            };
            if item.kind == Kind::Block {
                let mut sealed = Vec::new();
                self.read(&item, &mut sealed).ok()?;
                let Some((ItemHeader::Block(block), _)) = item::peek(&sealed) else { return None };
                let oldest = (block.boot, block.mono, block.wall);
                self.report.oldest = Some((from, oldest));
                return Some(oldest);
            }
            place = self.log.gaps.past(&item.end);
        }
        None
    }

    /// What recovery found, in one sentence for the log; nothing when all was well.
    #[must_use]
    pub fn recovery_sentence(&self) -> Option<String> {
        let Recovery { cut_bytes, missing_segments, damaged_frames, records_lost, .. } = self.recovery;
        if cut_bytes == 0 && missing_segments == 0 && damaged_frames == 0 && records_lost == 0 {
            return None;
        }
        Some(format!(
            "lane {}: recovered; {cut_bytes} bytes of a torn tail cut (their lines are read again), \
             {damaged_frames} damaged frames, {missing_segments} missing segments, {records_lost} records lost",
            self.config.lane.name()
        ))
    }
}
