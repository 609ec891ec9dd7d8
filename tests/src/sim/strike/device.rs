//! What happens to a device as a whole: power, life, network, clocks, configuration.

use driftlog_agent::spool::disk::PowerCut;
use driftlog_agent::spool::{Durability, Overflow};
use driftlog_proto::block::Severity;

use super::{Fault, MS, Random, World, duration};
use crate::sim::world::agenda::Cure;
use crate::sim::world::broker::SECOND;
use crate::sim::world::flash::Flash;
use crate::sim::world::machine::Machine;

pub(super) fn strike(world: &mut World, fault: Fault, at: usize, random: &mut Random) {
    let now = world.now;
    let machine = &mut world.machines[at];
    match fault {
        Fault::PowerCut => cut(machine, now, random),
        Fault::PowerCutInChange | Fault::KillInChange => {
            machine.loses_power = fault == Fault::PowerCutInChange;
            machine.cut = some_cut(random);
            machine.fuse.burn_after(random.below(30));
        }
        Fault::Kill => kill(machine, now, random),
        Fault::SwitchedOff => {
            cut(machine, now, random);
            machine.start_at = now + random.within(60..40 * 3_600) as i64 * SECOND;
        }
        Fault::Suspended => machine.busy_until = now + duration(random).min(600 * SECOND),
        Fault::Offline => offline(world, at, duration(random)),
        Fault::OfflineLong => offline(world, at, random.within(600..200_000) as i64 * SECOND),
        Fault::HalfOpen => {
            machine.half_open_until = now + duration(random).min(120 * SECOND);
            let cure = Cure::HalfOpen(at, machine.boot().id);
            world.agenda.put(machine.half_open_until, cure);
        }
        Fault::Disconnect => machine.link_down(now),
        Fault::ClockStep => {
            machine.config.wall_offset += random.within(0..7_200_000) as i64 * MS - 3_600 * SECOND
        }
        Fault::ClockYears => machine.config.wall_offset = random.within(0..1 << 60) as i64 - (1 << 59),
        Fault::Clock1970 => {
            machine.config.wall_offset = -now + random.within(0..100_000) as i64 * MS;
            cut(machine, now, random);
        }
        Fault::Drift => {
            machine.config.ppm = random.within(0..801) as i64 - 400;
            cut(machine, now, random);
        }
        Fault::OtherVersion => {
            machine.speaks = [0, 2, 255][random.below(3) as usize];
            kill(machine, now, random);
            world.agenda.put(now + duration(random), Cure::Version(at));
        }
        Fault::Wipe => wipe(machine, now, random),
        Fault::Clone => clone(world, at, random),
        _ => reconfigure(machine, fault, now, random),
    }
}

fn some_cut(random: &mut Random) -> PowerCut {
    [PowerCut::Tear, PowerCut::Tear, PowerCut::LoseAll, PowerCut::KeepAll][random.below(4) as usize]
}

pub(super) fn cut(machine: &mut Machine, now: i64, random: &mut Random) {
    machine.cut = some_cut(random);
    machine.power_cut(now);
    machine.start_at = now + random.within(1..20_000) as i64 * MS;
}

pub(super) fn kill(machine: &mut Machine, now: i64, random: &mut Random) {
    machine.kill();
    machine.start_at = now + random.within(1..20_000) as i64 * MS;
}

fn offline(world: &mut World, at: usize, time: i64) {
    world.machines[at].is_online = false;
    world.agenda.put(world.now + time, Cure::Online(at));
}

/// A changed configuration takes effect with the next start.
fn reconfigure(machine: &mut Machine, fault: Fault, now: i64, random: &mut Random) {
    let config = &mut machine.config;
    match fault {
        Fault::RouteChange => {
            let severities = [Some(Severity::ERROR), Some(Severity::WARN), None, Some(Severity::FATAL)];
            config.urgent_min = severities[random.below(4) as usize];
        }
        Fault::DurabilityChange => {
            let interval = Durability::Interval { ms: random.within(100..5_000) };
            config.bulk.durability = if random.one_in(2) { interval } else { Durability::Block };
            config.urgent.durability = if random.one_in(2) { interval } else { Durability::Block };
        }
        Fault::PolicyChange => {
            let policy = if random.one_in(2) { Overflow::PauseSources } else { Overflow::DropOldest };
            (config.bulk.overflow, config.urgent.overflow) = (policy, policy);
        }
        _ => {
            let bytes = [1 << 20, 2 << 20, 8 << 20][random.below(3) as usize];
            (config.bulk.bytes_max, config.urgent.bytes_max) = (bytes, bytes);
        }
    }
    kill(machine, now, random);
}

fn wipe(machine: &mut Machine, now: i64, random: &mut Random) {
    kill(machine, now, random);
    let fuse = machine.fuse.clone();
    machine.flash = [Flash::new(random.number(), fuse.clone()), Flash::new(random.number(), fuse)];
    machine.suffered.wiped = true;
}

fn clone(world: &mut World, at: usize, random: &mut Random) {
    let now = world.now;
    kill(&mut world.machines[at], now, random);
    world.machines[at].suffered.cloned = true;
    let copy = world.add_image(at);
    world.machines[copy].start_at = now + random.within(1..60_000) as i64 * MS;
}
