//! The log changes under the sender: items become a gap, are read anew.

use crate::log::*;

#[test]
fn the_oldest_items_become_a_gap_and_the_rest_stays_on_the_air() {
    let mut world = World::new(blocks(5, 60), 1000);
    assert_eq!(world.publish(0), [0, 1, 2, 3, 4]);
    world.log.items.splice(..3, [gap(0, 3, 40)]);
    world.sender.handle_dropped(&place(0), &place(3), &mut world.log);
    assert_eq!((world.sender.in_flight_bytes(), world.sender.in_flight_items()), (120, 2));
    assert_eq!(world.publish(1), [0], "the gap alone");
    assert_eq!(world.sender.in_flight_bytes(), 160);
}

#[test]
fn a_gap_that_does_not_begin_at_the_base_has_everything_read_anew() {
    let mut world = World::new(blocks(5, 60), 1000);
    assert_eq!(world.publish(0), [0, 1, 2, 3, 4]);
    world.log.items.splice(1..3, [gap(1, 3, 40)]);
    world.sender.handle_dropped(&place(1), &place(3), &mut world.log);
    assert_eq!((world.sender.in_flight_bytes(), world.sender.in_flight_items()), (0, 0));
    assert_eq!(world.publish(1), [0, 1, 3, 4]);
}

#[test]
fn a_gap_that_reaches_beyond_what_was_read_has_everything_read_anew() {
    let mut world = World::new(blocks(5, 60), 60);
    assert_eq!(world.publish(0), [0]);
    world.log.items.splice(..4, [gap(0, 4, 40)]);
    world.sender.handle_dropped(&place(0), &place(4), &mut world.log);
    assert_eq!(world.sender.in_flight_bytes(), 0);
    world.sender.handle_credit(1000);
    assert_eq!(world.publish(1), [0, 4]);
}

#[test]
fn a_gap_that_has_grown_since_it_was_told_of_has_everything_read_anew() {
    let mut world = World::new(blocks(6, 60), 1000);
    assert_eq!(world.publish(0), [0, 1, 2, 3, 4, 5]);
    world.log.items.splice(..4, [gap(0, 4, 40)]);
    world.sender.handle_dropped(&place(0), &place(3), &mut world.log);
    assert_eq!(world.publish(1), [0, 4, 5]);
    // As when nothing stands at the base.
    world.log.items.clear();
    world.sender.handle_dropped(&place(0), &place(4), &mut world.log);
    assert_eq!(world.sender.in_flight_bytes(), 0);
    assert!(world.publish(2).is_empty());
}

#[test]
fn what_was_replaced_and_all_above_it_is_read_from_the_log_again() {
    let mut world = World::new(blocks(4, 60), 1000);
    assert_eq!(world.publish(0), [0, 1, 2, 3]);
    world.log.items.splice(2..3, [gap(2, 3, 40)]);
    world.sender.handle_changed(&place(2));
    assert_eq!((world.sender.in_flight_bytes(), world.sender.in_flight_items()), (120, 2));
    assert_eq!(world.publish(1), [2, 3]);
    assert_eq!(world.sender.in_flight_bytes(), 220);
    world.sender.handle_changed(&place(9));
    assert_eq!(world.sender.in_flight_items(), 4, "what it does not know changes nothing");
}
