//! Sealed blocks that a judge knows by heart: what is in one follows from where it stands.

use driftlog_agent::spool::disk::Disk;
use driftlog_agent::spool::{Spool, SpoolError};
use driftlog_proto::ids::{BootId, Lane, Place, RunId, Seq};
use driftlog_proto::item::{self, BlockHeader, ItemHeader};
use driftlog_proto::sender::{Kind, Stored};
use driftlog_proto::time::{ClockState, Mono, Unix};

/// The payload of the block with these records, and of no other.
#[must_use]
pub fn payload(run: RunId, first: Seq, count: u32, bytes: usize) -> Vec<u8> {
    let mut state = run.0 ^ first.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(count) << 40;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

/// A sealed block of `count` records at a place.
///
/// # Panics
/// When it does not fit an item.
#[must_use]
pub fn block(at: Place, count: u32, bytes: usize) -> Vec<u8> {
    let header = ItemHeader::Block(BlockHeader {
        lane: Lane::Bulk,
        run: at.run,
        first: at.seq,
        prev: at.chain,
        count,
        boot: BootId([1; 16]),
        mono: Mono(at.seq.0),
        span_ns: 0,
        wall: Unix(0),
        clock: ClockState::Unset,
        codec: 0,
        raw_bytes: bytes as u32,
    });
    let mut sealed = vec![0; bytes + 256];
    let length = item::seal(&header, &payload(at.run, at.seq, count, bytes), &mut sealed).expect("it fits");
    sealed.truncate(length);
    sealed
}

/// An item as it would be published.
#[derive(Clone, Debug)]
pub struct Published {
    /// Where it stands.
    pub item: Stored,
    /// What it is.
    pub header: ItemHeader,
    /// Its sealed bytes.
    pub sealed: Vec<u8>,
}

/// Reads on that bring nothing, before a walk gives up.
const TRIES_MAX: u32 = 200;

/// Reads everything from base to end, as a sender does, and asserts that items tile it: each begins
/// where the one before it ended. `None` where nothing stands at a place below the end.
///
/// # Errors
/// When the flash fails.
///
/// # Panics
/// When items do not tile the log.
pub fn walk<D: Disk>(spool: &mut Spool<D>) -> Result<Option<Vec<Published>>, SpoolError> {
    let mut place = spool.base();
    let mut seen = Vec::new();
    let mut tries = 0;
    while place != spool.next_durable() {
        if tries > TRIES_MAX {
            return Ok(None);
        }
        let Some(item) = spool.item_at(&place)? else {
            // A gap that was just declared may have merged with the one before it.
            tries += 1;
            place = spool.base();
            seen.clear();
            continue;
        };
        assert_eq!(item.begin, place, "an item begins where it was asked for");
        let mut sealed = Vec::new();
        if spool.read(&item, &mut sealed).is_err() {
            tries += 1;
            continue;
        }
        assert_eq!(sealed.len(), item.bytes as usize, "{item:?}");
        place = item.end;
        if let Ok((header, _)) = item::open(&sealed) {
            seen.push(Published { item, header, sealed });
        }
    }
    Ok(Some(seen))
}

/// Asserts that what a spool hands out is whole and is what was sealed at its place.
///
/// # Panics
/// When it is not.
pub fn judge(seen: &[Published]) {
    for Published { item, header, sealed } in seen {
        let (_, body) = item::open(sealed).expect("what is handed out is whole");
        assert_eq!((header.begin(), header.end(sealed)), (item.begin, item.end), "{item:?}");
        match header {
            ItemHeader::Start(_) => assert_eq!(item.kind, Kind::Start),
            ItemHeader::Gap(_) => assert_eq!(item.kind, Kind::Gap),
            ItemHeader::Block(block) => {
                assert_eq!(item.kind, Kind::Block);
                let known = payload(block.run, block.first, block.count, body.len());
                assert_eq!(body, known, "records that nobody sealed at {}", item.begin);
            }
        }
    }
}
