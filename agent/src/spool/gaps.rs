//! The gaps of a lane that are not yet acknowledged.
//!
//! Invariants: sorted along the log and disjoint; at most [`GAPS_MAX`]; each lists every start
//! that it swallowed, at most [`GAP_STARTS_MAX`]; neighbours with one cause are one gap unless
//! that list would grow too long.

use driftlog_proto::ids::{Lane, Place, RunId, Seq};
use driftlog_proto::item::{Cause, Gap, GapStarts, ItemHeader};
use driftlog_proto::limits::{GAP_STARTS_MAX, GAPS_MAX};

use super::order::Runs;

/// How far a gap got onto the flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Not written yet.
    Declared,
    /// Written, not synced.
    Stated,
    /// It may be published, and what it replaces overwritten.
    Durable,
}

/// Records that are gone, as the spool keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hole {
    pub(crate) from: Place,
    pub(crate) to: Place,
    pub(crate) cause: Cause,
    pub(crate) starts: Vec<(RunId, Seq)>,
    pub(crate) standing: Standing,
}

impl Hole {
    pub(crate) fn of(gap: Gap) -> Self {
        Self {
            from: gap.from,
            to: gap.to,
            cause: gap.cause,
            starts: gap.starts.iter().copied().collect(),
            standing: Standing::Durable,
        }
    }

    pub(crate) fn header(&self, lane: Lane) -> ItemHeader {
        let mut starts = GapStarts::new();
        for start in &self.starts {
            // The list never passes the limit; see the invariants above.
            let _ = starts.push(*start);
        }
        ItemHeader::Gap(Gap { lane, from: self.from, to: self.to, cause: self.cause, starts })
    }

    fn records(&self) -> u64 {
        self.to.seq.since(self.from.seq)
    }

    /// Whether number `seq` of `run` lies above its beginning and below its end.
    pub(crate) fn is_inside(&self, run: RunId, seq: Seq) -> bool {
        if (run, seq) == (self.from.run, self.from.seq) || (run, seq) == (self.to.run, self.to.seq) {
            return false;
        }
        let begins = std::iter::once((self.from.run, self.from.seq)).chain(self.starts.iter().copied());
        let ends = self.starts.iter().map(|(_, n)| *n).chain(std::iter::once(self.to.seq));
        begins.zip(ends).any(|((part, from), to)| part == run && from <= seq && seq <= to)
    }
}

/// The gap table has no room: nothing more may be dropped before something is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TableFull;

/// All gaps above the base.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gaps(Vec<Hole>);

impl Gaps {
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Hole> + ExactSizeIterator {
        self.0.iter()
    }

    pub(crate) fn push(&mut self, hole: Hole) {
        self.0.push(hole);
    }

    /// The gap that begins at number `seq` of `run`.
    pub(crate) fn at(&self, run: RunId, seq: Seq) -> Option<&Hole> {
        self.0.iter().find(|hole| (hole.from.run, hole.from.seq) == (run, seq))
    }

    /// The gap around a number of a run, neither at its beginning nor at its end.
    pub(crate) fn around(&self, run: RunId, seq: Seq) -> Option<&Hole> {
        self.0.iter().find(|hole| hole.is_inside(run, seq))
    }

    /// Whether a frame must carry the gaps along.
    pub(crate) fn must_be_stated(&self) -> bool {
        self.0.iter().any(|hole| hole.standing == Standing::Declared)
    }

    /// A frame with all gaps was written.
    pub(crate) fn note_stated(&mut self) {
        for hole in self.0.iter_mut().filter(|hole| hole.standing == Standing::Declared) {
            hole.standing = Standing::Stated;
        }
    }

    /// What was written is synced.
    pub(crate) fn note_synced(&mut self) {
        for hole in self.0.iter_mut().filter(|hole| hole.standing == Standing::Stated) {
            hole.standing = Standing::Durable;
        }
    }

    /// It is not sure any longer that the flash has them.
    pub(crate) fn doubt(&mut self) {
        for hole in &mut self.0 {
            hole.standing = Standing::Declared;
        }
    }

    /// The place behind the gaps that begin at `place`, one after another.
    pub(crate) fn past(&self, place: &Place) -> Place {
        let mut place = *place;
        while let Some(hole) = self.at(place.run, place.seq).filter(|hole| hole.to != place) {
            place = hole.to;
        }
        place
    }

    /// Declares everything between two places gone that is not declared yet, and returns how many
    /// records that are. The starts between the two are those that `runs` knows.
    ///
    /// # Errors
    /// [`TableFull`]; then nothing changed that the caller should keep: work on a copy.
    pub(crate) fn cover(
        &mut self,
        runs: &Runs,
        from: &Place,
        to: &Place,
        cause: Cause,
    ) -> Result<u64, TableFull> {
        let end = runs.key(to);
        let mut at = *from;
        let mut pieces = Vec::new();
        for hole in &self.0 {
            if runs.key(&hole.to) <= runs.key(&at) || runs.key(&hole.from) >= end {
                continue;
            }
            if runs.key(&at) < runs.key(&hole.from) {
                pieces.push((at, hole.from));
            }
            at = hole.to;
        }
        if runs.key(&at) < end {
            pieces.push((at, *to));
        }
        let mut records = 0;
        for (from, to) in pieces {
            let starts = runs.between(&from, &to);
            records += to.seq.since(from.seq);
            self.insert(runs, Hole { from, to, cause, starts, standing: Standing::Declared });
        }
        self.merge();
        if self.0.len() > GAPS_MAX || self.0.iter().any(|hole| hole.starts.len() > GAP_STARTS_MAX) {
            return Err(TableFull);
        }
        Ok(records)
    }

    fn insert(&mut self, runs: &Runs, hole: Hole) {
        let key = runs.key(&hole.from);
        let at = self.0.partition_point(|other| runs.key(&other.from) <= key);
        self.0.insert(at, hole);
    }

    /// Makes one of neighbours with one cause; when there are too many gaps, of any neighbours.
    fn merge(&mut self) {
        let mut at = 0;
        while at + 1 < self.0.len() {
            if !self.merge_next(at, true) {
                at += 1;
            }
        }
        let mut at = 0;
        while self.0.len() > GAPS_MAX && at + 1 < self.0.len() {
            if !self.merge_next(at, false) {
                at += 1;
            }
        }
    }

    fn merge_next(&mut self, at: usize, one_cause: bool) -> bool {
        let (Some(left), Some(right)) = (self.0.get(at), self.0.get(at + 1)) else { return false };
        let touch = (left.to.run, left.to.seq) == (right.from.run, right.from.seq);
        let fits = left.starts.len() + right.starts.len() <= GAP_STARTS_MAX;
        if !touch || !fits || (one_cause && left.cause != right.cause) {
            return false;
        }
        let right = self.0.remove(at + 1);
        if let Some(left) = self.0.get_mut(at) {
            if right.records() > left.records() {
                left.cause = right.cause;
            }
            left.to = right.to;
            left.starts.extend(right.starts);
            left.standing = Standing::Declared;
        }
        true
    }

    /// Everything before `base` is acknowledged: forgets gaps, and moves the beginning of the one
    /// in which it lies.
    pub(crate) fn trim(&mut self, runs: &Runs, base: &Place) {
        let key = runs.key(base);
        self.0.retain(|hole| runs.key(&hole.to) > key);
        if let Some(first) = self.0.first_mut().filter(|first| runs.key(&first.from) < key) {
            first.from = *base;
            first.starts.retain(|(run, n)| runs.key_of(*run, *n) > key);
        }
    }
}

#[cfg(test)]
mod tests;
