//! What the echo of an `Ack` tells about a run: clones (rule 12), and what the next `Ack` speaks of.

use driftlog_proto::ids::{Place, RunId};
use driftlog_proto::message::Told;
use driftlog_proto::receiver::Notice;

use crate::lane::*;

/// Two runs, first heard when the `Ack`s `first` and `second` were the newest.
fn two_runs(first: u64, second: u64) -> Lane {
    let mut lane = Lane::new(ONE);
    lane.issued = number(1, first);
    lane.keep(&[root(1)]);
    lane.issued = number(1, second);
    lane.keep(&[start(2, place(1, 0))]);
    lane.out();
    lane
}

#[test]
fn two_runs_that_each_echo_an_ack_newer_than_the_other_are_clones() {
    let mut lane = two_runs(10, 20);
    lane.issued = number(1, 40);
    lane.hello(2, Place::ORIGIN, number(1, 30));
    assert!(lane.out().is_empty(), "the newer of the two echoes what is new, as it should");
    lane.hello(1, Place::ORIGIN, number(1, 20));
    assert!(lane.out().is_empty(), "not newer than the other's first message");
    lane.hello(1, Place::ORIGIN, number(1, 21));
    assert_eq!(lane.out(), [Out::Notice(Notice::Clone, 1), Out::Notice(Notice::Clone, 2)]);
    lane.hello(1, Place::ORIGIN, number(1, 22));
    assert!(lane.out().is_empty(), "stated once");
}

#[test]
fn a_run_that_has_echoed_nothing_since_the_other_began_is_no_clone() {
    let mut lane = two_runs(10, 20);
    lane.issued = number(1, 40);
    // The start of the other echoed 20, which is newer than 10; the first has echoed 10 and no more.
    lane.hello(2, Place::ORIGIN, number(1, 40));
    assert!(lane.out().is_empty());
    // And the other way round: the first goes on, of the second only its first message is known.
    let mut lane = Lane::new(ONE);
    lane.keep(&[root(1)]);
    lane.issued = number(1, 20);
    assert!(matches!(
        lane.hear_with(&start(2, place(1, 0)), number(1, 10)),
        driftlog_proto::receiver::Verdict::Kept(_)
    ));
    lane.out();
    lane.hello(1, Place::ORIGIN, number(1, 20));
    lane.issued = number(1, 30);
    lane.hello(1, Place::ORIGIN, number(1, 30));
    assert!(lane.out().is_empty(), "what the second has echoed is no newer than the first's beginning");
}

#[test]
fn an_echo_from_the_future_proves_nothing() {
    let mut lane = two_runs(10, 20);
    lane.hello(1, Place::ORIGIN, number(1, 21));
    assert_eq!(lane.run(1).last_echo, number(1, 10));
    assert!(lane.out().is_empty());
    lane.issued = number(1, 21);
    lane.hello(1, Place::ORIGIN, number(1, 21));
    assert_eq!(lane.run(1).last_echo, number(1, 21), "the newest that there is may be echoed");
}

#[test]
fn an_older_echo_takes_nothing_back() {
    let mut lane = two_runs(10, 20);
    lane.hello(2, Place::ORIGIN, number(1, 15));
    assert_eq!(lane.run(2).last_echo, number(1, 20));
    lane.hello(9, Place::ORIGIN, number(1, 20));
    assert_eq!(lane.known(), [1, 2], "an unknown run is not known by its echo");
}

#[test]
fn the_next_ack_begins_at_the_oldest_run_that_a_message_named() {
    let mut lane = Lane::new(ONE);
    lane.keep(&[root(1)]);
    for run in 2..14 {
        lane.keep(&[start(run, place(run - 1, 0))]);
    }
    for run in 1..14 {
        lane.store(place(run, 0));
    }
    let named = |lane: &mut Lane| -> Vec<u64> {
        lane.receiver.poll_acknowledged().iter().map(|place| place.run.0).collect()
    };
    assert_eq!(named(&mut lane), [1, 2, 3, 4, 10, 11, 12, 13]);
    let duplicate = |lane: &mut Lane, run| lane.hear_all(&block(run, 0, 1), None, 1, 1);
    for run in [4, 3, 5] {
        duplicate(&mut lane, run);
    }
    assert_eq!(named(&mut lane), [3, 4, 5, 6, 10, 11, 12, 13]);
    assert_eq!(named(&mut lane), [1, 2, 3, 4, 10, 11, 12, 13], "it was said");
    // A base is named too, though the message is of another run.
    let told = Told { heard: number(0, 0), run: RunId(5), base: place(2, 0) };
    lane.hear_all(&block(5, 1, 2), Some(told), 1, 1);
    assert_eq!(named(&mut lane), [2, 3, 4, 5, 10, 11, 12, 13]);
    // A run that is not known is no beginning.
    duplicate(&mut lane, 99);
    assert_eq!(named(&mut lane), [1, 2, 3, 4, 10, 11, 12, 13]);
    duplicate(&mut lane, 4);
    duplicate(&mut lane, 99);
    assert_eq!(named(&mut lane), [4, 5, 6, 7, 10, 11, 12, 13]);
    // Where fewer follow than fit, those before are named beside them.
    duplicate(&mut lane, 12);
    assert_eq!(named(&mut lane), [6, 7, 8, 9, 10, 11, 12, 13]);
}
