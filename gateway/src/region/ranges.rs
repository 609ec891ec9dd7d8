//! Which index a run's documents go to: committed before the first write in it, never changed.
//!
//! A sink that creates each document under its identity is safe from repeats only as long as a
//! repeat meets the same index. So what a batch will write is first put down in the ledger, as a
//! range of a run and the index that takes it; what is written again after a crash, or by a gateway
//! that was superseded, finds that range and with it the same index. A range is forgotten once the
//! sink's mark has passed it.
//!
//! A gap has a range of its own. Written again it may have grown at either end, or two may be one: cut
//! where its range ends, it comes under the identity that it had.

use driftlog_proto::ids::{DeviceId, Lane, RunId, Seq};
use serde::{Deserialize, Serialize};

/// The version of [`Ranges`]' encoding.
const VERSION: u8 = 2;

/// A part of a run, from one boundary to another, and the index that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The run.
    pub run: RunId,
    /// The place's number at which it begins.
    pub from: Seq,
    /// The place's number at which it ends.
    pub to: Seq,
    /// The number of the index.
    pub index: u32,
    /// It is that of a gap.
    pub is_gap: bool,
}

/// The ranges of one lane in one sink that the sink's marks have not passed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(Vec<Range>);

impl Ranges {
    /// The key in the ledger.
    #[must_use]
    pub fn key(sink: &str, device: &DeviceId, lane: Lane) -> Vec<u8> {
        format!("range/{sink}/{device}/{}", lane.name()).into_bytes()
    }

    /// The bytes that stand in the ledger; `None`: no range is open.
    #[must_use]
    pub fn encode(&self) -> Option<Vec<u8>> {
        // Encoding into a growing vector cannot fail: there is no limit to meet.
        (!self.0.is_empty()).then(|| postcard::to_extend(&self.0, vec![VERSION]).unwrap_or_default())
    }

    /// Reads what [`encode`](Self::encode) wrote; `None` when it is of another version or damaged.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (&version, rest) = bytes.split_first()?;
        (version == VERSION).then(|| postcard::from_bytes(rest).ok().map(Self))?
    }

    /// All of them, in the order in which they were made.
    pub fn iter(&self) -> impl Iterator<Item = &Range> {
        self.0.iter()
    }

    /// Whether none is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The range in which a step of a run begins. Of two that meet there it is the earlier for what
    /// has no records, since that stands at the end of what came before.
    #[must_use]
    pub(super) fn of(&self, run: RunId, from: Seq, to: Seq) -> Option<&Range> {
        let fits = |range: &&Range| range.run == run && range.from <= from && to <= range.to;
        let begins = |range: &&Range| range.run == run && range.from <= from && from < range.to;
        self.0.iter().find(fits).or_else(|| self.0.iter().find(begins))
    }

    /// Puts down that a part of a run goes to an index.
    pub(super) fn add(&mut self, added: Range) {
        let last = self.0.iter_mut().rev().find(|range| range.run == added.run);
        match last {
            Some(last) if !last.is_gap && last.index == added.index && last.to == added.from => {
                last.to = added.to
            }
            Some(last) if last.index == added.index && *last == added => {}
            _ => self.0.push(added),
        }
    }

    /// Puts down a gap: how far it goes before the next range begins, and to which index. What is not put
    /// down yet goes to `current`.
    pub(super) fn add_gap(&mut self, run: RunId, from: Seq, to: Seq, current: u32) -> (Seq, u32) {
        let own = Range { run, from, to, index: current, is_gap: true };
        let begins = |range: &Range| range.run == run && range.from <= from && from < range.to;
        let Some(at) = self.0.iter().position(begins) else {
            self.0.push(own);
            return (to, current);
        };
        let Some(&around) = self.0.get(at) else { return (to, current) };
        let limit = to.min(around.to);
        if !around.is_gap {
            let own = Range { to: limit, index: around.index, ..own };
            let parts = [Range { to: from, ..around }, own, Range { from: limit, ..around }];
            self.0.splice(at..=at, parts.into_iter().filter(|part| part.from < part.to));
        }
        (limit, around.index)
    }

    /// The sink has a run up to `seq`.
    pub(super) fn pass(&mut self, run: RunId, seq: Seq) {
        self.0.retain(|range| range.run != run || range.to > seq);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(from: u64, to: u64, index: u32) -> Range {
        Range { run: RunId(7), from: Seq(from), to: Seq(to), index, is_gap: false }
    }

    fn ranges(all: &[Range]) -> Ranges {
        let mut ranges = Ranges::default();
        all.iter().for_each(|one| ranges.add(*one));
        ranges
    }

    #[test]
    fn what_follows_in_the_same_index_is_one_range_and_in_another_a_second() {
        let all = ranges(&[range(0, 0, 1), range(0, 9, 1), range(9, 20, 1), range(20, 25, 2)]);
        assert_eq!(all.0, [range(0, 20, 1), range(20, 25, 2)]);
        assert_eq!(Ranges::decode(&all.encode().unwrap()), Some(all));
    }

    #[test]
    fn a_step_finds_the_range_that_was_put_down_for_it() {
        let all = ranges(&[range(0, 20, 1), range(20, 25, 2)]);
        let index = |from, to| all.of(RunId(7), Seq(from), Seq(to)).map(|range| range.index);
        assert_eq!(index(0, 0), Some(1), "the start");
        assert_eq!(index(5, 9), Some(1));
        assert_eq!(index(20, 20), Some(1), "a notice at the end of the first");
        assert_eq!(index(20, 22), Some(2));
        assert_eq!(index(25, 25), Some(2));
        assert_eq!(index(25, 26), None);
        assert_eq!(all.of(RunId(8), Seq(5), Seq(6)), None);
    }

    /// World 282364: two gaps had become one, which stood in the range of both.
    #[test]
    fn a_gap_that_comes_again_is_cut_where_it_was() {
        let mut all = ranges(&[range(0, 10, 1)]);
        let mut gap = |from, to, current| {
            let (limit, index) = all.add_gap(RunId(7), Seq(from), Seq(to), current);
            (limit.0, index)
        };
        assert_eq!(gap(10, 12, 1), (12, 1));
        assert_eq!(gap(12, 15, 1), (15, 1));
        // Both are one now, and begin earlier; meanwhile another index has begun.
        assert_eq!(gap(4, 17, 2), (10, 1));
        assert_eq!(gap(10, 17, 2), (12, 1));
        assert_eq!(gap(12, 17, 2), (15, 1));
        assert_eq!(gap(15, 17, 2), (17, 2));
        // Once more, longer at both ends.
        assert_eq!(gap(2, 20, 3), (4, 1));
        assert_eq!(gap(4, 20, 3), (10, 1));
        assert_eq!(gap(15, 20, 3), (17, 2));
        let own = |from, to, index| Range { is_gap: true, ..range(from, to, index) };
        let expected =
            [range(0, 2, 1), own(2, 4, 1), own(4, 10, 1), own(10, 12, 1), own(12, 15, 1), own(15, 17, 2)];
        assert_eq!(all.0, expected);
        all.add(range(17, 30, 2));
        assert_eq!(all.0.last(), Some(&range(17, 30, 2)), "nothing joins a gap");
    }

    #[test]
    fn a_range_that_was_passed_is_forgotten_and_its_key_goes_with_the_last() {
        let mut all = ranges(&[range(0, 20, 1), range(20, 25, 2)]);
        all.pass(RunId(8), Seq(99));
        all.pass(RunId(7), Seq(19));
        assert_eq!(all.0.len(), 2);
        all.pass(RunId(7), Seq(20));
        assert_eq!(all.0, [range(20, 25, 2)]);
        all.pass(RunId(7), Seq(30));
        assert!(all.is_empty() && all.encode().is_none());
    }
}
