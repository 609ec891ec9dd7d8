//! When an item is sent again: time-outs, the round trip, what must have been lost, hints, `Nack`.

use driftlog_proto::ids::{RunId, Seq};
use driftlog_proto::message::{NackReason, Range};
use driftlog_proto::sender::{
    HINT_MS, Kind, LOST_MS, NACKED_MS, NackAction, RESEND_MS_MAX, RESEND_MS_MIN, Stored,
};
use driftlog_proto::time::Mono;

use crate::log::*;

/// An instant before another.
fn just_before(ms: u64) -> Mono {
    Mono(at(ms).0 - 1)
}

#[test]
fn an_item_is_sent_again_after_two_seconds_and_then_twice_as_long_up_to_a_minute() {
    let mut world = World::new(blocks(1, 60), 1000);
    assert_eq!(world.publish(5), [0]);
    let mut sent = 5;
    for wait in [2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000] {
        assert_eq!(world.sender.poll_deadline(), at(sent + wait));
        assert_eq!(world.sender.poll_publish(just_before(sent + wait), &mut world.log), None);
        sent += wait;
        assert_eq!(world.publish(sent), [0]);
    }
}

#[test]
fn the_deadline_is_that_of_the_item_which_is_due_first() {
    let mut world = World::new(blocks(3, 60), 60);
    assert_eq!(world.publish(0), [0]);
    world.sender.handle_credit(120);
    assert_eq!(world.publish(500), [1]);
    assert_eq!(world.sender.poll_deadline(), at(2_000));
    assert_eq!(world.publish(2_000), [0]);
    assert_eq!(world.sender.poll_deadline(), at(2_500), "and now the other");
    assert_eq!(world.publish(2_500), [1]);
}

#[test]
fn the_wait_is_three_smoothed_round_trips() {
    let mut world = World::new(blocks(9, 60), 60);
    assert_eq!(world.publish(0), [0]);
    world.ack(1_000, &[place(1)]);
    assert_eq!(world.publish(1_000), [1]);
    assert_eq!(world.sender.poll_deadline(), at(1_000 + 3 * 1_000), "the first sample counts whole");
    world.ack(3_000, &[place(2)]);
    assert_eq!(world.publish(3_000), [2]);
    let smoothed = (7 * 1_000 + 2_000) / 8;
    assert_eq!(world.sender.poll_deadline(), at(3_000 + 3 * smoothed), "then an eighth of each");
    // A quick one cannot bring it below the shortest wait, a slow one not above the longest.
    let mut world = World::new(blocks(3, 60), 60);
    assert_eq!(world.publish(0), [0]);
    world.ack(1, &[place(1)]);
    assert_eq!(world.publish(1), [1]);
    assert_eq!(world.sender.poll_deadline(), at(1 + RESEND_MS_MIN));
    world.hint(2, 1, 2);
    world.ack(1_000_000, &[place(2)]);
    assert_eq!(world.publish(1_000_000), [2]);
    assert_eq!(world.sender.poll_deadline(), at(1_000_000 + 3 * RESEND_MS_MAX.div_ceil(8)));
}

#[test]
fn an_item_that_was_sent_twice_tells_nothing_about_the_round_trip() {
    let mut world = World::new(blocks(3, 60), 60);
    assert_eq!(world.publish(0), [0]);
    assert_eq!(world.publish(2_000), [0]);
    world.ack(3_900, &[place(1)]);
    assert_eq!(world.publish(4_000), [1]);
    assert_eq!(world.sender.poll_deadline(), at(4_000 + RESEND_MS_MIN));
    // Nor does it when the base has moved meanwhile and its tries are counted anew.
    let mut world = World::new(blocks(3, 60), 120);
    assert_eq!(world.publish(0), [0, 1]);
    assert_eq!(world.publish(2_000), [0, 1]);
    world.ack(2_100, &[place(1)]);
    world.ack(3_900, &[place(2)]);
    assert_eq!(world.publish(4_000), [2]);
    assert_eq!(world.sender.poll_deadline(), at(4_000 + RESEND_MS_MIN));
}

#[test]
fn an_item_that_was_taken_for_lost_and_had_arrived_tells_its_true_round_trip() {
    let mut world = World::new(blocks(2, 60), 60);
    assert_eq!(world.publish(100_000), [0]);
    world.echo(100_900, 100_800);
    world.ack(101_000, &[place(1)]);
    assert_eq!(world.publish(101_000), [1]);
    assert_eq!(world.sender.poll_deadline(), at(101_000 + 3 * 1_000));
}

#[test]
fn progress_ends_the_doubling_for_what_is_still_on_the_air() {
    let mut world = World::new(blocks(2, 60), 1000);
    assert_eq!(world.publish(0), [0, 1]);
    assert_eq!(world.publish(2_000), [0, 1]);
    world.ack(2_500, &[]);
    assert_eq!(world.sender.poll_deadline(), at(2_000 + 4_000), "nothing moved");
    world.ack(2_500, &[place(1)]);
    assert_eq!(world.sender.poll_deadline(), at(2_000 + 2_000));
}

#[test]
fn what_was_sent_half_a_second_before_a_message_that_was_heard_was_lost() {
    let mut world = World::new(blocks(2, 60), 60);
    assert_eq!(world.publish(0), [0]);
    world.sender.handle_credit(120);
    assert_eq!(world.publish(1), [1]);
    world.echo(600, LOST_MS - 1);
    assert!(world.publish(600).is_empty());
    world.echo(600, LOST_MS);
    assert_eq!(world.publish(600), [0], "the other was sent a millisecond later");
    // The second time it has to be a second.
    world.echo(1_700, 1_599);
    assert_eq!(world.publish(1_700), [1]);
    world.echo(1_700, 1_600);
    assert_eq!(world.publish(1_700), [0]);
}

#[test]
fn what_was_not_sent_cannot_be_lost() {
    let mut world = World::new(blocks(2, 60), 1000);
    assert_eq!(world.publish(0), [0, 1]);
    world.sender.handle_link_up();
    world.echo(5_000, 4_000);
    assert_eq!(world.sender.in_flight_items(), 0);
    assert_eq!(world.sender.poll_deadline(), Mono::FOREVER);
}

#[test]
fn what_the_gateway_holds_is_not_sent_again_for_half_a_minute() {
    let mut world = World::new(blocks(4, 60), 1000);
    assert_eq!(world.publish(0), [0, 1, 2, 3]);
    world.hint(100, 1, 3);
    assert_eq!(world.publish(2_000), [0, 3], "the one below and the one above");
    world.echo(3_500, 3_000);
    assert_eq!(world.publish(3_500), [0, 3], "nor was it lost");
    assert_eq!(world.publish(99 + HINT_MS), [0, 3]);
    assert_eq!(world.publish(100 + HINT_MS), [1, 2]);
}

#[test]
fn what_the_gateway_holds_is_not_taken_for_lost_before_the_hint_expires() {
    let hinted = |echoed_at: u64| {
        let mut world = World::new(blocks(1, 60), 60);
        for ms in [0, 2_000, 6_000, 14_000, 30_000] {
            assert_eq!(world.publish(ms), [0]);
        }
        world.hint(30_000, 0, 1);
        world.echo(echoed_at, 59_000);
        world.sender.poll_deadline()
    };
    assert_eq!(hinted(59_999), at(30_000 + 32_000), "as if nothing had been heard");
    assert_eq!(hinted(60_000), at(60_000));
}

#[test]
fn a_hint_speaks_of_whole_blocks_of_its_own_run() {
    let hinted = |items: Vec<Stored>, range: Range| {
        let mut world = World::new(items, 1000);
        world.publish(0);
        world.ack_all(0, &[], &[range], None);
        world.sender.poll_deadline() > at(RESEND_MS_MIN)
    };
    let range = |run, first, end| Range { run, first: Seq(first), end: Seq(end) };
    let two = Stored { end: place(2), ..block(0, 60) };
    assert!(hinted(vec![two], range(RUN, 0, 2)));
    assert!(!hinted(vec![two], range(RUN, 0, 1)));
    assert!(!hinted(vec![two], range(RUN, 1, 2)));
    assert!(!hinted(vec![two], range(RunId(9), 0, 2)));
    assert!(!hinted(vec![gap(0, 2, 60)], range(RUN, 0, 2)), "a gap is no hint's business");
    let start = Stored { end: place_in(RunId(2), 0), kind: Kind::Start, ..block(0, 60) };
    assert!(!hinted(vec![start], range(RunId(2), 0, 0)));
}

#[test]
fn a_hint_about_what_was_not_sent_in_this_connection_is_nothing() {
    let mut world = World::new(blocks(1, 60), 1000);
    assert_eq!(world.publish(0), [0]);
    world.sender.handle_link_up();
    world.hint(1, 0, 1);
    assert_eq!(world.publish(1), [0]);
    assert_eq!(world.sender.poll_deadline(), at(1 + RESEND_MS_MIN));
}

#[test]
fn a_broken_item_is_sent_again_after_a_second_however_often_it_was_tried_and_slow_the_line() {
    let mut world = World::new(blocks(2, 60), 1000);
    for ms in [0, 2_000, 6_000] {
        assert_eq!(world.publish(ms), [0, 1]);
    }
    let action = world.nack(10_000, RUN, 1, NackReason::Checksum);
    assert_eq!(action, NackAction::SendAgain(block(1, 60)));
    assert_eq!(world.sender.poll_deadline(), at(11_000));
    assert_eq!(world.publish(11_000), [1]);
    assert_eq!(world.sender.in_flight_bytes(), 120);
    assert_eq!(world.sender.poll_deadline(), at(14_000), "the other waits as before");
    assert_eq!(world.publish(14_000), [0]);
    assert_eq!(world.sender.poll_deadline(), at(15_000), "its tries are counted anew");
    let mut world = World::new(blocks(2, 60), 60);
    assert_eq!(world.publish(0), [0]);
    world.ack(15_000, &[place(1)]);
    assert_eq!(world.publish(15_000), [1]);
    assert_eq!(world.sender.poll_deadline(), at(15_000 + 3 * 15_000));
    world.nack(16_000, RUN, 1, NackReason::Checksum);
    assert_eq!(world.sender.poll_deadline(), at(16_000 + NACKED_MS));
}

#[test]
fn an_item_over_a_limit_is_to_be_replaced() {
    let mut world = World::new(blocks(2, 60), 1000);
    assert_eq!(world.publish(0), [0, 1]);
    assert_eq!(world.nack(1, RUN, 1, NackReason::Limit), NackAction::Replace(block(1, 60)));
    assert_eq!(world.sender.poll_deadline(), at(RESEND_MS_MIN), "it waits for the gap meanwhile");
}

#[test]
fn a_nack_names_an_item_by_run_and_number_and_only_what_is_on_the_air() {
    let other = RunId(2);
    let start = Stored { end: place_in(other, 1), kind: Kind::Start, ..block(1, 60) };
    let hole = Stored { begin: place_in(other, 1), end: place_in(RunId(3), 5), ..gap(0, 0, 60) };
    let mut world = World::new(vec![block(0, 60), start, hole], 1000);
    assert_eq!(world.nack(0, RUN, 0, NackReason::Limit), NackAction::Ignore, "not sent yet");
    assert_eq!(world.publish(0), [0, 1, 1]);
    assert_eq!(world.nack(0, RUN, 0, NackReason::Limit), NackAction::Replace(block(0, 60)));
    assert_eq!(
        world.nack(0, RUN, 1, NackReason::Limit),
        NackAction::Ignore,
        "a start is of the run it begins"
    );
    assert_eq!(world.nack(0, other, 0, NackReason::Limit), NackAction::Ignore);
    assert_eq!(world.nack(0, other, 1, NackReason::Limit), NackAction::Replace(start));
    world.ack(1, &[start.end]);
    assert_eq!(
        world.nack(1, other, 1, NackReason::Limit),
        NackAction::Replace(hole),
        "a gap of where it begins"
    );
    assert_eq!(world.nack(1, RunId(3), 1, NackReason::Limit), NackAction::Ignore);
    world.sender.handle_link_up();
    assert_eq!(world.nack(1, other, 1, NackReason::Limit), NackAction::Ignore, "not in this connection");
}

#[test]
fn an_item_is_unheard_when_it_was_sent_four_times_and_the_gateway_heard_only_what_came_after_it() {
    let mut world = World::new(blocks(1, 60), 1000);
    for ms in [0, 2_000, 6_000, 14_000] {
        assert_eq!(world.sender.unheard(), None);
        assert_eq!(world.publish(ms), [0]);
    }
    assert_eq!(world.sender.unheard(), None, "the gateway may be away");
    world.echo(20_000, 14_000 + 8 * LOST_MS);
    assert_eq!(world.sender.unheard().map(|item| item.begin.seq), Some(Seq(0)));
    world.hint(20_100, 0, 1);
    assert_eq!(world.sender.unheard(), None, "the gateway has it after all");
}
