//! The bytes on flash, pinned: a changed vector is a new version of the format.

use std::fmt::Write;

use driftlog_agent::spool::disk::SimDisk;
use driftlog_agent::spool::{SPOOL_VERSION, SpoolError};
use driftlog_proto::checksum::crc32c;
use driftlog_proto::ids::RunId;
use driftlog_proto::item::Cause;
use driftlog_proto::time::Mono;

use crate::support::*;

/// Two runs, a gap and cursors, in two segments.
fn written() -> SimDisk {
    let mut spool = open(SimDisk::new(1), config(), 0x1111);
    append(&mut spool, 2, 20).unwrap();
    spool.append_cursors(Mono(0), &[(0xabcd, b"a cursor")], &[]).unwrap();
    append(&mut spool, 3, 20).unwrap();
    let seen = walk(&mut spool);
    spool.refuse(&seen[2].item.begin, Cause::Refused).unwrap();
    spool.trim(&seen[0].item.end);
    spool.append_cursors(Mono(0), &[], &[0xabcd]).unwrap();
    let mut spool = open(spool.into_disk(), config(), 0x2222);
    append(&mut spool, 1, 20).unwrap();
    spool.into_disk()
}

/// Thirty-two bytes a line behind their offset; lines of zeros are left out.
fn dump(disk: &SimDisk) -> String {
    let mut out = String::new();
    for (slot, index, _) in files(disk) {
        writeln!(out, "segment {index}").unwrap();
        for (at, line) in disk.content(slot).unwrap().chunks(32).enumerate() {
            if line.iter().any(|byte| *byte != 0) {
                let hex: String = line.iter().map(|byte| format!("{byte:02x}")).collect();
                writeln!(out, "{:05} {hex}", at * 32).unwrap();
            }
        }
    }
    out
}

#[test]
fn the_bytes_on_flash_are_as_they_were() {
    let now = dump(&written());
    let pinned = include_str!("vectors/spool-v1.txt");
    assert_eq!(SPOOL_VERSION, 1);
    assert!(now == pinned, "the format changed; a changed vector is a new version:\n{now}");
}

#[test]
fn a_spool_as_it_was_pinned_is_read() {
    let mut disk = SimDisk::new(1);
    let mut slot = 0;
    for line in include_str!("vectors/spool-v1.txt").lines() {
        use driftlog_agent::spool::disk::Disk;
        if line.starts_with("segment") {
            slot += 1;
            disk.create(slot, 8192).unwrap();
            continue;
        }
        let (at, hex) = line.split_once(' ').unwrap();
        let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let bytes: Vec<u8> = (0..hex.len() / 2).map(|at| digit(2 * at)).collect();
        disk.overwrite(slot, at.parse().unwrap(), &bytes);
    }
    let mut spool = open(disk, config(), 3);
    let seen = walk(&mut spool);
    assert_eq!((records(&seen), lost(&seen)), (3, 3));
    assert_eq!(seen.last().unwrap().item.end.run, RunId(0x2222));
    assert_eq!(lines(&spool), 6);
    assert_eq!(spool.cursors().count(), 1);
}

#[test]
fn a_spool_of_an_unknown_version_is_left_alone() {
    let mut disk = written();
    let (slot, _, _) = files(&disk)[0];
    let mut header = disk.content(slot).unwrap()[..512].to_vec();
    header[8] = 2;
    let checksum = crc32c(&header[..508]).to_le_bytes();
    header[508..].copy_from_slice(&checksum);
    disk.overwrite(slot, 0, &header);
    let refused = driftlog_agent::spool::Spool::open(disk, config(), RunId(3), HARDWARE).unwrap_err();
    assert_eq!(refused, SpoolError::Version { slot, found: 2 });
    assert!(refused.to_string().contains("hint:"));
}
