//! What is noticed: forks and clones (rule 12).

use crate::bounds::{Bounds, Broken};
use crate::gateway::{Known, Memory, Notice, What};
use crate::state::{Number, Run, Seq};

impl Memory {
    /// States a notice once; about a run whose start is due, after that.
    pub(crate) fn state(&mut self, at: usize, notice: Notice, bounds: &Bounds) {
        let Known { next: end, notices, is_start_due, .. } = self.runs[at];
        if notices & notice as u8 == 0 && bounds.broken != Some(Broken::NothingIsNoticed) {
            self.runs[at].notices |= notice as u8;
            if !is_start_due {
                self.deliver(end, What::Notice(notice));
            }
        }
    }

    /// Forks that are seen from the runs alone (rule 12): after loading, one sink may be further than `next`.
    pub(crate) fn state_forks(&mut self, bounds: &Bounds) {
        for at in 0..self.runs.len() {
            let record = self.runs[at].record;
            let children = self.runs.iter().filter(|child| child.record.parent.run == record.run).count();
            let highest = record.highest().map_or(0, |mark| mark.seq);
            if children > 1 || self.first_child(record.run).is_some_and(|begin| highest > begin) {
                self.state(at, Notice::Fork, bounds);
            }
        }
    }

    pub(crate) fn first_child(&self, run: Run) -> Option<Seq> {
        let children = self.runs.iter().filter(|known| known.record.parent.run == run);
        children.map(|child| child.record.parent.seq).min()
    }

    /// Rule 12: clones are found by what two runs echo.
    pub(crate) fn told(&mut self, run: Run, heard: Number, bounds: &Bounds) {
        let Some(at) = self.position(run) else { return };
        if !bounds.is_counting || heard > self.issued {
            return;
        }
        self.runs[at].record.last_echo = self.runs[at].record.last_echo.max(heard);
        let one = self.runs[at].record;
        let is_newer = |echo: Number, first: Number| match bounds.broken {
            Some(Broken::CloneByOldEcho) => echo >= first,
            _ => echo > first,
        };
        let other = self.runs.iter().position(|other| {
            other.record.run != run
                && is_newer(other.record.last_echo, one.first_heard)
                && is_newer(one.last_echo, other.record.first_heard)
        });
        if let Some(other) = other {
            self.state(at, Notice::Clone, bounds);
            self.state(other, Notice::Clone, bounds);
        }
    }
}
