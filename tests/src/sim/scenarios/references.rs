//! Blocks that refer to others, and gateways that have forgotten those.

use crate::sim::world::World;

const ROUNDS: u64 = 12;

#[test]
fn a_gateway_that_starts_again_and_again_asks_for_what_it_lacks_and_nothing_is_lost() {
    let mut asked = 0;
    for seed in 0..ROUNDS {
        let mut world = World::with_device(seed, |config| config.style.bytes_max = 20);
        for kill in 0..6 {
            for _ in 0..6 {
                world.write(0, 60);
                world.run_ms(2_500);
            }
            world.kill_gateway(kill % 2 == 0);
        }
        world.write(0, 60);
        world.settle();
        asked += world.shore.asked();
        world.assert_complete();
    }
    assert!(asked >= ROUNDS * 3, "a gateway that was killed lacks what blocks refer to: asked {asked} times");
}

#[test]
fn a_device_that_starts_again_while_it_is_asked_answers_all_the_same() {
    let mut asked = 0;
    for seed in 0..ROUNDS {
        let mut world = World::with_device(seed, |config| config.style.bytes_max = 20);
        for _ in 0..12 {
            world.write(0, 60);
            world.run_ms(1_500);
        }
        world.stop_broker();
        for _ in 0..4 {
            world.write(0, 60);
            world.run_ms(12_000);
        }
        // What refers to others waits in the spool of a run that has ended.
        world.machines[0].kill();
        world.machines[0].start_at = world.now;
        world.kill_gateway(true);
        world.start_broker();
        world.run_ms(500);
        world.machines[0].kill();
        world.machines[0].start_at = world.now;
        world.settle();
        asked += world.shore.asked();
        world.assert_complete();
    }
    assert!(
        asked >= ROUNDS / 2,
        "a gateway that lost its power lacks what blocks refer to: asked {asked} times"
    );
}
