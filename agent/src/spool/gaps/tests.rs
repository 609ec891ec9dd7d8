//! The table of gaps: what is declared, merged, refused, forgotten.

use driftlog_proto::ids::Chain;

use super::*;

fn at(run: u64, seq: u64) -> Place {
    Place { run: RunId(run), seq: Seq(seq), chain: Chain(1000 * run + seq) }
}

fn runs(begins: &[(u64, u64)]) -> Runs {
    let mut runs = Runs::default();
    for (run, n) in begins {
        runs.add(RunId(*run), Seq(*n));
    }
    runs
}

/// Gaps of run 1, declared one after another.
fn gaps(holes: &[(u64, u64, Cause)]) -> Gaps {
    let mut gaps = Gaps::default();
    for (from, to, cause) in holes {
        gaps.cover(&runs(&[(1, 0)]), &at(1, *from), &at(1, *to), *cause).unwrap();
    }
    gaps
}

fn told(gaps: &Gaps) -> Vec<(u64, u64, Cause)> {
    gaps.iter().map(|hole| (hole.from.seq.0, hole.to.seq.0, hole.cause)).collect()
}

use Cause::{Overflow, Refused};

#[test]
fn what_is_declared_twice_counts_once() {
    let known = runs(&[(1, 0)]);
    let mut one = gaps(&[(2, 5, Refused)]);
    assert_eq!(one.cover(&known, &at(1, 1), &at(1, 9), Refused), Ok(5));
    assert_eq!(told(&one), [(1, 9, Refused)]);
    assert_eq!(one.cover(&known, &at(1, 3), &at(1, 8), Overflow), Ok(0));
    assert_eq!(told(&one), [(1, 9, Refused)]);
    let mut two = gaps(&[(2, 4, Refused), (6, 7, Refused)]);
    assert_eq!(two.cover(&known, &at(1, 0), &at(1, 9), Overflow), Ok(6));
    let expected = [(0, 2, Overflow), (2, 4, Refused), (4, 6, Overflow), (6, 7, Refused), (7, 9, Overflow)];
    assert_eq!(told(&two), expected);
}

#[test]
fn gaps_that_begin_or_end_together_leave_no_empty_ones() {
    let known = runs(&[(1, 0)]);
    for (from, to, records, expected) in [
        (2, 7, 2, vec![(2, 5, Refused), (5, 7, Overflow)]),
        (0, 5, 2, vec![(0, 2, Overflow), (2, 5, Refused)]),
        (2, 5, 0, vec![(2, 5, Refused)]),
        (5, 7, 2, vec![(2, 5, Refused), (5, 7, Overflow)]),
        (0, 2, 2, vec![(0, 2, Overflow), (2, 5, Refused)]),
        (7, 9, 2, vec![(2, 5, Refused), (7, 9, Overflow)]),
    ] {
        let mut gaps = gaps(&[(2, 5, Refused)]);
        assert_eq!(gaps.cover(&known, &at(1, from), &at(1, to), Overflow), Ok(records));
        assert_eq!(told(&gaps), expected, "{from} to {to}");
    }
}

#[test]
fn a_gap_lists_the_starts_between_its_ends_and_no_others() {
    let known = runs(&[(1, 0), (2, 4), (3, 4), (4, 9)]);
    let starts = |from, to| {
        let mut gaps = Gaps::default();
        gaps.cover(&known, &from, &to, Overflow).unwrap();
        gaps.0.remove(0).starts.iter().map(|(run, _)| run.0).collect::<Vec<_>>()
    };
    assert_eq!(starts(at(1, 2), at(3, 6)), [2, 3]);
    assert_eq!(starts(at(1, 4), at(3, 6)), [2, 3]);
    assert_eq!(starts(at(2, 4), at(3, 6)), [3], "its own start lies before it");
    assert!(starts(at(3, 4), at(3, 9)).is_empty());
    assert_eq!(starts(at(1, 2), at(2, 4)), [2]);
}

#[test]
fn neighbours_merge_only_when_they_touch_in_one_run_for_one_cause_and_their_starts_fit() {
    assert_eq!(told(&gaps(&[(2, 5, Refused), (5, 7, Refused)])), [(2, 7, Refused)]);
    assert_eq!(told(&gaps(&[(2, 5, Refused), (6, 7, Refused)])).len(), 2);
    let known = runs(&[(1, 0), (2, 4)]);
    let mut gaps = Gaps::default();
    gaps.cover(&known, &at(1, 2), &at(1, 4), Refused).unwrap();
    gaps.cover(&known, &at(2, 4), &at(2, 6), Refused).unwrap();
    assert_eq!(told(&gaps).len(), 2, "a start stands between them");
    for (left, merged) in [(40, 1), (41, 2)] {
        let begins: Vec<_> = (0..41 + 24).map(|n| (n + 1, n)).collect();
        let known = runs(&begins);
        let mut gaps = Gaps::default();
        gaps.cover(&known, &Place::ORIGIN, &at(left, left), Refused).unwrap();
        gaps.cover(&known, &at(left, left), &at(left + 24, left + 24), Refused).unwrap();
        assert_eq!(gaps.0.len(), merged, "{left} starts and 24");
    }
}

#[test]
fn a_merged_gap_has_to_be_written_again() {
    let mut gaps = gaps(&[(2, 5, Refused)]);
    assert!(gaps.must_be_stated());
    gaps.note_synced();
    assert!(gaps.must_be_stated(), "what was not written is not synced");
    gaps.note_stated();
    assert!(!gaps.must_be_stated());
    assert_eq!(gaps.0[0].standing, Standing::Stated);
    gaps.note_synced();
    assert_eq!(gaps.0[0].standing, Standing::Durable);
    gaps.note_stated();
    assert_eq!(gaps.0[0].standing, Standing::Durable);
    gaps.cover(&runs(&[(1, 0)]), &at(1, 5), &at(1, 7), Refused).unwrap();
    assert_eq!((told(&gaps), gaps.0[0].standing), (vec![(2, 7, Refused)], Standing::Declared));
    gaps.note_stated();
    gaps.doubt();
    assert!(gaps.must_be_stated());
}

/// As many gaps of alternating causes as there may be, from 2 on, one record each.
fn full(step: u64) -> Gaps {
    let cause = |n| if n % 2 == 0 { Overflow } else { Refused };
    let holes: Vec<_> = (0..GAPS_MAX as u64).map(|n| (2 + step * n, 3 + step * n, cause(n))).collect();
    gaps(&holes)
}

#[test]
fn a_full_table_merges_gaps_of_different_causes_and_no_more_of_them_than_it_must() {
    let known = runs(&[(1, 0)]);
    let mut touching = full(1);
    assert_eq!(touching.0.len(), GAPS_MAX, "they fit, and stay as they are");
    let end = 2 + GAPS_MAX as u64;
    assert_eq!(touching.cover(&known, &at(1, end), &at(1, end + 1), Overflow), Ok(1));
    assert_eq!(touching.0.len(), GAPS_MAX);
    assert_eq!(told(&touching)[..2], [(2, 4, Overflow), (4, 5, Overflow)], "of equals the first names it");
    // One that stands alone at the front is passed over; the larger one gives the cause.
    let mut behind = full(1);
    behind.cover(&known, &at(1, 0), &at(1, 1), Refused).unwrap();
    assert_eq!(told(&behind)[..2], [(0, 1, Refused), (2, 4, Overflow)]);
    let rest = (2..GAPS_MAX as u64).map(|n| (4 + n, 5 + n, if n % 2 == 0 { Refused } else { Overflow }));
    let holes: Vec<_> = [(0, 1, Refused), (1, 6, Overflow)].into_iter().chain(rest).collect();
    let mut larger = gaps(&holes);
    let end = 4 + GAPS_MAX as u64;
    larger.cover(&known, &at(1, end), &at(1, end + 1), Refused).unwrap();
    assert_eq!(told(&larger)[..2], [(0, 6, Overflow), (6, 7, Refused)]);
}

#[test]
fn a_table_in_which_nothing_touches_takes_no_more() {
    let known = runs(&[(1, 0)]);
    let mut apart = full(2);
    assert_eq!(apart.0.len(), GAPS_MAX);
    assert_eq!(apart.cover(&known, &at(1, 1000), &at(1, 1001), Refused), Err(TableFull));
    assert_eq!(full(2).cover(&known, &at(1, 3), &at(1, 4), Overflow), Ok(1), "between two of them");
}

#[test]
fn a_gap_with_more_starts_than_its_list_holds_is_refused() {
    let begins: Vec<_> = (0..GAP_STARTS_MAX as u64 + 1).map(|n| (n + 1, n)).collect();
    let known = runs(&begins);
    let most = GAP_STARTS_MAX as u64;
    let cover = |to| Gaps::default().cover(&known, &Place::ORIGIN, &to, Overflow);
    assert_eq!(cover(at(most, most)), Ok(most));
    assert_eq!(cover(at(most + 1, most + 1)), Err(TableFull));
}

#[test]
fn a_place_is_inside_a_gap_above_its_beginning_and_below_its_end() {
    let known = runs(&[(1, 0), (2, 4), (3, 4)]);
    let mut gaps = Gaps::default();
    gaps.cover(&known, &at(1, 2), &at(3, 6), Overflow).unwrap();
    let inside = |run, seq| gaps.around(RunId(run), Seq(seq)).is_some();
    assert!(!inside(1, 1) && !inside(1, 2) && inside(1, 3) && inside(1, 4) && !inside(1, 5));
    assert!(!inside(2, 3) && inside(2, 4) && !inside(2, 5));
    assert!(inside(3, 4) && inside(3, 5) && !inside(3, 6) && !inside(3, 7));
    assert!(!inside(4, 4) && !inside(4, 5));
    assert_eq!(gaps.at(RunId(1), Seq(2)).map(|hole| hole.to), Some(at(3, 6)));
    assert!(gaps.at(RunId(2), Seq(2)).is_none() && gaps.at(RunId(1), Seq(3)).is_none());
}

#[test]
fn the_place_behind_gaps_is_that_behind_the_last_of_those_that_touch() {
    let gaps = gaps(&[(2, 5, Refused), (5, 7, Overflow), (8, 9, Refused)]);
    assert_eq!(gaps.past(&at(1, 2)), at(1, 7));
    assert_eq!(gaps.past(&at(1, 3)), at(1, 3));
    assert_eq!(gaps.past(&at(1, 7)), at(1, 7));
    let mut empty = Gaps::default();
    empty.push(Hole { from: at(1, 3), to: at(1, 3), starts: Vec::new(), ..gaps.0[0].clone() });
    assert_eq!(empty.past(&at(1, 3)), at(1, 3), "one of nothing leads nowhere");
}

#[test]
fn what_is_acknowledged_is_forgotten_and_a_gap_around_the_base_begins_there() {
    let known = runs(&[(1, 0), (2, 4), (3, 6)]);
    let trimmed = |base| {
        let mut gaps = Gaps::default();
        gaps.cover(&known, &at(1, 1), &at(1, 2), Refused).unwrap();
        gaps.cover(&known, &at(1, 3), &at(3, 8), Overflow).unwrap();
        gaps.trim(&known, &base);
        let starts = |hole: &Hole| hole.starts.iter().map(|(run, _)| run.0).collect::<Vec<_>>();
        gaps.iter().map(|hole| (hole.from, starts(hole))).collect::<Vec<_>>()
    };
    let second = (at(1, 3), vec![2, 3]);
    assert_eq!(trimmed(at(1, 1)), [(at(1, 1), vec![]), second.clone()]);
    assert_eq!(trimmed(at(1, 2)), std::slice::from_ref(&second));
    assert_eq!(trimmed(at(1, 3)), [second]);
    assert_eq!(trimmed(at(1, 4)), [(at(1, 4), vec![2, 3])]);
    assert_eq!(trimmed(at(2, 4)), [(at(2, 4), vec![3])], "its start is behind it");
    assert_eq!(trimmed(at(2, 6)), [(at(2, 6), vec![3])]);
    assert_eq!(trimmed(at(3, 7)), [(at(3, 7), vec![])]);
    assert_eq!(trimmed(at(3, 8)), []);
}
