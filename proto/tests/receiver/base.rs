//! What a device says of its base: a run that is unknown is taken up there, and what the ledger lacks
//! below it is declared (rules 7 and 8).

use driftlog_proto::ids::Place;
use driftlog_proto::item::Cause;
use driftlog_proto::receiver::{Notice, Output, Step, Verdict};

use crate::lane::*;

#[test]
fn an_unknown_run_is_taken_up_at_the_base_of_a_hello_with_a_notice() {
    let mut lane = Lane::new(ONE);
    lane.hello(4, place(4, 30), number(1, 5));
    assert_eq!(lane.out(), [Out::Notice(Notice::LedgerLost, 4)]);
    let run = lane.run(4);
    assert_eq!((run.parent, run.begin, run.next), (Place::ORIGIN, place(4, 30), place(4, 30)));
    assert_eq!((run.first_heard, run.last_echo), (number(1, 10), number(1, 5)));
    lane.keep(&[block(4, 30, 31)]);
    assert_eq!(lane.out(), [Out::Block(place(4, 31))]);
}

#[test]
fn a_lane_that_has_forgotten_a_run_says_that_it_may_repeat() {
    let mut lane = Lane::new(ONE);
    lane.receiver = driftlog_proto::receiver::Receiver::new(ONE, number(1, 1), Vec::new(), true);
    assert!(lane.receiver.has_forgotten());
    lane.hello(4, place(4, 30), number(1, 5));
    assert_eq!(lane.out(), [Out::Notice(Notice::MayRepeat, 4)]);
}

#[test]
fn a_stale_hello_and_one_from_the_origin_take_up_nothing() {
    let mut lane = Lane::new(ONE);
    lane.hello(4, place(4, 30), number(1, 0));
    lane.hello(4, place(4, 30), number(0, 7));
    lane.hello(4, Place::ORIGIN, number(1, 5));
    assert!(lane.out().is_empty() && lane.known().is_empty());
}

#[test]
fn what_a_device_says_was_acknowledged_before_is_declared_to_the_record() {
    let mut lane = Lane::new(ONE);
    lane.keep(&[root(1), block(1, 0, 2), block(1, 7, 8)]);
    lane.out();
    lane.hello(1, place(1, 7), number(1, 5));
    let output = lane.receiver.poll_output();
    let step = Step::Gap { from: place(1, 2).seq, cause: Cause::AcknowledgedBefore };
    assert_eq!(output, Some(Output::Deliver { end: place(1, 7), step }));
    assert_eq!(lane.out(), [Out::Block(place(1, 8))], "what waited behind it follows");
}

#[test]
fn a_base_at_or_below_what_is_known_changes_nothing() {
    let mut lane = Lane::new(ONE);
    lane.keep(&[root(1), block(1, 0, 2), block(1, 2, 4)]);
    lane.out();
    for base in [place(1, 0), place(1, 2), otherwise(place(1, 2)), place(1, 4), unchained(place(1, 4))] {
        lane.hello(1, base, number(1, 5));
        assert_eq!(lane.out(), [], "{base}");
    }
    lane.hello(1, otherwise(place(1, 4)), number(1, 5));
    assert_eq!(lane.out(), [Out::Notice(Notice::RunTwice, 1)]);
    assert_eq!(lane.run(1).next, place(1, 4));
}

#[test]
fn a_hello_lets_what_is_held_go_on() {
    let mut lane = Lane::new(ONE);
    lane.keep(&[root(1), block(1, 0, 1)]);
    lane.out();
    // The base of this run names its parent: nothing of the run itself is known before its start.
    assert!(matches!(lane.hear(&start(2, place(1, 5))), Verdict::Kept(_)));
    lane.hello(2, place(1, 5), number(1, 5));
    assert_eq!(lane.out(), [Out::Gap(1, place(1, 5)), Out::Start(place(2, 5))]);
}
