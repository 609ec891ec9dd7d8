//! Which index a run's documents go to: committed before the first write in it, never changed.
//!
//! A sink that creates each document under its identity is safe from repeats only as long as a
//! repeat meets the same index. So what a batch will write is first put down in the ledger, as a
//! range of a run and the index that takes it; what is written again after a crash, or by a gateway
//! that was superseded, finds that range and with it the same index. A range is forgotten once the
//! sink's mark has passed it.

use driftlog_proto::ids::{DeviceId, Lane, RunId, Seq};
use serde::{Deserialize, Serialize};

/// The version of [`Ranges`]' encoding.
const VERSION: u8 = 1;

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
            Some(last) if last.index == added.index && last.to == added.from => last.to = added.to,
            Some(last) if last.index == added.index && *last == added => {}
            _ => self.0.push(added),
        }
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
        Range { run: RunId(7), from: Seq(from), to: Seq(to), index }
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
        assert_eq!(index(18, 22), Some(1), "a gap that has grown is cut where the range ends");
        assert_eq!(index(25, 25), Some(2));
        assert_eq!(index(25, 26), None);
        assert_eq!(all.of(RunId(8), Seq(5), Seq(6)), None);
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
