//! Flash that changes or loses what was written: never a panic, never a wrong record, loss declared.

use driftlog_agent::spool::disk::{Disk, DiskErrorKind, PowerCut, READ_TRIES, SimDisk};
use driftlog_agent::spool::offline::Offline;
use driftlog_agent::spool::{Durability, Spool, SpoolConfig, SpoolError, SpoolEvent};
use driftlog_proto::ids::{RunId, Seq};
use driftlog_proto::item::Cause;
use driftlog_proto::time::Mono;

use crate::support::*;

/// A spool of a few segments and runs with `lines` records in blocks of two.
fn filled(config: SpoolConfig, restarts: &[u64], blocks: u64) -> Spool<SimDisk> {
    let mut spool = open(SimDisk::new(1), config, 1);
    for n in 0..blocks {
        if restarts.contains(&n) {
            spool = open(spool.into_disk(), config, 2 + n);
        }
        append(&mut spool, 2, 300).unwrap();
    }
    spool
}

/// Opens what is left of `whole` and checks that everything is there or declared, or, at the end,
/// was cut together with its cursor.
fn check_damaged(disk: SimDisk, config: SpoolConfig, whole: &[Published], context: &str) -> Spool<SimDisk> {
    let mut spool = open(disk, config, 900);
    let seen = walk(&mut spool);
    let end = spool.next_durable().seq.0;
    assert_eq!(records(&seen) + lost(&seen), end - spool.base().seq.0, "{context}: tiles");
    for published in &seen {
        if published.gap().is_none() {
            assert!(whole.contains(published), "{context}: {published:?} is not what was written");
        }
    }
    for gap in gaps(&seen) {
        assert_eq!(gap.cause, Cause::Corruption, "{context}");
        // Every start between the two ends is listed, and no other.
        let starts = whole.iter().filter(|p| p.item.begin.run != p.item.end.run);
        let swallowed: Vec<_> = starts
            .map(|p| (p.item.end.run, p.item.end.seq))
            .filter(|(run, n)| {
                let below = gap.from.seq.0 < n.0 || (gap.from.seq == *n && gap.from.run != *run);
                let above = n.0 < gap.to.seq.0 || (gap.to.seq == *n && gap.to.run == *run);
                below && above
            })
            .collect();
        assert_eq!(gap.starts.as_slice(), swallowed, "{context}: {gap:?}");
    }
    // A line is read again exactly if its record was cut; with a damaged cursor more may be.
    assert!(lines(&spool) <= end, "{context}: no line is skipped");
    if !spool.recovery().cursors_lost {
        assert_eq!(lines(&spool), end, "{context}");
    }
    spool
}

fn flip_every_byte(config: SpoolConfig, restarts: &[u64], blocks: u64) {
    let mut spool = filled(config, restarts, blocks);
    let whole = walk(&mut spool);
    let disk = spool.into_disk();
    let mut declared = 0;
    for (slot, index, bytes) in files(&disk) {
        for at in 0..bytes {
            let mut disk = disk.clone();
            disk.flip(slot, at, (at % 8) as u8);
            let context = format!("segment {index}, byte {at}");
            let mut spool = check_damaged(disk, config, &whole, &context);
            let seen = walk(&mut spool);
            declared += usize::from(!gaps(&seen).is_empty());
            // What was declared stays declared, over a restart too.
            let mut again = open(spool.into_disk(), config, 901);
            let again_seen = walk(&mut again);
            assert_eq!(gaps(&again_seen), gaps(&seen), "{context}: declared again");
            append(&mut again, 1, 100).unwrap();
        }
    }
    assert!(declared > 100, "some bytes matter: {declared}");
}

#[test]
fn each_byte_of_a_small_spool_flipped_once_is_harmless_or_declared() {
    flip_every_byte(SpoolConfig { segment_bytes: 4096, bytes_max: 32 * 4096, ..config() }, &[3], 9);
}

#[test]
fn a_block_that_rotted_becomes_a_gap_of_exactly_its_records() {
    let mut spool = filled(roomy(), &[], 60);
    let whole = walk(&mut spool);
    let victim = &whole[5];
    let mut disk = spool.into_disk();
    let slot = files(&disk)[0].0;
    let sealed = block(victim.item.begin, 2, 300);
    let content = disk.content(slot).unwrap();
    let at = content.windows(sealed.len()).position(|window| window == sealed).unwrap();
    disk.flip(slot, at + 50, 3);
    let mut spool = open(disk, roomy(), 2);
    assert_eq!(spool.recovery().damaged_frames, 0, "only the last segment is read");
    let seen = walk(&mut spool);
    let gap = seen[5].gap().expect("a gap stands in its place");
    assert_eq!((gap.from, gap.to, gap.cause), (victim.item.begin, victim.item.end, Cause::Corruption));
    assert_eq!(seen.len(), whole.len());
    assert_eq!(
        events(&mut spool),
        [SpoolEvent::Dropped { from: gap.from, to: gap.to, cause: Cause::Corruption, records: 2 }]
    );
    assert_eq!(dropped(&mut spool, Cause::Corruption), 2);
    // It is durable, and told again after a power cut.
    let mut disk = spool.into_disk();
    disk.power_cut(PowerCut::LoseAll, 0);
    let mut spool = open(disk, roomy(), 3);
    assert_eq!(walk(&mut spool), seen);
    assert_eq!(dropped(&mut spool, Cause::Corruption), 2);
}

#[test]
fn a_missing_segment_in_the_middle_is_a_gap_with_the_starts_it_swallowed() {
    // Segments of runs 1, 12, 22, 32 …: a file with several runs' worth cannot be, but two files can go.
    let mut spool = filled(roomy(), &[10, 20, 30], 40);
    let whole = walk(&mut spool);
    let disk = spool.into_disk();
    let all = files(&disk);
    for lose in [vec![1], vec![2], vec![1, 2], vec![0], vec![0, 1, 2]] {
        let mut disk = disk.clone();
        for at in &lose {
            disk.lose(all[*at].0);
        }
        let mut spool = check_damaged(disk, roomy(), &whole, &format!("{lose:?}"));
        let seen = walk(&mut spool);
        assert_eq!(gaps(&seen).len(), 1, "{lose:?}: {:?}", gaps(&seen));
        assert!(lost(&seen) > 0);
        assert_eq!(spool.recovery().missing_segments, 1, "one hole");
        assert_eq!(dropped(&mut spool, Cause::Corruption), lost(&seen));
    }
}

#[test]
fn a_gap_swallows_starts_of_runs_that_are_gone_altogether() {
    let mut spool = filled(roomy(), &[2, 4, 6, 8], 10);
    let whole = walk(&mut spool);
    let mut disk = spool.into_disk();
    let all = files(&disk);
    assert_eq!(all.len(), 5, "one segment for each run");
    for (slot, _, _) in &all[1..4] {
        disk.lose(*slot);
    }
    let mut spool = check_damaged(disk, roomy(), &whole, "three runs");
    let seen = walk(&mut spool);
    let gap = &gaps(&seen)[0];
    // The start of the newest run stands in its own segment, which is there.
    assert_eq!(gap.starts.as_slice(), [(RunId(4), Seq(4)), (RunId(6), Seq(8)), (RunId(8), Seq(12))]);
    assert_eq!((gap.from.run, gap.to.run, gap.records()), (RunId(1), RunId(8), 12));
}

#[test]
fn a_lost_last_segment_is_as_if_it_had_never_been() {
    let mut spool = filled(roomy(), &[10], 20);
    let whole = walk(&mut spool);
    let mut disk = spool.into_disk();
    let last = files(&disk).last().copied().unwrap();
    disk.lose(last.0);
    let spool = check_damaged(disk, roomy(), &whole, "last");
    assert!(spool.next_durable().seq.0 < 40);
    assert_eq!(lines(&spool), spool.next_durable().seq.0, "its lines are read again");
}

#[test]
fn a_rotten_checkpoint_of_the_last_segment_is_made_up_from_the_one_before() {
    let mut spool = filled(roomy(), &[], 40);
    spool.append_cursors(Default::default(), &[(77, b"quiet")], &[]).unwrap();
    for _ in 0..25 {
        append(&mut spool, 2, 300).unwrap();
    }
    let whole = walk(&mut spool);
    let mut disk = spool.into_disk();
    let last = files(&disk).last().copied().unwrap();
    for at in 1024..1100 {
        disk.flip(last.0, at, 1);
    }
    let mut spool = check_damaged(disk, roomy(), &whole, "checkpoint");
    assert!(spool.recovery().cursors_lost);
    assert_eq!(walk(&mut spool), whole);
    assert!(spool.cursors().any(|cursor| cursor == (77, b"quiet".as_slice())));
}

#[test]
fn a_torn_header_of_a_new_segment_leaves_the_one_before_in_force() {
    let mut spool = filled(roomy(), &[], 20);
    let whole = walk(&mut spool);
    let disk = spool.into_disk();
    let last = files(&disk).last().copied().unwrap();
    // Every way in which the first page of a segment may not have come through.
    for kept in [0, 7, 511, 512, 700, 1023, 1024, 1100] {
        let mut spool = open(disk.clone(), roomy(), 2);
        append(&mut spool, 2, 300).unwrap();
        let fresh = files(spool.disk_mut()).last().copied().unwrap();
        assert_ne!(fresh.0, last.0);
        let mut disk = spool.into_disk();
        let zeros = vec![0; fresh.2 - kept];
        disk.overwrite(fresh.0, kept, &zeros);
        let mut spool = check_damaged(disk, roomy(), &whole, &format!("{kept} bytes"));
        assert_eq!(walk(&mut spool), whole);
    }
}

#[test]
fn one_copy_of_a_header_is_enough() {
    let mut spool = filled(roomy(), &[5], 40);
    let whole = walk(&mut spool);
    let disk = spool.into_disk();
    for copy in [0, 512] {
        let mut disk = disk.clone();
        for (slot, _, _) in files(&disk) {
            disk.overwrite(slot, copy, &[0xff; 512]);
        }
        let mut spool = open(disk, roomy(), 2);
        assert_eq!(walk(&mut spool), whole);
    }
}

#[test]
fn a_cut_tail_is_never_declared_lost() {
    // Unsynced frames of which a later one survived: all are cut, and read again.
    let mut spool = filled(roomy(), &[], 3);
    let end = spool.next_durable();
    let operations = spool.disk_mut().stats().operations;
    spool.disk_mut().cut_at(operations + 2);
    append(&mut spool, 2, 2000).unwrap_err();
    let disk = spool.into_disk();
    for seed in 0..200 {
        let mut disk = disk.clone();
        disk.power_cut(PowerCut::Tear, seed);
        let mut spool = open(disk, roomy(), 2);
        assert_eq!(lost(&walk(&mut spool)), 0, "seed {seed}");
        assert!(spool.next_durable().seq >= end.seq);
        assert_eq!(lines(&spool), spool.next_durable().seq.0);
    }
}

#[test]
fn a_flash_that_lies_about_sync_goes_on_and_declares_what_it_knows() {
    for seed in 0..60 {
        let mut spool = filled(roomy(), &[10], 25);
        spool.disk_mut().set_lying(true);
        for _ in 0..40 {
            append(&mut spool, 2, 300).unwrap();
        }
        let base = walk(&mut spool)[30].item.end;
        spool.trim(&base);
        append(&mut spool, 2, 300).unwrap();
        let mut disk = spool.into_disk();
        disk.power_cut(PowerCut::Tear, seed);
        disk.set_lying(false);
        let mut spool = open(disk, roomy(), 900);
        let seen = walk(&mut spool);
        let end = spool.next_durable().seq.0;
        assert_eq!(records(&seen) + lost(&seen), end - spool.base().seq.0, "seed {seed}");
        assert!(lines(&spool) <= end, "seed {seed}: no line is skipped");
        append(&mut spool, 1, 100).unwrap();
        walk(&mut spool);
    }
}

#[test]
fn an_item_that_the_flash_does_not_give_is_asked_for_again_and_then_declared() {
    let mut spool = filled(roomy(), &[], 60);
    let whole = walk(&mut spool);
    let place = whole[3].item.begin;
    spool.disk_mut().fail("read", DiskErrorKind::Io, 2 * READ_TRIES);
    assert!(spool.item_at(&place).is_err());
    assert!(spool.item_at(&place).is_err());
    assert_eq!(spool.item_at(&place).unwrap(), Some(whole[3].item), "it was only for a moment");
    // For good: everything that cannot be read is declared, nothing else.
    let mut bytes = Vec::new();
    let mut spool = open(spool.into_disk(), roomy(), 2);
    spool.item_at(&place).unwrap();
    spool.disk_mut().fail("read", DiskErrorKind::Io, READ_TRIES);
    assert!(spool.read(&whole[3].item, &mut bytes).is_err());
    assert_eq!(spool.item_at(&place).unwrap(), Some(whole[3].item));
    spool.read(&whole[3].item, &mut bytes).unwrap();
}

#[test]
fn garbage_in_the_directory_does_not_stop_the_spool() {
    let mut spool = filled(config(), &[], 3);
    let whole = walk(&mut spool);
    let mut disk = spool.into_disk();
    for (slot, bytes) in [(40, 0), (41, 1), (42, 5000), (43, 8192)] {
        disk.create(slot, bytes).unwrap();
        disk.overwrite(slot, 0, &vec![0xa5; bytes as usize]);
    }
    disk.power_cut(PowerCut::KeepAll, 0);
    let mut spool = open(disk, config(), 2);
    assert_eq!(walk(&mut spool), whole);
    append(&mut spool, 1, 100).unwrap();
    assert!(spool.usage().bytes <= 4 * 8192, "it is cleared away: {:?}", spool.usage());
}

#[test]
fn rot_that_runs_into_a_torn_tail_is_cut_with_it() {
    let interval = SpoolConfig { durability: Durability::Interval { ms: 1000 }, ..roomy() };
    let mut spool = open(SimDisk::new(1), interval, 1);
    append(&mut spool, 1, 100).unwrap();
    append(&mut spool, 1, 100).unwrap();
    spool.sync(Mono::FOREVER).unwrap();
    let second = spool.tail();
    append(&mut spool, 1, 100).unwrap();
    spool.sync(Mono::FOREVER).unwrap();
    // Not synced: of these the first is torn and the second got through.
    let third = spool.tail();
    append(&mut spool, 1, 100).unwrap();
    append(&mut spool, 1, 100).unwrap();
    let mut disk = spool.into_disk();
    disk.power_cut(PowerCut::KeepAll, 0);
    let slot = files(&disk)[0].0;
    for at in [second, third] {
        let sealed = block(at, 1, 100);
        let content = disk.content(slot).unwrap();
        let frame = content.windows(sealed.len()).position(|window| window == sealed).unwrap() - 64;
        disk.overwrite(slot, frame, &[0; 64]);
    }
    let mut spool = open(disk, interval, 2);
    assert_eq!(spool.next_durable(), second);
    assert_eq!((lost(&walk(&mut spool)), lines(&spool)), (0, 2), "their lines are read again");
}

#[test]
fn a_frame_of_a_segment_whose_header_was_lost_never_passes_for_one_of_its_successor() {
    // Both lives have the same index, offsets and lengths: only the salt tells them apart.
    let mut spool = filled(roomy(), &[], 3);
    let first = files(spool.disk_mut())[0].0;
    let mut spool = open(spool.into_disk(), roomy(), 2);
    for _ in 0..3 {
        append(&mut spool, 2, 300).unwrap();
    }
    let (slot, index, _) = files(spool.disk_mut())[1];
    let mut disk = spool.into_disk();
    disk.overwrite(slot, 0, &[0; 1024]);
    for (other, _) in disk.clone().list().unwrap() {
        if other != slot && other != first {
            disk.lose(other);
        }
    }
    let mut spool = open(disk, roomy(), 3);
    append(&mut spool, 2, 300).unwrap();
    assert_eq!(files(spool.disk_mut())[1].0, slot, "the same file");
    assert_eq!(files(spool.disk_mut())[1].1, index, "under the same index");
    let seen = walk(&mut spool);
    let mut spool = open(spool.into_disk(), roomy(), 4);
    assert_eq!(walk(&mut spool), seen);
    assert_eq!(lines(&spool), 8);
}

/// A simulated world: one failed read at start, and the agent read all its files again.
#[test]
fn a_read_that_fails_and_then_works_is_not_taken_for_damage() {
    for fails in 1..READ_TRIES {
        let mut spool = filled(config(), &[2], 6);
        let whole = walk(&mut spool);
        let mut disk = spool.into_disk();
        disk.fail("read", DiskErrorKind::Io, fails);
        let mut again = open(disk, config(), 900);
        assert_eq!(walk(&mut again), whole);
        assert_eq!(lines(&again), 12);
    }
}

/// A simulated world: the newest files could not be read at a start, their indexes were given out again,
/// and at the next start, when they could be read, two histories were one.
#[test]
fn a_file_that_cannot_be_read_at_a_start_never_comes_back_into_the_log() {
    for unreadable in 1..4 {
        let mut spool = filled(roomy(), &[2, 5], 40);
        let mut disk = spool.disk_mut().clone();
        // The first files of the list: what is in them is old, or new, or nothing.
        disk.fail("read", DiskErrorKind::Io, unreadable * READ_TRIES);
        let mut spool = open(disk, roomy(), 900);
        assert_eq!(spool.recovery().unreadable_files, unreadable as usize);
        append(&mut spool, 1, 100).unwrap();
        let seen = walk(&mut spool);
        let mut disk = spool.into_disk();
        disk.power_cut(PowerCut::LoseAll, 1);
        let mut spool = open(disk, roomy(), 901);
        assert_eq!(walk(&mut spool), seen, "{unreadable} files were set aside");
    }
}

#[test]
fn a_flash_that_gives_nothing_at_all_is_not_taken_for_an_empty_one() {
    let mut spool = filled(roomy(), &[2, 5], 40);
    let whole = walk(&mut spool);
    let mut disk = spool.into_disk();
    let files = disk.list().unwrap().len();
    disk.fail("read", DiskErrorKind::Io, u32::MAX);
    let refused = Spool::open(disk.clone(), roomy(), RunId(900), HARDWARE).unwrap_err();
    let SpoolError::Unreadable { files: counted, .. } = &refused else { panic!("{refused:?}") };
    assert_eq!(*counted, files);
    assert!(refused.to_string().contains("power cycle"), "it says what to do: {refused}");
    disk.heal();
    assert_eq!(walk(&mut open(disk, roomy(), 901)), whole);
}

#[test]
fn a_gap_at_the_end_of_the_log_is_its_end_after_a_restart() {
    let mut spool = open(SimDisk::new(1), config(), 1);
    append(&mut spool, 4, 700).unwrap();
    let end = spool.next_durable();
    let slot = files(spool.disk_mut())[0].0;
    // The only frame rots, header and all; a sender finds that, and the gap is written behind it.
    spool.disk_mut().overwrite(slot, 1024, &[0xff; 900]);
    assert_eq!(lost(&walk(&mut spool)), 4);
    let mut spool = open(spool.into_disk(), config(), 2);
    assert_eq!((spool.next_durable(), spool.tail().seq), (end, end.seq), "the log ends behind its gap");
    append(&mut spool, 2, 100).unwrap();
    let seen = walk(&mut spool);
    assert_eq!((lost(&seen), records(&seen)), (4, 2));
}

#[test]
fn a_header_with_an_index_that_nothing_can_follow_is_none() {
    let mut disk = SimDisk::new(1);
    let mut header = [0; 512];
    header[..10].copy_from_slice(b"driftspl\x01\x00");
    header[16..24].copy_from_slice(&u64::MAX.to_le_bytes());
    let checksum = driftlog_proto::checksum::crc32c(&header[..508]);
    header[508..].copy_from_slice(&checksum.to_le_bytes());
    disk.create(3, 8192).unwrap();
    disk.write_at(3, 0, &header).unwrap();
    let mut spool = open(disk, config(), 1);
    append(&mut spool, 2, 100).unwrap();
    let mut spool = open(spool.into_disk(), config(), 2);
    assert_eq!(records(&walk(&mut spool)), 2, "what was appended is the end of the log");
}

/// Power cuts of a virtual device: files of what was acknowledged had been removed and older ones kept as spares,
/// and the agent said that its flash had lost what was durable.
#[test]
fn a_file_that_was_removed_because_all_of_it_is_acknowledged_is_not_missing() {
    for blocks in 80..100 {
        let mut spool = filled(roomy(), &[], blocks);
        let before = files(&spool.disk_mut().clone()).len();
        let end = spool.next_durable();
        spool.trim(&end);
        append(&mut spool, 1, 100).unwrap();
        append(&mut spool, 1, 100).unwrap();
        let disk = spool.into_disk();
        assert!(files(&disk).len() < before, "{blocks}: what is more than the spares was removed");
        let spool = open(disk, roomy(), 2);
        assert_eq!(spool.recovery().missing_segments, 0, "{blocks}");
    }
}

/// Found by fuzzing `spool export`: headers that are whole and contradict each other, after which records that
/// are whole, declared and damaged did not add up to those of the log.
#[test]
fn a_segment_that_says_it_begins_above_the_next_one_is_a_missing_segment() {
    let mut spool = filled(roomy(), &[], 40);
    let whole = walk(&mut spool);
    let mut disk = spool.into_disk();
    let slot = files(&disk)[1].0;
    let mut header = disk.content(slot).unwrap()[..512].to_vec();
    header[56..64].copy_from_slice(&1_000u64.to_le_bytes());
    let checksum = driftlog_proto::checksum::crc32c(&header[..508]);
    header[508..].copy_from_slice(&checksum.to_le_bytes());
    disk.overwrite(slot, 0, &[&header[..], &header].concat());
    let total = whole.last().unwrap().item.end.seq.0;
    let verified = Offline::new(disk.clone()).unwrap().verify(&mut |_| ());
    let gone: u64 = verified.gaps.iter().map(|gap| gap.records).sum();
    assert_eq!((verified.records + gone, verified.damaged.len()), (total, 0));
    let mut spool = check_damaged(disk, roomy(), &whole, "the second of the segments");
    assert_eq!((spool.recovery().missing_segments, gaps(&walk(&mut spool)).len()), (1, 1));
}

/// World 225629: flash that lies showed a segment again which an earlier start had given up, between those of
/// the run that had begun in its place. The gap before it listed a start behind its end, and no gateway took it.
#[test]
fn a_segment_of_a_past_that_was_given_up_is_none_of_the_log() {
    let mut spool = open(SimDisk::new(1), config(), 1);
    for _ in 0..40 {
        append(&mut spool, 2, 300).unwrap();
    }
    let mut disk = spool.into_disk();
    let held = files(&disk);
    let (_, past) = held.split_at(1);
    let content = disk.content(past[1].0).unwrap().to_vec();
    // All but the first segment is forgotten.
    past.iter().for_each(|(slot, ..)| disk.overwrite(*slot, 0, &[0; 4096]));
    let mut spool = open(disk, config(), 2);
    let fork = spool.next_durable().seq;
    for _ in 0..60 {
        append(&mut spool, 2, 300).unwrap();
    }
    let mut disk = spool.into_disk();
    // The first of the new run's segments is lost, and the old content is there again.
    let own = files(&disk).into_iter().find(|(slot, ..)| *slot != held[0].0).unwrap();
    disk.overwrite(own.0, 0, &content);
    let mut spool = open(disk, config(), 3);
    let seen = walk(&mut spool);
    let gap = gaps(&seen).into_iter().next().expect("the lost segment is declared");
    assert_eq!((gap.from.seq, gap.to.run), (fork, RunId(2)));
    assert_eq!(gap.starts.as_slice(), [(RunId(2), fork)]);
}
