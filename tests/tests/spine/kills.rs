//! Agent and gateway killed, power cut, at any change of anything durable.

use driftlog_gateway::ledger::memory::MemoryLedger;
use driftlog_gateway::sink::archive::simulated::{Faults, SimDirectory};
use driftlog_gateway::sink::archive::state::ArchiveId;
use driftlog_gateway::sink::archive::{Archive, ArchiveConfig};

use crate::world::World;
use crate::world::random::Random;

const ROUNDS: u64 = 24;

/// Writes while something is killed again and again.
fn under_fire(seed: u64, kills_agent: bool, kills_gateway: bool) -> World {
    let mut world = World::with_device(seed, |_| {});
    let mut random = Random::new(seed ^ 0x6b69);
    world.machines[0].loses_power = seed.is_multiple_of(2);
    for _ in 0..30 {
        let lines = random.below(60);
        world.write(0, lines);
        if kills_agent {
            match random.below(4) {
                0 => world.machines[0].fuse.burn_after(random.below(12)),
                1 => {
                    world.machines[0].kill();
                    world.machines[0].start_at = world.now;
                }
                2 => {
                    let now = world.now;
                    world.machines[0].power_cut(now);
                    world.machines[0].start_at = now;
                }
                _ => {}
            }
        }
        if kills_gateway {
            match random.below(4) {
                0 => world.shore.dies_after = Some(random.below(8)),
                1 => world.kill_gateway(false),
                2 => world.kill_gateway(true),
                _ => {}
            }
        }
        world.run_ms(random.within(50..4_000));
    }
    world.settle();
    world
}

#[test]
fn an_agent_killed_at_random_steps_neither_loses_nor_doubles_a_line() {
    for seed in 0..ROUNDS {
        under_fire(seed, true, false).assert_complete();
    }
}

#[test]
fn a_gateway_killed_at_random_steps_neither_loses_nor_doubles_a_line() {
    for seed in 0..ROUNDS {
        under_fire(seed, false, true).assert_complete();
    }
}

#[test]
fn agent_and_gateway_killed_at_random_steps_neither_lose_nor_double_a_line() {
    for seed in 0..ROUNDS {
        under_fire(seed, true, true).assert_complete();
    }
}

#[test]
fn a_kill_at_every_change_of_the_flash_leaves_both_lanes_exact() {
    for change in 0..40 {
        for loses_power in [false, true] {
            let mut world = World::with_device(change, |config| config.style.errors_per_mille = 400);
            world.machines[0].loses_power = loses_power;
            world.write(0, 60);
            world.machines[0].fuse.burn_after(change);
            for _ in 0..4 {
                world.run_ms(1_500);
                world.write(0, 30);
            }
            world.settle();
            world.assert_complete();
        }
    }
}

/// Mixed seed 24: the second start took the first one's id, which was not durable, and the ledger
/// named an archive that a power cut then took away.
#[test]
fn an_archive_whose_first_start_died_before_its_id_was_durable_outlives_a_power_cut() {
    for step in 0..6 {
        let faults = Faults::default();
        let directory = SimDirectory::with_faults(faults.clone());
        let mut ledger = MemoryLedger::with_faults(faults.clone());
        let mut open = || {
            let fresh = ArchiveId([step as u8; 16]);
            Archive::open(Box::new(directory.clone()), ArchiveConfig::default(), &mut ledger, fresh).map(drop)
        };
        faults.crash_at(Some(step));
        let _died = open();
        faults.crash_at(None);
        open().unwrap();
        directory.cut_power(|_| 1);
        open().unwrap();
    }
}
