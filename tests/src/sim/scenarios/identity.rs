//! Spools that are copied, wiped, forgetful; ledgers that are lost; sources that shrink.

use driftlog_agent::spool::Durability;
use driftlog_agent::spool::disk::PowerCut;
use driftlog_gateway::rebuild::{RebuildOptions, rebuild};
use driftlog_gateway::sink::Notice;
use driftlog_gateway::sink::archive::state::ArchiveId;
use driftlog_gateway::sink::archive::{Archive, ArchiveConfig, OpenError};

use crate::sim::world::World;
use crate::sim::world::broker::{Packet, To};
use crate::sim::world::flash::Flash;
use crate::sim::world::random::Random;

fn written(seed: u64) -> World {
    let mut world = World::with_device(seed, |config| config.style.errors_per_mille = 200);
    for _ in 0..4 {
        world.write(0, 40);
        world.run_ms(1_700);
    }
    world
}

#[test]
fn a_cloned_spool_with_both_copies_running_is_noticed_and_no_identity_comes_twice() {
    for seed in 0..6 {
        let mut world = written(seed);
        // What is on the flash and not yet acknowledged, both will send.
        world.machines[0].is_online = seed.is_multiple_of(2);
        world.write(0, 30);
        world.run_ms(12_000);
        world.machines[0].kill();
        let copy = world.add_image(0);
        world.machines[0].is_online = true;
        for _ in 0..6 {
            world.write(0, 20);
            world.write(copy, 20);
            world.run_ms(2_000);
        }
        // Both connect again, and tell of the Acks that they have heard.
        let now = world.now;
        world.machines.iter_mut().for_each(|machine| machine.link_down(now));
        world.settle();
        let archived = world.archived();
        world.assert_promise(&archived);
        assert!(archived.noticed(Notice::Clone) > 0, "{:#?}", archived.report);
        for machine in &world.machines {
            let outcome = archived.compare(machine);
            assert_eq!((outcome.lost, outcome.repeated), (0, 0), "{outcome:?}");
        }
    }
}

#[test]
fn a_wiped_spool_begins_a_new_history_and_nothing_is_silently_freed() {
    let mut world = written(3);
    world.machines[0].kill();
    let fuse = world.machines[0].fuse.clone();
    world.machines[0].flash = [Flash::new(5, fuse.clone()), Flash::new(6, fuse)];
    world.machines[0].start_at = world.now;
    world.write(0, 50);
    world.settle();
    let archived = world.archived();
    world.assert_promise(&archived);
    let outcome = archived.compare(&world.machines[0]);
    assert_eq!(outcome.lost, 0);
    assert!(outcome.repeated > 0, "with its cursors gone it reads its files again");
}

#[test]
fn flash_that_forgot_a_published_tail_is_a_fork_and_is_stated() {
    for seed in 0..6 {
        let mut world = written(seed);
        world.machines[0].flash.iter().for_each(|flash| flash.disk().set_lying(true));
        world.write(0, 60);
        world.run_ms(4_000);
        world.machines[0].die(PowerCut::LoseAll);
        let now = world.now;
        world.machines[0].reboot(now);
        world.machines[0].flash.iter().for_each(|flash| flash.disk().set_lying(false));
        world.machines[0].start_at = now;
        world.write(0, 60);
        world.settle();
        let archived = world.archived();
        world.assert_promise(&archived);
        assert!(archived.noticed(Notice::Fork) > 0, "seed {seed}: {:#?}", archived.report);
        assert_eq!(archived.compare(&world.machines[0]).lost, 0);
    }
}

/// The gateway's ledger is gone, and the gateway does not start.
fn lose_ledger(world: &mut World) {
    world.kill_gateway(false);
    {
        let faults = world.shore.coast.faults.clone();
        world.shore.coast.ledger.lose(&faults)
    };
    let directory = Box::new(world.shore.coast.directory.clone());
    let opened =
        Archive::open(directory, ArchiveConfig::default(), &mut world.shore.coast.ledger, ArchiveId([9; 16]));
    assert!(matches!(opened, Err(OpenError::LedgerMissing { .. })), "it says so and does not guess");
}

#[test]
fn a_ledger_that_is_lost_is_rebuilt_from_the_archive_and_nothing_comes_twice() {
    for seed in 0..6 {
        let mut world = written(seed);
        lose_ledger(&mut world);
        let options = RebuildOptions { force: false, without_marks: false, fresh: ArchiveId([9; 16]) };
        rebuild(&mut world.shore.coast.directory.clone(), &mut world.shore.coast.ledger, &options).unwrap();
        world.write(0, 40);
        world.settle();
        world.assert_complete();
    }
}

#[test]
fn without_its_marks_a_gateway_begins_at_the_devices_bases_and_states_it() {
    let mut world = written(2);
    world.settle();
    lose_ledger(&mut world);
    let options = RebuildOptions { force: false, without_marks: true, fresh: ArchiveId([9; 16]) };
    rebuild(&mut world.shore.coast.directory.clone(), &mut world.shore.coast.ledger, &options).unwrap();
    world.write(0, 40);
    world.settle();
    let archived = world.assert_complete();
    assert!(archived.noticed(Notice::LedgerLost) > 0, "{:#?}", archived.report);
}

#[test]
fn a_source_that_is_shorter_after_a_power_cut_is_read_on_where_it_still_agrees() {
    let mut world = World::with_device(4, |config| {
        config.apps = 1;
        config.style.long_per_mille = 0;
    });
    for _ in 0..6 {
        world.write(0, 40);
        world.run_ms(2_000);
    }
    let now = world.now;
    let machine = &mut world.machines[0];
    machine.power_cut(now);
    machine.apps[0].lose_tail(&machine.files, 900);
    machine.apps[0].write(&machine.files, &mut machine.random, 60);
    machine.start_at = now;
    world.settle();
    let archived = world.archived();
    world.assert_promise(&archived);
    let times = |line: &[u8]| {
        let is_it = |bytes: &[u8]| bytes == line;
        archived.records.iter().filter(|record| is_it(&record.bytes)).count()
    };
    let written = world.machines[0].apps[0].files[0].bytes.clone();
    let lines: Vec<&[u8]> =
        written.split_inclusive(|byte| *byte == b'\n').filter(|line| line.len() > 20).collect();
    let missing = lines.iter().filter(|line| times(line) == 0).count();
    let doubled = lines.iter().filter(|line| times(line) > 1).count();
    // The line that was cut in two by the power cut is the only one that nobody ever wrote.
    assert!(missing <= 1, "{missing} of {} lines are missing", lines.len());
    assert!(doubled <= 80, "{doubled} of {} lines are there twice", lines.len());
    assert!(
        archived.said("pump-7").iter().any(|text| text.contains("before the power went")),
        "{:?}",
        archived.said("pump-7")
    );
}

/// A simulated world: a rebuilt ledger does not know when its runs were first heard, and took a
/// device that had only been restarted for two.
#[test]
fn after_a_rebuild_a_device_that_was_restarted_is_not_taken_for_a_clone() {
    for seed in 0..6 {
        let mut world = written(seed);
        world.machines[0].kill();
        world.machines[0].start_at = world.now;
        world.write(0, 40);
        world.run_ms(5_000);
        lose_ledger(&mut world);
        let options = RebuildOptions { force: false, without_marks: false, fresh: ArchiveId([9; 16]) };
        rebuild(&mut world.shore.coast.directory.clone(), &mut world.shore.coast.ledger, &options).unwrap();
        world.run_ms(10_000);
        let mut random = Random::new(seed);
        for _ in 0..200 {
            let (topic, bytes) = world.broker.some_old_message(&mut random).unwrap();
            world.broker.deliver_at(world.now, Packet { to: To::Gateway { topic }, bytes });
        }
        world.settle();
        let archived = world.assert_complete();
        assert_eq!(archived.noticed(Notice::Clone), 0, "{:#?}", archived.report);
    }
}

/// A simulated world: what the flash forgot was acknowledged, no line came after that, and what it still
/// had was offered for ever.
#[test]
fn a_fork_after_which_nothing_is_written_is_stated_and_the_spool_drains() {
    let mut forks = 0;
    for seed in 0..16 {
        let mut world = World::with_device(seed, |config| {
            config.style.errors_per_mille = 500;
            config.bulk.durability = Durability::None;
            config.urgent.durability = Durability::None;
        });
        for lines in [2, 6] {
            world.write(0, lines);
            world.run_ms(20_000);
        }
        world.machines[0].die(PowerCut::Tear);
        let now = world.now;
        world.machines[0].reboot(now);
        world.machines[0].suffered.forgot = true;
        world.machines[0].start_at = now;
        world.settle();
        let archived = world.archived();
        world.assert_promise(&archived);
        assert_eq!(archived.compare(&world.machines[0]).lost, 0);
        forks += archived.noticed(Notice::Fork);
    }
    assert!(forks > 0, "no flash forgot anything");
}

/// A simulated world: the gateway acknowledged more of a run than the flash still had, and the log
/// before the fork was longer than the window, so that the next run never came.
#[test]
fn a_fork_behind_more_than_a_window_does_not_stop_the_device_for_ever() {
    for seed in 0..8 {
        let mut world = World::with_device(seed, |config| {
            config.urgent_min = None;
            config.apps = 1;
            config.style.long_per_mille = 1_000;
            config.bulk.durability = Durability::None;
        });
        world.write(0, 24);
        world.run_ms(1_500);
        world.machines[0].die(PowerCut::Tear);
        let now = world.now;
        world.machines[0].reboot(now);
        world.machines[0].suffered.forgot = true;
        world.machines[0].start_at = now;
        world.write(0, 5);
        world.settle();
        let archived = world.archived();
        world.assert_promise(&archived);
        assert_eq!(archived.compare(&world.machines[0]).lost, 0);
    }
}
