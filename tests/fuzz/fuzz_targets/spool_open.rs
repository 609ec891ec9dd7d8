//! A spool opened on files of any bytes, and then used: no damage stops it.
//!
//! Asserts that opening takes bounded memory and fails only for another version or lane; that items
//! that are read begin where the last ended, and reading comes to an end; that recovery of the same
//! files gives the same; and that what is appended afterwards is there after a restart, bit for bit,
//! and the base has not gone back. (Where files whose checksums are right contradict each other,
//! which no flash does by itself, reading stops there.)
#![no_main]

use std::hint::black_box;

use driftlog_agent::spool::disk::SimDisk;
use driftlog_agent::spool::{Spool, SpoolError};
use driftlog_fuzz::input::Input;
use driftlog_fuzz::{log, memory, segments};
use driftlog_proto::ids::RunId;
use driftlog_proto::item;
use driftlog_proto::sender::Boundary;
use driftlog_proto::time::Mono;
use libfuzzer_sys::fuzz_target;

/// What recovery may take: a checkpoint's tail is read whole, and its cursors and gaps kept.
const OPEN_BYTES_MAX: usize = 2 * 1024 * 1024;
const FAR: u64 = 0x7777_7777_7777_0000;

fuzz_target!(|data: &[u8]| {
    let disk = segments::disk(&mut Input::new(data));
    let Some(mut spool) = open(disk.clone(), FAR) else { return };
    let again = open(disk, FAR).expect("what opened once opens again");
    assert_eq!(spool.recovery(), again.recovery(), "recovered otherwise");
    assert_eq!((spool.base(), spool.tail()), (again.base(), again.tail()), "recovered otherwise");
    black_box(spool.usage());
    black_box(spool.recovery_sentence());
    log::walk(&mut spool).expect("a flash without faults");

    let mut appended = Vec::new();
    for count in 1..4 {
        let at = spool.tail();
        let sealed = log::block(at, count, 300);
        match spool.append(Mono(1), &sealed, &[(7, b"cursor")], &[]) {
            Ok(()) => appended.push(sealed),
            // Numbers may have come to their end, gaps to their number, and a last file that is as large as
            // the spool may be leaves no room.
            Err(
                SpoolError::GapsFull
                | SpoolError::Full { .. }
                | SpoolError::Malformed(_)
                | SpoolError::TooManyCursors { .. },
            ) => break,
            Err(error) => panic!("{error}"),
        }
    }
    let base = spool.base();
    let mut spool = open(spool.into_disk(), FAR + 1).expect("what was written opens");
    assert!(spool.base().seq >= base.seq, "the base went back from {base} to {}", spool.base());
    for sealed in appended {
        let (header, _) = item::open(&sealed).expect("it was sealed here");
        let (begin, end) = (header.begin(), header.end(&sealed));
        assert_eq!(spool.boundary(end.run, end.seq), Boundary::At(end.chain), "durable at {end}, and gone");
        let item = spool.item_at(&begin).expect("a flash without faults").expect("what was durable is there");
        let mut bytes = Vec::new();
        spool.read(&item, &mut bytes).expect("what was durable can be read");
        assert_eq!(bytes, sealed, "other bytes at {begin}");
    }
});

fn open(disk: SimDisk, run: u64) -> Option<Spool<SimDisk>> {
    let opened =
        memory::within(OPEN_BYTES_MAX, "opening", || Spool::open(disk, segments::config(), RunId(run), 1));
    match opened {
        Ok(spool) => Some(spool),
        Err(SpoolError::Version { .. } | SpoolError::Lane { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}
