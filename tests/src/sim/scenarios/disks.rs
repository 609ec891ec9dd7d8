//! Flash that is full, read-only or failing, and spools that are full.

use driftlog_agent::spool::Overflow;
use driftlog_agent::spool::disk::DiskErrorKind;

use crate::sim::world::World;
use crate::sim::world::machine::MachineConfig;
use crate::sim::world::random::Random;

fn one_lane(config: &mut MachineConfig) {
    config.urgent_min = None;
    config.style.long_per_mille = 0;
    config.bulk.bytes_max = 1024 * 1024;
}

#[test]
fn a_full_or_read_only_or_failing_disk_pauses_the_sources_until_it_is_well() {
    for fault in 0..3 {
        let mut world = World::with_device(fault, |config| {
            config.bulk.overflow = Overflow::PauseSources;
            config.urgent.overflow = Overflow::PauseSources;
        });
        world.write(0, 100);
        world.run_ms(3_000);
        for flash in &world.machines[0].flash {
            let mut disk = flash.disk();
            match fault {
                0 => disk.set_capacity(0),
                1 => disk.set_read_only(true),
                _ => {
                    for operation in ["write", "sync", "create"] {
                        disk.fail(operation, DiskErrorKind::Io, u32::MAX);
                    }
                }
            }
        }
        for _ in 0..20 {
            world.write(0, 400);
            world.run_ms(5_000);
        }
        let before = world.archived().compare(&world.machines[0]).lines;
        assert!(before < 8_000, "the disk has taken {before} lines");
        let now = world.machines[0].now(world.now);
        let status = world.machines[0].pipeline.as_mut().unwrap().status(now);
        assert!(status.lanes.iter().any(|lane| lane.paused && lane.last_error.is_some()), "{status:#?}");
        world.settle();
        world.assert_complete();
    }
}

/// A device offline until its spool has overflowed.
fn overflown(seed: u64, overflow: Overflow, is_restarted: bool) -> World {
    let mut world = World::with_device(seed, |config| {
        one_lane(config);
        config.bulk.overflow = overflow;
    });
    let mut random = Random::new(seed);
    world.write(0, 50);
    world.run_ms(3_000);
    world.machines[0].is_online = false;
    for _ in 0..60 {
        world.write(0, 600);
        world.run_ms(11_000);
        if is_restarted && random.one_in(2) {
            world.machines[0].kill();
            world.machines[0].start_at = world.now;
        }
    }
    world.settle();
    world
}

/// What is declared lost is exactly what is not there: lines and sentences of the agent.
fn assert_declared_exactly(world: &mut World) {
    let archived = world.archived();
    world.assert_promise(&archived);
    archived.assert_in_order(&world.machines);
    let outcome = archived.compare(&world.machines[0]);
    let tally = archived.tally("pump-7", "bulk");
    let sentences = tally.last.unwrap() + 1 - (outcome.lines + outcome.lost);
    let sentences_lost = sentences - archived.said("pump-7").len() as u64;
    assert_eq!(outcome.repeated, 0);
    assert!(outcome.lost > 1_000, "{outcome:?}");
    assert!(sentences < 200, "{sentences} sentences");
    assert_eq!(tally.declared(), outcome.lost + sentences_lost, "{outcome:?}");
    assert_eq!(tally.declared_but_present, 0);
}

#[test]
fn a_spool_that_drops_the_oldest_declares_exactly_what_is_missing() {
    for seed in 0..4 {
        assert_declared_exactly(&mut overflown(seed, Overflow::DropOldest, false));
    }
}

#[test]
fn a_gap_that_swallows_starts_is_declared_exactly() {
    for seed in 0..4 {
        let mut world = overflown(seed, Overflow::DropOldest, true);
        assert_declared_exactly(&mut world);
        let runs = world.archived().tally("pump-7", "bulk").runs;
        assert!(runs > 10, "{runs} runs are in the archive, most of them within gaps");
    }
}

#[test]
fn a_spool_that_pauses_its_sources_loses_nothing() {
    let mut world = overflown(1, Overflow::PauseSources, true);
    world.assert_complete();
}

#[test]
fn a_device_that_rebooted_fifty_times_while_offline_brings_everything() {
    let mut world = World::with_device(7, |config| config.style.errors_per_mille = 300);
    world.machines[0].is_online = false;
    for _ in 0..50 {
        world.write(0, 10);
        world.run_ms(12_000);
        let now = world.now;
        world.machines[0].power_cut(now);
        world.machines[0].start_at = now;
    }
    world.settle();
    let archived = world.assert_complete();
    assert!(archived.tally("pump-7", "bulk").runs >= 50);
}
