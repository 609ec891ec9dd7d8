//! The table of runs: what an `Ack` names, what arrived above, what is forgotten (rules 11 and 13).

use driftlog_proto::ids::{Place, RunId, Seq};
use driftlog_proto::limits::{ACK_RANGES_MAX, ACK_RUNS_MAX, RUNS_MAX};
use driftlog_proto::message::Range;
use driftlog_proto::receiver::{Dropped, Notice, Run, Verdict};

use crate::lane::*;

/// Runs 1 to `count`, one child each, all with one record, all stored up to their end.
fn chain_of(count: u64) -> Lane {
    let mut lane = Lane::new(ONE);
    for run in 1..=count {
        let n = run - 1;
        let item = if run == 1 { root(1) } else { start(run, place(run - 1, n)) };
        lane.keep(&[item, block(run, n, run)]);
        lane.store(place(run, n));
        lane.store(place(run, run));
    }
    lane.out();
    lane
}

fn acknowledged(lane: &mut Lane) -> Vec<u64> {
    lane.receiver.poll_acknowledged().iter().map(|place| place.run.0).collect()
}

#[test]
fn an_ack_names_all_runs_that_fit_and_else_the_oldest_and_the_newest() {
    let (most, half) = (ACK_RUNS_MAX as u64, ACK_RUNS_MAX as u64 / 2);
    let mut lane = chain_of(most);
    lane.receiver.poll_acknowledged();
    assert_eq!(acknowledged(&mut lane), (1..=most).collect::<Vec<_>>());
    let mut lane = chain_of(most + 5);
    lane.receiver.poll_acknowledged();
    let expected: Vec<u64> = (1..=half).chain(most + 5 - half + 1..=most + 5).collect();
    assert_eq!(acknowledged(&mut lane), expected);
}

#[test]
fn received_says_what_is_delivered_and_not_stored_and_then_what_is_held() {
    let mut lane = Lane::new(ONE);
    lane.keep(&[root(1), block(1, 0, 2)]);
    let range = |run, first, end| Range { run: RunId(run), first: Seq(first), end: Seq(end) };
    assert_eq!(lane.receiver.received().as_slice(), [range(1, 0, 2)]);
    lane.store(place(1, 0));
    assert_eq!(lane.receiver.received().as_slice(), [range(1, 0, 2)]);
    lane.store(place(1, 2));
    assert!(lane.receiver.received().is_empty());
    lane.keep(&[block(1, 9, 10), block(1, 4, 5), block(1, 5, 7)]);
    assert_eq!(lane.receiver.received().as_slice(), [range(1, 4, 7), range(1, 9, 10)]);
    lane.keep(&[start(2, place(1, 12)), block(2, 12, 13), block(1, 10, 12)]);
    assert_eq!(
        lane.receiver.received().as_slice(),
        [range(1, 4, 7), range(1, 9, 12), range(2, 12, 13)],
        "where another run goes on at the same number it is another range"
    );
}

#[test]
fn a_run_of_which_only_the_start_arrived_is_an_empty_range() {
    let mut lane = Lane::new(ONE);
    lane.keep(&[root(1)]);
    let range = Range { run: RunId(1), first: Seq(0), end: Seq(0) };
    assert_eq!(lane.receiver.received().as_slice(), [range]);
    lane.store(place(1, 0));
    assert!(lane.receiver.received().is_empty());
}

#[test]
fn no_more_ranges_are_named_than_an_ack_holds() {
    let mut lane = Lane::new(ONE);
    lane.keep(&[root(1)]);
    lane.store(place(1, 0));
    for at in 0..ACK_RANGES_MAX as u64 + 3 {
        lane.keep(&[block(1, 2 + 2 * at, 3 + 2 * at)]);
    }
    let received = lane.receiver.received();
    assert_eq!(received.len(), ACK_RANGES_MAX);
    assert_eq!((received[0].first, received[0].end), (Seq(2), Seq(3)));
}

#[test]
fn a_full_table_forgets_the_oldest_finished_half_and_moves_the_barrier() {
    let most = RUNS_MAX as u64;
    let mut lane = chain_of(most);
    assert_eq!(lane.known().len(), RUNS_MAX);
    assert!(!lane.receiver.has_forgotten());
    lane.keep(&[start(most + 1, place(most, most))]);
    assert_eq!(lane.known(), (most / 2 + 1..=most + 1).collect::<Vec<_>>());
    assert!(lane.receiver.has_forgotten());
    let next = start(most + 2, place(most + 1, most));
    assert_eq!(lane.hear(&next), Verdict::Dropped(Dropped::StaleEcho), "the newest ack is not new enough");
    lane.issued = number(1, 11);
    assert!(matches!(lane.hear(&next), Verdict::Kept(_)));
    lane.out();
    // What was forgotten and is taken up again may repeat.
    lane.hello(1, place(1, 1), number(1, 11));
    assert_eq!(lane.out(), [Out::Notice(Notice::MayRepeat, 1)]);
}

#[test]
fn a_start_that_was_held_when_the_barrier_moved_is_let_go() {
    let most = RUNS_MAX as u64;
    let mut lane = chain_of(most - 1);
    let before = most - 1;
    lane.keep(&[start(900, place(before, before + 1)), block(900, before + 1, before + 2)]);
    lane.keep(&[start(901, place(before, before)), start(902, place(901, before))]);
    assert!(lane.receiver.has_forgotten());
    lane.out();
    assert_eq!(lane.receiver.held_items(), 0);
    assert!(!lane.known().contains(&900));
}

#[test]
fn a_gap_that_was_held_when_the_barrier_moved_is_let_go_and_what_relied_on_it_too() {
    let most = RUNS_MAX as u64;
    let mut lane = chain_of(most - 1);
    let before = most - 1;
    lane.keep(&[gap(place(before, before + 1), place(900, most + 5), &[(900, before + 2)])]);
    lane.keep(&[start(901, place(before, before)), start(902, place(901, before))]);
    assert!(lane.receiver.has_forgotten());
    lane.out();
    assert_eq!(lane.receiver.held_items(), 1, "it does not have its turn yet");
    // Meanwhile it announces its run: a child, a block and a gap of that wait for it.
    lane.issued = number(1, 11);
    let end = place(900, most + 5);
    lane.keep(&[start(903, end), block(900, most + 5, most + 6), gap(end, place(900, most + 9), &[])]);
    // And one block waits for what is still to come.
    lane.keep(&[block(before, before + 50, before + 51)]);
    assert_eq!(lane.receiver.held_items(), 5);
    lane.keep(&[block(before, before, before + 1)]);
    assert_eq!(lane.receiver.held_items(), 1);
    assert!(!lane.known().contains(&900) && !lane.known().contains(&903));
    let declared = Out::Gap(before + 1, unchained(place(before, before + 2)));
    assert!(lane.out().contains(&declared), "what it says of the run that is known holds");
}

/// A full table in which nothing may be forgotten but what `stored` names.
fn unfinished(stored: impl Fn(u64) -> bool) -> Lane {
    let mut lane = Lane::new(ONE);
    for run in 1..=RUNS_MAX as u64 {
        let n = run - 1;
        let item = if run == 1 { root(1) } else { start(run, place(run - 1, n)) };
        lane.keep(&[item, block(run, n, run)]);
        if stored(run) {
            lane.store(place(run, n));
            lane.store(place(run, run));
        }
    }
    lane.out();
    lane
}

#[test]
fn a_run_that_is_not_stored_to_its_end_or_whose_child_is_not_begun_is_never_forgotten() {
    let most = RUNS_MAX as u64;
    let next = start(most + 1, place(most, most));
    // Nothing is stored at all: there is no room, and the start waits.
    let mut lane = unfinished(|_| false);
    lane.keep(std::slice::from_ref(&next));
    assert_eq!(lane.known().len(), RUNS_MAX);
    assert_eq!(lane.receiver.held_items(), 1);
    assert!(lane.out().is_empty() && !lane.receiver.has_forgotten());
    // Run 1 is stored to its end, and its child is not begun in the sink.
    let mut lane = unfinished(|run| run == 1);
    lane.keep(std::slice::from_ref(&next));
    assert_eq!(lane.known()[0], 1);
    // With its child begun it is finished; the child is not.
    lane.store(place(2, 1));
    lane.receiver.handle_hello(
        &driftlog_proto::message::HelloLane {
            lane: driftlog_proto::ids::Lane::Bulk,
            run: RunId(most),
            base: place(most, most),
            next: place(most, most),
        },
        number(1, 10),
        number(1, 10),
    );
    assert_eq!(lane.known()[..2], [2, 3]);
    assert!(lane.receiver.has_forgotten());
}

#[test]
fn a_run_without_a_child_is_forgotten_only_where_nothing_else_may_be_and_every_sink_has_it() {
    // Many roots: a device that was wiped again and again. None has a child.
    let mut lane = Lane::new(ONE);
    for run in 1..=RUNS_MAX as u64 {
        lane.keep(&[root(run)]);
    }
    lane.keep(&[root(999)]);
    assert!(!lane.receiver.has_forgotten(), "none is stored");
    lane.store(place(2, 0));
    lane.store(place(3, 0));
    lane.keep(&[block(1, 0, 1)]);
    assert_eq!(lane.known().len(), RUNS_MAX);
    assert!(lane.known().contains(&999));
    assert_eq!(lane.known()[..2], [1, 3], "the oldest that is stored went, and only that one");

    // A tombstone goes before a run that nothing follows from, also where it is younger.
    let mut lane = Lane::new(ONE);
    for run in 1..RUNS_MAX as u64 {
        lane.keep(&[root(run)]);
        lane.store(place(run, 0));
    }
    let last = RUNS_MAX as u64 - 1;
    lane.keep(&[start(900, place(last, 0))]);
    lane.store(place(900, 0));
    lane.keep(&[root(999)]);
    assert!(!lane.known().contains(&last));
    assert_eq!(lane.known()[0], 1);
}

#[test]
fn a_run_is_finished_only_where_every_sink_has_all_of_it() {
    let mut lane = Lane::new(TWO);
    for run in 1..=RUNS_MAX as u64 {
        let n = run - 1;
        let item = if run == 1 { root(1) } else { start(run, place(run - 1, n)) };
        lane.keep(&[item, block(run, n, run)]);
        lane.store(place(run, n));
        lane.store(place(run, run));
    }
    lane.keep(&[start(999, place(RUNS_MAX as u64, RUNS_MAX as u64))]);
    assert_eq!(lane.known()[0], 1, "the second sink has nothing");
}

/// Found by fuzzing: the notice became durable when the run had come back at a lower base, and its place
/// was then a mark above what that run had.
#[test]
fn a_run_of_which_a_notice_is_on_its_way_is_not_forgotten() {
    let forgets_the_first = |stated: bool| {
        let mut lane = Lane::new(ONE);
        for run in 1..=RUNS_MAX as u64 {
            lane.keep(&[root(run), block(run, 0, 4)]);
        }
        lane.store(place(1, 4));
        lane.hear(&block_between(otherwise(place(1, 4)), place(1, 5)));
        if stated {
            lane.receiver.handle_stated(0, RunId(1), Notice::RunTwice);
        }
        lane.keep(&[root(999)]);
        !lane.known().contains(&1)
    };
    assert!(!forgets_the_first(false));
    assert!(forgets_the_first(true));
}

/// Found by fuzzing: a run whose parent was not in the ledger got that parent behind it.
#[test]
fn a_run_that_is_loaded_without_its_parent_is_a_root_and_its_parent_may_come_back() {
    let mut orphan = Run::new(RunId(2), place(1, 4), place(2, 4), number(0, 1));
    orphan.marks[0] = Some(place(2, 6));
    let mut lane = Lane::loaded(ONE, vec![orphan]);
    assert_eq!(lane.run(2).parent, Place::ORIGIN);
    lane.hello(1, place(1, 3), number(1, 5));
    assert_eq!(lane.known(), [2, 1]);
}
