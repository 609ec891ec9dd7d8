//! Everything at once, from a seed: faults of every kind that must cost nothing, then quiet.

use driftlog_agent::spool::disk::DiskErrorKind;
use driftlog_agent::spool::{Durability, Overflow};
use driftlog_proto::block::Severity;

use crate::world::World;
use crate::world::broker::{MS, Weather};
use crate::world::machine::MachineConfig;
use crate::world::random::Random;

/// Seeds tried by `cargo test`; `DRIFTLOG_SPINE_SEEDS=from..to` tries others.
const SEEDS: std::ops::Range<u64> = 0..300;

fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("DRIFTLOG_SPINE_SEEDS") else { return SEEDS };
    let (from, to) = text.split_once("..").expect("DRIFTLOG_SPINE_SEEDS=from..to");
    from.parse().unwrap()..to.parse().unwrap()
}

#[test]
fn a_fair_day_brings_every_line_once() {
    let mut world = World::with_device(1, |_| {});
    for _ in 0..20 {
        world.write(0, 50);
        world.run_ms(500);
    }
    world.settle();
    let archived = world.assert_complete();
    assert_eq!(archived.compare(&world.machines[0]).lines, 1000);
}

#[test]
fn whatever_fails_every_line_comes_through_once_and_in_order() {
    let mut failed = Vec::new();
    for seed in seeds() {
        let is_through = std::panic::catch_unwind(|| mixed(seed).assert_complete_or_declared());
        if is_through.is_err() {
            failed.push(seed);
        }
    }
    assert!(failed.is_empty(), "seeds {failed:?}");
}

pub(crate) fn mixed(seed: u64) -> World {
    let mut random = Random::new(seed ^ 0x6d69_7865);
    let mut world = World::new(seed);
    for at in 0..random.within(1..4) {
        let mut config = MachineConfig::new(&format!("device-{at}"));
        config.style.errors_per_mille = [0, 20, 200, 500][random.below(4) as usize];
        config.style.long_per_mille = [0, 5][random.below(2) as usize];
        config.ppm = random.within(0..801) as i64 - 400;
        config.wall_offset = [0, -1_795_000_000_000, 40_000_000_000][random.below(3) as usize] * MS;
        config.urgent_min = [Some(Severity::ERROR), Some(Severity::WARN), None][random.below(3) as usize];
        if random.one_in(2) {
            config.bulk.overflow = Overflow::PauseSources;
            config.urgent.overflow = Overflow::PauseSources;
        }
        if random.one_in(3) {
            config.bulk.durability = Durability::Interval { ms: random.within(100..5_000) };
            config.urgent.durability = config.bulk.durability;
        }
        world.add(config);
    }
    for _ in 0..random.within(5..40) {
        for at in 0..world.machines.len() {
            if random.one_in(2) {
                world.write(at, random.below(50));
            }
            if random.one_in(2) {
                happen(&mut world, at, &mut random);
            }
        }
        if random.one_in(2) {
            befall(&mut world, &mut random);
        }
        let ms = if random.one_in(10) { random.within(5_000..100_000) } else { random.within(1..3_000) };
        world.run_ms(ms);
    }
    world.settle();
    world
}

/// Something happens to a device.
fn happen(world: &mut World, at: usize, random: &mut Random) {
    let now = world.now;
    let machine = &mut world.machines[at];
    let kinds = [DiskErrorKind::Full, DiskErrorKind::ReadOnly, DiskErrorKind::Io];
    let flash = machine.flash[random.below(2) as usize].clone();
    let what = random.below(14);
    let online = machine.is_online;
    world.note(|| format!("{at}: {what} (online {online})"));
    let machine = &mut world.machines[at];
    match what {
        0 => machine.fuse.burn_after(random.below(30)),
        1 => machine.kill(),
        2 => machine.power_cut(now),
        3 => machine.loses_power = !machine.loses_power,
        4 | 5 => machine.is_online = !machine.is_online,
        6 => {
            let app = random.below(machine.apps.len() as u64) as usize;
            machine.apps[app].rotate(&machine.files);
            machine.changed();
        }
        7 => {
            let app = random.below(machine.apps.len() as u64) as usize;
            machine.apps[app].write_part(&machine.files, random);
        }
        8 => {
            let operation = ["write", "create", "resize", "remove", "sync_dir"][random.below(5) as usize];
            let kind = kinds[random.below(3) as usize];
            flash.disk().fail(operation, kind, random.within(1..4) as u32);
        }
        9 => {
            let read_only = random.one_in(2);
            flash.disk().set_read_only(read_only);
        }
        10 => {
            let capacity = if random.one_in(2) { u64::MAX } else { random.within(0..700_000) };
            flash.disk().set_capacity(capacity);
        }
        11 => {
            // A changed configuration takes effect with the next start.
            let mins = [Some(Severity::ERROR), Some(Severity::WARN), None, Some(Severity::FATAL)];
            machine.config.urgent_min = mins[random.below(4) as usize];
            machine.kill();
        }
        12 => machine.config.wall_offset = random.within(0..1 << 60) as i64 - (1 << 59),
        _ => flash.disk().fail("sync", DiskErrorKind::Io, 1),
    }
    if machine.pipeline.is_none() {
        machine.start_at = now + random.within(1..20_000) as i64 * MS;
    }
}

/// Something happens to the broker or to the gateway.
fn befall(world: &mut World, random: &mut Random) {
    let what = random.below(9);
    world.note(|| format!("all: {what}"));
    match what {
        0 => world.broker.weather = Weather::FOUL,
        1 => world.broker.weather = Weather::FAIR,
        2 => world.kill_broker(),
        3 | 4 if !world.broker.is_up => world.start_broker(),
        5 => world.kill_gateway(random.one_in(2)),
        6 => world.shore.dies_after = Some(random.below(12)),
        7 => world.shore.faults.space(random.one_in(2).then(|| random.below(50_000))),
        8 => world.shore.faults.sync_fails(random.one_in(2)),
        _ => world.shore.commit_ms = [(2, 30), (100, 4_000)][random.below(2) as usize],
    }
}
