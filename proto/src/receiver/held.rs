//! Items that have arrived and cannot be delivered yet.

use alloc::boxed::Box;

use super::{Dropped, Output, Receiver, Verdict};
use crate::ids::{AckNumber, Place, RunId};
use crate::item::{BlockHeader, Gap, Start};
use crate::limits::HELD_ITEMS_MAX;
use crate::message::Range;

/// A held item without its payload.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) slot: u32,
    pub(super) what: What,
    pub(super) end: Place,
    pub(super) bytes: u32,
    pub(super) heard: AckNumber,
}

/// What is held.
#[derive(Debug)]
pub(super) enum What {
    Start { start: Start },
    Block { block: BlockHeader },
    Gap { gap: Box<Gap> },
}

impl What {
    pub(super) fn gap(gap: &Gap) -> Self {
        Self::Gap { gap: Box::new(gap.clone()) }
    }
}

impl Held {
    pub(super) fn range(&self) -> Option<Range> {
        match &self.what {
            What::Block { block } => Some(Range { run: block.run, first: block.first, end: block.end() }),
            What::Start { .. } | What::Gap { .. } => None,
        }
    }
}

impl Receiver {
    /// Takes an item in. What can be delivered at once needs no room; the rest waits within it.
    pub(super) fn hold(
        &mut self,
        what: What,
        end: Place,
        bytes: u32,
        heard: AckNumber,
        room: u64,
    ) -> Verdict {
        let begin = match &what {
            What::Start { start } => start.parent,
            What::Block { block } => Place { run: block.run, seq: block.first, chain: block.prev },
            What::Gap { gap } => gap.from,
        };
        if let Some(same) = self.held.iter().find(|held| held.end == end && held.begin_seq() == begin.seq) {
            // The same item again, or a gap that has grown less; a later echo is worth keeping.
            let slot = same.slot;
            if let Some(same) = self.held.iter_mut().find(|held| held.slot == slot) {
                same.heard = same.heard.max(heard);
            }
            return Verdict::Duplicate;
        }
        if !self.is_lowest(&begin, &what) && u64::from(bytes) > room {
            return Verdict::Dropped(Dropped::NoRoom);
        }
        if self.held.len() >= HELD_ITEMS_MAX && !self.evict_above(&begin) {
            return Verdict::Dropped(Dropped::NoRoom);
        }
        let slot = self.slots;
        self.slots = self.slots.wrapping_add(1);
        self.held_bytes += u64::from(bytes);
        self.held.push(Held { slot, what, end, bytes, heard });
        Verdict::Kept(slot)
    }

    /// Whether a block begins at its run's lowest committed place. Starts and gaps need no room.
    fn is_lowest(&self, begin: &Place, what: &What) -> bool {
        let What::Block { .. } = what else { return true };
        self.position(begin.run).and_then(|at| self.runs.get(at)).is_some_and(|run| {
            let lowest = run.lowest(self.sinks).unwrap_or(run.begin);
            lowest.seq == begin.seq
        })
    }

    /// Gives up the held block that begins last, if it begins above `begin` or in another run.
    fn evict_above(&mut self, begin: &Place) -> bool {
        let last = self.held.iter().filter(|held| held.range().is_some()).max_by_key(|held| held.begin_seq());
        let Some(last) = last.filter(|last| last.begin_seq() > begin.seq) else { return false };
        let slot = last.slot;
        self.release(slot);
        true
    }

    /// Takes an item out and tells the caller that its bytes are no longer needed.
    pub(super) fn release(&mut self, slot: u32) {
        if self.take(slot).is_some() {
            self.ready.push_back(Output::Release { slot });
        }
    }

    /// Takes an item out.
    pub(super) fn take(&mut self, slot: u32) -> Option<Held> {
        let at = self.held.iter().position(|held| held.slot == slot)?;
        let held = self.held.swap_remove(at);
        self.held_bytes -= u64::from(held.bytes);
        Some(held)
    }

    /// Whether a held start or gap will admit this run once its turn comes.
    pub(super) fn is_announced(&self, run: RunId) -> bool {
        self.held.iter().any(|held| match &held.what {
            What::Start { start } => start.run == run,
            What::Gap { gap } => gap.starts.iter().any(|&(listed, _)| listed == run),
            What::Block { .. } => false,
        })
    }
}

impl Held {
    pub(super) fn begin_seq(&self) -> crate::ids::Seq {
        match &self.what {
            What::Start { start } => start.parent.seq,
            What::Block { block } => block.first,
            What::Gap { gap } => gap.from.seq,
        }
    }
}
