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

#[cfg(test)]
mod tests {
    use driftlog_proto::ids::Chain;

    use super::*;

    fn at(run: u64, seq: u64) -> Place {
        Place { run: RunId(run), seq: Seq(seq), chain: Chain::ROOT }
    }

    fn runs() -> Runs {
        let mut runs = Runs::default();
        for (run, n) in [(5, 7), (2, 3), (3, 3), (4, 7), (2, 3), (0, 1)] {
            runs.add(RunId(run), Seq(n));
        }
        runs
    }

    #[test]
    fn a_run_is_known_once_and_stands_behind_those_that_begin_as_early() {
        let known: Vec<_> = runs().0.iter().map(|(run, n)| (run.0, n.0)).collect();
        assert_eq!(known, [(2, 3), (3, 3), (5, 7), (4, 7)]);
    }

    #[test]
    fn places_are_ordered_by_number_and_then_by_the_runs_that_begin_there() {
        let runs = runs();
        let along =
            [at(1, 2), at(1, 3), at(2, 3), at(3, 3), at(3, 4), at(3, 7), at(5, 7), at(4, 7), at(4, 8)];
        for pair in along.windows(2) {
            assert!(runs.key(&pair[0]) < runs.key(&pair[1]), "{pair:?}");
        }
        assert_eq!(runs.key(&at(2, 7)), runs.key(&at(3, 7)), "neither begins there");
    }

    #[test]
    fn the_starts_between_two_places_are_those_above_the_one_and_up_to_the_other() {
        let between =
            |from, to| -> Vec<u64> { runs().between(&from, &to).iter().map(|(run, _)| run.0).collect() };
        assert_eq!(between(at(1, 2), at(4, 8)), [2, 3, 5, 4]);
        assert_eq!(between(at(1, 3), at(5, 7)), [2, 3, 5]);
        assert_eq!(between(at(2, 3), at(3, 7)), [3]);
        assert!(between(at(3, 3), at(3, 7)).is_empty());
    }

    #[test]
    fn a_run_ends_where_the_next_one_above_begins() {
        let runs = runs();
        assert_eq!(runs.end_of(RunId(1), Seq(0)), Seq(3));
        assert_eq!(runs.end_of(RunId(3), Seq(3)), Seq(7), "not where others begin together with it");
        assert_eq!(runs.end_of(RunId(5), Seq(6)), Seq(7), "nor where it begins itself, but others do");
        assert_eq!(runs.end_of(RunId(4), Seq(7)), Seq(u64::MAX));
    }

    #[test]
    fn runs_that_begin_below_the_base_are_forgotten() {
        for (base, left) in [(3, 4), (4, 2), (7, 2), (8, 0)] {
            let mut runs = runs();
            runs.trim(&at(3, base));
            assert_eq!(runs.0.len(), left, "{base}");
        }
    }
}
