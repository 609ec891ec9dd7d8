//! Which of two places of one log comes first.
//!
//! Along a log the numbers never fall, and each run begins above the beginning of the one before
//! it. So places are ordered by their number; where two runs meet at one number, the place of the
//! run that begins there is the later one.

use driftlog_proto::ids::{Place, RunId, Seq};

/// The runs of the log from the base on, in order, each with the number at which it begins.
#[derive(Clone, Debug, Default)]
pub(crate) struct Runs(Vec<(RunId, Seq)>);

/// Sorts like the places it was made from.
pub(crate) type Key = (u64, usize);

impl Runs {
    /// Adds a run behind those that begin at or below its number, unless it is known.
    pub(crate) fn add(&mut self, run: RunId, n: Seq) {
        if run != RunId::ORIGIN && !self.0.contains(&(run, n)) {
            let at = self.0.partition_point(|(_, other)| *other <= n);
            self.0.insert(at, (run, n));
        }
    }

    /// Forgets the runs that begin below the base: nothing is compared with them any longer.
    pub(crate) fn trim(&mut self, base: &Place) {
        self.0.retain(|(_, n)| *n >= base.seq);
    }

    /// The starts between two places, in order.
    pub(crate) fn between(&self, from: &Place, to: &Place) -> Vec<(RunId, Seq)> {
        let (low, high) = (self.key(from), self.key(to));
        let is_between = |(run, n): &(RunId, Seq)| {
            let key = self.key_of(*run, *n);
            key > low && key <= high
        };
        self.0.iter().copied().filter(is_between).collect()
    }

    /// The number at which the next run after `run` begins, which has items from `seq` on.
    pub(crate) fn end_of(&self, run: RunId, seq: Seq) -> Seq {
        let next = self.0.iter().find(|(other, n)| *other != run && *n > seq);
        next.map_or(Seq(u64::MAX), |(_, n)| *n)
    }

    /// Where a place stands in the log.
    pub(crate) fn key(&self, place: &Place) -> Key {
        self.key_of(place.run, place.seq)
    }

    pub(crate) fn key_of(&self, run: RunId, seq: Seq) -> Key {
        let at = self.0.partition_point(|(_, n)| *n < seq);
        let tied = self.0.get(at..).unwrap_or_default().iter().take_while(|(_, n)| *n == seq);
        let rank = tied.zip(1..).find(|((begun, _), _)| *begun == run).map_or(0, |(_, rank)| rank);
        (seq.0, rank)
    }
}
