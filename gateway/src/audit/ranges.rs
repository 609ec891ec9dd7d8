//! A set of numbers as sorted, separate ranges.

use std::ops::Range;

/// Numbers, as ranges that neither touch nor overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<Range<u64>>);

impl Ranges {
    /// Adds numbers.
    pub(super) fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let from = self.0.partition_point(|other| other.end < range.start);
        let to = self.0.partition_point(|other| other.start <= range.end);
        let merged = match self.0.get(from..to) {
            Some([first, ..]) => {
                let last = &self.0[to - 1];
                first.start.min(range.start)..last.end.max(range.end)
            }
            _ => range,
        };
        self.0.splice(from..to, [merged]);
    }

    /// Takes numbers out and answers how many of them were in.
    pub(super) fn remove(&mut self, range: &Range<u64>) -> u64 {
        let from = self.0.partition_point(|other| other.end <= range.start);
        let to = self.0.partition_point(|other| other.start < range.end);
        if range.is_empty() || from >= to {
            return 0;
        }
        let left = self.0[from].start..range.start;
        let right = range.end..self.0[to - 1].end;
        let before: u64 = self.0[from..to].iter().map(|other| other.end - other.start).sum();
        let rest: Vec<Range<u64>> = [left, right].into_iter().filter(|rest| !rest.is_empty()).collect();
        let after: u64 = rest.iter().map(|rest| rest.end - rest.start).sum();
        self.0.splice(from..to, rest);
        before - after
    }

    /// How many ranges there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// How many numbers there are.
    pub(super) fn count(&self) -> u64 {
        self.0.iter().map(|range| range.end - range.start).sum()
    }

    /// The ranges, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Range<u64>> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_a_set_holds(steps in prop::collection::vec((any::<bool>(), 0u64..60, 0u64..12), 0..60)) {
            let (mut ranges, mut set) = (Ranges::default(), std::collections::BTreeSet::new());
            for (is_insert, start, length) in steps {
                let range = start..start + length;
                if is_insert {
                    ranges.insert(range.clone());
                    set.extend(range);
                } else {
                    let removed = range.clone().filter(|number| set.remove(number)).count() as u64;
                    prop_assert_eq!(ranges.remove(&range), removed);
                }
                let all: Vec<u64> = ranges.iter().cloned().flatten().collect();
                prop_assert_eq!(&all, &set.iter().copied().collect::<Vec<_>>());
                prop_assert!(ranges.0.windows(2).all(|pair| pair[0].end < pair[1].start));
            }
        }
    }
}
