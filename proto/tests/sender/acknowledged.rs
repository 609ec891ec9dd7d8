//! What an acknowledgement frees, and what it does not.

use driftlog_proto::ids::{Chain, Place, RunId};
use driftlog_proto::sender::Progress;

use crate::log::*;

const ADVANCED: Progress = Progress { advanced: true, twice: None };

#[test]
fn an_own_boundary_frees_everything_before_it() {
    let mut world = World::new(blocks(4, 60), 1000);
    assert_eq!(world.publish(0), [0, 1, 2, 3]);
    assert_eq!(world.ack(1, &[place(2)]), ADVANCED);
    assert_eq!(world.sender.base(), place(2));
    assert_eq!(world.log.trimmed, [place(2)]);
    assert_eq!((world.sender.in_flight_bytes(), world.sender.in_flight_items()), (120, 2));
    assert!(world.publish(2).is_empty(), "the others stay on the air");
    assert_eq!(world.ack(3, &[place(2)]), Progress::default(), "said again it is nothing");
    assert_eq!(world.ack(3, &[place(3), place(4)]), ADVANCED, "each place frees by itself");
    assert_eq!(world.sender.base(), place(4));
    assert_eq!(world.sender.in_flight_bytes(), 0);
}

#[test]
fn a_boundary_that_is_not_on_the_air_frees_too_and_what_was_there_is_forgotten() {
    let mut world = World::new(blocks(4, 60), 0);
    assert_eq!(world.publish(0), [0]);
    assert_eq!(world.ack(1, &[place(3)]), ADVANCED);
    assert_eq!((world.sender.base(), world.sender.in_flight_bytes()), (place(3), 0));
    assert_eq!(world.log.trimmed, [place(3)]);
    assert_eq!(world.publish(2), [3]);
}

#[test]
fn another_chain_at_an_own_boundary_is_reported_and_frees_nothing() {
    let mut world = World::new(blocks(3, 60), 1000);
    assert_eq!(world.publish(0), [0, 1, 2]);
    let other = Place { chain: Chain(5), ..place(2) };
    assert_eq!(world.ack(1, &[other]), Progress { advanced: false, twice: Some(RUN) });
    assert_eq!((world.sender.base(), world.sender.in_flight_items()), (place(0), 3));
    assert!(world.log.trimmed.is_empty());
}

/// A simulated world: a copy of the spool had declared as lost what this one still had, and nothing came
/// after it; it was offered for ever.
#[test]
fn what_another_copy_declared_is_freed_at_an_own_boundary() {
    let mut world = World::new(blocks(3, 60), 1000);
    assert_eq!(world.publish(0), [0, 1, 2]);
    let unknown = Place { chain: Chain::ROOT, ..place(2) };
    assert_eq!(world.ack(1, &[unknown]), ADVANCED);
    assert_eq!((world.sender.base(), world.log.trimmed.as_slice()), (place(2), [place(2)].as_slice()));
    assert_eq!(world.publish(3000), [2]);
}

#[test]
fn a_place_that_is_not_in_the_log_is_ignored() {
    let mut world = World::new(blocks(3, 60), 1000);
    assert_eq!(world.publish(0), [0, 1, 2]);
    assert_eq!(world.ack(1, &[place(9), place_in(RunId(7), 1)]), Progress::default());
    assert_eq!((world.sender.base(), world.sender.in_flight_items()), (place(0), 3));
}

#[test]
fn a_place_inside_a_gap_moves_its_beginning_there_and_the_rest_stays_on_the_air() {
    let mut world = World::new(vec![block(0, 60), gap(1, 5, 40), block(5, 60)], 1000);
    assert_eq!(world.publish(0), [0, 1, 5]);
    let inside = Place { chain: Chain::ROOT, ..place(3) };
    assert_eq!(world.ack(1, &[inside]), ADVANCED);
    assert_eq!(world.sender.base(), inside);
    assert_eq!(world.log.trimmed, [inside]);
    assert_eq!((world.sender.in_flight_bytes(), world.sender.in_flight_items()), (100, 2));
    assert!(world.publish(2).is_empty());
    assert_eq!(world.publish(2_000), [3, 5], "from there on it is sent again");
    assert_eq!(world.ack(2_001, &[place(5)]), ADVANCED);
    assert_eq!(world.sender.in_flight_items(), 1);
}

#[test]
fn the_gap_that_is_shortened_is_the_one_in_which_the_place_lies() {
    let mut world = World::new(vec![gap(0, 2, 40), gap(2, 6, 50), block(6, 60)], 1000);
    assert_eq!(world.publish(0), [0, 2, 6]);
    let inside = Place { chain: Chain::ROOT, ..place(4) };
    assert_eq!(world.ack(1, &[inside]), ADVANCED);
    assert_eq!((world.sender.in_flight_bytes(), world.sender.in_flight_items()), (110, 2));
    assert_eq!(world.publish(2_000), [4, 6]);
}

#[test]
fn a_place_inside_a_gap_that_was_not_read_yet_frees_what_is_on_the_air() {
    let mut world = World::new(vec![block(0, 60), gap(1, 5, 40), block(5, 60)], 0);
    assert_eq!(world.publish(0), [0]);
    let inside = Place { chain: Chain::ROOT, ..place(3) };
    assert_eq!(world.ack(1, &[inside]), ADVANCED);
    assert_eq!((world.sender.base(), world.sender.in_flight_bytes()), (inside, 0));
    world.sender.handle_credit(1000);
    assert_eq!(world.publish(2), [3, 5]);
}
