//! The table of runs: what is forgotten when it is full, and what of it an `Ack` names (rules 11, 13).

use crate::bounds::{Bounds, Broken};
use crate::gateway::{Known, Memory, Record};
use crate::state::{Ack, List, Place, Run, Seq};

impl Memory {
    /// Rule 13: a full table gives up its oldest finished runs, half of it at once; where none is
    /// finished, the oldest that nothing follows from: a device was wiped, or its flash forgot it.
    pub(crate) fn make_room(&mut self, parent: Run, bounds: &Bounds) -> bool {
        if self.runs.len() < bounds.runs_max {
            return true;
        }
        let finished = |known: &Known| self.is_finished(known, bounds);
        let dead_end = |known: &Known| self.is_dead_end(known, bounds) && known.record.run != parent;
        let mut gone = self.to_forget(finished, bounds.runs_max / 2);
        if gone.is_empty() && bounds.broken != Some(Broken::DeadEndsStay) {
            gone = self.to_forget(dead_end, 1);
        }
        if gone.is_empty() {
            return false;
        }
        self.runs.retain(|known| !gone.contains(&known.record.run));
        // What follows a forgotten run is everywhere; if that run comes back, it comes as another.
        let orphans = self.runs.iter_mut().filter(|known| gone.contains(&known.record.parent.run));
        if bounds.broken != Some(Broken::OrphansCling) {
            orphans.for_each(|known| known.record.parent = Place::ORIGIN);
        }
        self.has_forgotten = true;
        self.issued.counter += 1;
        if bounds.broken != Some(Broken::BarrierStays) {
            self.barrier = self.issued;
        }
        true
    }

    /// The oldest such runs. A run goes only after its parent, so that a known run's children are all known.
    fn to_forget(&self, is_such: impl Fn(&Known) -> bool, max: usize) -> Vec<Run> {
        let mut gone: Vec<Run> = Vec::new();
        for known in &self.runs {
            let Record { run, parent: Place { run: parent, .. }, .. } = known.record;
            let has_parent = self.position(parent).is_some() && !gone.contains(&parent);
            if gone.len() < max && !has_parent && is_such(known) {
                gone.push(run);
            }
        }
        gone
    }

    fn is_everywhere(known: &Known, seq: Seq, bounds: &Bounds) -> bool {
        bounds.all_sinks().all(|sink| known.record.marks[sink].is_some_and(|mark| mark.seq >= seq))
    }

    /// All marks at its end, and it has children, all of them marked in every sink.
    fn is_finished(&self, known: &Known, bounds: &Bounds) -> bool {
        let run = known.record.run;
        let mut children = self.runs.iter().filter(|child| child.record.parent.run == run).peekable();
        if bounds.broken == Some(Broken::ForgottenTooSoon) {
            return children.peek().is_some();
        }
        Self::is_everywhere(known, known.next.seq, bounds)
            && children.peek().is_some()
            && children.all(|child| Self::is_everywhere(child, child.record.parent.seq, bounds))
    }

    /// All marks at its end, and it has no child.
    fn is_dead_end(&self, known: &Known, bounds: &Bounds) -> bool {
        Self::is_everywhere(known, known.next.seq, bounds) && self.first_child(known.record.run).is_none()
    }

    /// Rule 11: each run that has marks in all required sinks, at the lowest. `named` is the oldest run
    /// named by the message that is answered: where not all fit, the list begins there (decision 0007).
    /// The newest are always in it, so that whoever hears it frees what was forgotten (rule 13).
    pub(crate) fn answer(&self, named: Option<Run>, bounds: &Bounds) -> Ack {
        let place = |known: &Known| match bounds.broken {
            Some(Broken::AckUncommitted) => Some(known.next),
            Some(Broken::AckHighest) => known.record.highest(),
            _ => known.record.lowest(bounds),
        };
        let from = named.and_then(|run| self.position(run)).unwrap_or(0);
        let marked = |runs: &[Known]| runs.iter().filter_map(place).collect::<Vec<Place>>();
        let (all, late, max) = (marked(&self.runs), marked(&self.runs[from..]), bounds.ack_runs_max);
        let places: List<Place> = match bounds.broken {
            Some(Broken::AckOldestOnly) => all.iter().take(max).copied().collect(),
            Some(Broken::AckFromNamed) if late.len() <= max => late.iter().copied().collect(),
            _ if late.len() <= max => all[all.len() - all.len().min(max)..].iter().copied().collect(),
            _ => late[..max / 2].iter().chain(&late[late.len() - max / 2..]).copied().collect(),
        };
        Ack { number: self.issued, places }
    }
}
