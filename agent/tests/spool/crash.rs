//! Power cuts at every disk operation, and recovery from them.

use driftlog_agent::spool::disk::{PowerCut, SimDisk};
use driftlog_agent::spool::{Durability, Overflow, Spool, SpoolConfig};
use driftlog_proto::ids::{Place, Seq};
use driftlog_proto::item::Cause;
use driftlog_proto::time::Mono;

use crate::support::*;

/// What was promised before the power failed.
#[derive(Clone, Default)]
pub(crate) struct Promised {
    /// Lines whose block was taken and is durable.
    pub(crate) durable: u64,
    /// The highest place that was acknowledged.
    pub(crate) acknowledged: u64,
    /// The end of every item that was handed out for publishing.
    pub(crate) published: Vec<Place>,
}

impl Promised {
    fn publish(&mut self, spool: &mut Spool<SimDisk>) {
        let Ok(seen) = try_walk(spool) else { return };
        for published in seen {
            if !self.published.contains(&published.item.end) {
                self.published.push(published.item.end);
            }
        }
    }
}

/// Appends, rolls, recycles, overflows, trims, restarts: until the power fails.
fn work(disk: SimDisk, config: SpoolConfig, promised: &mut Promised) -> SimDisk {
    let mut spool = open(disk, config, 1);
    for step in 0..60u64 {
        if step % 20 == 19 {
            spool = open(spool.into_disk(), config, 2 + step);
            if spool.append_cursors(Mono(step), &[(50 + step, b"another source")], &[]).is_err() {
                return spool.into_disk();
            }
        }
        let size = [300, 1500, 2900, 40][(step % 4) as usize];
        if append_at(&mut spool, Mono(step), 1 + (step % 3) as u32, size).is_err()
            || spool.sync(Mono(step)).is_err()
        {
            return spool.into_disk();
        }
        promised.durable = promised.durable.max(spool.next_durable().seq.0);
        if step % 5 == 0 {
            promised.publish(&mut spool);
        }
        // First nothing is acknowledged, so that it overflows; later nearly everything is.
        if step > 35 && step % 3 == 0 && promised.published.len() > 2 {
            let place = promised.published[promised.published.len() - 2];
            spool.trim(&place);
            promised.acknowledged = promised.acknowledged.max(spool.base().seq.0);
        }
    }
    spool.into_disk()
}

/// Opens what a power cut left and checks everything that was promised.
pub(crate) fn check_promises(disk: &SimDisk, config: SpoolConfig, promised: &Promised) -> Spool<SimDisk> {
    let mut spool = open(disk.clone(), config, 900);
    assert_eq!(lines(&spool), spool.next_durable().seq.0, "data and cursor are one");
    assert!(spool.next_durable().seq.0 >= promised.durable, "what was durable is there");
    assert!(spool.next_durable().seq >= spool.base().seq, "next is not below base");
    assert!(spool.base().seq.0 <= promised.acknowledged, "only what was acknowledged is below the base");
    let seen = walk(&mut spool);
    for gap in gaps(&seen) {
        assert_eq!(gap.cause, Cause::Overflow, "a power cut loses nothing: {gap:?}");
    }
    let mut again = open(disk.clone(), config, 901);
    assert_eq!((again.base(), again.next_durable()), (spool.base(), spool.next_durable()));
    assert_eq!(walk(&mut again), seen, "recovering again gives the same");
    for place in &promised.published {
        let is_end = |p: &Published| p.item.end == *place;
        let is_in_gap =
            |p: &Published| p.gap().is_some_and(|gap| gap.from.seq <= place.seq && place.seq <= gap.to.seq);
        let is_below = place.seq <= spool.base().seq;
        assert!(
            is_below || seen.iter().any(|p| is_end(p) || is_in_gap(p)),
            "{place:?} was published and is not there"
        );
    }
    for _ in 0..12 {
        append(&mut spool, 2, 1200).unwrap();
    }
    spool.sync(Mono::FOREVER).unwrap();
    walk(&mut spool);
    assert_eq!(lines(&spool), spool.next_durable().seq.0);
    spool
}

fn cut_everywhere(config: SpoolConfig) {
    let mut untouched = Promised::default();
    let operations = work(SimDisk::new(1), config, &mut untouched).stats().operations;
    assert!(operations > 80, "the workload does something: {operations}");
    for operation in 1..=operations {
        let mut disk = SimDisk::new(operation);
        disk.cut_at(operation);
        let mut promised = Promised::default();
        let disk = work(disk, config, &mut promised);
        assert!(disk.is_off() || operation == operations);
        let cuts = [(PowerCut::LoseAll, 0), (PowerCut::KeepAll, 0)];
        let tears = (1..7).map(|seed| (PowerCut::Tear, seed));
        for (cut, seed) in cuts.into_iter().chain(tears) {
            let mut disk = disk.clone();
            disk.power_cut(cut, seed);
            let context = format!("operation {operation}, {cut:?}, seed {seed}");
            let outcome = std::panic::catch_unwind(|| drop(check_promises(&disk, config, &promised)));
            assert!(outcome.is_ok(), "{context}");
        }
    }
}

#[test]
fn a_power_cut_at_any_disk_operation_loses_nothing_that_was_durable() {
    cut_everywhere(config());
}

#[test]
fn a_power_cut_at_any_disk_operation_with_synced_intervals() {
    cut_everywhere(SpoolConfig { durability: Durability::Interval { ms: 0 }, ..config() });
    let lazy = SpoolConfig { durability: Durability::Interval { ms: 1_000_000 }, ..config() };
    cut_everywhere(lazy);
}

#[test]
fn a_power_cut_at_any_disk_operation_with_paused_sources() {
    cut_everywhere(SpoolConfig { overflow: Overflow::PauseSources, ..roomy() });
}

#[test]
fn a_power_cut_during_recovery_or_the_first_seal_of_a_run_changes_nothing() {
    let mut promised = Promised::default();
    let disk = work(SimDisk::new(3), config(), &mut promised);
    for operation in 1..20 {
        let mut disk = disk.clone();
        disk.cut_at(disk.stats().operations + operation);
        let mut spool = open(disk, config(), 500);
        let taken = append(&mut spool, 5, 700).is_ok();
        let mut after = promised.clone();
        after.durable += if taken { 5 } else { 0 };
        for seed in 0..8 {
            let mut disk = spool.disk_mut().clone();
            disk.power_cut(PowerCut::Tear, seed);
            check_promises(&disk, config(), &after);
        }
    }
}

#[test]
fn a_kill_publishes_nothing_that_is_not_on_the_flash() {
    // The frame is in the operating system's memory when the agent is killed between write and sync.
    let mut spool = open(SimDisk::new(1), config(), 1);
    append(&mut spool, 1, 100).unwrap();
    let operations = spool.disk_mut().stats().operations;
    spool.disk_mut().cut_at(operations + 2);
    append(&mut spool, 1, 100).unwrap_err();
    let mut disk = spool.into_disk();
    // No power cut, but the next process finds the disk running again.
    disk.revive();
    let mut spool = open(disk, config(), 2);
    let published = walk(&mut spool);
    let mut disk = spool.into_disk();
    disk.power_cut(PowerCut::LoseAll, 0);
    let mut spool = open(disk, config(), 3);
    assert_eq!(walk(&mut spool), published);
}

/// The older copy of the header hid the newer one, whose index was given out a second time; when the
/// older copy was overwritten, the file passed for the newest segment and hid what had been published.
#[test]
fn the_index_of_a_header_that_got_through_in_half_is_not_used_again() {
    let mut spool = open(SimDisk::new(1), config(), 1);
    let mut first_file = Place::ORIGIN;
    for block in 0..8 {
        append(&mut spool, 1, 2900).unwrap();
        match block {
            1 => first_file = spool.next_durable(),
            4 => spool.trim(&first_file),
            _ => {}
        }
    }
    let before = files(spool.disk_mut());
    let older = spool.disk_mut().content(0).unwrap()[..512].to_vec();
    append(&mut spool, 1, 2900).unwrap();
    let mut disk = spool.into_disk();
    assert_eq!(files(&disk).last().unwrap().0, 0, "the first file is written again: {before:?}");
    // Of the write that opened the segment all but the first sector got through.
    disk.overwrite(0, 0, &older);
    let mut spool = open(disk, config(), 2);
    append(&mut spool, 1, 100).unwrap();
    let published = walk(&mut spool);
    let mut disk = spool.into_disk();
    // The file is to be written once more, and the power fails within the first sector.
    disk.overwrite(0, 0, &[0xff; 256]);
    let mut spool = open(disk, config(), 3);
    assert_eq!(walk(&mut spool), published);
}

#[test]
fn fifty_restarts_while_offline_do_not_eat_the_quota() {
    let config = SpoolConfig { segment_bytes: 128 * 1024, bytes_max: 2 << 20, ..config() };
    let mut disk = SimDisk::new(1);
    for run in 1..=50 {
        let mut spool = open(disk, config, run);
        append(&mut spool, 1, 2000).unwrap();
        append(&mut spool, 1, 2000).unwrap();
        disk = spool.into_disk();
    }
    let mut spool = open(disk, config, 51);
    let seen = walk(&mut spool);
    assert_eq!((records(&seen), lost(&seen)), (100, 0));
    assert!(spool.usage().bytes < 1 << 20, "{:?}", spool.usage());
    assert_eq!(spool.usage().segments, 50);
}

#[test]
fn truncation_at_every_length_is_a_torn_tail() {
    let mut spool = open(SimDisk::new(1), config(), 1);
    for _ in 0..4 {
        append(&mut spool, 1, 150).unwrap();
    }
    let whole = walk(&mut spool);
    let disk = spool.into_disk();
    let (slot, _, bytes) = files(&disk)[0];
    for length in (0..bytes).rev() {
        let mut disk = disk.clone();
        disk.truncate(slot, length);
        let mut spool = open(disk, config(), 2);
        assert_eq!(lines(&spool), spool.next_durable().seq.0, "at {length}");
        let seen = walk(&mut spool);
        assert_eq!(seen, whole[..seen.len()], "at {length}");
        append(&mut spool, 1, 100).unwrap();
        assert_eq!(lost(&walk(&mut spool)), 0);
    }
}

#[test]
fn recovery_reads_only_headers_and_the_last_segment() {
    let mut spool = open(SimDisk::new(1), roomy(), 1);
    for _ in 0..400 {
        append(&mut spool, 1, 1000).unwrap();
    }
    let segments = spool.usage().segments as u64;
    assert!(segments > 50);
    let before = spool.disk_mut().stats().bytes_read;
    let mut spool = open(spool.into_disk(), roomy(), 2);
    let read = spool.disk_mut().stats().bytes_read - before;
    assert!(read <= (segments + 3) * 1024 + 3 * 8192, "{read} bytes for {segments} segments");
    assert_eq!(spool.next_durable().seq, Seq(400));
}

#[test]
fn a_stale_frame_of_an_earlier_life_never_comes_back() {
    // Two lives of the same file with frames of the same length at the same offsets.
    let mut spool = open(SimDisk::new(1), config(), 1);
    for _ in 0..200 {
        append(&mut spool, 1, 500).unwrap();
        let end = spool.next_durable();
        spool.trim(&end);
    }
    let end = spool.next_durable();
    let mut disk = spool.into_disk();
    disk.power_cut(PowerCut::KeepAll, 0);
    let mut spool = open(disk, config(), 2);
    assert_eq!(spool.next_durable(), end);
    assert_eq!(lines(&spool), 200);
    append(&mut spool, 1, 500).unwrap();
    let mut spool = open(spool.into_disk(), config(), 3);
    assert_eq!(spool.next_durable().seq, Seq(201));
    walk(&mut spool);
}
