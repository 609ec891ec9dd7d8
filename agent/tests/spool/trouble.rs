//! One failure at a time, and exactly what follows from it.

use driftlog_agent::spool::disk::{DiskErrorKind, PowerCut, READ_TRIES, SimDisk};
use driftlog_agent::spool::{Durability, SpoolConfig};
use driftlog_proto::item::Cause;
use driftlog_proto::sender::Kind;
use driftlog_proto::time::Mono;

use crate::support::*;

#[test]
fn a_gap_that_could_not_be_written_goes_along_with_the_next_block() {
    let mut spool = open(SimDisk::new(1), roomy(), 1);
    for _ in 0..4 {
        append(&mut spool, 1, 100).unwrap();
    }
    let seen = walk(&mut spool);
    spool.disk_mut().fail("write", DiskErrorKind::Full, 1);
    spool.refuse(&seen[2].item.begin, Cause::Refused).unwrap_err();
    append(&mut spool, 1, 100).unwrap();
    assert_eq!(spool.usage().segments, 1);
    let mut spool = open(spool.into_disk(), roomy(), 2);
    assert_eq!(gaps(&walk(&mut spool)).len(), 1, "it was declared, and stays so");
    assert_eq!(dropped(&mut spool, Cause::Refused), 1);
}

#[test]
fn a_gap_that_could_not_be_made_durable_is_made_so_before_it_is_handed_out() {
    let mut spool = open(SimDisk::new(1), roomy(), 1);
    for _ in 0..4 {
        append(&mut spool, 1, 100).unwrap();
    }
    let place = walk(&mut spool)[2].item.begin;
    spool.disk_mut().fail("write", DiskErrorKind::Full, 2);
    spool.refuse(&place, Cause::Refused).unwrap_err();
    spool.item_at(&place).unwrap_err();
    let seen = walk(&mut spool);
    assert_eq!(gaps(&seen).len(), 1);
    let mut disk = spool.into_disk();
    disk.power_cut(PowerCut::LoseAll, 0);
    let mut spool = open(disk, roomy(), 2);
    assert_eq!(walk(&mut spool), seen, "what was handed out stays so");
}

#[test]
fn a_read_that_fails_is_tried_again_at_once_and_one_that_cannot_succeed_is_not() {
    let mut spool = open(SimDisk::new(1), roomy(), 1);
    append(&mut spool, 1, 100).unwrap();
    let place = walk(&mut spool)[1].item.begin;
    spool.disk_mut().fail("read", DiskErrorKind::Io, READ_TRIES - 1);
    assert!(spool.item_at(&place).unwrap().is_some());
    spool.disk_mut().fail("read", DiskErrorKind::Io, READ_TRIES);
    spool.item_at(&place).unwrap_err();
    assert!(spool.item_at(&place).unwrap().is_some());
    spool.disk_mut().fail("read", DiskErrorKind::NotFound, 1);
    spool.item_at(&place).unwrap_err();
}

#[test]
fn an_item_that_the_flash_never_gives_is_declared_at_the_fourth_attempt() {
    let mut spool = open(SimDisk::new(1), roomy(), 1);
    for _ in 0..60 {
        append(&mut spool, 1, 500).unwrap();
    }
    let whole = walk(&mut spool);
    let mut spool = open(spool.into_disk(), roomy(), 2);
    append(&mut spool, 1, 500).unwrap();
    let place = whole[3].item.begin;
    spool.disk_mut().fail("read", DiskErrorKind::Io, u32::MAX);
    for _ in 0..3 {
        spool.item_at(&place).unwrap_err();
    }
    let gap = spool.item_at(&place).unwrap().unwrap();
    assert_eq!((gap.kind, gap.begin), (Kind::Gap, place));
    assert!(gap.end.seq.0 > place.seq.0 + 2, "up to where the next segment begins: {gap:?}");
    spool.disk_mut().heal();
    let seen = walk(&mut spool);
    assert_eq!(seen[..3], whole[..3]);
    assert_eq!(seen[3].item, gap);
    assert_eq!(records(&seen) + lost(&seen), 61);
    // What is asked for in between is tried from the beginning.
    let (one, other) = (seen[4].item.begin, seen[5].item.begin);
    spool.disk_mut().fail("read", DiskErrorKind::Io, u32::MAX);
    for place in [one, one, one, other, one, one, one] {
        spool.item_at(&place).unwrap_err();
    }
}

#[test]
fn at_the_start_the_last_frame_is_written_once_more_and_nothing_else_is() {
    for sizes in [[400, 700, 900].as_slice(), &[500], &[100_000], &[500, 100_000]] {
        let large = SpoolConfig { segment_bytes: 256 * 1024, bytes_max: 8 << 20, ..config() };
        let mut spool = open(SimDisk::new(1), large, 1);
        let mut last = 0;
        for bytes in sizes {
            let before = spool.disk_mut().stats().bytes_written;
            append(&mut spool, 1, *bytes).unwrap();
            last = spool.disk_mut().stats().bytes_written - before;
        }
        let whole = walk(&mut spool);
        let (writes, written) = (spool.disk_mut().stats().writes, spool.disk_mut().stats().bytes_written);
        let mut spool = open(spool.into_disk(), large, 2);
        let stats = spool.disk_mut().stats();
        assert_eq!(stats.bytes_written - written, last, "{sizes:?}");
        let pieces = last.div_ceil(64 * 1024);
        assert_eq!(stats.writes - writes, pieces, "{sizes:?}");
        assert_eq!(walk(&mut spool), whole);
        assert_eq!(spool.recovery_sentence(), None);
    }
}

#[test]
fn a_start_at_which_the_flash_cannot_be_written_publishes_what_a_frame_says_was_synced() {
    let mut spool = open(SimDisk::new(1), roomy(), 1);
    for _ in 0..4 {
        append(&mut spool, 1, 100).unwrap();
    }
    let whole = walk(&mut spool);
    let end = spool.next_durable();
    let mut disk = spool.into_disk();
    disk.set_read_only(true);
    let mut spool = open(disk, roomy(), 2);
    assert_eq!(spool.next_durable(), whole[3].item.end, "all but the last block");
    assert_eq!(spool.next_seq(), end.seq);
    assert!(spool.usage().last_error.is_some() && !spool.is_synced());
    assert_eq!(walk(&mut spool), whole[..4]);
    spool.disk_mut().set_read_only(false);
    spool.sync_now(Mono(1)).unwrap();
    assert_eq!(walk(&mut spool), whole);
}

#[test]
fn with_durability_none_a_start_that_cannot_write_begins_at_what_is_acknowledged() {
    let lazy = SpoolConfig { durability: Durability::None, ..roomy() };
    let mut spool = open(SimDisk::new(1), lazy, 1);
    for _ in 0..3 {
        append(&mut spool, 1, 100).unwrap();
    }
    let end = spool.next_durable();
    spool.trim(&end);
    append(&mut spool, 1, 100).unwrap();
    let mut disk = spool.into_disk();
    disk.set_read_only(true);
    let mut spool = open(disk, lazy, 2);
    assert_eq!((spool.base(), spool.next_durable()), (end, end));
    spool.disk_mut().set_read_only(false);
    spool.sync_now(Mono(1)).unwrap();
    assert_eq!(records(&walk(&mut spool)), 1);
}

/// Two segments, of which the first has three blocks.
fn two_segments() -> SimDisk {
    let mut spool = open(SimDisk::new(1), roomy(), 1);
    for _ in 0..3 {
        append(&mut spool, 1, 500).unwrap();
    }
    let mut spool = open(spool.into_disk(), roomy(), 2);
    append(&mut spool, 1, 500).unwrap();
    spool.into_disk()
}

#[test]
fn a_file_that_is_gone_when_it_is_read_is_not_one_that_cannot_be_read() {
    let mut disk = two_segments();
    disk.fail("read", DiskErrorKind::NotFound, 1);
    let spool = open(disk, roomy(), 3);
    assert_eq!((spool.recovery().unreadable_files, spool.recovery().missing_segments), (0, 1));
    assert_eq!(spool.recovery().records_lost, 3);
}
