//! What a spool does when all is well.

use driftlog_agent::spool::disk::SimDisk;
use driftlog_agent::spool::{Durability, Spool, SpoolConfig, SpoolError};
use driftlog_proto::ids::{Chain, Lane, Place, RunId, Seq};
use driftlog_proto::sender::{Boundary, Kind};
use driftlog_proto::time::Mono;

use crate::support::*;

#[test]
fn a_fresh_spool_is_empty_and_writes_nothing() {
    let mut spool = open(SimDisk::new(1), config(), 7);
    assert_eq!(spool.base(), Place::ORIGIN);
    assert_eq!(spool.next_durable(), Place::ORIGIN);
    assert_eq!((spool.tail().run, spool.tail().seq), (RunId(7), Seq(0)));
    assert_ne!(spool.tail().chain, Chain::ROOT);
    assert!(walk(&mut spool).is_empty());
    assert_eq!(spool.disk_mut().stats().operations, 0);
}

#[test]
fn the_first_block_of_a_run_brings_its_start_along() {
    let mut spool = open(SimDisk::new(1), config(), 7);
    append(&mut spool, 3, 100).unwrap();
    let seen = walk(&mut spool);
    assert_eq!(seen.iter().map(|p| p.item.kind).collect::<Vec<_>>(), [Kind::Start, Kind::Block]);
    assert_eq!(records(&seen), 3);
    assert_eq!(spool.next_durable(), spool.tail());
}

#[test]
fn a_run_that_seals_nothing_leaves_no_trace() {
    let mut disk = SimDisk::new(1);
    for run in 1..5 {
        disk = open(disk, config(), run).into_disk();
    }
    assert_eq!(disk.stats().operations, 0);
    let mut spool = open(disk, config(), 5);
    append(&mut spool, 1, 10).unwrap();
    let mut spool = open(spool.into_disk(), config(), 6);
    let seen = walk(&mut spool);
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].item.end.run, RunId(5));
}

#[test]
fn an_append_is_one_write_and_one_sync_and_changes_no_metadata() {
    let mut spool = open(SimDisk::new(1), roomy(), 7);
    append(&mut spool, 1, 100).unwrap();
    let before = spool.disk_mut().stats();
    append(&mut spool, 1, 100).unwrap();
    let after = spool.disk_mut().stats();
    assert_eq!(after.writes - before.writes, 1);
    assert_eq!(after.syncs - before.syncs, 1);
    assert_eq!(after.metadata, before.metadata);
}

#[test]
fn recycled_segments_cost_no_metadata_at_all() {
    let mut spool = open(SimDisk::new(1), config(), 7);
    let mut metadata = None;
    for round in 0..200 {
        append(&mut spool, 1, 900).unwrap();
        let end = spool.next_durable();
        spool.trim(&end);
        if round == 100 {
            metadata = Some(spool.disk_mut().stats().metadata);
        }
    }
    assert_eq!(Some(spool.disk_mut().stats().metadata), metadata);
    assert!(spool.usage().bytes <= 4 * 8192, "{:?}", spool.usage());
}

#[test]
fn what_was_appended_is_read_back_over_many_segments() {
    let mut spool = open(SimDisk::new(1), roomy(), 7);
    for n in 0..300 {
        append(&mut spool, 1 + n % 5, 200 + 7 * n as usize).unwrap();
    }
    assert!(spool.usage().segments > 20);
    let seen = walk(&mut spool);
    assert_eq!(records(&seen), lines(&spool));
    assert!(gaps(&seen).is_empty());
    assert_eq!(spool.usage().records_waiting, lines(&spool));
    assert_eq!(spool.usage().oldest.map(|(_, mono, _)| mono), Some(Mono(1)));
}

#[test]
fn a_restart_goes_on_where_the_log_ended_under_a_new_run() {
    let mut spool = open(SimDisk::new(1), roomy(), 7);
    for _ in 0..30 {
        append(&mut spool, 2, 500).unwrap();
    }
    let end = spool.next_durable();
    let mut spool = open(spool.into_disk(), roomy(), 8);
    assert_eq!(spool.next_durable(), end);
    assert_eq!((spool.tail().run, spool.tail().seq), (RunId(8), end.seq));
    assert_eq!(lines(&spool), 60);
    append(&mut spool, 2, 500).unwrap();
    let seen = walk(&mut spool);
    assert_eq!(records(&seen), 62);
    assert_eq!(seen.iter().filter(|p| p.item.kind == Kind::Start).count(), 2);
}

#[test]
fn a_block_of_another_place_run_or_lane_is_refused_and_changes_nothing() {
    let mut spool = open(SimDisk::new(1), config(), 7);
    append(&mut spool, 1, 10).unwrap();
    let tail = spool.tail();
    for wrong in
        [Place { run: RunId(9), ..tail }, Place { seq: Seq(5), ..tail }, Place { chain: Chain(5), ..tail }]
    {
        let refused = spool.append(Mono(0), &block(wrong, 1, 10), &[], &[]);
        assert_eq!(refused, Err(SpoolError::Misplaced { expected: tail }));
    }
    let mut rotten = block(tail, 1, 10);
    rotten[20] ^= 1;
    assert!(matches!(spool.append(Mono(0), &rotten, &[], &[]), Err(SpoolError::Malformed(_))));
    assert_eq!(spool.tail(), tail);
    append(&mut spool, 1, 10).unwrap();
    assert_eq!(records(&walk(&mut spool)), 2);
}

#[test]
fn cursors_are_limited_in_length_in_number_and_in_total() {
    let mut spool = open(SimDisk::new(1), SpoolConfig::new(Lane::Bulk, 64 << 20), 7);
    let long = [0; 1025];
    assert_eq!(
        spool.append_cursors(Mono(0), &[(1, &long)], &[]),
        Err(SpoolError::CursorTooLong { key: 1, bytes: 1025 })
    );
    for key in 0..1024 {
        spool.append_cursors(Mono(0), &[(key, &[1, 2, 3])], &[]).unwrap();
    }
    let refused = spool.append_cursors(Mono(0), &[(1024, &[1])], &[]);
    assert!(matches!(refused, Err(SpoolError::TooManyCursors { count: 1025, .. })));
    spool.append_cursors(Mono(0), &[(1024, &[1])], &[3]).unwrap();
    let mut small = open(SimDisk::new(1), SpoolConfig::new(Lane::Bulk, 1 << 20), 7);
    let kilobyte = [7; 1024];
    let refused = (0..200).find(|key| small.append_cursors(Mono(0), &[(*key, &kilobyte)], &[]).is_err());
    assert_eq!(refused, Some(126), "an eighth of a MiB");
}

#[test]
fn a_frame_may_carry_cursors_and_no_records() {
    let mut spool = open(SimDisk::new(1), config(), 7);
    spool.append_cursors(Mono(0), &[(LINES, &5u64.to_le_bytes())], &[]).unwrap();
    assert!(walk(&mut spool).is_empty());
    let mut spool = open(spool.into_disk(), config(), 8);
    assert_eq!(lines(&spool), 5);
    assert_eq!(spool.next_durable(), Place::ORIGIN);
    append(&mut spool, 1, 10).unwrap();
    spool.append_cursors(Mono(0), &[(2, b"quiet")], &[LINES]).unwrap();
    let mut spool = open(spool.into_disk(), config(), 9);
    assert_eq!(spool.cursors().collect::<Vec<_>>(), [(2, b"quiet".as_slice())]);
    assert_eq!(records(&walk(&mut spool)), 1);
}

#[test]
fn the_cursor_of_a_quiet_source_survives_recycling() {
    let mut spool = open(SimDisk::new(1), config(), 7);
    spool.append_cursors(Mono(0), &[(99, b"said once")], &[]).unwrap();
    for run in 8..12 {
        for _ in 0..40 {
            append(&mut spool, 1, 900).unwrap();
            let end = spool.next_durable();
            spool.trim(&end);
        }
        spool = open(spool.into_disk(), config(), run);
        assert!(spool.cursors().any(|cursor| cursor == (99, b"said once".as_slice())));
        assert_eq!(lines(&spool), spool.tail().seq.0);
    }
}

#[test]
fn an_acknowledged_place_is_a_boundary_and_moves_the_base() {
    let mut spool = open(SimDisk::new(1), roomy(), 7);
    for _ in 0..100 {
        append(&mut spool, 2, 700).unwrap();
    }
    let seen = walk(&mut spool);
    let segments = spool.usage().segments;
    for published in &seen {
        let end = published.item.end;
        assert_eq!(spool.boundary(end.run, end.seq), Boundary::At(end.chain));
    }
    assert_eq!(spool.boundary(RunId(7), Seq(3)), Boundary::Unknown, "in the middle of a block");
    assert_eq!(spool.boundary(RunId(7), Seq(201)), Boundary::Unknown, "above the end");
    assert_eq!(spool.boundary(RunId(9), Seq(4)), Boundary::Unknown, "of no run of ours");
    let half = seen[50].item.end;
    spool.trim(&half);
    assert_eq!(spool.base(), half);
    assert_eq!(spool.boundary(half.run, half.seq), Boundary::Unknown, "not above the base");
    assert!(spool.usage().segments < segments);
    assert_eq!(walk(&mut spool).len(), seen.len() - 51);
    spool.trim(&seen[10].item.end);
    assert_eq!(spool.base(), half, "the base never goes back");
}

#[test]
fn an_item_that_was_acknowledged_is_gone() {
    let mut spool = open(SimDisk::new(1), roomy(), 7);
    for _ in 0..30 {
        append(&mut spool, 1, 700).unwrap();
    }
    let seen = walk(&mut spool);
    let end = spool.next_durable();
    spool.trim(&end);
    let mut bytes = Vec::new();
    assert!(spool.read(&seen[0].item, &mut bytes).is_err());
    assert_eq!(spool.item_at(&seen[0].item.begin).unwrap(), None);
}

#[test]
fn the_base_is_remembered_by_the_next_frame() {
    let mut spool = open(SimDisk::new(1), roomy(), 7);
    append(&mut spool, 1, 100).unwrap();
    append(&mut spool, 1, 100).unwrap();
    let end = spool.next_durable();
    spool.trim(&end);
    append(&mut spool, 1, 100).unwrap();
    let spool = open(spool.into_disk(), roomy(), 8);
    assert_eq!(spool.base(), end);
}

#[test]
fn nothing_is_handed_out_before_it_is_durable() {
    let interval = SpoolConfig { durability: Durability::Interval { ms: 1000 }, ..roomy() };
    let mut spool = open(SimDisk::new(1), interval, 7);
    append_at(&mut spool, Mono(0), 1, 100).unwrap();
    let first = spool.next_durable();
    append_at(&mut spool, Mono(5), 1, 100).unwrap();
    assert_eq!(spool.next_durable(), first);
    assert_eq!(spool.item_at(&first).unwrap(), None);
    assert_eq!(spool.poll_deadline(), Mono(5).plus_ms(1000));
    spool.sync(Mono(6)).unwrap();
    assert_eq!(spool.next_durable(), first, "not due yet");
    spool.sync(Mono(5).plus_ms(1000)).unwrap();
    assert_eq!(spool.next_durable(), spool.tail());
    assert_eq!(spool.poll_deadline(), Mono::FOREVER);
    assert_eq!(records(&walk(&mut spool)), 2);
}

#[test]
fn without_durability_what_is_written_may_be_published() {
    let none = SpoolConfig { durability: Durability::None, ..roomy() };
    let mut spool = open(SimDisk::new(1), none, 7);
    append(&mut spool, 1, 100).unwrap();
    let syncs = spool.disk_mut().stats().syncs;
    append(&mut spool, 1, 100).unwrap();
    assert_eq!(spool.disk_mut().stats().syncs, syncs);
    assert_eq!(records(&walk(&mut spool)), 2);
}

#[test]
fn a_spool_of_one_mebibyte_works() {
    let small = SpoolConfig::new(Lane::Bulk, 1 << 20);
    let mut spool = open(SimDisk::new(1), small, 7);
    for n in 0..400u32 {
        // Up to the largest block there can be.
        append(&mut spool, 1, if n % 7 == 0 { 124 * 1024 } else { 8 * 1024 }).unwrap();
        assert!(spool.usage().bytes <= 1 << 20, "{:?}", spool.usage());
    }
    let seen = walk(&mut spool);
    assert_eq!(records(&seen) + lost(&seen), 400);
    assert!(records(&seen) > 10, "{}", records(&seen));
}

#[test]
fn a_spool_says_when_it_wakes_up_on_other_hardware() {
    let mut spool = open(SimDisk::new(1), config(), 7);
    assert!(!spool.recovery().hardware_changed);
    append(&mut spool, 1, 100).unwrap();
    let spool = Spool::open(spool.into_disk(), config(), RunId(8), HARDWARE + 1).unwrap();
    assert!(spool.recovery().hardware_changed);
    let spool = Spool::open(spool.into_disk(), config(), RunId(9), HARDWARE).unwrap();
    assert!(!spool.recovery().hardware_changed);
}

#[test]
fn a_directory_of_another_lane_or_version_is_not_touched() {
    let mut spool = open(SimDisk::new(1), config(), 7);
    append(&mut spool, 1, 100).unwrap();
    let disk = spool.into_disk();
    let urgent = SpoolConfig { lane: Lane::Urgent, ..config() };
    let refused = Spool::open(disk.clone(), urgent, RunId(8), HARDWARE).unwrap_err();
    assert!(matches!(refused, SpoolError::Lane { found: Lane::Bulk, .. }), "{refused}");
    let tiny = SpoolConfig { segment_bytes: 8192, bytes_max: 3 * 8192, ..config() };
    assert!(matches!(Spool::open(disk, tiny, RunId(8), HARDWARE), Err(SpoolError::Config { .. })));
}
