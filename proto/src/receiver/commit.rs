//! Marks: what each sink durably has, and going back to it (rule 6).

use super::{Notice, Output, Receiver, Run, Step, notice_bit};
use crate::ids::{AckNumber, Place, RunId};

impl Receiver {
    /// A commit of sink number `sink` is durable up to `place`. Marks never decrease.
    pub fn handle_stored(&mut self, sink: usize, place: &Place) {
        let Some(at) = self.position(place.run) else { return };
        let Some(run) = self.runs.get_mut(at) else { return };
        if let Some(mark) = run.marks.get_mut(sink)
            && mark.is_none_or(|mark| mark.seq <= place.seq)
        {
            *mark = Some(*place);
        }
        self.check();
    }

    /// A notice about a run is durable in sink number `sink`.
    pub fn handle_stated(&mut self, sink: usize, run: RunId, notice: Notice) {
        let run = self.position(run).and_then(|at| self.runs.get_mut(at));
        if let Some(bits) = run.and_then(|run| run.notices_durable.get_mut(sink)) {
            *bits |= notice_bit(notice);
        }
    }

    /// A commit failed: everything goes back to the committed marks. What was held is released;
    /// the device sends it again. Runs that no sink has a mark of are forgotten.
    pub fn handle_rewound(&mut self, issued: AckNumber) {
        self.ready.clear();
        for held in self.held.drain(..) {
            self.ready.push_back(Output::Release { slot: held.slot });
        }
        self.held_bytes = 0;
        self.runs.retain(|run| run.marks.iter().any(Option::is_some));
        self.rewind_marks();
        self.advance(issued);
        self.check();
    }

    /// Each run's `next` becomes its lowest required mark, or its begin; what some sink has not
    /// yet been told about a run is due again.
    pub(super) fn rewind_marks(&mut self) {
        let sinks = self.sinks;
        for run in &mut self.runs {
            run.next = run.lowest(sinks).unwrap_or(run.begin);
            let durable = run.notices_durable.iter().take(sinks.count);
            run.notices = durable.fold(u8::MAX, |all, bits| all & bits);
            run.is_start_due = run.marks.iter().take(sinks.count).any(Option::is_none);
        }
        self.state_divisions();
    }

    /// States what is seen from the runs alone and may not have been stated: the gateway may have
    /// died between the commit of a run's start and that of the notice.
    fn state_divisions(&mut self) {
        for at in 0..self.runs.len() {
            let Some(run) = self.runs.get(at).copied() else { return };
            let children = || self.runs.iter().filter(|child| child.parent.run == run.run);
            // One sink may have come further than the lowest required mark.
            let marks = run.marks.iter().flatten().map(|mark| mark.seq);
            let furthest = marks.fold(run.next.seq, Ord::max);
            if children().any(|child| child.parent.seq < furthest) || children().count() > 1 {
                self.state(at, Notice::Fork);
            }
        }
    }

    /// Delivers one start that is due and whose parent has come as far; false when there is none.
    pub(super) fn advance_start(&mut self) -> bool {
        let has_turn = |run: &Run| {
            let parent = self.runs.iter().find(|other| other.run == run.parent.run);
            run.is_start_due
                && parent.is_none_or(|parent| !parent.is_start_due && parent.next.seq >= run.parent.seq)
        };
        let sinks = self.sinks.count;
        let Some(at) = self.runs.iter().position(has_turn) else { return false };
        let Some(run) = self.runs.get_mut(at) else { return false };
        run.is_start_due = false;
        let taken_up = [Notice::LedgerLost, Notice::MayRepeat]
            .into_iter()
            .find(|&notice| run.notices_durable.iter().any(|bits| bits & notice_bit(notice) != 0));
        let step = taken_up.map_or(Step::Start { parent: run.parent }, Step::Notice);
        self.ready.push_back(Output::Deliver { end: run.begin, step });
        // What was stated about it while it was due.
        let durable = run.notices_durable.iter().take(sinks).fold(u8::MAX, |all, bits| all & bits);
        let stated = run.notices & !durable;
        for notice in Notice::ALL.into_iter().filter(|notice| stated & notice_bit(*notice) != 0) {
            if step != Step::Notice(notice) {
                self.ready.push_back(Output::Deliver { end: run.next, step: Step::Notice(notice) });
            }
        }
        true
    }
}
