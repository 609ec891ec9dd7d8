//! A source of numbered lines in front of a spool: line n is record n, so that the cursor, the
//! numbers and the contents of blocks check each other.

use driftlog_agent::spool::disk::{Disk, SimDisk};
use driftlog_agent::spool::{Durability, Overflow, Spool, SpoolConfig, SpoolError, SpoolEvent};
use driftlog_proto::ids::{Lane, Place, RunId, Seq};
use driftlog_proto::item::{self, BlockHeader, Cause, Gap, ItemHeader};
use driftlog_proto::sender::{Kind, Stored};
use driftlog_proto::time::{ClockState, Mono, Unix};

pub(crate) const HARDWARE: u64 = 0xface;
/// The key of the cursor that holds how many lines were read.
pub(crate) const LINES: u64 = 1;

pub(crate) fn config() -> SpoolConfig {
    SpoolConfig {
        segment_bytes: 8192,
        durability: Durability::Block,
        overflow: Overflow::DropOldest,
        ..SpoolConfig::new(Lane::Bulk, 8 * 8192)
    }
}

/// A spool that never has to drop anything in a test.
pub(crate) fn roomy() -> SpoolConfig {
    SpoolConfig { bytes_max: 256 * 8192, ..config() }
}

pub(crate) fn open(disk: SimDisk, config: SpoolConfig, run: u64) -> Spool<SimDisk> {
    Spool::open(disk, config, RunId(run), HARDWARE).expect("a spool opens whatever is in it")
}

/// The payload of the block with these records: nobody else's.
pub(crate) fn payload(run: RunId, first: Seq, count: u32, bytes: usize) -> Vec<u8> {
    let mut state = run.0 ^ first.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(count) << 40;
    let mut out = vec![0; bytes];
    for byte in &mut out {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *byte = (state >> 56) as u8;
    }
    out
}

pub(crate) fn block(at: Place, count: u32, bytes: usize) -> Vec<u8> {
    let header = ItemHeader::Block(BlockHeader {
        lane: Lane::Bulk,
        run: at.run,
        first: at.seq,
        prev: at.chain,
        count,
        boot: Default::default(),
        mono: Mono(at.seq.0 + 1),
        span_ns: 0,
        wall: Unix(at.seq.0 as i64 + 1),
        clock: ClockState::Unset,
        codec: 0,
        raw_bytes: bytes as u32,
    });
    let mut out = vec![0; bytes + 256];
    let sealed = item::seal(&header, &payload(at.run, at.seq, count, bytes), &mut out).unwrap();
    out.truncate(sealed);
    out
}

/// Reads `count` lines and appends them as one block.
pub(crate) fn append<D: Disk>(spool: &mut Spool<D>, count: u32, bytes: usize) -> Result<(), SpoolError> {
    append_at(spool, Mono(0), count, bytes)
}

pub(crate) fn append_at<D: Disk>(
    spool: &mut Spool<D>,
    now: Mono,
    count: u32,
    bytes: usize,
) -> Result<(), SpoolError> {
    let tail = spool.tail();
    let sealed = block(tail, count, bytes);
    let lines = (tail.seq.0 + u64::from(count)).to_le_bytes();
    spool.append(now, &sealed, &[(LINES, &lines)], &[])
}

/// How many lines the cursor says were read.
pub(crate) fn lines<D: Disk>(spool: &Spool<D>) -> u64 {
    let cursor = spool.cursors().find(|(key, _)| *key == LINES).map(|(_, cursor)| cursor.to_vec());
    cursor.map_or(0, |cursor| u64::from_le_bytes(cursor.try_into().expect("a cursor is 8 bytes")))
}

/// An item as it would be published.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Published {
    pub(crate) item: Stored,
    pub(crate) header: ItemHeader,
}

impl Published {
    pub(crate) fn gap(&self) -> Option<&Gap> {
        match &self.header {
            ItemHeader::Gap(gap) => Some(gap),
            _ => None,
        }
    }
}

/// Reads everything from base to end and checks that items tile it: each begins where the one
/// before ended, no block holds anything but what was sealed under its number, gaps list starts.
pub(crate) fn walk<D: Disk>(spool: &mut Spool<D>) -> Vec<Published> {
    try_walk(spool).expect("the flash works")
}

pub(crate) fn try_walk<D: Disk>(spool: &mut Spool<D>) -> Result<Vec<Published>, SpoolError> {
    let mut place = spool.base();
    let mut seen = Vec::new();
    let mut bytes = Vec::new();
    let mut tries = 0;
    while place != spool.next_durable() {
        let Some(item) = spool.item_at(&place)? else {
            // A gap that was just declared may have merged with the one before it: read on from the
            // base, as a sender does.
            tries += 1;
            assert!(tries < 1000, "nothing stands at {place:?} below {:?}: {seen:?}", spool.next_durable());
            place = spool.base();
            seen.clear();
            continue;
        };
        assert_eq!(item.begin, place, "an item begins where it was asked for");
        if spool.read(&item, &mut bytes).is_err() {
            tries += 1;
            assert!(tries < 100_000, "reading {item:?} never ends");
            continue;
        }
        assert_eq!(bytes.len(), item.bytes as usize, "{item:?}");
        let (header, body) = item::open(&bytes).expect("what is handed out is whole");
        assert_eq!(header.end(&bytes), item.end, "the end of {item:?}");
        match &header {
            ItemHeader::Start(start) => {
                assert_eq!(item.kind, Kind::Start);
                assert_eq!(start.parent, place);
            }
            ItemHeader::Block(block) => {
                assert_eq!(item.kind, Kind::Block);
                assert_eq!((block.run, block.first, block.prev), (place.run, place.seq, place.chain));
                // Only the blocks that are made here are known by heart.
                if block.mono == Mono(block.first.0 + 1) {
                    let known = payload(block.run, block.first, block.count, body.len());
                    assert_eq!(body, known, "a wrong record");
                }
            }
            ItemHeader::Gap(gap) => {
                assert_eq!(item.kind, Kind::Gap);
                assert_eq!((gap.from, gap.to), (place, item.end));
            }
        }
        place = item.end;
        seen.push(Published { item, header });
    }
    Ok(seen)
}

pub(crate) fn records(seen: &[Published]) -> u64 {
    let blocks = seen.iter().filter(|published| published.item.kind == Kind::Block);
    blocks.map(|published| published.item.end.seq.0 - published.item.begin.seq.0).sum()
}

pub(crate) fn gaps(seen: &[Published]) -> Vec<Gap> {
    seen.iter().filter_map(|published| published.gap().cloned()).collect()
}

pub(crate) fn lost(seen: &[Published]) -> u64 {
    gaps(seen).iter().map(Gap::records).sum()
}

pub(crate) fn events<D: Disk>(spool: &mut Spool<D>) -> Vec<SpoolEvent> {
    std::iter::from_fn(|| spool.poll_event()).collect()
}

pub(crate) fn dropped<D: Disk>(spool: &mut Spool<D>, cause: Cause) -> u64 {
    spool.usage().dropped[cause.index()]
}

/// The files, in the order of the segments in them, as (slot, first place, bytes).
pub(crate) fn files(disk: &SimDisk) -> Vec<(u32, u64, usize)> {
    let mut disk = disk.clone();
    let mut files: Vec<_> = disk
        .list()
        .expect("a simulated directory can be listed")
        .into_iter()
        .filter_map(|(slot, bytes)| {
            let index = index_of(&disk, slot)?;
            Some((slot, index, bytes as usize))
        })
        .collect();
    files.sort_by_key(|(_, index, _)| *index);
    files
}

/// The index in a file's header, whichever copy begins with the magic.
pub(crate) fn index_of(disk: &SimDisk, slot: u32) -> Option<u64> {
    let content = disk.content(slot)?;
    let at = [0, 512].into_iter().find(|at| content.get(*at..at + 8) == Some(b"driftspl"))?;
    Some(u64::from_le_bytes(content[at + 16..at + 24].try_into().ok()?))
}

/// A random number generator for tests (splitmix64).
#[derive(Clone)]
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % below.max(1)
    }

    pub(crate) fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }
}
