//! The bounds of a spool, to the byte and to the millisecond.

use driftlog_agent::spool::disk::{DiskErrorKind, SimDisk};
use driftlog_agent::spool::{Durability, Spool, SpoolConfig, SpoolError};
use driftlog_proto::ids::Lane;
use driftlog_proto::time::Mono;

use crate::support::*;

/// Bytes that a frame takes up beside its block's payload of this length, a multiple of 16.
fn overhead(spool: &mut Spool<SimDisk>, payload: usize) -> usize {
    let before = spool.disk_mut().stats().bytes_written;
    append(spool, 1, payload).unwrap();
    (spool.disk_mut().stats().bytes_written - before) as usize - payload
}

#[test]
fn a_segment_is_filled_to_its_last_byte() {
    let mut spool = open(SimDisk::new(1), roomy(), 1);
    append(&mut spool, 1, 1024).unwrap();
    let overhead = overhead(&mut spool, 1024);
    let used = spool.disk_mut().stats().bytes_written as usize;
    // Of sixteen lengths that make the same frame one fits exactly, and so does the longest of them.
    append(&mut spool, 1, 8192 - used - overhead).unwrap();
    assert_eq!((spool.disk_mut().stats().bytes_written, spool.usage().segments), (8192, 1));
    append(&mut spool, 1, 1).unwrap();
    assert_eq!(spool.usage().segments, 2);
    // Sixteen bytes more do not fit.
    let mut spool = open(SimDisk::new(1), roomy(), 1);
    append(&mut spool, 1, 1024).unwrap();
    append(&mut spool, 1, 1024).unwrap();
    append(&mut spool, 1, 8192 - used - overhead + 16).unwrap();
    assert_eq!(spool.usage().segments, 2);
}

#[test]
fn without_durability_a_mebibyte_may_be_unsynced_and_no_more() {
    let lazy =
        SpoolConfig { durability: Durability::None, segment_bytes: 4 << 20, bytes_max: 64 << 20, ..config() };
    let mut spool = open(SimDisk::new(1), lazy, 1);
    append(&mut spool, 1, 1024).unwrap();
    let overhead = overhead(&mut spool, 64_000);
    spool.sync_now(Mono(0)).unwrap();
    let syncs = spool.disk_mut().stats().syncs;
    for _ in 0..16 {
        append(&mut spool, 1, 64 * 1024 - overhead).unwrap();
    }
    assert_eq!(spool.disk_mut().stats().syncs, syncs, "exactly a mebibyte is not too much");
    assert!(!spool.is_synced());
    append(&mut spool, 1, 10).unwrap();
    assert_eq!(spool.disk_mut().stats().syncs, syncs + 1);
    assert!(spool.is_synced());
}

#[test]
fn cursors_are_counted_to_the_byte_also_when_they_are_replaced_or_forgotten() {
    let mut spool = open(SimDisk::new(1), SpoolConfig::new(Lane::Bulk, 1 << 20), 1);
    let limit = 128 * 1024;
    let long = [7; 1014];
    let put = |spool: &mut Spool<SimDisk>, key: u64, bytes: usize, forget: &[u64]| {
        spool.append_cursors(Mono(0), &[(key, &long[..bytes])], forget)
    };
    for key in 0..128 {
        put(&mut spool, key, 1014, &[]).unwrap();
    }
    let refused = |bytes| Err(SpoolError::TooManyCursors { count: 129, bytes: limit + bytes });
    assert_eq!(put(&mut spool, 128, 0, &[]), refused(10), "each costs ten bytes more");
    assert_eq!(put(&mut spool, 128, 0, &[500]), refused(10), "to forget what is not there gains nothing");
    put(&mut spool, 5, 1014, &[]).unwrap();
    put(&mut spool, 5, 1003, &[]).unwrap();
    assert_eq!(put(&mut spool, 128, 2, &[]), refused(1));
    put(&mut spool, 128, 1, &[]).unwrap();
    let refused = SpoolError::TooManyCursors { count: 129, bytes: limit + 3 };
    assert_eq!(put(&mut spool, 128, 4, &[]), Err(refused));
    put(&mut spool, 129, 1000, &[6]).unwrap();
    assert_eq!(spool.cursors().count(), 129);
    assert!(spool.cursors().all(|(key, _)| key != 6));
    assert_eq!(
        put(&mut spool, 130, 5, &[]),
        Err(SpoolError::TooManyCursors { count: 130, bytes: limit + 1 })
    );
    put(&mut spool, 130, 4, &[]).unwrap();
}

#[test]
fn at_the_most_cursors_one_may_still_be_replaced() {
    let mut spool = open(SimDisk::new(1), SpoolConfig::new(Lane::Bulk, 64 << 20), 7);
    let cursors: Vec<(u64, &[u8])> = (0..1024).map(|key| (key, [1u8].as_slice())).collect();
    spool.append_cursors(Mono(0), &cursors, &[]).unwrap();
    spool.append_cursors(Mono(0), &[(5, &[2; 1024])], &[]).unwrap();
    let refused = spool.append_cursors(Mono(0), &[(5, &[3]), (2000, &[1])], &[]);
    assert!(matches!(refused, Err(SpoolError::TooManyCursors { count: 1025, .. })));
}

#[test]
fn a_write_for_which_there_is_no_room_leaves_the_file_in_use() {
    for kind in [DiskErrorKind::Full, DiskErrorKind::ReadOnly] {
        let mut spool = open(SimDisk::new(1), roomy(), 1);
        append(&mut spool, 1, 100).unwrap();
        spool.disk_mut().fail("write", kind, 1);
        append(&mut spool, 1, 100).unwrap_err();
        assert!(events(&mut spool).is_empty());
        append(&mut spool, 1, 100).unwrap();
        assert_eq!(spool.usage().segments, 1);
    }
}

#[test]
fn a_failed_sync_is_tried_again_after_a_second_whatever_the_interval() {
    let interval = SpoolConfig { durability: Durability::Interval { ms: 10 }, ..roomy() };
    let mut spool = open(SimDisk::new(1), interval, 1);
    append_at(&mut spool, Mono(0), 1, 100).unwrap();
    append_at(&mut spool, Mono(7), 1, 100).unwrap();
    append_at(&mut spool, Mono(9), 1, 100).unwrap();
    assert_eq!(spool.poll_deadline(), Mono(7).plus_ms(10), "counted from the first that waits");
    spool.disk_mut().fail("sync", DiskErrorKind::Io, 2);
    let due = spool.poll_deadline();
    assert!(spool.sync(Mono(due.0 - 1)).is_ok() && !spool.is_synced());
    assert!(spool.sync(due).is_err());
    assert_eq!(spool.poll_deadline(), due.plus_ms(1000));
    assert!(spool.sync(due.plus_ms(999)).is_ok() && !spool.is_synced());
    assert!(spool.sync(due.plus_ms(1000)).is_err());
    assert!(spool.usage().last_error.is_some());
    spool.sync(due.plus_ms(2000)).unwrap();
    assert_eq!((spool.is_synced(), spool.poll_deadline()), (true, Mono::FOREVER));
}

#[test]
fn the_last_segment_stays_in_use_when_everything_is_acknowledged() {
    let mut spool = open(SimDisk::new(1), roomy(), 1);
    for _ in 0..3 {
        append(&mut spool, 1, 100).unwrap();
        let end = spool.next_durable();
        spool.trim(&end);
        assert_eq!((spool.base(), spool.usage().segments), (end, 1));
    }
    let disk = spool.into_disk();
    assert_eq!(files(&disk).iter().map(|(_, index, _)| *index).collect::<Vec<_>>(), [1]);
}
