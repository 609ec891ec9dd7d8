//! Judging what arrives, admitting runs, delivering what has its turn (rules 7, 8, 10, 12).

use alloc::vec::Vec;

use super::held::What;
use super::runs::is_same;
use super::{Dropped, Notice, Output, Receiver, Run, Step, Verdict};
use crate::ids::{AckNumber, Place, RunId, Seq};
use crate::item::{BlockHeader, Cause, Start};
use crate::message::Told;

/// What to do with a held item now.
enum Turn {
    /// Its turn has come.
    Now,
    /// Not yet.
    Wait,
    /// It never comes: a duplicate, a contradiction, an echo that is no longer fresh.
    Never,
}

impl Receiver {
    /// Whether an arriving item is worth holding; the verdict on it otherwise.
    pub(super) fn judge(&mut self, what: &What, end: Place, heard: AckNumber) -> Result<(), Verdict> {
        match what {
            What::Start { start } => self.judge_start(start, heard),
            What::Block { block } => self.judge_block(block, end),
            What::Gap { gap } => self.judge_gap(gap, heard),
        }
    }

    fn judge_start(&self, start: &Start, heard: AckNumber) -> Result<(), Verdict> {
        if self.position(start.run).is_some() {
            return Err(Verdict::Duplicate);
        }
        if !self.is_fresh(heard) {
            return Err(Verdict::Dropped(Dropped::StaleEcho));
        }
        let parent = start.parent.run;
        if parent == RunId::ORIGIN || self.position(parent).is_some() || self.is_announced(parent) {
            return Ok(());
        }
        Err(Verdict::Dropped(Dropped::UnknownRun))
    }

    fn judge_block(&mut self, block: &BlockHeader, end: Place) -> Result<(), Verdict> {
        let Some(at) = self.position(block.run) else {
            return if self.is_announced(block.run) {
                Ok(())
            } else {
                Err(Verdict::Dropped(Dropped::UnknownRun))
            };
        };
        let Some(run) = self.runs.get(at) else {
            return Err(Verdict::Dropped(Dropped::UnknownRun));
        };
        let next = run.next;
        let contradicts_next = block.first == next.seq && !is_same(block.prev, next.chain);
        // After a rewind some sink may be further than `next`: it has a history already.
        let ends = run.marks.iter().flatten().chain([&next]);
        let contradicts_end = ends.into_iter().any(|known| {
            let overlaps = block.first < known.seq && end.seq > known.seq;
            overlaps || (end.seq == known.seq && !is_same(end.chain, known.chain))
        });
        if contradicts_next || contradicts_end {
            self.state(at, Notice::RunTwice);
            return Err(Verdict::Dropped(Dropped::RunTwice));
        }
        if end.seq <= next.seq { Err(Verdict::Duplicate) } else { Ok(()) }
    }

    /// Delivers or drops one held item whose turn has come; false when there is none.
    pub(super) fn advance_once(&mut self, issued: AckNumber) -> bool {
        for at in 0..self.held.len() {
            let Some(held) = self.held.get(at) else { return false };
            let slot = held.slot;
            let turn = match &held.what {
                What::Start { start } => self.turn_of_start(start, held.heard),
                What::Block { block } => self.turn_of_block(block, held.end),
                What::Gap { gap } => {
                    let (gap, heard) = (gap.clone(), held.heard);
                    if self.advance_gap(slot, &gap, heard, issued) {
                        return true;
                    }
                    continue;
                }
            };
            match turn {
                Turn::Wait => {}
                Turn::Never => {
                    self.release(slot);
                    return true;
                }
                Turn::Now => {
                    if self.deliver(slot, issued) {
                        return true;
                    }
                }
            }
        }
        false
    }

    fn turn_of_start(&self, start: &Start, heard: AckNumber) -> Turn {
        if self.position(start.run).is_some() || !self.is_fresh(heard) {
            return Turn::Never;
        }
        if start.parent.run == RunId::ORIGIN {
            return Turn::Now;
        }
        match self.position(start.parent.run).and_then(|at| self.runs.get(at)) {
            Some(parent) if parent.next.seq >= start.parent.seq && !parent.is_start_due => Turn::Now,
            Some(_) => Turn::Wait,
            None if self.is_announced(start.parent.run) => Turn::Wait,
            None => Turn::Never,
        }
    }

    fn turn_of_block(&self, block: &BlockHeader, end: Place) -> Turn {
        let Some(run) = self.position(block.run).and_then(|at| self.runs.get(at)) else {
            return if self.is_announced(block.run) { Turn::Wait } else { Turn::Never };
        };
        if end.seq <= run.next.seq || block.first < run.next.seq {
            return Turn::Never;
        }
        if run.is_start_due {
            return Turn::Wait;
        }
        match block.first == run.next.seq {
            true if is_same(block.prev, run.next.chain) => Turn::Now,
            true => Turn::Never,
            false => Turn::Wait,
        }
    }

    /// Delivers a held start or block; false when there is no room for its run.
    fn deliver(&mut self, slot: u32, issued: AckNumber) -> bool {
        let Some(held) = self.held.iter().find(|held| held.slot == slot) else { return false };
        if let What::Start { start } = &held.what {
            let (start, end, heard) = (*start, held.end, held.heard);
            if !self.admit(start.run, start.parent, end, heard, issued) {
                return false;
            }
            self.release(slot);
            return true;
        }
        let Some(held) = self.take(slot) else { return false };
        let Some(at) = self.position(held.end.run) else { return false };
        self.move_on(at, held.end, Step::Block { slot });
        true
    }

    /// A run comes as far as `end`; above a child's begin that is a fork (rule 12).
    pub(super) fn move_on(&mut self, at: usize, end: Place, step: Step) {
        if self.child_begin(end.run).is_some_and(|begin| end.seq > begin) {
            self.state(at, Notice::Fork);
        }
        if let Some(run) = self.runs.get_mut(at) {
            run.next = end;
        }
        self.ready.push_back(Output::Deliver { end, step });
    }

    /// Admits a run; false when there is no room for it, or its parent went to make room: then the
    /// start is sent again with the device's base, and the parent comes back there with a notice.
    pub(super) fn admit(
        &mut self,
        run: RunId,
        parent: Place,
        begin: Place,
        heard: AckNumber,
        issued: AckNumber,
    ) -> bool {
        let had_parent = self.position(parent.run).is_some();
        if !self.make_room(parent.run, issued) {
            return false;
        }
        match self.position(parent.run) {
            Some(at) => self.branch(at, &parent),
            None if had_parent => return false,
            None => {}
        }
        let mut admitted = Run::new(run, parent, begin, issued);
        admitted.last_echo = heard;
        self.runs.push(admitted);
        // Whether a root is new or was forgotten cannot be told any more.
        if parent.run == RunId::ORIGIN && self.has_forgotten {
            self.state(self.runs.len() - 1, Notice::MayRepeat);
        } else {
            self.ready.push_back(Output::Deliver { end: begin, step: Step::Start { parent } });
        }
        true
    }

    /// A child begins at `place` of a run. After loading, a sink may have more of the run than `next`.
    fn branch(&mut self, at: usize, place: &Place) {
        let Some(run) = self.runs.get(at) else { return };
        let next = run.next;
        let highest = run.marks.iter().flatten().map(|mark| mark.seq).fold(next.seq, Seq::max);
        if self.child_begin(place.run).is_some() || highest > place.seq {
            self.state(at, Notice::Fork);
        } else if !is_same(next.chain, place.chain) {
            self.state(at, Notice::RunTwice);
        }
    }

    /// The device's current run echoes an `Ack`: clones are found by that (rule 12).
    pub(super) fn handle_told(&mut self, told: &Told, issued: AckNumber) {
        self.name(told.base.run);
        // An echo from the future is a lie, and proves nothing.
        if told.heard > issued {
            return;
        }
        let Some(at) = self.position(told.run) else { return };
        let Some(run) = self.runs.get_mut(at) else { return };
        run.last_echo = run.last_echo.max(told.heard);
        let one = *run;
        let other = self.runs.iter().position(|other| {
            other.run != one.run && other.last_echo > one.first_heard && one.last_echo > other.first_heard
        });
        if let Some(other) = other {
            self.state(at, Notice::Clone);
            self.state(other, Notice::Clone);
        }
    }

    /// The device states its base: a run that is unknown is taken up there, and what it says was
    /// acknowledged before is not waited for (rules 7 and 8: only a lost ledger causes either).
    pub(super) fn admit_by_base(&mut self, base: &Place, heard: AckNumber, issued: AckNumber) {
        if base.run == RunId::ORIGIN || !self.is_fresh(heard) {
            return;
        }
        let Some(at) = self.position(base.run) else {
            if self.make_room(base.run, issued) {
                let notice = if self.has_forgotten { Notice::MayRepeat } else { Notice::LedgerLost };
                let mut run = Run::new(base.run, Place::ORIGIN, *base, issued);
                run.last_echo = heard;
                self.runs.push(run);
                self.state(self.runs.len() - 1, notice);
            }
            return;
        };
        self.pass_ancestors(base.run);
        let Some(run) = self.runs.get(at) else { return };
        if base.seq > run.next.seq {
            self.pass(at, *base);
        } else if base.seq == run.next.seq && !is_same(base.chain, run.next.chain) {
            self.state(at, Notice::RunTwice);
        }
    }
    /// With a run's base all that came before the run was acknowledged too: what the ledger lacks of its
    /// ancestors is not waited for either, and their children's starts follow.
    fn pass_ancestors(&mut self, run: RunId) {
        let mut ends: Vec<Place> = Vec::new();
        let mut child = self.position(run);
        while let Some(parent) = child.and_then(|at| self.runs.get(at)).map(|child| child.parent) {
            child = self.position(parent.run);
            ends.push(parent);
        }
        for end in ends.iter().rev() {
            while self.advance_start() {}
            if let Some(at) = self.position(end.run)
                && self.runs.get(at).is_some_and(|run| run.next.seq < end.seq)
            {
                self.pass(at, *end);
            }
        }
        while self.advance_start() {}
    }

    /// Declares what a run misses up to `end`: it was acknowledged before.
    fn pass(&mut self, at: usize, end: Place) {
        let Some(run) = self.runs.get(at) else { return };
        let step = Step::Gap { from: run.next.seq, cause: Cause::AcknowledgedBefore };
        self.move_on(at, end, step);
    }
}
