//! Gaps, taken piece by piece (rule 9): each listed run's part is declared for that run, then
//! the next run is admitted. The chain inside a gap is unknown.

use super::{Dropped, Receiver, Step, Verdict};
use crate::ids::{AckNumber, Chain, Place, RunId, Seq};
use crate::item::Gap;

/// The part of a gap that lies in one run.
#[derive(Clone, Copy, Debug)]
struct Part {
    run: RunId,
    /// The place in the run before, where this one begins; of no meaning for the first part.
    parent: Place,
    from: Seq,
    end: Place,
}

/// The parts of a gap, in order. The first is that of `from`, which may be the origin.
fn parts(gap: &Gap) -> impl Iterator<Item = Part> + '_ {
    let first = (gap.from.run, gap.from.seq, gap.from.chain);
    let listed = gap.starts.iter().map(|&(run, n)| (run, n, Chain::ROOT));
    let nexts = gap.starts.iter().map(|&(_, n)| n).map(Some).chain([None]);
    let mut parent = gap.from;
    core::iter::once(first).chain(listed).zip(nexts).map(move |((run, from, _), next)| {
        let end = match next {
            Some(n) => Place { run, seq: n, chain: Chain::ROOT },
            None => gap.to,
        };
        let part = Part { run, parent, from, end };
        parent = end;
        part
    })
}

impl Receiver {
    /// The first part from which a gap can be followed: a run that is known, or the origin.
    fn first_known(&self, gap: &Gap) -> Option<usize> {
        parts(gap).position(|part| part.run == RunId::ORIGIN || self.position(part.run).is_some())
    }

    pub(super) fn judge_gap(&self, gap: &Gap, heard: AckNumber) -> Result<(), Verdict> {
        let Some(known) = self.first_known(gap) else {
            return if self.is_announced(gap.from.run) {
                Ok(())
            } else {
                Err(Verdict::Dropped(Dropped::UnknownRun))
            };
        };
        let admits = parts(gap).skip(known).any(|part| !self.knows(part.run));
        if admits && !self.is_fresh(heard) {
            return Err(Verdict::Dropped(Dropped::StaleEcho));
        }
        let is_done = |part: Part| {
            let run = self.position(part.run).and_then(|at| self.runs.get(at));
            run.is_some_and(|run| run.next.seq >= part.end.seq) || part.run == RunId::ORIGIN
        };
        let chain_known = self
            .position(gap.to.run)
            .and_then(|at| self.runs.get(at))
            .is_some_and(|run| run.next.seq > gap.to.seq || run.next.chain != Chain::ROOT);
        if parts(gap).skip(known).all(is_done) && chain_known {
            return Err(Verdict::Duplicate);
        }
        Ok(())
    }

    fn knows(&self, run: RunId) -> bool {
        run == RunId::ORIGIN || self.position(run).is_some()
    }

    /// Takes as many parts of a held gap as there is room for; true when something may follow from it: a
    /// run has come further, or the gap is done with.
    pub(super) fn advance_gap(&mut self, slot: u32, gap: &Gap, heard: AckNumber, issued: AckNumber) -> bool {
        let Some(known) = self.first_known(gap) else {
            if self.is_announced_elsewhere(gap.from.run, slot) {
                return false;
            }
            self.release(slot);
            return true;
        };
        let first = self.position(gap.from.run).and_then(|at| self.runs.get(at));
        if first.is_some_and(|run| run.next.seq < gap.from.seq) {
            return false;
        }
        let mut has_moved = false;
        for part in parts(gap).skip(known) {
            // A start that is due again is delivered as soon as its parent has come as far.
            while self.advance_start() {}
            if self.position(part.run).and_then(|at| self.runs.get(at)).is_some_and(|run| run.is_start_due) {
                return has_moved;
            }
            if !self.knows(part.run) {
                if !self.is_fresh(heard) {
                    self.release(slot);
                    return true;
                }
                let begin = Place { run: part.run, seq: part.from, chain: Chain::ROOT };
                if !self.admit(part.run, part.parent, begin, heard, issued) {
                    return has_moved;
                }
            }
            has_moved |= self.declare(&part, gap);
        }
        self.release(slot);
        true
    }

    fn is_announced_elsewhere(&self, run: RunId, slot: u32) -> bool {
        self.held.iter().any(|held| {
            held.slot != slot
                && match &held.what {
                    super::held::What::Start { start } => start.run == run,
                    super::held::What::Gap { gap } => gap.starts.iter().any(|&(listed, _)| listed == run),
                    super::held::What::Block { .. } => false,
                }
        })
    }

    /// Declares what the run still misses of a part; whether it misses any.
    fn declare(&mut self, part: &Part, gap: &Gap) -> bool {
        let Some(at) = self.position(part.run) else { return false };
        let Some(run) = self.runs.get_mut(at) else { return false };
        if run.next.seq < part.end.seq {
            // A device that contradicts itself may name a later number: then what is before it is gone too.
            let from = run.next.seq;
            self.move_on(at, part.end, Step::Gap { from, cause: gap.cause });
            return true;
        }
        if run.next.seq == part.end.seq && run.next.chain == Chain::ROOT {
            run.next = part.end;
        }
        false
    }
}
