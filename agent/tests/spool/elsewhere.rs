//! A file whose sync failed: what it held is written elsewhere, and what cannot be read back is declared.

use driftlog_agent::spool::disk::{DiskErrorKind, PowerCut, SimDisk};
use driftlog_agent::spool::{Durability, Spool, SpoolConfig, SpoolEvent};
use driftlog_proto::ids::Place;
use driftlog_proto::item::Cause;
use driftlog_proto::time::Mono;

use crate::support::*;

fn interval() -> SpoolConfig {
    SpoolConfig { durability: Durability::Interval { ms: 10 }, ..roomy() }
}

/// Five blocks of which only the first is known to be on the flash; the sync of the others failed.
fn failed() -> (Spool<SimDisk>, Vec<Place>) {
    let mut spool = open(SimDisk::new(1), interval(), 1);
    let mut begins = Vec::new();
    for n in 0..5 {
        begins.push(spool.tail());
        append_at(&mut spool, Mono(n), 1, 300).unwrap();
    }
    spool.disk_mut().fail("sync", DiskErrorKind::Io, 1);
    spool.sync(Mono(0).plus_ms(50)).unwrap_err();
    assert!(matches!(events(&mut spool)[..], [SpoolEvent::Poisoned { .. }]));
    (spool, begins)
}

/// Where the block that begins at this place stands in the first file.
fn offset_of(disk: &SimDisk, at: Place) -> (u32, usize) {
    let slot = files(disk)[0].0;
    let sealed = block(at, 1, 300);
    let content = disk.content(slot).unwrap();
    (slot, content.windows(sealed.len()).position(|window| window == sealed).unwrap())
}

#[test]
fn what_a_failed_file_held_goes_to_another_and_nothing_is_said_to_be_lost() {
    let (mut spool, _) = failed();
    spool.sync_now(Mono(0)).unwrap();
    assert_eq!(spool.usage().segments, 2, "the failed file is not written again");
    assert!(events(&mut spool).is_empty());
    let seen = walk(&mut spool);
    assert_eq!((records(&seen), lost(&seen)), (5, 0));
    let mut spool = open(spool.into_disk(), interval(), 2);
    assert_eq!(walk(&mut spool), seen);
    assert_eq!(spool.recovery_sentence(), None);
}

#[test]
fn a_block_of_a_failed_file_that_cannot_be_read_back_is_declared() {
    // Not the last one: nothing behind it says after a restart that it was declared.
    for victim in 1..5 {
        let (mut spool, begins) = failed();
        let (slot, at) = offset_of(spool.disk_mut(), begins[victim]);
        spool.disk_mut().flip(slot, at + 100, 3);
        spool.sync_now(Mono(0)).unwrap();
        let seen = walk(&mut spool);
        let gaps = gaps(&seen);
        assert_eq!((records(&seen), gaps.len()), (4, 1), "block {victim}");
        assert_eq!((gaps[0].from, gaps[0].cause, gaps[0].records()), (begins[victim], Cause::Corruption, 1));
        let told = events(&mut spool);
        assert!(matches!(told[..], [SpoolEvent::Dropped { records: 1, cause: Cause::Corruption, .. }]));
        let mut spool = open(spool.into_disk(), interval(), 2);
        assert_eq!(walk(&mut spool), seen);
        assert_eq!(dropped(&mut spool, Cause::Corruption), 1);
        assert_eq!(lines(&spool), 5, "they are not read again: it is declared");
    }
}

/// A simulated world: what was acknowledged could not be read back either, the gap began below the base,
/// and nothing was found at the base any more.
#[test]
fn what_is_acknowledged_of_a_failed_file_is_not_declared() {
    let none = SpoolConfig { durability: Durability::None, ..roomy() };
    let mut spool = open(SimDisk::new(1), none, 1);
    for _ in 0..5 {
        append(&mut spool, 1, 300).unwrap();
    }
    let seen = walk(&mut spool);
    let base = seen[4].item.begin;
    spool.trim(&base);
    spool.disk_mut().fail("sync", DiskErrorKind::Io, 1);
    spool.sync_now(Mono(0)).unwrap_err();
    spool.disk_mut().fail("read", DiskErrorKind::Io, 100);
    spool.sync_now(Mono(0)).unwrap();
    spool.disk_mut().heal();
    let left = walk(&mut spool);
    assert_eq!((records(&left), lost(&left), left[0].item.begin), (0, 2, base));
    assert_eq!(dropped(&mut spool, Cause::Corruption), 2);
}

#[test]
fn a_log_of_which_all_is_acknowledged_ends_at_its_base_though_a_failed_file_gives_nothing_back() {
    let none = SpoolConfig { durability: Durability::None, ..roomy() };
    let mut spool = open(SimDisk::new(1), none, 1);
    for _ in 0..5 {
        append(&mut spool, 1, 300).unwrap();
    }
    let end = spool.next_durable();
    spool.trim(&end);
    spool.disk_mut().fail("sync", DiskErrorKind::Io, 1);
    spool.sync_now(Mono(0)).unwrap_err();
    spool.disk_mut().fail("read", DiskErrorKind::Io, 100);
    spool.sync_now(Mono(0)).unwrap();
    spool.disk_mut().heal();
    let mut spool = open(spool.into_disk(), none, 2);
    assert_eq!((spool.base(), spool.next_durable()), (end, end));
    append(&mut spool, 1, 300).unwrap();
    let seen = walk(&mut spool);
    assert_eq!((seen[0].item.begin, records(&seen), lost(&seen)), (end, 1, 0));
}

#[test]
fn a_file_that_was_given_up_is_no_part_of_the_log_after_a_restart() {
    let mut spool = open(SimDisk::new(1), roomy(), 1);
    append(&mut spool, 1, 300).unwrap();
    let mut spool = open(spool.into_disk(), roomy(), 2);
    spool.disk_mut().fail("sync", DiskErrorKind::Io, 1);
    append(&mut spool, 1, 300).unwrap_err();
    append(&mut spool, 1, 300).unwrap();
    let whole = walk(&mut spool);
    assert_eq!(files(spool.disk_mut()).len(), 3, "the file in the middle has a header as good as the others");
    let mut spool = open(spool.into_disk(), roomy(), 3);
    assert_eq!(walk(&mut spool), whole);
    assert_eq!(spool.usage().segments, 2, "but the link of the last one leads past it");
}

#[test]
fn cursors_are_carried_over_too_and_outlive_the_checkpoint_before_them() {
    let (mut spool, _) = failed();
    spool.append_cursors(Mono(0), &[(77, b"quiet")], &[]).unwrap();
    append_at(&mut spool, Mono(0), 1, 300).unwrap();
    spool.sync_now(Mono(0)).unwrap();
    append_at(&mut spool, Mono(0), 1, 300).unwrap();
    spool.sync_now(Mono(0)).unwrap();
    let whole = walk(&mut spool);
    let mut disk = spool.into_disk();
    let last = files(&disk).last().copied().unwrap();
    for at in 1024..1100 {
        disk.flip(last.0, at, 1);
    }
    let mut spool = open(disk, interval(), 2);
    assert_eq!(walk(&mut spool), whole);
    assert!(spool.recovery().cursors_lost, "some may be");
    assert_eq!(lines(&spool), 7);
}

#[test]
fn a_start_that_was_never_synced_is_carried_over_with_its_block() {
    let told = |seen: &[Published]| -> Vec<_> {
        seen.iter()
            .map(|published| (published.item.begin, published.item.end, published.header.clone()))
            .collect()
    };
    let mut spool = open(SimDisk::new(1), roomy(), 1);
    append(&mut spool, 2, 300).unwrap();
    let whole = told(&walk(&mut spool));
    let mut disk = spool.into_disk();
    // At the start, and once more when it is tried again.
    disk.fail("sync", DiskErrorKind::Io, 2);
    let mut spool = open(disk, roomy(), 2);
    assert_eq!(spool.next_durable(), Place::ORIGIN);
    assert!(walk(&mut spool).is_empty());
    append(&mut spool, 2, 300).unwrap();
    assert_eq!(told(&walk(&mut spool))[..2], whole);
    let mut spool = open(spool.into_disk(), roomy(), 3);
    let seen = told(&walk(&mut spool));
    assert_eq!((&seen[..2], seen.len()), (&whole[..], 4));
    assert_eq!(lines(&spool), 4);
}

#[test]
fn what_was_found_unsynced_at_the_start_is_written_again_where_it_stands() {
    let mut spool = open(SimDisk::new(1), roomy(), 1);
    append(&mut spool, 2, 300).unwrap();
    append(&mut spool, 2, 300).unwrap();
    let whole = walk(&mut spool);
    let mut disk = spool.into_disk();
    disk.fail("sync", DiskErrorKind::Io, 1);
    let mut spool = open(disk, roomy(), 2);
    assert!(!spool.is_synced());
    spool.sync_now(Mono(0)).unwrap();
    assert!(spool.is_synced() && events(&mut spool).is_empty());
    assert_eq!((walk(&mut spool), spool.usage().segments), (whole, 1));
}

/// The cursors stand in the checkpoint before the frames too, which may rot; and what the failed file had is
/// gone with the power.
#[test]
fn a_frame_that_is_carried_over_keeps_its_cursors_and_begins_no_run() {
    let mut spool = open(SimDisk::new(1), interval(), 1);
    append(&mut spool, 1, 300).unwrap();
    spool.append_cursors(Mono(0), &[(77, b"carried")], &[]).unwrap();
    spool.disk_mut().fail("sync", DiskErrorKind::Io, 1);
    spool.sync_now(Mono(0)).unwrap_err();
    spool.sync_now(Mono(0)).unwrap();
    assert_eq!(spool.usage().segments, 2);
    for _ in 0..2 {
        spool.append_cursors(Mono(0), &[(78, b"later")], &[]).unwrap();
        spool.sync_now(Mono(0)).unwrap();
    }
    let mut disk = spool.into_disk();
    disk.power_cut(PowerCut::LoseAll, 1);
    // What a failed sync was to make durable may be there all the same.
    let first = files(&disk)[0].0;
    if let Some(at) = disk.content(first).unwrap().windows(7).position(|bytes| bytes == b"carried") {
        disk.flip(first, at, 1);
    }
    let last = files(&disk).last().unwrap().0;
    assert_eq!(disk.content(last).unwrap()[11] & 1, 0, "its run began before it");
    disk.flip(last, 1024 + 64, 1);
    let spool = open(disk, interval(), 2);
    assert!(spool.recovery().cursors_lost, "the checkpoint is rotten");
    let found: Vec<_> = spool.cursors().collect();
    assert_eq!(found, [(LINES, &1u64.to_le_bytes()[..]), (77, b"carried"), (78, b"later")]);
}
