//! Items that wait: within the room that there is, and never more than the table holds.

use driftlog_proto::ids::Place;
use driftlog_proto::limits::HELD_ITEMS_MAX;
use driftlog_proto::receiver::{Dropped, Output, Step, Verdict};

use crate::lane::*;

const NO_ROOM: Verdict = Verdict::Dropped(Dropped::NoRoom);

/// A run of which everything below 2 is known, and nothing stored.
fn begun() -> Lane {
    let mut lane = Lane::new(ONE);
    lane.keep(&[root(1), block(1, 0, 2)]);
    lane.out();
    lane
}

#[test]
fn an_item_that_must_wait_needs_room_for_its_bytes() {
    let mut lane = begun();
    assert_eq!(lane.hear_all(&block(1, 4, 5), None, 100, 99), NO_ROOM);
    assert!(matches!(lane.hear_all(&block(1, 4, 5), None, 100, 100), Verdict::Kept(_)));
    assert_eq!((lane.receiver.held_items(), lane.receiver.held_bytes()), (1, 100));
    assert!(matches!(lane.hear_all(&block(1, 5, 6), None, 50, 60), Verdict::Kept(_)));
    assert_eq!((lane.receiver.held_items(), lane.receiver.held_bytes()), (2, 150));
    lane.keep(&[block(1, 2, 4)]);
    assert_eq!((lane.receiver.held_items(), lane.receiver.held_bytes()), (0, 0));
}

#[test]
fn the_block_at_the_lowest_committed_place_needs_no_room_and_the_next_one_does() {
    let mut lane = begun();
    assert_eq!(lane.hear_all(&block(1, 2, 3), None, 100, 0), NO_ROOM, "two records are not stored yet");
    lane.store(place(1, 0));
    lane.store(place(1, 2));
    assert!(matches!(lane.hear_all(&block(1, 2, 3), None, 100, 0), Verdict::Kept(_)));
    assert_eq!(lane.hear_all(&block(1, 3, 4), None, 100, 0), NO_ROOM);
    assert_eq!(lane.hear_all(&block(1, 4, 5), None, 100, 0), NO_ROOM);
    // Where nothing is stored the run's beginning is that place.
    let mut lane = Lane::new(ONE);
    lane.keep(&[root(1)]);
    assert!(matches!(lane.hear_all(&block(1, 0, 1), None, 100, 0), Verdict::Kept(_)));
}

#[test]
fn starts_and_gaps_need_no_room() {
    let mut lane = begun();
    let told =
        driftlog_proto::message::Told { heard: number(1, 5), run: place(2, 0).run, base: Place::ORIGIN };
    for item in [start(2, place(1, 8)), gap(place(1, 4), place(1, 6), &[])] {
        assert!(matches!(lane.hear_all(&item, Some(told), 100, 0), Verdict::Kept(_)));
    }
    assert_eq!(lane.receiver.held_items(), 2);
}

#[test]
fn the_same_item_again_is_a_duplicate_and_its_later_echo_is_kept() {
    let mut lane = begun();
    let child = start(2, place(1, 4));
    assert!(matches!(lane.hear_with(&child, number(1, 2)), Verdict::Kept(_)));
    assert_eq!(lane.hear_with(&child, number(1, 7)), Verdict::Duplicate);
    assert_eq!(lane.hear_with(&child, number(1, 5)), Verdict::Duplicate);
    lane.keep(&[block(1, 2, 4)]);
    assert_eq!(lane.run(2).last_echo, number(1, 7));
}

#[test]
fn items_that_end_alike_but_begin_elsewhere_are_not_the_same() {
    let mut lane = begun();
    lane.keep(&[gap(place(1, 4), place(1, 8), &[]), gap(place(1, 3), place(1, 8), &[]), block(1, 6, 8)]);
    assert_eq!(lane.receiver.held_items(), 3);
    lane.keep(&[block(1, 6, 7)]);
    assert_eq!(lane.receiver.held_items(), 4, "nor those that begin alike and end elsewhere");
}

#[test]
fn every_item_has_a_slot_of_its_own_and_comes_out_under_it() {
    let mut lane = begun();
    let slots: Vec<u32> = [block(1, 5, 6), block(1, 4, 5), block(1, 2, 4)]
        .iter()
        .map(|item| match lane.hear(item) {
            Verdict::Kept(slot) => slot,
            other => panic!("{other:?}"),
        })
        .collect();
    let mut delivered = Vec::new();
    while let Some(Output::Deliver { step: Step::Block { slot }, .. }) = lane.receiver.poll_output() {
        delivered.push(slot);
    }
    assert_eq!(delivered, [slots[2], slots[1], slots[0]]);
}

/// As many blocks held as there may be: 4, 6, 8 and so on, of one record each.
fn full() -> Lane {
    let mut lane = begun();
    for at in 0..HELD_ITEMS_MAX as u64 {
        lane.keep(&[block(1, 4 + 2 * at, 5 + 2 * at)]);
    }
    assert_eq!(lane.receiver.held_items(), HELD_ITEMS_MAX);
    lane.out();
    lane
}

#[test]
fn a_full_table_gives_up_the_block_that_begins_last_for_one_below_it() {
    let last = 4 + 2 * (HELD_ITEMS_MAX as u64 - 1);
    let mut lane = full();
    assert_eq!(lane.hear(&block(1, last, last + 2)), NO_ROOM, "it begins no lower than the last");
    assert_eq!(lane.hear(&block(1, last + 1, last + 2)), NO_ROOM);
    lane.out();
    assert_eq!(lane.released, 1, "its start");
    lane.keep(&[block(1, last - 1, last)]);
    lane.out();
    assert_eq!(lane.released, 2);
    assert_eq!(lane.receiver.held_items(), HELD_ITEMS_MAX);
    assert_eq!(lane.receiver.held_bytes(), 100 * HELD_ITEMS_MAX as u64);
    assert_eq!(lane.hear(&block(1, last, last + 1)), NO_ROOM, "that one was given up");
    lane.keep(&[block(1, 2, 4)]);
    assert_eq!(lane.out(), [Out::Block(place(1, 4)), Out::Block(place(1, 5))]);
    assert_eq!(lane.released, 3, "and one more for the block that all waited for");
}

#[test]
fn a_full_table_of_starts_and_gaps_gives_up_nothing() {
    let mut lane = begun();
    for at in 0..HELD_ITEMS_MAX as u64 {
        lane.keep(&[gap(place(1, 4 + 2 * at), place(1, 5 + 2 * at), &[])]);
    }
    assert_eq!(lane.hear(&block(1, 3, 4)), NO_ROOM);
    assert_eq!(lane.receiver.held_items(), HELD_ITEMS_MAX);
}
