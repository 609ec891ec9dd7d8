//! Drawing a world from its seed: swarm testing, in which each world has some faults and not the
//! others, each at its own rate.

use std::ops::Range;

use driftlog_agent::spool::{Durability, Overflow};
use driftlog_proto::block::Severity;

use super::fault::{Area, Fault};
use super::{Act, DevicePlan, Plan, What};
use crate::sim::world::broker::MS;
use crate::sim::world::coast::SinkKind;
use crate::sim::world::random::Random;
use crate::sim::world::shore::{ShoreConfig, Sink};

/// Things that happen in one world at most.
const ACTS_MAX: u64 = 120;

pub(super) fn plan(seed: u64, only: Option<&[Fault]>) -> Plan {
    let mut random = Random::new(seed ^ 0x706c_616e);
    // Most failures need little: many small worlds find more than few large ones.
    let is_small = !random.one_in(5);
    let devices = if is_small && random.one_in(2) { 1 } else { 1 + random.below(3).min(random.below(3)) };
    let devices: Vec<DevicePlan> = (0..devices).map(|_| device(&mut random)).collect();
    let shore = shore(&mut random);
    let faults = swarm(&shore, only, &mut random);
    let size = if is_small { 4..40 } else { 10..ACTS_MAX };
    let acts = acts(devices.len(), &faults, size, &mut random);
    Plan { seed, devices, shore, acts }
}

fn device(random: &mut Random) -> DevicePlan {
    let urgent = [Some(Severity::ERROR), Some(Severity::WARN), None];
    let sizes = [1 << 20, 2 << 20, 8 << 20];
    DevicePlan {
        apps: 1 + random.below(3) as usize,
        errors_per_mille: [0, 20, 200, 500][random.below(4) as usize],
        long_per_mille: [0, 0, 1, 5][random.below(4) as usize],
        ppm: if random.one_in(2) { 0 } else { random.within(0..801) as i64 - 400 },
        wall_offset: [0, -1_795_000_000_000, 40_000_000_000][random.below(3) as usize] * MS,
        urgent_min: urgent[random.below(3) as usize],
        overflow: if random.one_in(3) { Overflow::PauseSources } else { Overflow::DropOldest },
        durability: match random.below(6) {
            0 => Durability::Interval { ms: random.within(100..5_000) },
            1 if random.one_in(3) => Durability::None,
            _ => Durability::Block,
        },
        spool_bytes_max: sizes[random.below(3) as usize],
        keeps_births: !random.one_in(4),
        has_fixed_client_id: random.one_in(4),
    }
}

fn shore(random: &mut Random) -> ShoreConfig {
    let required = |kind| Sink { kind, is_required: true };
    let sinks = match random.below(10) {
        0..6 => vec![required(SinkKind::Archive)],
        6 => vec![required(SinkKind::Archive), required(SinkKind::Index)],
        7 => vec![required(SinkKind::Archive), Sink { kind: SinkKind::Index, is_required: false }],
        8 => vec![required(SinkKind::Stream)],
        _ => vec![required(SinkKind::Stream), required(SinkKind::Index)],
    };
    ShoreConfig { sinks, ..ShoreConfig::default() }
}

/// The faults of one world, with their rates.
fn swarm(shore: &ShoreConfig, only: Option<&[Fault]>, random: &mut Random) -> Vec<(Fault, u64)> {
    // Some worlds have next to none, some nearly all.
    let share = [150, 300, 300, 500, 800][random.below(5) as usize];
    let mut faults = Vec::new();
    for &fault in Fault::ALL {
        let is_on = random.per_mille(share);
        let rate = fault.weight() * random.within(1..8);
        let is_wanted = only.map_or(is_on, |only| only.contains(&fault));
        if is_wanted && is_possible(fault, shore) {
            faults.push((fault, rate));
        }
    }
    faults
}

/// What needs a sink or a ledger that the world does not have is left out.
fn is_possible(fault: Fault, shore: &ShoreConfig) -> bool {
    let has = |kind: SinkKind| shore.sinks.iter().any(|sink| sink.kind == kind);
    match fault {
        Fault::SecondGateway => !has(SinkKind::Archive),
        Fault::LedgerLost => shore.sinks.len() == 1 && has(SinkKind::Archive),
        Fault::ArchiveFull | Fault::ArchiveSyncFails => has(SinkKind::Archive),
        Fault::SinkDown | Fault::SinkRejects => has(SinkKind::Stream) || has(SinkKind::Index),
        Fault::SinkTimesOut | Fault::SinkTakesPart => has(SinkKind::Index),
        Fault::SinkAdded => !has(SinkKind::Index),
        Fault::SinkRemoved => shore.sinks.len() > 1,
        _ => true,
    }
}

fn acts(devices: usize, faults: &[(Fault, u64)], size: Range<u64>, random: &mut Random) -> Vec<Act> {
    let total: u64 = faults.iter().map(|(_, rate)| rate).sum();
    let is_busy = size.end == ACTS_MAX;
    let count = random.within(size);
    let fault_per_mille = random.within(200..800);
    let mut struck: Vec<Fault> = Vec::new();
    let mut acts = Vec::new();
    for _ in 0..count {
        let device = random.below(devices as u64) as usize;
        let mut what = What::Lines { device, lines: lines(is_busy, random) };
        if total > 0 && random.per_mille(fault_per_mille) {
            let fault = pick(faults, random.below(total));
            let times = struck.iter().filter(|other| **other == fault).count() as u64;
            if times < fault.times_max() {
                struck.push(fault);
                what = What::Fault { device, fault };
            }
        }
        let chance = random.number();
        acts.push(Act { after_ms: pause(what, random), what, chance });
    }
    acts
}

fn lines(is_busy: bool, random: &mut Random) -> u64 {
    match random.below(60) {
        0 => random.within(100..1_000),
        _ if is_busy => random.below(25),
        _ => random.below(8),
    }
}

fn pick(faults: &[(Fault, u64)], mut at: u64) -> Fault {
    for (fault, rate) in faults {
        if at < *rate {
            return *fault;
        }
        at -= rate;
    }
    faults[0].0
}

/// Milliseconds before the next thing: often none, so that faults meet.
fn pause(what: What, random: &mut Random) -> u64 {
    let is_sudden = matches!(what, What::Fault { fault, .. } if fault.area() != Area::Caller);
    match random.below(20) {
        0..4 if is_sudden => 0,
        0..6 => random.within(1..50),
        6..16 => random.within(50..3_000),
        16..19 => random.within(3_000..30_000),
        _ => random.within(30_000..300_000),
    }
}
