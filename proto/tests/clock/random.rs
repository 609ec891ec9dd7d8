//! Random worlds: whatever happens, the truth lies within the bound.

use driftlog_proto::clock::Basis;
use driftlog_proto::ids::Lane;
use driftlog_proto::time::ClockState;
use proptest::prelude::*;

use crate::world::{BEGIN, DAY, MS, S, Step, World};

/// From a microsecond to a month, every magnitude equally likely.
fn while_() -> impl Strategy<Value = u64> {
    (10u32..52, any::<u64>())
        .prop_map(|(bits, x)| (1 << bits) + x % (1 << bits))
        .prop_map(|ns| ns.min(30 * DAY))
}

fn delay() -> impl Strategy<Value = u64> {
    prop_oneof![6 => MS..200 * MS, 2 => S..300 * S, 1 => while_(), 1 => Just(0)]
}

fn lane() -> impl Strategy<Value = Lane> {
    prop_oneof![Just(Lane::Bulk), Just(Lane::Urgent)]
}

fn wall() -> impl Strategy<Value = (i64, ClockState)> {
    let state = prop_oneof![
        Just(ClockState::Unset),
        Just(ClockState::Unsynchronised),
        Just(ClockState::Synchronised)
    ];
    let wall =
        prop_oneof![Just(0), any::<i64>(), BEGIN..BEGIN + 300 * DAY as i64, Just(i64::MIN), Just(i64::MAX)];
    (wall, state)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => while_().prop_map(Step::Run),
        2 => (-500..=500).prop_map(Step::Drift),
        6 => (delay(), delay()).prop_map(|(up, ack)| Step::Send { up, ack }),
        6 => (lane(), while_()).prop_map(|(lane, span)| Step::Write { lane, span: span % (60 * S) }),
        4 => (lane(), 1usize..6).prop_map(|(lane, blocks)| Step::Deliver { lane, blocks }),
        3 => lane().prop_map(|lane| Step::Commit { lane }),
        1 => lane().prop_map(|lane| Step::Rewind { lane }),
        2 => while_().prop_map(Step::Reboot),
        1 => wall().prop_map(|(wall, state)| Step::Wall(wall, state)),
        1 => Just(Step::Reload),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_truth_lies_within_the_bound_in_every_world(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        for lane in Lane::ALL {
            world.deliver(lane, usize::MAX);
        }
        world.check().map_err(TestCaseError::fail)?;
        prop_assert_eq!(world.contradictions, 0, "honest clocks never contradict each other");
    }
}

#[test]
fn random_worlds_reach_every_basis() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut seen = [0usize; 3];
    for _ in 0..300 {
        let steps = prop::collection::vec(step(), 60..120).new_tree(&mut runner).unwrap().current();
        let mut world = World::new();
        steps.iter().for_each(|step| world.step(step));
        for (_, line) in &world.lines {
            seen[match line.basis {
                Basis::Measured => 0,
                Basis::Bounded => 1,
                Basis::Device => 2,
            }] += 1;
        }
    }
    assert!(seen.iter().all(|&n| n > 100), "{seen:?}");
}
