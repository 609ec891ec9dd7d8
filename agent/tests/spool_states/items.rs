//! Items as they are sealed, and the log as it is read.

use std::rc::Rc;

use driftlog_agent::spool::Spool;
use driftlog_agent::spool::disk::Disk;
use driftlog_proto::ids::{Lane, Place, RunId};
use driftlog_proto::item::{self, BlockHeader, ItemHeader, Start};
use driftlog_proto::time::{ClockState, Mono, Unix};

use crate::history::Published;

/// The sealed start of a run.
pub(crate) fn start(lane: Lane, run: RunId, parent: Place) -> Vec<u8> {
    let mut out = vec![0; 256];
    let bytes = item::seal(&ItemHeader::Start(Start { lane, run, parent }), &[], &mut out);
    out.truncate(bytes.expect("a start is short"));
    out
}

/// A sealed block with a payload that no other has.
pub(crate) fn block(lane: Lane, at: Place, count: u32, bytes: usize, nonce: u64) -> Vec<u8> {
    let mut state = nonce ^ at.seq.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let payload: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
    .take(bytes)
    .collect();
    let header = ItemHeader::Block(BlockHeader {
        lane,
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
    let sealed = item::seal(&header, &payload, &mut out);
    out.truncate(sealed.expect("there is room for the header"));
    out
}

/// Everything from base to end, as it would be published. Items tile it: each begins where the one
/// before ended, and says so itself.
pub(crate) fn walk<D: Disk>(spool: &mut Spool<D>) -> Vec<Published> {
    let mut place = spool.base();
    let mut items: Vec<Published> = Vec::new();
    let mut bytes = Vec::new();
    let mut turns = 0;
    while place != spool.next_durable() {
        turns += 1;
        assert!(turns < 1000, "at {place:?} the log never ends at {:?}: {items:?}", spool.next_durable());
        let item = spool.item_at(&place).expect("the flash works");
        // What is damaged becomes a gap, perhaps one with that before it: read on from the base, as a
        // sender does.
        let Some(item) = item.filter(|item| spool.read(item, &mut bytes).is_ok()) else {
            place = spool.base();
            items.clear();
            continue;
        };
        let (header, _) = item::open(&bytes).expect("what is handed out is whole");
        let begin = match &header {
            ItemHeader::Start(start) => start.parent,
            ItemHeader::Block(block) => Place { run: block.run, seq: block.first, chain: block.prev },
            ItemHeader::Gap(gap) => gap.from,
        };
        assert_eq!((item.begin, begin), (place, place), "an item begins where the one before ended");
        assert_eq!(header.end(&bytes), item.end, "an item ends where it says");
        place = item.end;
        items.push(Published { item, header, bytes: Rc::from(bytes.as_slice()) });
    }
    items
}
