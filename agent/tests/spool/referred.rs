//! Blocks that others refer to: found as long as anything refers to them, whatever is acknowledged and
//! whichever place is damaged.

use driftlog_agent::spool::disk::{DiskErrorKind, SimDisk};
use driftlog_agent::spool::{Durability, Refers, Spool, SpoolConfig, SpoolError};
use driftlog_proto::block::{Codec, Reference};
use driftlog_proto::ids::{Lane, RunId};
use driftlog_proto::item::{self, BlockHeader, ItemHeader};
use driftlog_proto::time::{ClockState, Mono, Unix};

use crate::support::*;

/// Seals two records of this codec behind the others.
fn sealed(spool: &Spool<SimDisk>, codec: Codec, head: &[u8]) -> Vec<u8> {
    let at = spool.tail();
    let header = ItemHeader::Block(BlockHeader {
        lane: Lane::Bulk,
        run: at.run,
        first: at.seq,
        prev: at.chain,
        count: 2,
        boot: Default::default(),
        mono: Mono(0),
        span_ns: 0,
        wall: Unix(0),
        clock: ClockState::Unset,
        codec: codec.number(),
        raw_bytes: 300,
    });
    let mut out = vec![0; 600];
    let payload = [head, &payload(at.run, at.seq, 2, 200)].concat();
    let bytes = item::seal(&header, &payload, &mut out).unwrap();
    out.truncate(bytes);
    out
}

fn strong(spool: &mut Spool<SimDisk>) -> Vec<u8> {
    let sealed = sealed(spool, Codec::Strong, &[]);
    spool.append(Mono(0), &sealed, &[], &[]).unwrap();
    sealed
}

/// Refers to these blocks, and brings a copy of them if it is the first.
fn referring(
    spool: &mut Spool<SimDisk>,
    segment: u64,
    blocks: &[Vec<u8>],
    is_first: bool,
) -> Result<(), SpoolError> {
    let reference = reference(blocks);
    let back = spool.tail().seq.since(reference.seq);
    // A varint of two bytes.
    let mut head = vec![back as u8 | 0x80, (back >> 7) as u8, reference.count];
    head.extend_from_slice(&reference.checksum.to_le_bytes());
    let sealed = sealed(spool, Codec::Referring, &head);
    let copies: Vec<&[u8]> = blocks.iter().filter(|_| is_first).map(Vec::as_slice).collect();
    let refers = Refers { segment: Some(segment), copies: &copies };
    spool.append_referring(Mono(0), &sealed, &[], &[], refers)
}

fn reference(blocks: &[Vec<u8>]) -> Reference {
    let last = blocks.last().unwrap();
    let (header, _) = item::open(last).unwrap();
    let (_, seq) = header.name();
    Reference { seq, count: blocks.len() as u8, checksum: item::checksum(last).unwrap() }
}

/// Two blocks, and three that refer to them, the first with a copy.
fn five(config: SpoolConfig) -> (Spool<SimDisk>, Vec<Vec<u8>>) {
    let mut spool = open(SimDisk::new(1), config, 1);
    let blocks = vec![strong(&mut spool), strong(&mut spool)];
    let segment = spool.segment().unwrap();
    referring(&mut spool, segment, &blocks, true).unwrap();
    referring(&mut spool, segment, &blocks, false).unwrap();
    referring(&mut spool, segment, &blocks, false).unwrap();
    (spool, blocks)
}

#[test]
fn what_is_referred_to_is_found_whatever_is_acknowledged_of_it() {
    let (mut spool, blocks) = five(roomy());
    let end = spool.tail();
    let (run, reference) = (RunId(1), reference(&blocks));
    let seen = walk(&mut spool);
    for published in &seen {
        assert_eq!(spool.referred(run, &reference).unwrap().as_ref(), Some(&blocks));
        spool.trim(&published.item.end);
    }
    assert_eq!(spool.base(), end);
    // Also by another run that comes upon it.
    let mut spool = open(spool.into_disk(), roomy(), 2);
    assert_eq!(spool.referred(run, &reference).unwrap(), Some(blocks.clone()));
    let others = [
        Reference { checksum: 0, ..reference },
        Reference { count: 3, ..reference },
        Reference { seq: end.seq, ..reference },
    ];
    for other in others {
        assert_eq!(spool.referred(run, &other).unwrap(), None, "{other:?}");
    }
    assert_eq!(spool.referred(RunId(3), &reference).unwrap(), None);
    // With the segment it goes.
    for _ in 0..60 {
        append(&mut spool, 1, 300).unwrap();
        let durable = spool.next_durable();
        spool.trim(&durable);
    }
    assert_eq!(spool.referred(run, &reference).unwrap(), None);
}

#[test]
fn a_block_that_would_begin_a_segment_is_not_taken_with_what_it_refers_to_elsewhere() {
    let (mut spool, blocks) = five(roomy());
    let segment = spool.segment().unwrap();
    let refused = loop {
        let before = spool.tail();
        if let Err(error) = referring(&mut spool, segment, &blocks, false) {
            assert_eq!(spool.tail(), before, "nothing has changed");
            break error;
        }
        assert!(spool.tail().seq.0 < 200, "a segment has an end");
    };
    assert!(matches!(refused, SpoolError::Elsewhere), "{refused}");
    assert!(!spool.usage().is_full && spool.usage().last_error.is_none());
    strong(&mut spool);
    assert_ne!(spool.segment(), Some(segment));
    assert!(matches!(referring(&mut spool, segment, &blocks, false), Err(SpoolError::Elsewhere)));
}

#[test]
fn one_damaged_place_makes_nothing_else_unreadable() {
    let (mut spool, blocks) = five(roomy());
    let whole = walk(&mut spool);
    let reference = reference(&blocks);
    let disk = spool.into_disk();
    let mut damaged = 0;
    for (slot, index, bytes) in files(&disk) {
        for at in 0..bytes {
            let mut disk = disk.clone();
            disk.flip(slot, at, (at % 8) as u8);
            let mut spool = open(disk, roomy(), 900);
            let seen = walk(&mut spool);
            damaged += usize::from(seen.len() != whole.len() || !gaps(&seen).is_empty());
            let refers = |published: &Published| matches!(&published.header, ItemHeader::Block(header) if header.codec == Codec::Referring.number());
            if seen.iter().any(refers) {
                let found = spool.referred(RunId(1), &reference).unwrap();
                assert_eq!(found.as_ref(), Some(&blocks), "segment {index}, byte {at}");
            }
        }
    }
    assert!(damaged > 100, "some bytes matter: {damaged}");
}

#[test]
fn what_goes_elsewhere_since_its_file_failed_takes_a_copy_along() {
    let interval = SpoolConfig { durability: Durability::Interval { ms: 10 }, ..roomy() };
    // The frame with the copy is among those that go, or stays behind.
    for goes in [true, false] {
        let mut spool = open(SimDisk::new(1), interval, 1);
        let blocks = vec![strong(&mut spool), strong(&mut spool)];
        spool.sync_now(Mono(0)).unwrap();
        let segment = spool.segment().unwrap();
        referring(&mut spool, segment, &blocks, true).unwrap();
        if !goes {
            spool.sync_now(Mono(0)).unwrap();
        }
        referring(&mut spool, segment, &blocks, false).unwrap();
        referring(&mut spool, segment, &blocks, false).unwrap();
        spool.disk_mut().fail("sync", DiskErrorKind::Io, 1);
        spool.sync_now(Mono(0)).unwrap_err();
        assert!(matches!(referring(&mut spool, segment, &blocks, false), Err(SpoolError::Elsewhere)));
        let seen = walk(&mut spool);
        assert_eq!((seen.len(), lost(&seen)), (6, 0));
        // The file that failed goes, once what is in it alone is acknowledged.
        let failed = files(spool.disk_mut())[0].0;
        spool.trim(&seen[3].item.end);
        spool.disk_mut().lose(failed);
        let found = spool.referred(RunId(1), &reference(&blocks)).unwrap();
        assert_eq!(found, Some(blocks), "the copy's frame goes: {goes}");
    }
}
