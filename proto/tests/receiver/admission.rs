//! Starts and blocks: admitted, delivered, held, refused (rules 7, 8 and 12).

use driftlog_proto::ids::Place;
use driftlog_proto::receiver::{Dropped, Notice, Verdict};

use crate::lane::*;

const UNKNOWN: Verdict = Verdict::Dropped(Dropped::UnknownRun);
const STALE: Verdict = Verdict::Dropped(Dropped::StaleEcho);
const TWICE: Verdict = Verdict::Dropped(Dropped::RunTwice);

#[test]
fn a_root_start_and_its_blocks_come_out_in_order() {
    let mut lane = Lane::new(ONE);
    lane.keep(&[root(1), block(1, 0, 3), block(1, 3, 4)]);
    assert_eq!(lane.out(), [Out::Start(place(1, 0)), Out::Block(place(1, 3)), Out::Block(place(1, 4))]);
    assert_eq!((lane.receiver.held_items(), lane.receiver.held_bytes(), lane.released), (0, 0, 1));
    assert_eq!(lane.hear(&root(1)), Verdict::Duplicate);
    assert_eq!(lane.hear_with(&root(1), number(0, 0)), Verdict::Duplicate, "known is known, however old");
    assert!(lane.out().is_empty());
}

#[test]
fn a_start_needs_a_fresh_echo_of_this_generation() {
    let mut lane = Lane::new(ONE);
    for stale in [number(0, 0), number(0, 99), number(1, 0), number(2, 1)] {
        assert_eq!(lane.hear_with(&root(1), stale), STALE, "{stale}");
    }
    assert_eq!(lane.hear_all(&root(1), None, 100, 10_000), STALE);
    assert!(
        matches!(lane.hear_with(&root(1), number(1, 1)), Verdict::Kept(_)),
        "the barrier itself is fresh"
    );
    assert_eq!(lane.out(), [Out::Start(place(1, 0))]);
}

#[test]
fn a_start_waits_for_its_parent_to_come_as_far() {
    let mut lane = Lane::new(ONE);
    lane.keep(&[root(1), start(2, place(1, 5)), block(2, 5, 6), block(1, 0, 4)]);
    assert_eq!(lane.out(), [Out::Start(place(1, 0)), Out::Block(place(1, 4))]);
    lane.keep(&[block(1, 4, 5)]);
    assert_eq!(lane.out(), [Out::Block(place(1, 5)), Out::Start(place(2, 5)), Out::Block(place(2, 6))]);
}

#[test]
fn a_start_whose_parent_is_only_announced_waits_for_both() {
    let mut lane = Lane::new(ONE);
    assert_eq!(lane.hear(&start(3, place(2, 4))), UNKNOWN);
    lane.keep(&[root(1), start(2, place(1, 2)), start(3, place(2, 4)), block(3, 4, 5), block(2, 2, 4)]);
    assert_eq!(lane.out(), [Out::Start(place(1, 0))]);
    lane.keep(&[block(1, 0, 2)]);
    let ends = [place(1, 2), place(2, 2), place(2, 4), place(3, 4), place(3, 5)];
    let [a, b, c, d, e] = ends;
    assert_eq!(lane.out(), [Out::Block(a), Out::Start(b), Out::Block(c), Out::Start(d), Out::Block(e)]);
}

#[test]
fn a_start_whose_run_has_begun_meanwhile_is_let_go() {
    let mut lane = Lane::new(ONE);
    lane.keep(&[root(1), start(2, place(1, 5)), start(2, place(1, 6)), block(1, 0, 5)]);
    assert_eq!(lane.out(), [Out::Start(place(1, 0)), Out::Block(place(1, 5)), Out::Start(place(2, 5))]);
    assert_eq!((lane.receiver.held_items(), lane.released), (0, 3));
}

#[test]
fn a_block_of_an_unknown_run_is_dropped_and_of_an_announced_one_held() {
    let mut lane = Lane::new(ONE);
    assert_eq!(lane.hear(&block(1, 0, 1)), UNKNOWN);
    lane.keep(&[root(1), start(2, place(1, 2)), block(2, 2, 3)]);
    assert_eq!(lane.hear(&block(3, 2, 3)), UNKNOWN);
    assert_eq!(lane.receiver.held_items(), 2);
    assert_eq!(lane.receiver.held_bytes(), 200);
}

#[test]
fn blocks_that_come_early_are_held_and_come_out_in_their_turn() {
    let mut lane = Lane::new(ONE);
    lane.keep(&[root(1), block(1, 4, 6), block(1, 2, 4)]);
    assert_eq!(lane.out(), [Out::Start(place(1, 0))]);
    assert_eq!(lane.hear(&block(1, 4, 6)), Verdict::Duplicate, "it is held already");
    lane.keep(&[block(1, 0, 2)]);
    assert_eq!(lane.out(), [Out::Block(place(1, 2)), Out::Block(place(1, 4)), Out::Block(place(1, 6))]);
}

#[test]
fn a_block_below_is_a_duplicate_whatever_its_chain() {
    let mut lane = Lane::new(ONE);
    lane.keep(&[root(1), block(1, 0, 2), block(1, 2, 4)]);
    lane.out();
    assert_eq!(lane.hear(&block(1, 0, 2)), Verdict::Duplicate);
    assert_eq!(lane.hear(&block(1, 2, 4)), Verdict::Duplicate);
    assert_eq!(lane.hear(&block_between(place(1, 0), otherwise(place(1, 2)))), Verdict::Duplicate);
    assert_eq!(lane.hear(&block_between(place(1, 2), unchained(place(1, 4)))), Verdict::Duplicate);
    assert!(lane.out().is_empty());
}

#[test]
fn a_block_that_contradicts_what_is_known_means_that_the_run_runs_twice() {
    let contradictions = [
        block_between(place(1, 3), place(1, 5)),
        block_between(otherwise(place(1, 4)), place(1, 5)),
        block_between(place(1, 2), otherwise(place(1, 4))),
        block_between(place(1, 0), place(1, 9)),
    ];
    for contradiction in contradictions {
        let mut lane = Lane::new(ONE);
        lane.keep(&[root(1), block(1, 0, 4)]);
        lane.out();
        assert_eq!(lane.hear(&contradiction), TWICE, "{contradiction:?}");
        assert_eq!(lane.out(), [Out::Notice(Notice::RunTwice, 1)]);
        assert_eq!(lane.hear(&contradiction), TWICE);
        assert!(lane.out().is_empty(), "stated once");
        lane.keep(&[block(1, 4, 5)]);
        assert_eq!(lane.out(), [Out::Block(place(1, 5))]);
    }
}

#[test]
fn a_chain_that_is_not_known_matches_any() {
    let mut lane = Lane::new(ONE);
    lane.keep(&[root(1), block(1, 0, 2), block_between(unchained(place(1, 2)), unchained(place(1, 4)))]);
    lane.keep(&[block(1, 4, 5)]);
    assert_eq!(lane.out().len(), 4);
}

#[test]
fn a_held_block_that_another_history_has_overtaken_is_let_go() {
    let overtaken = [
        block(1, 3, 5),
        block(1, 2, 6),
        block_between(otherwise(place(1, 4)), place(1, 7)),
        block_between(place(1, 3), place(1, 4)),
    ];
    for held in overtaken {
        let mut lane = Lane::new(ONE);
        lane.keep(&[root(1), held.clone(), block(1, 0, 4)]);
        assert_eq!(lane.out(), [Out::Start(place(1, 0)), Out::Block(place(1, 4))], "{held:?}");
        assert_eq!((lane.receiver.held_items(), lane.released), (0, 2), "{held:?}");
        lane.keep(&[block(1, 4, 5)]);
        assert_eq!(lane.out(), [Out::Block(place(1, 5))]);
    }
}

#[test]
fn an_item_above_the_beginning_of_a_child_is_a_fork_and_one_up_to_it_is_none() {
    let mut lane = Lane::new(ONE);
    lane.keep(&[root(1), block(1, 0, 2), start(2, place(1, 2))]);
    lane.out();
    lane.keep(&[block(1, 2, 3)]);
    assert_eq!(lane.out(), [Out::Notice(Notice::Fork, 1), Out::Block(place(1, 3))]);
    lane.keep(&[block(1, 3, 4), block(2, 2, 3)]);
    assert_eq!(lane.out(), [Out::Block(place(1, 4)), Out::Block(place(2, 3))], "said once, and both go on");
    // A child that is admitted at its parent's end is none.
    let mut lane = Lane::new(ONE);
    lane.keep(&[root(1), block(1, 0, 2), start(2, place(1, 2)), block(2, 2, 3), start(3, place(2, 3))]);
    assert!(lane.out().iter().all(|out| !matches!(out, Out::Notice(..))));
}

#[test]
fn a_child_that_begins_below_its_parent_s_end_or_beside_another_is_a_fork() {
    let mut lane = Lane::new(ONE);
    lane.keep(&[root(1), block(1, 0, 4), start(2, place(1, 3))]);
    let out = lane.out();
    assert_eq!(out[2..], [Out::Notice(Notice::Fork, 1), Out::Start(place(2, 3))]);
    let mut lane = Lane::new(ONE);
    lane.keep(&[root(1), block(1, 0, 4), start(2, place(1, 4))]);
    lane.out();
    lane.keep(&[start(3, place(1, 4))]);
    assert_eq!(lane.out(), [Out::Notice(Notice::Fork, 1), Out::Start(place(3, 4))]);
    // A second root is no fork: the device was wiped.
    lane.keep(&[root(9)]);
    assert_eq!(lane.out(), [Out::Start(place(9, 0))]);
}

#[test]
fn a_child_of_another_history_of_its_parent_means_that_the_parent_runs_twice() {
    let mut lane = Lane::new(ONE);
    lane.keep(&[root(1), block(1, 0, 4), start(2, otherwise(place(1, 4)))]);
    assert_eq!(lane.out()[2..], [Out::Notice(Notice::RunTwice, 1), Out::Start(place(2, 4))]);
}

#[test]
fn hardware_that_changed_is_stated_once_about_a_run_that_is_known() {
    let mut lane = Lane::new(ONE);
    lane.keep(&[root(1)]);
    lane.out();
    lane.receiver.handle_hardware_changed(driftlog_proto::ids::RunId(2));
    assert!(lane.out().is_empty());
    for expected in [vec![Out::Notice(Notice::HardwareChanged, 1)], Vec::new()] {
        lane.receiver.handle_hardware_changed(place(1, 0).run);
        assert_eq!(lane.out(), expected);
    }
}

#[test]
fn every_notice_has_a_name_and_a_number_of_its_own() {
    let names = ["fork", "clone", "ledger_lost", "may_repeat", "run_twice", "hardware_changed"];
    assert_eq!(Notice::ALL.map(Notice::name), names);
    assert_eq!(Notice::ALL.map(Notice::index), [0, 1, 2, 3, 4, 5]);
    assert_eq!(Notice::ALL.map(driftlog_proto::receiver::notice_bit), [1, 2, 4, 8, 16, 32]);
    assert_eq!(Place::ORIGIN.seq.0, 0);
}
