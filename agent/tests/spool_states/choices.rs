//! Which combinations are tried of what may become of several changes.
//!
//! A choice says for each change what became of it: 0 nothing, 1 all of it, from 2 on one way of
//! being torn. Where there are few combinations they are all tried. Where there are many:
//! - each subset of the changes, whole; of very many changes: each prefix, each suffix, and the sets
//!   and complements of one and two of them;
//! - each way in which one change may be torn, with all others there, with none, with those
//!   before it alone, and with those after it alone;
//! - each way in which two may be torn, with all others there and with those between and before.
//!
//! This is enough to separate any two changes, which is what an ordering mistake takes; what needs
//! three torn writes at once among more than that is not seen.

use std::collections::BTreeSet;
use std::fmt;

/// Up to where everything is tried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Combinations at one crash point that are all tried.
    pub(crate) combinations: usize,
    /// Changes of which every subset is tried.
    pub(crate) subset_of: usize,
    /// Combinations of two torn changes that are tried; of more only those of neighbours.
    pub(crate) pairs: usize,
    /// A sector breaks within after this many bytes, and their multiples.
    pub(crate) torn_bytes: usize,
    /// One in so many states is cut a second time, while it recovers.
    pub(crate) second_in: u64,
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { combinations, subset_of, pairs, torn_bytes, second_in } = self;
        write!(
            f,
            "every combination up to {combinations}, else every subset of {subset_of} changes, each torn alone, \
             pairs up to {pairs}; torn at sectors and each {torn_bytes} bytes; one state in {second_in} cut again"
        )
    }
}

pub(crate) type Choice = Vec<usize>;

/// The choices among so many ways for each change, and whether they are all there are.
pub(crate) fn choices(ways: &[usize], bounds: &Bounds) -> (Vec<Choice>, bool) {
    let combinations = ways.iter().try_fold(1usize, |product, ways| product.checked_mul(*ways));
    if combinations.is_some_and(|combinations| combinations <= bounds.combinations) {
        return (every(ways), true);
    }
    let mut choices = BTreeSet::new();
    subsets(ways.len(), bounds, &mut choices);
    singles(ways, &mut choices);
    pairs(ways, bounds, &mut choices);
    (choices.into_iter().collect(), false)
}

fn every(ways: &[usize]) -> Vec<Choice> {
    let mut choices = vec![Vec::new()];
    for ways in ways {
        let longer = |choice: &Choice| {
            let choice = choice.clone();
            (0..*ways).map(move |way| [choice.as_slice(), &[way]].concat())
        };
        choices = choices.iter().flat_map(longer).collect();
    }
    choices
}

fn subsets(count: usize, bounds: &Bounds, choices: &mut BTreeSet<Choice>) {
    if count <= bounds.subset_of {
        choices.extend((0..1usize << count).map(|set| (0..count).map(|n| set >> n & 1).collect()));
        return;
    }
    let mut add = |is_in: &dyn Fn(usize) -> bool| {
        choices.insert((0..count).map(|n| usize::from(is_in(n))).collect());
        choices.insert((0..count).map(|n| usize::from(!is_in(n))).collect());
    };
    for one in 0..=count {
        add(&|n| n < one);
        for other in 0..count {
            add(&|n| n == one || n == other);
        }
    }
}

fn singles(ways: &[usize], choices: &mut BTreeSet<Choice>) {
    let count = ways.len();
    for (torn, most) in ways.iter().enumerate() {
        for way in 2..*most {
            for (before, after) in [(1, 1), (0, 0), (1, 0), (0, 1)] {
                let other = |n: usize| if n < torn { before } else { after };
                choices.insert((0..count).map(|n| if n == torn { way } else { other(n) }).collect());
            }
        }
    }
}

fn pairs(ways: &[usize], bounds: &Bounds, choices: &mut BTreeSet<Choice>) {
    let count = ways.len();
    let torn = |n: usize| ways[n].saturating_sub(2);
    let all: usize = (0..count).flat_map(|a| (a + 1..count).map(move |b| torn(a) * torn(b))).sum();
    for first in 0..count {
        let last = if all <= bounds.pairs { count } else { count.min(first + 2) };
        for second in first + 1..last {
            for (a, b) in (2..ways[first]).flat_map(|a| (2..ways[second]).map(move |b| (a, b))) {
                for behind in [0, 1] {
                    let way = |n: usize| match n {
                        n if n == first => a,
                        n if n == second => b,
                        n if n > second => behind,
                        _ => 1,
                    };
                    choices.insert((0..count).map(way).collect());
                }
            }
        }
    }
}

#[test]
fn few_changes_are_combined_in_every_way_and_many_within_the_bounds() {
    let bounds = Bounds { combinations: 12, subset_of: 4, pairs: 100, torn_bytes: 256, second_in: 1 };
    let (few, is_complete) = choices(&[2, 3, 2], &bounds);
    assert!(is_complete);
    assert_eq!(few.iter().collect::<BTreeSet<_>>().len(), 12);

    let (many, is_complete) = choices(&[2, 3, 3, 2], &bounds);
    assert!(!is_complete);
    // 16 subsets; each of two torn changes in four surroundings; the two of them in two.
    assert_eq!(many.len(), 16 + 2 * 4 + 2);
    assert!(many.contains(&vec![0, 0, 1, 0]) && many.contains(&vec![1, 2, 0, 0]));
    assert!(many.contains(&vec![1, 2, 2, 0]));

    let (very_many, _) = choices(&[2; 30], &bounds);
    assert!(very_many.contains(&(0..30).map(|n| usize::from(n < 17)).collect()));
    assert!(very_many.contains(&(0..30).map(|n| usize::from(n != 3 && n != 29)).collect()));
}
