//! How good the times are where nothing is wrong but the clock.

use driftlog_proto::clock::{BOUND_UNKNOWN, Basis, DeviceClock};
use driftlog_proto::ids::{AckNumber, BootId, Lane};
use driftlog_proto::message::{Reading, Returned};
use driftlog_proto::time::{ClockState, Mono, Unix};

use crate::world::{BEGIN, DAY, MS, S, Step, World};

fn newest_bound(world: &World) -> u64 {
    world.lines.last().unwrap().1.bound_ns
}

fn newest_error(world: &World) -> u64 {
    let (block, line) = world.lines.last().unwrap();
    line.time(block.mono.0).0.abs_diff(block.truth.0)
}

#[test]
fn a_few_clean_exchanges_give_half_a_round_trip() {
    let mut world = World::new();
    for _ in 0..3 {
        world.exchange(20 * MS);
        world.run(S);
    }
    world.write(Lane::Bulk, 100 * MS);
    world.deliver(Lane::Bulk, 1);
    world.check().unwrap();
    assert_eq!(world.lines[0].1.basis, Basis::Measured);
    assert!(newest_bound(&world) <= 21 * MS, "{}", newest_bound(&world));
    assert!(newest_error(&world) <= 16 * MS, "{}", newest_error(&world));
}

#[test]
fn one_quick_round_trip_among_slow_ones_is_enough() {
    let mut world = World::new();
    for delay in [900, 700, 5, 800, 600] {
        world.exchange(delay * MS);
        world.run(2 * S);
    }
    world.write(Lane::Bulk, 0);
    world.deliver(Lane::Bulk, 1);
    world.check().unwrap();
    assert!(newest_bound(&world) <= 15 * MS, "{}", newest_bound(&world));
}

#[test]
fn weeks_at_500_ppm_fast_and_slow_stay_within_a_small_bound() {
    for ppm in [-500, 500] {
        let mut world = World::new();
        world.step(&Step::Drift(ppm));
        for _ in 0..3 * 7 * 24 {
            world.run(3600 * S);
            world.exchange(50 * MS);
            world.write(Lane::Bulk, S);
            world.deliver(Lane::Bulk, 1);
            world.commit(Lane::Bulk);
            assert!(newest_bound(&world) <= 120 * MS, "{}", newest_bound(&world));
        }
        world.check().unwrap();
        assert_eq!(world.contradictions, 0);
        let summary = world.clock.summary().unwrap();
        let drift = summary.drift_ppb.unwrap();
        assert!(drift.abs_diff(i64::from(ppm) * 1000) <= 1000, "{drift}");
        assert!(summary.bound_ns <= 120 * MS);
        assert_eq!((summary.boots, summary.contradictions), (1, 0));
    }
}

#[test]
fn an_outage_within_a_boot_is_bridged_by_a_straight_line() {
    let mut world = World::new();
    world.step(&Step::Drift(300));
    for _ in 0..5 {
        world.exchange(20 * MS);
        world.run(10 * S);
    }
    for _ in 0..7 {
        world.run(DAY);
        world.write(Lane::Bulk, S);
    }
    for _ in 0..20 {
        world.exchange(20 * MS);
        world.run(10 * S);
    }
    world.deliver(Lane::Bulk, 7);
    world.check().unwrap();
    for (block, line) in &world.lines {
        assert_eq!(line.basis, Basis::Measured);
        let error = line.time(block.mono.0).0.abs_diff(block.truth.0);
        assert!(error < S, "the drift was constant: {error} {block:?} {line:?}");
        // At 500 ppm either way from the nearer edge, three and a half days at most.
        assert!(line.bound_ns <= 310 * S, "{}", line.bound_ns);
    }
}

#[test]
fn weeks_offline_before_the_first_exchange_are_dated_afterwards() {
    for (ppm, days) in [(500, 21u64), (-500, 21), (40, 2)] {
        let mut world = World::new();
        world.step(&Step::Drift(ppm));
        for _ in 0..days {
            world.write(Lane::Bulk, S);
            world.run(DAY);
        }
        world.exchange(20 * MS);
        world.deliver(Lane::Bulk, 1);
        world.check().unwrap();
        let (block, line) = world.lines[0];
        assert_eq!(line.basis, Basis::Measured);
        assert!(line.bound_ns <= days * 44 * S + S, "500 ppm of its age: {}", line.bound_ns);
        // Once the drift shows, the estimate is far better than the bound.
        for _ in 0..60 {
            world.run(60 * S);
            world.exchange(5 * MS);
        }
        world.deliver(Lane::Bulk, 1);
        world.check().unwrap();
        let (block_2, line_2) = world.lines[1];
        let error = line_2.time(block_2.mono.0).0.abs_diff(block_2.truth.0);
        assert!(error <= days * 2 * S, "{error} after {} for {block:?}", line.bound_ns);
    }
}

#[test]
fn suspend_is_time_like_any_other() {
    let mut world = World::new();
    world.exchange(20 * MS);
    world.run(9 * 3600 * S); // CLOCK_BOOTTIME counts it
    world.exchange(20 * MS);
    world.write(Lane::Bulk, S);
    world.deliver(Lane::Bulk, 1);
    world.check().unwrap();
    assert!(newest_bound(&world) <= 45 * MS);
    assert_eq!(world.contradictions, 0);
}

#[test]
fn a_wall_clock_at_1970_that_jumps_a_year_changes_nothing() {
    let run = |walls: &[(i64, ClockState)]| {
        let mut world = World::new();
        for at in 0..6 {
            if let Some(&(wall, state)) = walls.get(at) {
                world.step(&Step::Wall(wall, state));
            }
            world.exchange(20 * MS);
            world.write(Lane::Bulk, S);
            world.deliver(Lane::Bulk, 1);
            world.commit(Lane::Bulk);
        }
        world.check().unwrap();
        world.lines.iter().map(|(_, line)| *line).collect::<Vec<_>>()
    };
    let year = 365 * DAY as i64;
    let jumps = [
        (0, ClockState::Unset),
        (BEGIN, ClockState::Synchronised),
        (BEGIN + year, ClockState::Synchronised),
        (BEGIN - year, ClockState::Unsynchronised),
        (i64::MIN, ClockState::Synchronised),
        (i64::MAX, ClockState::Synchronised),
    ];
    assert_eq!(run(&[]), run(&jumps));
}

#[test]
fn before_the_first_exchange_the_devices_own_clock_is_all_there_is() {
    let mut world = World::new();
    world.step(&Step::Wall(BEGIN - 5 * S as i64, ClockState::Unsynchronised));
    world.write(Lane::Bulk, S);
    world.deliver(Lane::Bulk, 1);
    let (block, line) = world.lines[0];
    assert_eq!((line.basis, line.bound_ns), (Basis::Device, BOUND_UNKNOWN));
    assert_eq!(line.time, block.wall.0);
}

#[test]
fn an_unset_clock_before_the_first_exchange_counts_back_from_the_arrival() {
    let mut world = World::new();
    world.write(Lane::Bulk, S);
    world.deliver(Lane::Bulk, 1);
    let (_, line) = world.lines[0];
    assert_eq!((line.basis, line.bound_ns), (Basis::Device, BOUND_UNKNOWN));
    assert!(newest_error(&world) <= 10 * MS, "{}", newest_error(&world));
}

#[test]
fn a_synchronised_clock_helps_where_the_interval_is_wide() {
    let mut world = World::new();
    world.step(&Step::Drift(400));
    world.step(&Step::Wall(BEGIN, ClockState::Synchronised));
    world.write(Lane::Bulk, S);
    world.run(20 * DAY);
    world.exchange(20 * MS);
    world.deliver(Lane::Bulk, 1);
    world.check().unwrap();
    let (block, line) = world.lines[0];
    assert_eq!(line.time, block.wall.0);
    assert!(line.bound_ns > 800 * S, "the promise does not rest on the device's word");
}

#[test]
fn the_summary_says_how_far_the_devices_wall_clock_is_off() {
    let mut world = World::new();
    world.step(&Step::Wall(BEGIN + 90 * S as i64, ClockState::Unsynchronised));
    assert_eq!(world.clock.summary(), None);
    world.exchange(20 * MS);
    let summary = world.clock.summary().unwrap();
    assert!(summary.offset_ns.abs_diff(90 * S as i64) <= summary.bound_ns);
    assert!(summary.bound_ns <= 30 * MS);
    assert_eq!(summary.drift_ppb, None, "one exchange shows no drift");
}

#[test]
fn times_in_a_lane_do_not_run_backwards_when_the_estimate_improves() {
    let boot = BootId([3; 16]);
    let number = AckNumber { generation: 1, counter: 1 };
    // A device whose clock showed 0 at BEGIN; its messages take `late`, the Ack took nothing.
    let hear = |clock: &mut DeviceClock, mono: u64, late: u64| {
        let returned = Some(Returned { number, sent: Unix(BEGIN + S as i64), heard: Mono(S) });
        let reading = Reading { mono: Mono(mono), wall: Unix(0), clock: ClockState::Unset, returned };
        clock.handle_message(boot, &reading, Unix(BEGIN + (mono + late) as i64));
    };
    let ask = |clock: &mut DeviceClock, lane: Lane, mono: u64| {
        clock.line(lane, boot, (Mono(mono), Mono(mono)), Unix(0), ClockState::Unset)
    };
    let mut clock = DeviceClock::new();
    hear(&mut clock, 2 * S, 400 * MS);
    let first = ask(&mut clock, Lane::Bulk, 2 * S);
    hear(&mut clock, 2 * S + 10 * MS, 300 * MS);
    let second = ask(&mut clock, Lane::Bulk, 2 * S + 10 * MS);
    let alone = ask(&mut clock, Lane::Urgent, 2 * S + 10 * MS);
    assert!(alone.time < first.time, "the estimate alone went back");
    assert!(second.time >= first.time);
    for (line, mono) in [(first, 2 * S), (second, 2 * S + 10 * MS)] {
        assert!(line.time.0.abs_diff(BEGIN + mono as i64) <= line.bound_ns);
    }
}

#[test]
fn the_bound_holds_in_the_middle_of_a_long_block_too() {
    for bend in [500, -500] {
        let mut world = World::new();
        world.step(&Step::Drift(bend));
        world.exchange(10 * MS);
        let (first, from) = (world.mono(), world.now);
        world.run(1800 * S);
        let (middle, truth) = (world.mono(), world.now);
        world.step(&Step::Drift(-bend));
        world.run(1800 * S);
        let (last, to) = (world.mono(), world.now);
        world.exchange(10 * MS);
        let line = world.clock.line(Lane::Bulk, world.boot, (first, last), Unix(0), ClockState::Unset);
        for (mono, truth) in [(first, from), (middle, truth), (last, to)] {
            let error = line.time(mono).0.abs_diff(truth);
            assert!(error <= line.bound_ns, "{error} of {line:?}");
        }
        assert!(line.time(middle).0.abs_diff(truth) > 800 * MS, "the drift did bend");
        assert!(line.bound_ns < S, "{line:?}");
    }
}

#[test]
fn a_synchronised_clock_is_not_asked_where_the_interval_is_narrow() {
    let run = |is_set: bool| {
        let mut world = World::new();
        world.exchange(20 * MS);
        let now = world.now;
        if is_set {
            world.step(&Step::Wall(now + 2 * MS as i64, ClockState::Synchronised));
        }
        world.write(Lane::Bulk, S);
        world.deliver(Lane::Bulk, 1);
        world.lines[0].1
    };
    assert_eq!(run(true), run(false));
}
