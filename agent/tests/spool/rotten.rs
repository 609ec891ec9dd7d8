//! What is left when more than one thing rots, or rots where nobody needs it any longer.

use driftlog_agent::spool::disk::SimDisk;
use driftlog_agent::spool::{Durability, SpoolConfig};
use driftlog_proto::ids::Place;
use driftlog_proto::time::Mono;

use crate::support::*;

/// Where the items and the tail of a segment's first frame, the checkpoint, begin.
const CHECKPOINT_AT: usize = 1024 + 64;

#[test]
fn the_cursors_behind_two_rotten_checkpoints_are_those_of_the_last_whole_one_and_all_frames() {
    let mut spool = open(SimDisk::new(1), roomy(), 1);
    let keys: Vec<u64> = (100..126).collect();
    for key in &keys {
        let sealed = block(spool.tail(), 2, 900);
        spool.append(Mono(0), &sealed, &[(*key, b"once")], &[]).unwrap();
    }
    let whole = walk(&mut spool);
    let mut disk = spool.into_disk();
    let all = files(&disk);
    assert!(all.len() > 3);
    for (slot, _, _) in &all[all.len() - 2..] {
        disk.flip(*slot, CHECKPOINT_AT, 1);
    }
    let mut spool = open(disk, roomy(), 2);
    let found: Vec<u64> = spool.cursors().map(|(key, _)| key).collect();
    assert_eq!(found, keys);
    assert_eq!(walk(&mut spool), whole);
    let recovery = spool.recovery();
    assert_eq!((recovery.cursors_lost, recovery.damaged_frames, recovery.records_lost), (true, 2, 0));
}

#[test]
fn damage_below_the_base_is_nobodys_loss() {
    let mut spool = open(SimDisk::new(1), roomy(), 1);
    for _ in 0..6 {
        append(&mut spool, 2, 300).unwrap();
    }
    let seen = walk(&mut spool);
    let (rotten, last) = (seen[2].item.begin, seen[4].item.end);
    spool.trim(&last);
    for _ in 0..2 {
        append(&mut spool, 2, 300).unwrap();
    }
    let mut disk = spool.into_disk();
    let (slot, sealed) = (files(&disk)[0].0, block(rotten, 2, 300));
    let at = disk.content(slot).unwrap().windows(sealed.len()).position(|bytes| bytes == sealed).unwrap();
    disk.flip(slot, at + 100, 1);
    let mut spool = open(disk, roomy(), 2);
    assert_eq!((spool.base(), spool.usage().gaps, spool.recovery().records_lost), (last, 0, 0));
    assert_eq!(spool.recovery().damaged_frames, 1, "it is told all the same");
    assert_eq!(records(&walk(&mut spool)), 8);
}

#[test]
fn what_was_cut_does_not_come_back_when_the_segment_behind_it_goes() {
    let lazy = SpoolConfig { durability: Durability::Interval { ms: 60_000 }, ..roomy() };
    let mut spool = open(SimDisk::new(1), lazy, 1);
    let mut begins = Vec::new();
    for _ in 0..4 {
        begins.push(spool.tail());
        append(&mut spool, 1, 300).unwrap();
    }
    let mut disk = spool.into_disk();
    // Of four blocks the second was torn by a power cut, and the others got through.
    let (slot, sealed) = (files(&disk)[0].0, block(begins[1], 1, 300));
    let at = disk.content(slot).unwrap().windows(sealed.len()).position(|bytes| bytes == sealed).unwrap();
    disk.flip(slot, at + 100, 1);
    let mut spool = open(disk, roomy(), 2);
    let cut: Place = spool.next_durable();
    assert_eq!(cut.seq.0, 1);
    for _ in 0..20 {
        append(&mut spool, 2, 900).unwrap();
    }
    let mut disk = spool.into_disk();
    disk.lose(files(&disk)[1].0);
    let mut spool = open(disk, roomy(), 3);
    let seen = walk(&mut spool);
    assert_eq!((gaps(&seen).len(), gaps(&seen)[0].from), (1, cut));
    assert_eq!(records(&seen) + lost(&seen), 41);
}

/// Either copy may be the one that got through.
#[test]
fn of_two_copies_of_a_header_the_newer_says_which_index_is_in_use() {
    let mut spool = open(SimDisk::new(1), roomy(), 1);
    for _ in 0..20 {
        append(&mut spool, 2, 900).unwrap();
    }
    let disk = spool.into_disk();
    let all = files(&disk);
    let (newest, older) = (all[all.len() - 1], all[all.len() - 2]);
    let older = disk.content(older.0).unwrap()[..512].to_vec();
    for at in [0, 512] {
        let mut disk = disk.clone();
        disk.overwrite(newest.0, at, &older);
        // What stands behind it was not written.
        disk.overwrite(newest.0, 1024, &[0; 4096]);
        let mut spool = open(disk, roomy(), 2);
        append(&mut spool, 2, 900).unwrap();
        let disk = spool.into_disk();
        let mine = files(&disk).iter().map(|(_, index, _)| *index).max();
        assert_eq!(mine, Some(newest.1 + 1), "the copy at {at} is the older");
    }
}
