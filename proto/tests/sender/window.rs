//! What may be on the air: credit, the device's own bound, the number of items.

use driftlog_proto::ids::{Place, RunId, Seq};
use driftlog_proto::limits::IN_FLIGHT_ITEMS_MAX;
use driftlog_proto::sender::{Boundary, Kind, Log, Sender, Stored};
use driftlog_proto::time::Mono;

use crate::log::*;

#[test]
fn without_a_link_nothing_is_published_and_nothing_is_due() {
    let mut world = World::new(blocks(2, 60), 1000);
    assert_eq!(world.publish(0), [0, 1]);
    assert_eq!((world.sender.in_flight_bytes(), world.sender.in_flight_items()), (120, 2));
    world.sender.handle_link_down();
    assert_eq!((world.sender.in_flight_bytes(), world.sender.in_flight_items()), (0, 0));
    assert_eq!(world.sender.credit(), 0);
    assert!(world.publish(100_000).is_empty());
    assert_eq!(world.sender.poll_deadline(), Mono::FOREVER);
}

#[test]
fn a_new_connection_brings_everything_again_but_no_credit() {
    let mut world = World::new(blocks(3, 60), 1000);
    assert_eq!(world.publish(0), [0, 1, 2]);
    world.sender.handle_link_up();
    assert_eq!(world.sender.credit(), 0);
    assert_eq!(world.publish(1), [0], "the first item needs none");
    world.sender.handle_credit(1000);
    assert_eq!(world.sender.credit(), 1000);
    assert_eq!(world.publish(2), [1, 2]);
}

#[test]
fn a_new_generation_brings_everything_again() {
    let mut world = World::new(blocks(3, 60), 1000);
    assert_eq!(world.publish(0), [0, 1, 2]);
    world.sender.handle_generation();
    assert_eq!(world.sender.in_flight_items(), 0);
    assert_eq!(world.publish(1), [0, 1, 2]);
}

#[test]
fn without_credit_only_the_first_item_is_published() {
    let mut world = World::new(blocks(3, 60), 0);
    assert_eq!(world.publish(0), [0]);
    assert_eq!((world.sender.in_flight_bytes(), world.sender.in_flight_items()), (60, 1));
    assert_eq!(world.log.asked, 1, "what there is no room for is not even read");
}

#[test]
fn credit_is_used_to_the_last_byte_and_no_further() {
    let mut world = World::new(blocks(3, 60), 119);
    assert_eq!(world.publish(0), [0]);
    world.sender.handle_credit(120);
    assert_eq!(world.publish(0), [1]);
    assert_eq!(world.log.asked, 2, "a full window asks for nothing");
    assert_eq!(world.sender.in_flight_bytes(), 120);
    // Of what was read before the same holds.
    let mut world = World::new(blocks(3, 60), 1000);
    assert_eq!(world.publish(0), [0, 1, 2]);
    world.sender.handle_link_up();
    world.sender.handle_credit(179);
    assert_eq!(world.publish(0), [0, 1]);
    world.sender.handle_credit(180);
    assert_eq!(world.publish(0), [2]);
}

#[test]
fn an_item_that_was_read_and_did_not_fit_is_published_once_there_is_room() {
    let mut world = World::new(blocks(2, 60), 100);
    assert_eq!(world.publish(0), [0]);
    assert_eq!((world.sender.in_flight_bytes(), world.sender.in_flight_items()), (60, 1));
    let asked = world.log.asked;
    world.ack(1, &[place(1)]);
    assert_eq!(world.publish(2), [1]);
    assert_eq!(world.sender.in_flight_bytes(), 60);
    assert_eq!(world.log.asked, asked + 1, "only what follows it is looked for");
}

#[test]
fn the_device_s_own_bound_holds_whatever_the_credit() {
    let mut world = World::new(blocks(5, 60), 1000);
    world.sender = Sender::new(place(0), 120);
    world.sender.handle_link_up();
    world.sender.handle_credit(1000);
    assert_eq!(world.publish(0), [0, 1]);
}

#[test]
fn a_gap_is_published_beyond_the_window_and_a_block_behind_it_is_not() {
    let items = vec![block(0, 60), gap(1, 5, 60), block(5, 1)];
    let mut world = World::new(items.clone(), 61);
    assert_eq!(world.publish(0), [0, 1]);
    assert_eq!(world.sender.in_flight_bytes(), 120);
    // In a window that is full it is not read.
    let mut world = World::new(items, 60);
    assert_eq!(world.publish(0), [0]);
    assert_eq!(world.log.asked, 1);
    world.sender.handle_credit(1000);
    assert_eq!(world.publish(0), [1, 5]);
    // Known from before it needs no room at all.
    world.sender.handle_link_up();
    assert_eq!(world.publish(1), [0, 1]);
    assert_eq!(world.sender.in_flight_bytes(), 120);
}

#[test]
fn what_is_sent_again_takes_no_more_of_the_window() {
    let mut world = World::new(blocks(3, 60), 120);
    assert_eq!(world.publish(0), [0, 1]);
    assert_eq!(world.publish(2_000), [0, 1]);
    assert_eq!((world.sender.in_flight_bytes(), world.sender.in_flight_items()), (120, 2));
    // One that is overdue does not wait for room that the others take.
    world.sender.handle_credit(0);
    assert_eq!(world.publish(6_000), [0, 1]);
}

#[test]
fn no_more_items_are_on_the_air_than_the_ring_holds() {
    let mut world = World::new(blocks(IN_FLIGHT_ITEMS_MAX as u64 + 6, 1), 100_000);
    assert_eq!(world.publish(0).len(), IN_FLIGHT_ITEMS_MAX);
    assert_eq!(world.log.asked, IN_FLIGHT_ITEMS_MAX, "the next one is not asked for");
    world.ack(1, &[place(2)]);
    assert_eq!(world.publish(1), [IN_FLIGHT_ITEMS_MAX as u64, IN_FLIGHT_ITEMS_MAX as u64 + 1]);
}

#[test]
#[should_panic(expected = "S1")]
fn a_log_that_gives_an_item_of_another_place_is_noticed() {
    struct Elsewhere;
    impl Log for Elsewhere {
        fn item_at(&mut self, _: &Place) -> Option<Stored> {
            Some(block(5, 60))
        }
        fn boundary(&mut self, _: RunId, _: Seq) -> Boundary {
            Boundary::Unknown
        }
        fn trim(&mut self, _: &Place) {}
    }
    let mut sender = Sender::new(place(0), 1000);
    sender.handle_link_up();
    sender.poll_publish(at(0), &mut Elsewhere);
}

#[test]
fn a_sender_begins_at_its_base() {
    let sender = Sender::new(place(7), 1000);
    assert_eq!(sender.base(), place(7));
    assert_ne!(sender.base(), Place::ORIGIN);
    let mut world = World::new(blocks(9, 10).split_off(7), 1000);
    assert_eq!(world.publish(0), [7, 8]);
    assert!(world.log.items.iter().all(|item| item.kind == Kind::Block));
}
