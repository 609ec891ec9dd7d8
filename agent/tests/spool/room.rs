//! When there is no room: both policies, gaps and their lists, full and failing disks.

use driftlog_agent::spool::disk::{DiskErrorKind, PowerCut, SimDisk};
use driftlog_agent::spool::{Durability, Overflow, SEGMENTS_MAX, Spool, SpoolConfig, SpoolError, SpoolEvent};
use driftlog_proto::ids::{Chain, Place, RunId, Seq};
use driftlog_proto::item::Cause;
use driftlog_proto::limits::{GAP_STARTS_MAX, GAPS_MAX};
use driftlog_proto::sender::Boundary;
use driftlog_proto::time::Mono;

use crate::support::*;

#[test]
fn the_oldest_is_dropped_and_declared_when_the_spool_is_full() {
    let mut spool = open(SimDisk::new(1), config(), 1);
    for _ in 0..200 {
        append(&mut spool, 2, 900).unwrap();
        assert!(spool.usage().bytes <= config().bytes_max);
    }
    let seen = walk(&mut spool);
    let gaps = gaps(&seen);
    assert_eq!(gaps.len(), 1, "neighbouring gaps merge");
    assert_eq!((gaps[0].cause, gaps[0].from), (Cause::Overflow, Place::ORIGIN));
    assert_eq!(records(&seen) + lost(&seen), 400);
    assert!(records(&seen) > 50);
    assert_eq!(dropped(&mut spool, Cause::Overflow), lost(&seen));
    let told: u64 = events(&mut spool)
        .iter()
        .map(|event| match event {
            SpoolEvent::Dropped { records, cause: Cause::Overflow, .. } => *records,
            other => panic!("{other:?}"),
        })
        .sum();
    assert_eq!(told, lost(&seen));
}

/// The event ended with the refused item's gap, and a sender kept what had been dropped behind it.
#[test]
fn a_drop_behind_a_refused_item_is_reported_up_to_its_end() {
    let mut spool = open(SimDisk::new(1), config(), 1);
    append(&mut spool, 2, 900).unwrap();
    let place = walk(&mut spool)[1].item.begin;
    spool.refuse(&place, Cause::Refused).unwrap();
    let start = walk(&mut spool)[0].item.end;
    spool.trim(&start);
    events(&mut spool);
    let dropped = loop {
        append(&mut spool, 2, 900).unwrap();
        if let Some(event) = spool.poll_event() {
            break event;
        }
    };
    let seen = walk(&mut spool);
    let causes: Vec<_> = gaps(&seen).iter().map(|gap| gap.cause).collect();
    assert_eq!(causes, [Cause::Refused, Cause::Overflow]);
    let SpoolEvent::Dropped { from, to, cause, records } = dropped else { panic!("{dropped:?}") };
    assert_eq!((from, to), (start, seen[1].item.end));
    assert_eq!((cause, records), (Cause::Overflow, to.seq.0 - 2));
}

#[test]
fn sources_pause_when_the_spool_is_full_and_go_on_when_something_is_acknowledged() {
    let config = SpoolConfig { overflow: Overflow::PauseSources, ..config() };
    let mut spool = open(SimDisk::new(1), config, 1);
    let mut taken = 0;
    let refused = loop {
        match append(&mut spool, 1, 900) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, SpoolError::Full { bytes_max: config.bytes_max });
    assert!(spool.usage().is_full);
    assert!(refused.to_string().contains("hint:"), "{refused}");
    assert!(append(&mut spool, 1, 900).is_err());
    let seen = walk(&mut spool);
    assert_eq!((records(&seen), lost(&seen)), (taken, 0));
    let half = seen[seen.len() / 2].item.end;
    spool.trim(&half);
    append(&mut spool, 1, 900).unwrap();
    assert!(!spool.usage().is_full);
    // Also over a restart in the very moment.
    while append(&mut spool, 1, 900).is_ok() {}
    let mut spool = open(spool.into_disk(), config, 2);
    assert!(append(&mut spool, 1, 900).is_err());
    let end = spool.next_durable();
    spool.trim(&end);
    append(&mut spool, 1, 900).unwrap();
    walk(&mut spool);
}

#[test]
fn a_gap_swallows_the_starts_of_the_runs_it_covers() {
    let mut spool = open(SimDisk::new(1), config(), 1);
    let mut starts = Vec::new();
    for run in 1..12 {
        spool = open(spool.into_disk(), config(), run);
        for _ in 0..8 {
            append(&mut spool, 1, 900).unwrap();
        }
        starts.push((spool.run(), Seq((run - 1) * 8)));
    }
    let seen = walk(&mut spool);
    let gap = &gaps(&seen)[0];
    let count = gap.starts.len();
    assert!(count > 3, "{gap:?}");
    assert_eq!(gap.starts.as_slice(), &starts[..count]);
    assert_eq!(gap.to.run, starts[count - 1].0);
}

#[test]
fn an_acknowledgement_inside_a_gap_moves_its_beginning() {
    let mut spool = open(SimDisk::new(1), config(), 1);
    for _ in 0..100 {
        append(&mut spool, 1, 900).unwrap();
    }
    let gap = gaps(&walk(&mut spool))[0].clone();
    let run = spool.run();
    let inside = Place { run, seq: Seq(gap.to.seq.0 / 2), chain: Chain::ROOT };
    assert_eq!(spool.boundary(run, inside.seq), Boundary::InsideGap);
    assert_eq!(spool.boundary(run, gap.to.seq), Boundary::At(gap.to.chain));
    spool.trim(&inside);
    assert_eq!(spool.base(), inside);
    let moved = gaps(&walk(&mut spool))[0].clone();
    assert_eq!((moved.from, moved.to), (inside, gap.to));
    assert!(moved.starts.is_empty(), "its start lies below");
    append(&mut spool, 1, 10).unwrap();
    let mut spool = open(spool.into_disk(), config(), 2);
    assert_eq!(spool.base(), inside);
    assert_eq!(gaps(&walk(&mut spool))[0], moved);
    spool.trim(&gap.to);
    assert!(gaps(&walk(&mut spool)).is_empty());
}

/// Restarts so often, each run with one block, that lists of starts grow long.
fn restarts(count: u64) -> Spool<SimDisk> {
    let mut disk = SimDisk::new(1);
    for run in 1..count {
        let mut spool = open(disk, config(), run);
        append(&mut spool, 1, 900).unwrap();
        disk = spool.into_disk();
    }
    open(disk, config(), count)
}

#[test]
fn gaps_stand_side_by_side_when_a_list_of_starts_would_grow_too_long() {
    let mut spool = restarts(200);
    let seen = walk(&mut spool);
    let gaps = gaps(&seen);
    assert!(gaps.len() >= 2, "{}", gaps.len());
    assert_eq!(records(&seen) + lost(&seen), 199);
    for pair in gaps.windows(2) {
        assert_eq!(pair[0].to, pair[1].from, "side by side");
        assert_eq!(pair[0].starts.len(), GAP_STARTS_MAX);
    }
    let listed: Vec<_> = gaps.iter().flat_map(|gap| gap.starts.iter().map(|(run, _)| run.0)).collect();
    assert_eq!(listed, (1..=listed.len() as u64).collect::<Vec<_>>(), "none is left out");
}

#[test]
fn restarts_without_end_reach_the_limit_of_segments_and_the_oldest_is_declared() {
    let endless = SpoolConfig { bytes_max: 1 << 30, ..config() };
    let mut disk = SimDisk::new(1);
    for run in 1..=SEGMENTS_MAX as u64 + 10 {
        let mut spool = open(disk, endless, run);
        append(&mut spool, 1, 40).unwrap();
        disk = spool.into_disk();
    }
    let mut spool = open(disk, endless, 5000);
    assert_eq!(spool.usage().segments, SEGMENTS_MAX);
    let seen = walk(&mut spool);
    assert_eq!((records(&seen), lost(&seen)), (SEGMENTS_MAX as u64, 10));
}

#[test]
fn nothing_is_dropped_undeclared_when_the_list_of_gaps_is_full() {
    let mut spool = open(SimDisk::new(1), roomy(), 1);
    for _ in 0..200 {
        append(&mut spool, 1, 200).unwrap();
    }
    let seen = walk(&mut spool);
    let mut refused = 0;
    let mut errors = 0;
    for published in seen.iter().skip(2).step_by(2) {
        match spool.refuse(&published.item.begin, Cause::Refused) {
            Ok(()) => refused += 1,
            Err(SpoolError::GapsFull) => errors += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(refused, GAPS_MAX);
    assert!(errors > 0);
    let after = walk(&mut spool);
    assert_eq!(gaps(&after).len(), GAPS_MAX);
    assert_eq!(records(&after) + lost(&after), 200);
    // An acknowledgement makes room.
    spool.trim(&after[20].item.end);
    spool.refuse(&seen[150].item.begin, Cause::Refused).unwrap();
    let mut spool = open(spool.into_disk(), roomy(), 2);
    walk(&mut spool);
}

#[test]
fn gaps_of_two_causes_stand_side_by_side() {
    let mut spool = open(SimDisk::new(1), roomy(), 1);
    for _ in 0..10 {
        append(&mut spool, 1, 200).unwrap();
    }
    let seen = walk(&mut spool);
    spool.refuse(&seen[3].item.begin, Cause::Refused).unwrap();
    spool.refuse(&seen[4].item.begin, Cause::Refused).unwrap();
    spool.refuse(&seen[5].item.begin, Cause::Operator).unwrap();
    let told: Vec<_> = gaps(&walk(&mut spool)).iter().map(|gap| (gap.cause, gap.records())).collect();
    assert_eq!(told, [(Cause::Refused, 2), (Cause::Operator, 1)]);
    assert_eq!((dropped(&mut spool, Cause::Refused), dropped(&mut spool, Cause::Operator)), (2, 1));
    let counted = spool.usage().dropped;
    let mut spool = open(spool.into_disk(), roomy(), 2);
    assert_eq!(spool.usage().dropped, counted);
}

#[test]
fn a_gap_is_durable_before_what_it_replaces_is_overwritten() {
    // With every write and sync of an overflowing append failing in turn.
    for operation in 1..12 {
        let mut spool = open(SimDisk::new(operation), config(), 1);
        for _ in 0..100 {
            append(&mut spool, 1, 900).unwrap();
        }
        let operations = spool.disk_mut().stats().operations;
        spool.disk_mut().cut_at(operations + operation);
        while append(&mut spool, 1, 900).is_ok() {}
        for seed in 0..20 {
            let mut disk = spool.disk_mut().clone();
            disk.power_cut(PowerCut::Tear, seed);
            let mut spool = open(disk, config(), 2);
            let seen = walk(&mut spool);
            assert!(gaps(&seen).iter().all(|gap| gap.cause == Cause::Overflow));
            assert_eq!(records(&seen) + lost(&seen), spool.next_durable().seq.0);
        }
    }
}

#[test]
fn a_full_disk_drops_the_oldest_and_needs_no_more_room() {
    let config = SpoolConfig { bytes_max: 64 * 8192, ..config() };
    let mut disk = SimDisk::new(1);
    disk.set_capacity(6 * 8192);
    let mut spool = open(disk, config, 1);
    for _ in 0..200 {
        append(&mut spool, 1, 900).unwrap();
    }
    let seen = walk(&mut spool);
    assert_eq!(records(&seen) + lost(&seen), 200);
    assert!(lost(&seen) > 0 && records(&seen) > 20);
    spool.disk_mut().set_capacity(u64::MAX);
    for _ in 0..100 {
        append(&mut spool, 1, 900).unwrap();
    }
    assert!(records(&walk(&mut spool)) > 100, "it grows when space returns");
}

#[test]
fn a_disk_without_any_room_refuses_and_recovers_by_itself() {
    let mut disk = SimDisk::new(1);
    disk.set_capacity(100);
    let mut spool = open(disk, config(), 1);
    let refused = append(&mut spool, 1, 100).unwrap_err();
    assert!(matches!(refused, SpoolError::Full { .. } | SpoolError::Disk(_)), "{refused}");
    assert!(spool.usage().is_full && spool.usage().last_error.is_some());
    spool.disk_mut().set_capacity(u64::MAX);
    append(&mut spool, 1, 100).unwrap();
    assert!(!spool.usage().is_full && spool.usage().last_error.is_none());
    assert_eq!(records(&walk(&mut spool)), 1);
}

#[test]
fn a_read_only_disk_refuses_appends_and_still_reads() {
    let mut spool = open(SimDisk::new(1), roomy(), 1);
    for _ in 0..20 {
        append(&mut spool, 1, 500).unwrap();
    }
    spool.disk_mut().set_read_only(true);
    let refused = append(&mut spool, 1, 500).unwrap_err();
    assert!(matches!(&refused, SpoolError::Disk(error) if error.kind == DiskErrorKind::ReadOnly));
    assert_eq!(records(&walk(&mut spool)), 20);
    // A start on a read-only disk works, and gives what is known to be synced.
    let mut spool = open(spool.into_disk(), roomy(), 2);
    assert!(records(&walk(&mut spool)) >= 19);
    assert!(append(&mut spool, 1, 500).is_err());
    spool.disk_mut().set_read_only(false);
    append(&mut spool, 1, 500).unwrap();
    assert_eq!(records(&walk(&mut spool)), 21);
}

#[test]
fn a_failed_sync_poisons_the_file_and_the_same_bytes_go_elsewhere() {
    for seed in 0..40 {
        let mut spool = open(SimDisk::new(seed), roomy(), 1);
        append(&mut spool, 1, 500).unwrap();
        append(&mut spool, 1, 500).unwrap();
        let segments = spool.usage().segments;
        spool.disk_mut().fail("sync", DiskErrorKind::Io, 1);
        append(&mut spool, 1, 500).unwrap_err();
        assert!(matches!(events(&mut spool)[..], [SpoolEvent::Poisoned { .. }]));
        append(&mut spool, 1, 500).unwrap();
        assert_eq!(spool.usage().segments, segments + 1);
        assert_eq!(records(&walk(&mut spool)), 3);
        let mut disk = spool.into_disk();
        disk.power_cut(PowerCut::Tear, seed);
        let mut spool = open(disk, roomy(), 2);
        let seen = walk(&mut spool);
        assert_eq!((records(&seen), lost(&seen), lines(&spool)), (3, 0, 3));
    }
}

#[test]
fn what_a_failed_sync_may_have_lost_in_an_interval_is_written_again() {
    let interval = SpoolConfig { durability: Durability::Interval { ms: 10 }, ..roomy() };
    for seed in 0..40 {
        let mut spool = open(SimDisk::new(seed), interval, 1);
        for n in 0..5 {
            append_at(&mut spool, Mono(n), 1, 500).unwrap();
        }
        spool.disk_mut().fail("sync", DiskErrorKind::Io, 1);
        let later = Mono(0).plus_ms(100);
        assert!(spool.sync(later).is_err());
        assert_eq!(spool.next_durable().seq, Seq(1), "nothing more is known to be on the flash");
        assert!(spool.poll_deadline() > later && spool.poll_deadline() < Mono::FOREVER);
        spool.sync(spool.poll_deadline()).unwrap();
        assert_eq!(spool.next_durable().seq, Seq(5));
        let mut disk = spool.into_disk();
        disk.power_cut(PowerCut::Tear, seed);
        let mut spool = open(disk, interval, 2);
        let seen = walk(&mut spool);
        assert_eq!((records(&seen), lost(&seen), lines(&spool)), (5, 0, 5));
    }
}

#[test]
fn a_failing_write_is_repeated_elsewhere_and_files_do_not_pile_up() {
    let mut spool = open(SimDisk::new(1), config(), 1);
    append(&mut spool, 1, 500).unwrap();
    for _ in 0..100 {
        spool.disk_mut().fail("write", DiskErrorKind::Io, 1);
        append(&mut spool, 1, 500).unwrap_err();
    }
    append(&mut spool, 1, 500).unwrap();
    assert!(spool.usage().bytes <= config().bytes_max, "{:?}", spool.usage());
    assert_eq!(records(&walk(&mut spool)), 2);
}

#[test]
fn a_gap_can_be_declared_although_the_spool_is_full_and_sources_pause() {
    let config = SpoolConfig { overflow: Overflow::PauseSources, ..config() };
    let mut spool = open(SimDisk::new(1), config, 1);
    while append(&mut spool, 1, 900).is_ok() {}
    let mut spool = open(spool.into_disk(), config, 2);
    let seen = walk(&mut spool);
    // The gateway refuses the first block; without a durable gap the lane would stand still for ever.
    spool.refuse(&seen[1].item.begin, Cause::Refused).unwrap();
    let after = walk(&mut spool);
    assert_eq!(gaps(&after).len(), 1);
    let end = after[after.len() / 2].item.end;
    spool.trim(&end);
    append(&mut spool, 1, 900).unwrap();
    assert!(spool.usage().bytes <= config.bytes_max);
}

/// World 194217: the flash had forgotten what was acknowledged, so that only the next run's start could be,
/// and the spool was too full to take it: the sources paused for ever.
#[test]
fn a_full_spool_takes_the_start_by_which_the_gateway_lets_go_of_a_fork() {
    let config = SpoolConfig { overflow: Overflow::PauseSources, ..config() };
    let mut spool = open(SimDisk::new(1), config, 1);
    while append(&mut spool, 1, 900).is_ok() {}
    let end = spool.next_durable();
    let mut spool = open(spool.into_disk(), config, 2);
    append(&mut spool, 1, 900).unwrap_err();
    assert!(!spool.has_forgotten(&end), "the gateway has what the spool has");
    append(&mut spool, 1, 900).unwrap_err();
    assert!(spool.has_forgotten(&Place { seq: Seq(end.seq.0 + 2), ..end }));
    append(&mut spool, 1, 900).unwrap();
    // In its segment there may be room for more; then everything waits as before.
    while append(&mut spool, 1, 900).is_ok() {}
    let seen = walk(&mut spool);
    assert_eq!((lost(&seen), spool.next_durable().run), (0, RunId(2)));
    spool.trim(&spool.next_durable());
    append(&mut spool, 1, 900).unwrap();
    assert!(spool.usage().bytes <= config.bytes_max, "{:?}", spool.usage());
}

/// Runs of one block each, until the spool is full; the last run's first block was refused.
fn full_of_short_runs(config: SpoolConfig) -> Spool<SimDisk> {
    let mut spool = open(SimDisk::new(1), config, 1);
    let mut run = 1;
    while append(&mut spool, 1, 900).is_ok() {
        run += 1;
        spool = open(spool.into_disk(), config, run);
    }
    assert!(run > 10, "short segments are cut to what they hold: {run}");
    spool
}

/// World 556: no segment that was acknowledged was as long as a spare, and the one file that was free
/// kept the spool from saying that they are not needed.
#[test]
fn a_spool_full_of_short_segments_goes_on_when_they_are_acknowledged() {
    let config = SpoolConfig { overflow: Overflow::PauseSources, ..config() };
    let mut spool = full_of_short_runs(config);
    let end = spool.next_durable();
    spool.trim(&end);
    for _ in 0..20 {
        append(&mut spool, 1, 900).unwrap();
    }
    assert_eq!(records(&walk(&mut spool)), 20);
    assert!(spool.usage().bytes <= config.bytes_max);
}

#[test]
fn files_that_a_kill_left_unremoved_do_not_take_up_a_full_spool() {
    let config = SpoolConfig { overflow: Overflow::PauseSources, ..config() };
    for operation in 1..40 {
        for fails in [false, true] {
            let mut spool = full_of_short_runs(config);
            let end = spool.next_durable();
            spool.trim(&end);
            let operations = spool.disk_mut().stats().operations;
            if fails {
                spool.disk_mut().fail("remove", DiskErrorKind::Io, operation as u32);
            } else {
                spool.disk_mut().cut_at(operations + operation);
            }
            let is_taken = append(&mut spool, 1, 900).is_ok();
            let mut disk = spool.into_disk();
            disk.power_cut(PowerCut::KeepAll, 0);
            let mut spool = open(disk, config, 900);
            if spool.base() == end {
                // Nothing else will be acknowledged: what is there waits for what it frees.
                append(&mut spool, 1, 900).unwrap();
            } else {
                assert!(!is_taken, "a frame says what is acknowledged");
                spool.trim(&end);
                append(&mut spool, 1, 900).unwrap();
            }
            assert!(spool.usage().bytes <= config.bytes_max, "{:?}", spool.usage());
            assert_eq!(lost(&walk(&mut spool)), 0);
        }
    }
}

#[test]
fn nothing_is_dropped_for_room_that_acknowledged_short_segments_take_up() {
    let mut spool = full_of_short_runs(SpoolConfig { overflow: Overflow::PauseSources, ..config() });
    let seen = walk(&mut spool);
    spool.trim(&seen[seen.len() * 3 / 4].item.end);
    let waiting = records(&walk(&mut spool));
    let mut spool = open(spool.into_disk(), config(), 900);
    spool.trim(&seen[seen.len() * 3 / 4].item.end);
    append(&mut spool, 1, 900).unwrap();
    let after = walk(&mut spool);
    assert_eq!((records(&after), lost(&after)), (waiting + 1, 0));
}

/// World 705: the frame that was torn says that all before it was synced, and yet a sync of it was due
/// for ever.
#[test]
fn a_spool_whose_last_frame_was_torn_has_nothing_to_sync_on_a_read_only_disk() {
    let mut torn = 0;
    for seed in 0..40 {
        let mut spool = open(SimDisk::new(seed), roomy(), 1);
        append(&mut spool, 1, 500).unwrap();
        append(&mut spool, 1, 500).unwrap();
        let operations = spool.disk_mut().stats().operations;
        spool.disk_mut().cut_at(operations + 1);
        append(&mut spool, 1, 500).unwrap_err();
        let mut disk = spool.into_disk();
        disk.power_cut(PowerCut::Tear, seed);
        disk.set_read_only(true);
        let mut spool = open(disk, roomy(), 2);
        let is_torn = spool.recovery().cut_bytes > 0;
        let later = Mono(0).plus_ms(100_000);
        assert_eq!(spool.sync(later).is_ok(), is_torn, "seed {seed}");
        assert!(spool.poll_deadline() > later, "seed {seed}: it is due at {:?}", spool.poll_deadline());
        if is_torn {
            assert_eq!(records(&walk(&mut spool)), 2);
        }
        torn += usize::from(is_torn);
    }
    assert!(torn > 3, "{torn}");
}
