//! What reading costs, and how it goes on behind damage.

use driftlog_agent::spool::disk::{Disk, SimDisk};
use driftlog_agent::spool::{Spool, SpoolConfig};
use driftlog_proto::ids::{Place, RunId, Seq};
use driftlog_proto::item::Cause;
use driftlog_proto::sender::{Boundary, Log};
use driftlog_proto::time::Mono;

use crate::support::*;

/// Segments in which many frames have room.
fn long() -> SpoolConfig {
    SpoolConfig { segment_bytes: 128 * 1024, bytes_max: 4 << 20, ..config() }
}

#[test]
fn reading_on_does_not_begin_at_the_head_of_the_segment_each_time() {
    let mut spool = open(SimDisk::new(1), long(), 1);
    for _ in 0..200 {
        append(&mut spool, 1, 100).unwrap();
    }
    let before = spool.disk_mut().stats().bytes_read;
    let seen = walk(&mut spool);
    let read = spool.disk_mut().stats().bytes_read - before;
    assert_eq!((seen.len(), spool.usage().segments), (201, 1));
    assert!(read < 201 * 600, "{read} bytes: 200 headers before each item would be 200 times 12,800");
    // What was read lately is known without reading; what came long before it is looked for.
    let last = seen[200].item.end;
    for (at, is_known) in [(199, true), (80, true), (60, false)] {
        let end = seen[at].item.end;
        let before = spool.disk_mut().stats().bytes_read;
        assert_eq!(spool.boundary(end.run, end.seq), Boundary::At(end.chain));
        assert_eq!(spool.disk_mut().stats().bytes_read == before, is_known, "item {at} before {last}");
    }
}

#[test]
fn frames_behind_more_damage_than_is_read_at_once_are_found() {
    let mut spool = open(SimDisk::new(1), long(), 1);
    for _ in 0..60 {
        append(&mut spool, 1, 1500).unwrap();
    }
    let whole = walk(&mut spool);
    assert_eq!(spool.usage().segments, 1);
    let mut disk = spool.into_disk();
    let slot = files(&disk)[0].0;
    disk.overwrite(slot, 10_000, &[0xee; 50_000]);
    let mut spool = open(disk, long(), 2);
    let seen = walk(&mut spool);
    assert_eq!((gaps(&seen).len(), records(&seen) + lost(&seen)), (1, 60));
    assert!((30..36).contains(&lost(&seen)), "{} of 1,500 bytes each", lost(&seen));
    assert_eq!(seen.last(), whole.last());
}

/// A checkpoint with all cursors may be longer than a segment.
#[test]
fn a_segment_has_room_for_its_checkpoint_however_long_that_is() {
    let mut spool = open(SimDisk::new(1), config(), 1);
    for key in 0..60 {
        spool.append_cursors(Mono(0), &[(key, &[7; 120])], &[]).unwrap();
    }
    for _ in 0..6 {
        append(&mut spool, 1, 2900).unwrap();
    }
    let lengths = spool.disk_mut().list().unwrap();
    assert_eq!(spool.usage().bytes, lengths.iter().map(|(_, bytes)| bytes).sum::<u64>(), "{lengths:?}");
    assert!(lengths.iter().any(|(_, bytes)| *bytes > 8192), "{lengths:?}");
}

#[test]
fn a_last_segment_is_cut_to_what_it_holds_when_that_saves_more_than_an_eighth() {
    let config = SpoolConfig { segment_bytes: 32 * 1024, bytes_max: 1 << 20, ..config() };
    for (blocks, bytes) in [(25, 32 * 1024), (21, 24 * 1024)] {
        let mut spool = open(SimDisk::new(1), config, 1);
        for _ in 0..blocks {
            append(&mut spool, 1, 900).unwrap();
        }
        let mut spool = open(spool.into_disk(), config, 2);
        append(&mut spool, 1, 900).unwrap();
        assert_eq!(files(&spool.into_disk())[0].2, bytes, "{blocks} blocks");
    }
}

#[test]
fn where_the_log_leaves_a_run_is_known_above_the_base_and_outside_of_gaps() {
    let mut disk = SimDisk::new(1);
    for run in 1..4 {
        let mut spool = open(disk, roomy(), run);
        append(&mut spool, 1, 100).unwrap();
        append(&mut spool, 1, 100).unwrap();
        disk = spool.into_disk();
    }
    let mut spool = open(disk, roomy(), 4);
    let seen = walk(&mut spool);
    let ends: Vec<Place> = seen.iter().map(|published| published.item.end).collect();
    let leaves = |spool: &mut Spool<SimDisk>, run, seq| Log::leaves(spool, RunId(run), Seq(seq));
    // Each run has a start and two blocks.
    assert_eq!(leaves(&mut spool, 1, 3), Some(ends[2]));
    assert_eq!(leaves(&mut spool, 1, 2), None, "it has not more than the log");
    assert_eq!(leaves(&mut spool, 2, 9), Some(ends[5]));
    assert_eq!(
        (leaves(&mut spool, 3, 9), leaves(&mut spool, 9, 9)),
        (None, None),
        "the last one, and none of ours"
    );
    Log::trim(&mut spool, &ends[2]);
    assert_eq!((spool.base(), leaves(&mut spool, 1, 9)), (ends[2], None));
    assert_eq!(Log::item_at(&mut spool, &ends[2]), Some(seen[3].item));
    for item in [5, 6] {
        spool.refuse(&seen[item].item.begin, Cause::Refused).unwrap();
    }
    assert_eq!(leaves(&mut spool, 2, 9), None, "a gap goes over it");
}
