//! What happens to gateways, their ledger and their sinks.

use driftlog_gateway::rebuild::{RebuildOptions, rebuild};
use driftlog_gateway::sink::archive::state::ArchiveId;

use super::{Fault, MS, Random, World, duration};
use crate::sim::oracle::{Sentence, violated};
use crate::sim::world::agenda::Cure;
use crate::sim::world::broker::SECOND;
use crate::sim::world::coast::{Doubt, SinkFaults, SinkKind};
use crate::sim::world::shore::{Shore, Sink};

pub(super) fn strike(world: &mut World, fault: Fault, random: &mut Random) {
    let now = world.now;
    let until = now + duration(random);
    match fault {
        Fault::GatewayKill => world.kill_gateway(false),
        Fault::GatewayPowerCut => world.kill_gateway(true),
        Fault::GatewayInCommit => world.shore.dies_after = Some(random.below(12)),
        Fault::GatewayFrozen => {
            world.shore.frozen_until = until.min(now + 600 * SECOND);
        }
        Fault::CommitInDoubt => world.shore.coast.ledger.doubt(Doubt::Applied),
        Fault::CommitLost => world.shore.coast.ledger.doubt(Doubt::Lost),
        Fault::GatewayMemory => {
            world.each_shore(|shore| shore.config.memory_bytes_max = 256 * 1024);
            world.kill_gateway(false);
            world.agenda.put(until, Cure::ShoreMemory);
        }
        Fault::LedgerLost if world.shore.config.sinks.len() == 1 => lose_ledger(world, random),
        Fault::LedgerLost => {}
        Fault::SecondGateway => second_gateway(world, random),
        _ => strike_sink(world, fault, until, random),
    }
}

fn strike_sink(world: &mut World, fault: Fault, until: i64, random: &mut Random) {
    let kind = outer_sink(world, random);
    let coast = world.shore.coast.clone();
    let put = |change: &dyn Fn(&mut SinkFaults)| {
        kind.iter().for_each(|kind| change(coast.sink_faults.borrow_mut().entry(*kind).or_default()));
    };
    match fault {
        Fault::SinkSlow => {
            world.each_shore(|shore| shore.commit_ms = (100, 4_000));
            world.agenda.put(until, Cure::ShoreFast);
        }
        Fault::ArchiveFull => {
            coast.faults.space(Some(random.below(50_000)));
            world.agenda.put(until, Cure::ShoreSpace);
        }
        Fault::ArchiveSyncFails => {
            coast.faults.sync_fails(true);
            world.agenda.put(until, Cure::ShoreSyncs);
        }
        Fault::SinkDown => {
            put(&|faults| faults.is_down = true);
            let days = random.one_in(6).then(|| random.within(3_600..300_000) as i64 * SECOND);
            let until = days.map_or(until, |time| world.now + time);
            kind.iter().for_each(|kind| world.agenda.put(until, Cure::SinkUp(*kind)));
        }
        Fault::SinkAdded => add_sink(world, random),
        // Two gateways with different sinks would each begin the other's anew.
        Fault::SinkRemoved if world.rival.is_some() => {}
        Fault::SinkRemoved => {
            world.shore.config.sinks.pop();
            world.kill_gateway(false);
        }
        _ => {
            let share = random.within(50..900);
            world.was.rejecting |= fault == Fault::SinkRejects;
            put(&|faults| match fault {
                Fault::SinkTimesOut => faults.times_out_per_mille = share,
                Fault::SinkTakesPart => faults.partial_per_mille = share,
                _ => faults.rejects_per_mille = share / 4,
            });
            kind.iter().for_each(|kind| world.agenda.put(until, Cure::SinkFaultless(*kind)));
        }
    }
}

/// One of the sinks that are not the archive.
fn outer_sink(world: &World, random: &mut Random) -> Option<SinkKind> {
    let sinks = &world.shore.config.sinks;
    let outer: Vec<SinkKind> =
        sinks.iter().map(|sink| sink.kind).filter(|kind| *kind != SinkKind::Archive).collect();
    (!outer.is_empty()).then(|| outer[random.below(outer.len() as u64) as usize])
}

fn add_sink(world: &mut World, random: &mut Random) {
    let sinks = &mut world.shore.config.sinks;
    if sinks.iter().all(|sink| sink.kind != SinkKind::Index) {
        let first = sinks[0].kind;
        sinks.push(Sink { kind: SinkKind::Index, is_required: true });
        world.was.added.push(SinkKind::Index);
        world.kill_gateway(random.one_in(2));
        world.watch.add(SinkKind::Index, first);
    }
}

/// The ledger is gone; an operator has it made again from the archive.
fn lose_ledger(world: &mut World, random: &mut Random) {
    world.kill_gateway(random.one_in(2));
    let coast = &mut world.shore.coast;
    coast.faults.space(None);
    coast.faults.sync_fails(false);
    let faults = coast.faults.clone();
    coast.ledger.lose(&faults);
    coast.ledger.doubt(Doubt::None);
    coast.ledger.fence();
    let fresh = ArchiveId([9; 16]);
    let options = RebuildOptions { force: false, without_marks: false, fresh };
    if let Err(error) = rebuild(&mut coast.directory.clone(), &mut coast.ledger, &options) {
        violated(Sentence::Opens, &format!("rebuild: {error:?}"));
    }
    let extents = world.archived().extents;
    world.watch.read_again(SinkKind::Archive, extents.into_iter());
    world.was.rebuilt = true;
}

/// Another gateway over the same ledger and sinks; the first one does not know.
fn second_gateway(world: &mut World, random: &mut Random) {
    if world.rival.is_some() {
        return;
    }
    let (config, coast) = (world.shore.config.clone(), world.shore.coast.clone());
    let start_at = world.now + random.within(1..5_000) as i64 * MS;
    world.rival = Some(Shore::new(start_at, config, coast, random.number()));
}
