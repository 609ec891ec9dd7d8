//! What carries the messages: it loses, doubles, reorders and delays them, and dies with its state.

use crate::sim::world::World;
use crate::sim::world::broker::{MS, SECOND, WEEK, Weather};
use crate::sim::world::random::Random;

#[test]
fn a_broker_that_dies_with_all_its_state_costs_nothing() {
    for seed in 0..8 {
        let mut world = World::with_device(seed, |_| {});
        let mut random = Random::new(seed);
        for _ in 0..8 {
            world.write(0, 50);
            world.run_ms(random.within(100..2_000));
            world.kill_broker();
            world.run_ms(random.within(100..20_000));
            world.start_broker();
        }
        world.settle();
        world.assert_complete();
    }
}

#[test]
fn duplicated_reordered_lost_and_broken_messages_cost_nothing() {
    for seed in 0..8 {
        let mut world = World::with_device(seed, |_| {});
        world.broker.weather = Weather { corrupt_per_mille: 20, ..Weather::FOUL };
        for _ in 0..20 {
            world.write(0, 40);
            world.run_ms(1_000);
        }
        world.settle();
        world.assert_complete();
    }
}

#[test]
fn week_old_messages_change_nothing() {
    let mut world = World::with_device(5, |config| config.style.errors_per_mille = 200);
    world.broker.weather = Weather { late_per_mille: 300, late: WEEK, ..Weather::FOUL };
    for _ in 0..16 {
        world.write(0, 40);
        world.run_ms(20_000);
        if world.random.one_in(2) {
            world.kill_gateway(false);
        }
        let now = world.now;
        world.machines[0].power_cut(now);
        world.machines[0].start_at = now + 43_200 * SECOND;
        world.run_ms((43_201 * SECOND / MS) as u64);
    }
    world.settle();
    world.assert_complete();
}
