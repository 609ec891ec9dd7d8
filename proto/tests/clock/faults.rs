//! Boots without an exchange, late and stale messages, clocks that step or drift too far.

use driftlog_proto::clock::{Basis, DeviceClock, Heard};
use driftlog_proto::ids::{AckNumber, BootId, Lane};
use driftlog_proto::message::{Reading, Returned};
use driftlog_proto::time::{ClockState, Mono, Unix};

use crate::world::{BEGIN, DAY, MS, S, Step, World, holds};

const BOOT: BootId = BootId([9; 16]);

#[test]
fn fifty_boots_offline_are_bounded_by_their_neighbours_and_in_order() {
    let mut world = World::new();
    world.exchange(20 * MS);
    world.write(Lane::Bulk, S);
    world.deliver(Lane::Bulk, 1);
    world.commit(Lane::Bulk);
    let offline_from = world.now;
    for _ in 0..50 {
        world.reboot(600 * S);
        world.run(3600 * S);
        world.write(Lane::Bulk, S);
        world.run(3600 * S);
        world.write(Lane::Bulk, S);
    }
    world.reboot(600 * S);
    let width = (world.now - offline_from) as u64;
    world.exchange(20 * MS);
    // All at once, then again with a commit after each.
    world.deliver(Lane::Bulk, 100);
    world.step(&Step::Rewind { lane: Lane::Bulk });
    for _ in 0..100 {
        world.deliver(Lane::Bulk, 1);
        world.commit(Lane::Bulk);
    }
    world.check().unwrap();
    assert_eq!((world.contradictions, world.lines.len()), (0, 201));
    for lines in world.lines[1..].chunks(100) {
        let mut before = i64::MIN;
        for (block, line) in lines {
            assert_eq!(line.basis, Basis::Bounded);
            assert!(line.bound_ns <= width, "{}", line.bound_ns);
            assert!(line.time(block.mono.0).0 >= before, "in the order of the lane");
            before = line.time(block.mono.1).0;
        }
    }
    let last = world.lines.last().unwrap().1.bound_ns;
    assert!(last < width / 4, "what was committed bounds what comes after: {last}");
    for (block, line) in &world.lines[1..] {
        let error = line.time(block.mono.0).0.abs_diff(block.truth.0);
        assert!(error < 51 * 2100 * S, "each boot is taken to begin soon after the last: {error}");
    }
}

#[test]
fn a_clock_that_was_right_dates_a_boot_without_an_exchange() {
    let mut world = World::new();
    world.exchange(20 * MS);
    world.write(Lane::Bulk, S);
    world.deliver(Lane::Bulk, 1);
    world.commit(Lane::Bulk);
    world.reboot(DAY);
    let now = world.now;
    world.step(&Step::Wall(now + 3 * S as i64, ClockState::Unsynchronised));
    world.write(Lane::Bulk, S);
    world.reboot(DAY);
    world.exchange(20 * MS);
    world.deliver(Lane::Bulk, 1);
    world.check().unwrap();
    let (block, line) = world.lines[1];
    assert_eq!((line.basis, line.time), (Basis::Bounded, block.wall.0));
    assert!(line.bound_ns >= DAY - 60 * S, "the promise does not rest on the device's word");
}

#[test]
fn a_clock_that_was_wrong_does_not_date_a_boot_without_an_exchange() {
    let mut world = World::new();
    world.exchange(20 * MS);
    world.write(Lane::Bulk, S);
    world.deliver(Lane::Bulk, 1);
    world.commit(Lane::Bulk);
    world.reboot(DAY);
    world.step(&Step::Wall(BEGIN + 700 * DAY as i64, ClockState::Synchronised));
    world.write(Lane::Bulk, S);
    world.reboot(DAY);
    world.exchange(20 * MS);
    world.deliver(Lane::Bulk, 1);
    world.check().unwrap();
    let line = world.lines[1].1;
    assert_eq!(line.basis, Basis::Bounded);
    assert!(line.time.0.abs_diff(BEGIN) < 3 * DAY);
}

#[test]
fn a_lane_that_lags_behind_the_other_is_bounded_by_its_own_past_only() {
    // Bulk still holds a boot that is older than what urgent has delivered already.
    let mut world = World::new();
    world.write(Lane::Bulk, S);
    world.reboot(DAY);
    world.write(Lane::Urgent, S);
    world.reboot(DAY);
    world.exchange(20 * MS);
    world.deliver(Lane::Urgent, 1);
    world.commit(Lane::Urgent);
    world.run(DAY);
    world.write(Lane::Urgent, S);
    world.deliver(Lane::Urgent, 1);
    world.commit(Lane::Urgent);
    world.deliver(Lane::Bulk, 1);
    world.check().unwrap();
    assert_eq!(world.lines[2].1.basis, Basis::Device, "bulk has nothing before it");
}

#[test]
fn a_stale_retained_ack_is_true_and_says_little() {
    let mut world = World::new();
    world.send(10 * MS, 10 * 3600 * S); // its answer is heard ten hours later
    world.run(10 * 3600 * S + S);
    world.write(Lane::Bulk, S);
    world.deliver(Lane::Bulk, 1);
    world.check().unwrap();
    let (block, line) = world.lines[0];
    assert_eq!(line.basis, Basis::Measured);
    assert!(line.bound_ns > 9 * 3600 * S, "{}", line.bound_ns);
    let error = line.time(block.mono.0).0.abs_diff(block.truth.0);
    assert!(error < 100 * MS, "a message is quicker than a retained Ack is old: {error}");
    world.exchange(10 * MS);
    world.write(Lane::Bulk, S);
    world.deliver(Lane::Bulk, 1);
    world.check().unwrap();
    assert!(world.lines[1].1.bound_ns < 25 * MS, "one fresh exchange mends it");
}

#[test]
fn late_doubled_and_reordered_messages_only_say_less() {
    let mut world = World::new();
    let mut said = Vec::new();
    for _ in 0..50 {
        world.exchange(10 * MS);
        said.push(world.reading());
        world.run(100 * S);
    }
    world.write(Lane::Bulk, S);
    world.deliver(Lane::Bulk, 1);
    let (block, _) = *world.lines.last().unwrap();
    let ask = |clock: &mut DeviceClock| {
        clock.line(Lane::Urgent, block.boot, block.mono, block.wall.0, block.wall.1)
    };
    let before = ask(&mut world.clock);
    let now = world.now + 7 * DAY as i64;
    for reading in said.iter().rev().chain(&said) {
        assert_eq!(world.clock.handle_message(world.boot, reading, Unix(now)), Heard::Consistent);
    }
    let after = ask(&mut world.clock);
    assert_eq!((after.time, after.bound_ns), (before.time, before.bound_ns));
    holds(&block, &after).unwrap();
}

fn exchange(clock: &mut DeviceClock, mono: u64, sent: i64, received: i64) -> Heard {
    let number = AckNumber { generation: 1, counter: 1 };
    let returned = Some(Returned { number, sent: Unix(sent), heard: Mono(mono - 10 * MS) });
    let reading = Reading { mono: Mono(mono), wall: Unix(0), clock: ClockState::Unset, returned };
    clock.handle_message(BOOT, &reading, Unix(received))
}

/// A gateway's clock that is stepped by `step` in the middle of a device's boot.
fn stepped(step: i64) {
    let mut clock = DeviceClock::new();
    let at = |n: u64| (n * 30 * S, BEGIN + (n * 30 * S) as i64);
    let mut contradictions = 0;
    for n in 1..40 {
        let (mono, now) = at(n);
        let shown = if n < 20 { now } else { now + step };
        let heard = exchange(&mut clock, mono, shown - 30 * MS as i64, shown + 20 * MS as i64);
        contradictions += u32::from(heard == Heard::Contradiction);
    }
    assert_eq!(contradictions, 1);
    let mut line = |n: u64| {
        let mono = Mono(at(n).0);
        clock.line(Lane::Bulk, BOOT, (mono, mono), Unix(0), ClockState::Unset)
    };
    let after = line(30);
    assert!(after.bound_ns < 40 * MS, "after the step all is as before: {after:?}");
    assert!(after.time.0.abs_diff(at(30).1 + step) <= after.bound_ns);
    let before = line(10);
    for truth in [at(10).1, at(10).1 + step] {
        assert!(before.time.0.abs_diff(truth) <= before.bound_ns, "covers both clocks: {before:?}");
    }
    assert_eq!(clock.summary().unwrap().contradictions, 1);
}

#[test]
fn a_gateway_clock_that_steps_is_believed_and_the_past_gets_a_wider_bound() {
    for s in [1, 3600, 86_400 * 365] {
        stepped(s * S as i64);
        stepped(-s * S as i64 / 2);
    }
}

#[test]
fn the_past_covers_every_clock_that_was_believed() {
    let mut clock = DeviceClock::new();
    let at = |n: u64| (n * 30 * S, BEGIN + (n * 30 * S) as i64);
    let step = |n: u64| [0, -90, 60, 3][(n / 10) as usize] * S as i64;
    for n in 1..40 {
        let (mono, now) = at(n);
        let shown = now + step(n);
        exchange(&mut clock, mono, shown - 30 * MS as i64, shown + 20 * MS as i64);
    }
    assert_eq!(clock.summary().unwrap().contradictions, 3);
    for n in [1, 5, 15, 25] {
        let line = clock.line(Lane::Bulk, BOOT, (Mono(at(n).0), Mono(at(n).0)), Unix(0), ClockState::Unset);
        for n_of_clock in (n / 10 * 10..40).step_by(10) {
            let error = line.time.0.abs_diff(at(n).1 + step(n_of_clock));
            assert!(error <= line.bound_ns, "{error} of {line:?}");
        }
    }
}

#[test]
fn a_step_of_the_gateways_clock_takes_no_floor_along() {
    let mut clock = DeviceClock::new();
    let ask = |clock: &mut DeviceClock| {
        let at = (Mono(0), Mono(S));
        clock.line(Lane::Bulk, BootId([10; 16]), at, Unix(BEGIN - 2 * S as i64), ClockState::Unsynchronised)
    };
    for (n, step) in [(1, 0), (2, 0), (3, 0), (4, -20), (5, -20)] {
        let mono = n * 10 * S;
        let shown = BEGIN + mono as i64 + step * S as i64;
        exchange(&mut clock, mono, shown - 30 * MS as i64, shown + 20 * MS as i64);
        if n == 3 {
            clock.handle_delivered(Lane::Bulk, BOOT, Mono(mono));
            let line = ask(&mut clock);
            assert_eq!(line.basis, Basis::Device, "its ceiling is the beginning of this boot");
            assert_eq!(line.time, Unix(BEGIN - 2 * S as i64), "and its own clock may be right");
        }
    }
    // A later boot ends the one between: its floor would be of the clock before the step.
    let later = Reading { mono: Mono(S), wall: Unix(0), clock: ClockState::Unset, returned: None };
    clock.handle_message(BootId([11; 16]), &later, Unix(BEGIN + 60 * S as i64));
    assert_eq!(ask(&mut clock).basis, Basis::Device);
    clock.handle_delivered(Lane::Bulk, BOOT, Mono(50 * S));
    let line = ask(&mut clock);
    assert_eq!(line.basis, Basis::Bounded, "what is delivered after the step counts: {line:?}");
    let began_after = BEGIN + 30 * S as i64;
    assert!(line.time.0 + line.bound_ns as i64 >= began_after, "{line:?}");
}

#[test]
fn the_boots_heard_last_are_those_remembered() {
    let mut clock = DeviceClock::new();
    let number = AckNumber { generation: 1, counter: 1 };
    let hear = |clock: &mut DeviceClock, boot: u8| {
        let now = BEGIN + i64::from(boot) * 1000 * S as i64;
        let returned = Some(Returned { number, sent: Unix(now), heard: Mono(9 * S) });
        let reading = Reading { mono: Mono(9 * S), wall: Unix(0), clock: ClockState::Unset, returned };
        clock.handle_message(BootId([boot; 16]), &reading, Unix(now));
    };
    (1..=4).for_each(|boot| hear(&mut clock, boot));
    hear(&mut clock, 2); // a late message of an earlier boot
    hear(&mut clock, 5);
    hear(&mut clock, 6);
    let measured = (1..=6).filter(|boot| {
        let at = (Mono(8 * S), Mono(8 * S));
        let line = clock.line(Lane::Bulk, BootId([*boot; 16]), at, Unix(0), ClockState::Unset);
        line.basis == Basis::Measured
    });
    assert_eq!(measured.collect::<Vec<u8>>(), [2, 4, 5, 6]);
}

#[test]
fn a_monotonic_clock_that_jumps_leaves_no_wrong_bound_behind() {
    // A kernel that did not count a suspend of ten minutes: the records before it are still on the
    // device when the model learns of it.
    let mut world = World::new();
    for _ in 0..10 {
        world.exchange(10 * MS);
        world.run(30 * S);
    }
    world.write(Lane::Bulk, S);
    world.write(Lane::Bulk, S);
    world.now += 600 * S as i64;
    for _ in 0..10 {
        world.exchange(10 * MS);
        world.run(30 * S);
    }
    world.write(Lane::Bulk, S);
    world.deliver(Lane::Bulk, 3);
    world.check().unwrap();
    assert_eq!(world.contradictions, 1);
    assert!(world.lines[0].1.bound_ns >= 300 * S);
    assert!(world.lines[2].1.bound_ns <= 40 * MS, "{}", world.lines[2].1.bound_ns);
}

#[test]
fn a_clock_beyond_500_ppm_gets_bounds_that_fit_it() {
    for ppm in [-20_000, -2_000, 2_000, 20_000] {
        let mut world = World::new();
        world.step(&Step::Drift(ppm));
        for pause in [30 * S, 3600 * S, 24 * 3600 * S] {
            for _ in 0..20 {
                world.exchange(10 * MS);
                world.run(pause);
            }
        }
        assert!(world.clock.summary().unwrap().contradictions > 2);
        let settled = world.contradictions;
        let taken = world.lines.len();
        for _ in 0..50 {
            world.run(3600 * S);
            world.write(Lane::Bulk, S);
            world.run(3600 * S);
            world.exchange(10 * MS);
            world.deliver(Lane::Bulk, 1);
        }
        assert_eq!(world.contradictions, settled, "{ppm} ppm");
        for (block, line) in &world.lines[taken..] {
            holds(block, line).unwrap();
        }
    }
}

#[test]
fn an_unset_gateway_clock_proves_nothing() {
    let mut clock = DeviceClock::new();
    assert_eq!(exchange(&mut clock, S, 0, S as i64), Heard::Refused);
    assert_eq!(clock, DeviceClock::new());
    // An Ack that was sent while it was unset is left out, the message counts.
    assert_eq!(exchange(&mut clock, S, 0, BEGIN), Heard::Consistent);
    let line = clock.line(Lane::Bulk, BOOT, (Mono(S), Mono(S)), Unix(0), ClockState::Unset);
    assert_eq!(line.basis, Basis::Device);
    assert!(line.time.0.abs_diff(BEGIN) <= 2_000);
}

/// A simulated world: a block of a new boot overtook the `Hello` of that boot, and was dated before
/// the boot that the gateway knew.
#[test]
fn a_block_that_overtook_its_hello_is_not_dated_before_the_boot_that_is_known() {
    let mut clock = DeviceClock::new();
    let mono = 100 * S;
    let now = BEGIN + mono as i64;
    exchange(&mut clock, mono, now - 30 * MS as i64, now + 20 * MS as i64);
    clock.handle_delivered(Lane::Bulk, BOOT, Mono(mono));
    // The device has rebooted since; three seconds into that boot it writes, two later it arrives.
    let (written, arrived) = (now + 40 * S as i64, now + 42 * S as i64);
    let at = (Mono(3 * S), Mono(3 * S));
    let line =
        clock.line_before(Lane::Bulk, BootId([12; 16]), at, Unix(0), ClockState::Unset, Some(Unix(arrived)));
    assert_eq!(line.basis, Basis::Bounded);
    assert!(line.time.0.abs_diff(written) <= line.bound_ns, "{line:?}, and the truth is {written}");
}
