//! Gaps: each run's part is declared for that run, then the next run is admitted (rule 9).

use driftlog_proto::ids::{Chain, Place, Seq};
use driftlog_proto::item::Cause;
use driftlog_proto::limits::RUNS_MAX;
use driftlog_proto::receiver::{Dropped, Notice, Output, Step, Verdict};

use crate::lane::*;

const UNKNOWN: Verdict = Verdict::Dropped(Dropped::UnknownRun);
const STALE: Verdict = Verdict::Dropped(Dropped::StaleEcho);

/// A run of which everything below 2 is known.
fn begun() -> Lane {
    let mut lane = Lane::new(ONE);
    lane.keep(&[root(1), block(1, 0, 2)]);
    lane.out();
    lane
}

#[test]
fn a_gap_in_one_run_is_declared_from_where_the_run_stands() {
    let mut lane = begun();
    lane.keep(&[gap(place(1, 1), place(1, 6), &[])]);
    let step = Step::Gap { from: Seq(2), cause: Cause::Overflow };
    assert_eq!(lane.receiver.poll_output(), Some(Output::Deliver { end: place(1, 6), step }));
    assert_eq!((lane.out(), lane.released), (Vec::new(), 2));
    lane.keep(&[block(1, 6, 7)]);
    assert_eq!(lane.out(), [Out::Block(place(1, 7))]);
    assert_eq!(lane.hear(&gap(place(1, 1), place(1, 6), &[])), Verdict::Duplicate);
}

#[test]
fn a_gap_waits_until_its_run_has_come_as_far_as_it_begins() {
    let mut lane = begun();
    lane.keep(&[gap(place(1, 4), place(1, 6), &[])]);
    assert!(lane.out().is_empty());
    lane.keep(&[block(1, 2, 4)]);
    assert_eq!(lane.out(), [Out::Block(place(1, 4)), Out::Gap(4, place(1, 6))]);
}

#[test]
fn each_run_that_a_gap_swallowed_is_declared_and_admitted_in_turn() {
    let mut lane = begun();
    lane.keep(&[gap(place(1, 2), place(3, 9), &[(2, 4), (3, 4)])]);
    let (middle, begin) = (unchained(place(2, 4)), unchained(place(3, 4)));
    assert_eq!(
        lane.out(),
        [
            Out::Gap(2, unchained(place(1, 4))),
            Out::Start(middle),
            Out::Start(begin),
            Out::Gap(4, place(3, 9))
        ]
    );
    assert_eq!(lane.known(), [1, 2, 3]);
    assert_eq!(lane.run(2).parent, unchained(place(1, 4)));
    assert_eq!(lane.run(3).parent, middle);
    assert_eq!(lane.run(3).next, place(3, 9));
    assert_eq!(lane.hear(&gap(place(1, 2), place(3, 9), &[(2, 4), (3, 4)])), Verdict::Duplicate);
}

#[test]
fn a_gap_from_the_origin_admits_the_first_run() {
    let mut lane = Lane::new(ONE);
    lane.keep(&[gap(Place::ORIGIN, place(1, 3), &[(1, 0)])]);
    assert_eq!(lane.out(), [Out::Start(unchained(place(1, 0))), Out::Gap(0, place(1, 3))]);
    assert_eq!(lane.run(1).parent, Place::ORIGIN);
    assert_eq!(lane.hear(&gap(Place::ORIGIN, place(1, 3), &[(1, 0)])), Verdict::Duplicate);
    assert_eq!(lane.hear_with(&gap(Place::ORIGIN, place(1, 4), &[(1, 0)]), number(0, 0)), Verdict::Kept(1));
}

#[test]
fn a_gap_that_admits_a_run_needs_a_fresh_echo_and_one_that_admits_none_does_not() {
    let mut lane = begun();
    assert_eq!(lane.hear_with(&gap(place(1, 2), place(2, 9), &[(2, 4)]), number(0, 0)), STALE);
    assert_eq!(lane.hear_all(&gap(place(1, 2), place(2, 9), &[(2, 4)]), None, 100, 10_000), STALE);
    assert!(matches!(
        lane.hear_all(&gap(place(1, 2), place(1, 4), &[]), None, 100, 10_000),
        Verdict::Kept(_)
    ));
    assert_eq!(lane.out(), [Out::Gap(2, place(1, 4))]);
}

#[test]
fn a_gap_is_followed_from_the_first_of_its_runs_that_is_known() {
    let mut lane = Lane::new(ONE);
    lane.hello(2, place(2, 5), number(1, 5));
    lane.out();
    // What lies before run 2 was acknowledged to a ledger that is lost.
    lane.keep(&[gap(place(1, 0), place(3, 9), &[(2, 4), (3, 7)])]);
    assert_eq!(
        lane.out(),
        [Out::Gap(5, unchained(place(2, 7))), Out::Start(unchained(place(3, 7))), Out::Gap(7, place(3, 9))]
    );
    assert_eq!(lane.known(), [2, 3]);
}

#[test]
fn a_gap_that_contradicts_where_its_run_stands_leaves_no_hole() {
    let mut lane = begun();
    lane.keep(&[start(2, place(1, 2))]);
    lane.out();
    // The device said that run 2 begins at 2, and says now that it begins at 4.
    lane.keep(&[gap(place(1, 2), place(2, 9), &[(2, 4)])]);
    let fork = Out::Notice(Notice::Fork, 1);
    assert_eq!(lane.out(), [fork, Out::Gap(2, unchained(place(1, 4))), Out::Gap(2, place(2, 9))]);
}

/// A fuzzed one: the rest of the gap found no room, and what its first part had passed was still held.
#[test]
fn a_gap_that_is_taken_in_part_lets_go_of_what_it_has_passed() {
    let mut lane = begun();
    for run in 2..=RUNS_MAX as u64 {
        lane.keep(&[root(run)]);
    }
    lane.keep(&[block(1, 3, 4), gap(place(1, 2), place(200, 9), &[(200, 5)])]);
    assert_eq!(lane.out().last(), Some(&Out::Gap(2, unchained(place(1, 5)))));
    assert_eq!(lane.receiver.held_items(), 1, "the rest of the gap waits for room, and nothing else");
}

#[test]
fn a_gap_of_unknown_runs_is_dropped_unless_its_first_is_announced() {
    let mut lane = begun();
    assert_eq!(lane.hear(&gap(place(7, 0), place(8, 9), &[(8, 4)])), UNKNOWN);
    lane.keep(&[start(2, place(1, 4)), gap(place(2, 4), place(2, 6), &[])]);
    assert!(lane.out().is_empty(), "the start waits for its parent, and the gap for the start");
    assert_eq!(lane.receiver.held_items(), 2);
    lane.keep(&[block(1, 2, 4)]);
    assert_eq!(lane.out(), [Out::Block(place(1, 4)), Out::Start(place(2, 4)), Out::Gap(4, place(2, 6))]);
}

#[test]
fn a_gap_whose_first_run_another_gap_announces_waits_for_that() {
    let mut lane = begun();
    lane.keep(&[gap(place(1, 4), place(2, 6), &[(2, 5)]), gap(place(2, 6), place(3, 9), &[(3, 8)])]);
    assert!(lane.out().is_empty());
    assert_eq!(lane.receiver.held_items(), 2);
    lane.keep(&[block(1, 2, 4)]);
    assert_eq!(lane.receiver.held_items(), 0);
    assert_eq!(lane.known(), [1, 2, 3]);
    assert_eq!(lane.run(3).next, place(3, 9));
}

#[test]
fn a_gap_whose_announcement_went_away_is_let_go() {
    let mut lane = begun();
    lane.keep(&[start(2, place(1, 4)), gap(place(2, 4), place(2, 6), &[])]);
    lane.receiver.handle_rewound(lane.issued);
    assert_eq!(lane.receiver.held_items(), 0);
    assert_eq!(lane.hear(&gap(place(2, 4), place(2, 6), &[])), UNKNOWN);
}

#[test]
fn a_gap_below_what_is_known_is_a_duplicate_once_its_end_s_chain_is_known() {
    let mut lane = begun();
    lane.keep(&[block(1, 2, 5)]);
    lane.out();
    assert_eq!(lane.hear(&gap(place(1, 0), place(1, 3), &[])), Verdict::Duplicate);
    assert_eq!(lane.hear(&gap(place(1, 0), place(1, 5), &[])), Verdict::Duplicate);
    // A gap inside a longer one: where it ended, the chain was not known.
    let mut lane = begun();
    lane.keep(&[gap(place(1, 2), unchained(place(1, 5)), &[])]);
    lane.out();
    lane.keep(&[gap(place(1, 2), place(1, 5), &[])]);
    assert_eq!((lane.out(), lane.receiver.held_items()), (Vec::new(), 0), "nothing more to declare");
    assert_eq!(lane.run(1).next, place(1, 5), "and now it is");
    assert_eq!(lane.hear(&gap(place(1, 2), place(1, 5), &[])), Verdict::Duplicate);
    // One that ends below is a duplicate although the chain at the run's end is not known.
    let mut lane = begun();
    lane.keep(&[gap(place(1, 2), unchained(place(1, 5)), &[])]);
    lane.out();
    assert_eq!(lane.hear(&gap(place(1, 2), place(1, 4), &[])), Verdict::Duplicate);
}

#[test]
fn a_gap_never_moves_a_run_back() {
    let mut lane = begun();
    lane.keep(&[block(1, 2, 8)]);
    lane.out();
    lane.keep(&[gap(place(1, 2), place(2, 9), &[(2, 4)])]);
    assert_eq!(lane.run(1).next, place(1, 8));
    assert_eq!(
        lane.out(),
        [Out::Notice(Notice::Fork, 1), Out::Start(unchained(place(2, 4))), Out::Gap(4, place(2, 9))]
    );
    // A known chain at the very end is not overwritten either.
    let mut lane = begun();
    lane.keep(&[gap(place(1, 0), place(2, 9), &[(2, 2)])]);
    assert_eq!(lane.run(1).next, place(1, 2));
    assert_ne!(lane.run(1).next.chain, Chain::ROOT);
}

#[test]
fn blocks_of_a_run_that_only_a_gap_announces_are_held() {
    let mut lane = begun();
    lane.keep(&[gap(place(1, 4), place(2, 6), &[(2, 5)]), block(2, 6, 7), start(3, place(2, 7))]);
    assert!(lane.out().is_empty());
    lane.keep(&[block(1, 2, 4)]);
    assert_eq!(lane.receiver.held_items(), 0);
    assert_eq!(lane.known(), [1, 2, 3]);
}
