//! What a spool tells of itself: events, usage, the sentence about a recovery.

use driftlog_agent::spool::disk::{DiskErrorKind, SimDisk};
use driftlog_agent::spool::{Durability, SpoolConfig, SpoolEvent};
use driftlog_proto::ids::{Place, RunId, Seq};
use driftlog_proto::item::Cause;
use driftlog_proto::sender::Boundary;
use driftlog_proto::time::Mono;

use crate::support::*;

#[test]
fn a_recovery_in_which_all_was_well_is_not_worth_a_sentence() {
    let mut spool = open(SimDisk::new(1), config(), 1);
    assert_eq!(spool.recovery_sentence(), None);
    append(&mut spool, 2, 300).unwrap();
    let spool = open(spool.into_disk(), config(), 2);
    assert_eq!(spool.recovery_sentence(), None);
}

/// Where the sealed block of two records that was appended as the n-th stands in the first file.
fn sealed_at(disk: &SimDisk, nth: usize) -> usize {
    let content = disk.content(files(disk)[0].0).unwrap();
    let sealed = 300..300 + 60;
    let is_block = |at: &usize| {
        let header = content.get(*at..*at + 64).unwrap_or_default();
        let bytes = header.get(28..32).map_or(0, |bytes| u32::from_le_bytes(bytes.try_into().unwrap()));
        header.get(24) == Some(&2) && sealed.contains(&(bytes as usize))
    };
    (1024..content.len()).step_by(16).filter(is_block).nth(nth).unwrap()
}

#[test]
fn a_torn_tail_that_was_cut_is_told_in_bytes() {
    let mut spool = open(SimDisk::new(1), roomy(), 1);
    for _ in 0..3 {
        append(&mut spool, 2, 300).unwrap();
    }
    let before = spool.disk_mut().stats().bytes_written;
    append(&mut spool, 2, 300).unwrap();
    let written = spool.disk_mut().stats().bytes_written - before;
    let mut disk = spool.into_disk();
    let (slot, at) = (files(&disk)[0].0, sealed_at(&disk, 3));
    disk.flip(slot, at + 100, 0);
    let spool = open(disk, roomy(), 2);
    assert_eq!(spool.next_durable().seq.0, 6);
    assert_eq!((spool.recovery().cut_bytes, spool.recovery().records_lost), (written, 0));
    let sentence = spool.recovery_sentence().unwrap();
    let expected = format!("lane bulk: recovered; {written} bytes of a torn tail cut");
    assert!(sentence.starts_with(&expected), "{sentence}");
}

#[test]
fn a_damaged_frame_is_told_also_when_no_record_went_with_it() {
    let mut spool = open(SimDisk::new(1), roomy(), 1);
    for _ in 0..4 {
        append(&mut spool, 2, 300).unwrap();
    }
    let disk = spool.into_disk();
    let (slot, at) = (files(&disk)[0].0, sealed_at(&disk, 1));
    let header = &disk.content(slot).unwrap()[at..at + 64];
    let items = u32::from_le_bytes(header[28..32].try_into().unwrap()) as usize;
    // In the cursors behind the items.
    let mut tail = disk.clone();
    tail.flip(slot, at + 64 + items + 30, 0);
    let spool = open(tail, roomy(), 2);
    let found = spool.recovery();
    assert_eq!((found.damaged_frames, found.records_lost, found.cursors_lost), (1, 0, true));
    assert!(spool.recovery_sentence().unwrap().contains("1 damaged frames, 0 missing"));
    // In the items themselves.
    let mut items = disk;
    items.flip(slot, at + 64 + 10, 0);
    let spool = open(items, roomy(), 2);
    let found = spool.recovery();
    assert_eq!((found.damaged_frames, found.records_lost, found.cursors_lost), (1, 2, false));
    assert!(spool.recovery_sentence().unwrap().ends_with("0 missing segments, 2 records lost"));
}

#[test]
fn a_recovery_tells_the_newest_block_of_the_last_segment() {
    let mut spool = open(SimDisk::new(1), roomy(), 1);
    assert_eq!(spool.recovery().newest, None);
    for _ in 0..3 {
        append(&mut spool, 2, 300).unwrap();
    }
    spool.append_cursors(Mono(0), &[(7, b"x")], &[]).unwrap();
    let spool = open(spool.into_disk(), roomy(), 2);
    assert_eq!(spool.recovery().newest.map(|(_, mono, _)| mono), Some(Mono(5)));
    assert_eq!(spool.recovery().segments, 1);
}

#[test]
fn events_are_kept_until_they_are_asked_for_and_the_oldest_give_way() {
    let mut spool = open(SimDisk::new(1), roomy(), 1);
    for _ in 0..40 {
        append(&mut spool, 1, 100).unwrap();
    }
    let seen = walk(&mut spool);
    for published in &seen[2..32] {
        spool.refuse(&published.item.begin, Cause::Refused).unwrap();
    }
    let told = events(&mut spool);
    assert_eq!(told.len(), 30);
    assert!(matches!(told[0], SpoolEvent::Dropped { records: 1, from, .. } if from == seen[2].item.begin));
    assert!(events(&mut spool).is_empty());
    for _ in 0..70 {
        spool.disk_mut().fail("write", DiskErrorKind::Io, 1);
        append(&mut spool, 1, 100).unwrap_err();
        append(&mut spool, 1, 100).unwrap();
    }
    let told = events(&mut spool);
    assert_eq!(told.len(), 64);
    assert!(told.iter().all(|event| matches!(event, SpoolEvent::Poisoned { .. })));
}

#[test]
fn the_oldest_block_that_waits_is_told_anew_when_the_base_moves_or_a_gap_comes_first() {
    let mut spool = open(SimDisk::new(1), roomy(), 1);
    assert_eq!(spool.usage().oldest, None);
    for _ in 0..5 {
        append(&mut spool, 2, 100).unwrap();
    }
    let oldest =
        |spool: &mut driftlog_agent::spool::Spool<SimDisk>| spool.usage().oldest.map(|(_, mono, _)| mono.0);
    let seen = walk(&mut spool);
    assert_eq!((oldest(&mut spool), oldest(&mut spool)), (Some(1), Some(1)));
    let read = spool.disk_mut().stats().bytes_read;
    assert_eq!(oldest(&mut spool), Some(1));
    assert_eq!(spool.disk_mut().stats().bytes_read, read, "nothing is read again for it");
    spool.trim(&seen[2].item.end);
    assert_eq!(oldest(&mut spool), Some(5));
    spool.refuse(&seen[3].item.begin, Cause::Refused).unwrap();
    assert_eq!(oldest(&mut spool), Some(7));
    let usage = spool.usage();
    assert_eq!((usage.gaps, usage.records_waiting, usage.segments), (1, 4, 1));
    spool.trim(&seen[5].item.end);
    assert_eq!((oldest(&mut spool), spool.usage().records_waiting, spool.usage().gaps), (None, 0, 0));
}

#[test]
fn a_gap_that_joins_the_one_before_it_is_told_as_it_now_stands() {
    let mut spool = open(SimDisk::new(1), roomy(), 1);
    for _ in 0..4 {
        append(&mut spool, 1, 100).unwrap();
    }
    // A start and four blocks: the third is another gap, and stays apart.
    let seen = walk(&mut spool);
    let places: Vec<Place> = seen.iter().map(|published| published.item.begin).collect();
    let refused = [(4, 4, 5), (1, 1, 2), (2, 1, 3)];
    for (item, from, to) in refused {
        spool.refuse(&places[item], Cause::Refused).unwrap();
        let end = if to == 5 { spool.tail() } else { places[to] };
        let told = SpoolEvent::Dropped { from: places[from], to: end, cause: Cause::Refused, records: 1 };
        assert_eq!(events(&mut spool), [told], "the item {item}");
    }
}

/// World 225629, again: what stands on the flash behind a cut is none of the log, also when the segment that
/// began there is lost. Its place was taken for a boundary, and the base came to stand behind a start.
#[test]
fn what_was_cut_is_no_boundary_although_it_is_still_there() {
    let config = SpoolConfig { durability: Durability::None, ..config() };
    let mut spool = open(SimDisk::new(1), config, 1);
    for _ in 0..4 {
        append(&mut spool, 2, 300).unwrap();
    }
    let published = walk(&mut spool).last().unwrap().item.end;
    let mut disk = spool.into_disk();
    let (slot, at) = (files(&disk)[0].0, sealed_at(&disk, 2));
    disk.flip(slot, at + 100, 0);
    let mut spool = open(disk, config, 2);
    assert_eq!(spool.next_durable().seq, Seq(4));
    for _ in 0..40 {
        append(&mut spool, 2, 300).unwrap();
    }
    spool.sync_now(Mono(0)).unwrap();
    let mut disk = spool.into_disk();
    let begun = files(&disk)[1].0;
    disk.overwrite(begun, 0, &[0; 4096]);
    let mut spool = open(disk, config, 3);
    let gap = gaps(&walk(&mut spool)).into_iter().next().unwrap();
    assert_eq!((gap.from.seq, gap.starts.as_slice()), (Seq(4), [(RunId(2), Seq(4))].as_slice()));
    assert_eq!(spool.boundary(published.run, published.seq), Boundary::Unknown);
}
