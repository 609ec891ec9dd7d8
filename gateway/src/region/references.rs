//! Blocks of a lane that others refer to, and those that are lacking.
//!
//! In order of delivery the blocks that a block refers to came before it, so that the last few
//! are kept in memory. After a restart of the gateway they are not there: then the device is asked
//! for them, and what refers to them waits before the sinks, not before the receiver. The device
//! keeps what it may be asked for until nothing refers to it that is not acknowledged.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use driftlog_proto::block::{Codec, Reference};
use driftlog_proto::ids::{Chain, Lane, Place, RunId};
use driftlog_proto::item::{self, BlockHeader};
use driftlog_proto::limits::{REFERENCE_BLOCKS_MAX, REFERENCE_SEALED_BYTES_MAX};
use driftlog_proto::message::Ask;
use driftlog_proto::time::Mono;

/// A device is asked again after this long, when it is heard.
const ASK_MS: u64 = 2_000;
/// What was asked for in vain for so long, and so often, is gone: the device is another one now, or its flash
/// forgot. (A copy of its spool says nothing of what it never had.)
const GIVE_UP: (u64, u32) = (15 * 60_000, 10);

/// Sealed blocks, in order.
pub(super) type Blocks = Vec<Arc<[u8]>>;

/// What a block refers to, once it is known: nothing, when the device has it no longer.
#[derive(Debug)]
pub(super) struct Lookup {
    run: RunId,
    reference: Reference,
    found: OnceLock<Blocks>,
}

impl Lookup {
    /// The blocks; `None` while they are lacking. None at all when they are gone.
    pub(super) fn blocks(&self) -> Option<&Blocks> {
        self.found.get()
    }

    fn is_of(&self, run: RunId, reference: &Reference) -> bool {
        self.run == run && self.reference == *reference
    }
}

/// A block that others may refer to.
#[derive(Debug)]
struct Recent {
    header: BlockHeader,
    sealed: Arc<[u8]>,
}

impl Recent {
    fn end(&self) -> Place {
        Place { run: self.header.run, seq: self.header.end(), chain: Chain::after(&self.sealed) }
    }
}

/// A lane's blocks that others refer to.
#[derive(Debug, Default)]
pub(super) struct References {
    /// The last ones of the strong codec that follow one another, oldest first.
    recent: Vec<Recent>,
    /// What the newest block that refers to others refers to.
    lookup: Option<Arc<Lookup>>,
    /// What waits for an answer of the device, oldest first: it is asked for the first.
    lacking: VecDeque<Arc<Lookup>>,
    /// What the device sent of that.
    answers: Blocks,
    /// When it was asked for first and last, and how often.
    asked: Option<Asked>,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    first: Mono,
    last: Mono,
    times: u32,
}

impl References {
    /// Bytes of blocks.
    pub(super) fn bytes(&self) -> u64 {
        let found = self.lookup.as_ref().and_then(|lookup| lookup.blocks()).into_iter().flatten();
        let recent = self.recent.iter().map(|recent| &recent.sealed);
        recent.chain(found).chain(&self.answers).map(|sealed| sealed.len() as u64).sum()
    }

    /// A block is the next of the lane. It is kept for those behind it if there is `room`; what it
    /// refers to itself is returned.
    pub(super) fn handle_delivered(
        &mut self,
        header: &BlockHeader,
        sealed: &Arc<[u8]>,
        room: bool,
    ) -> Option<Arc<Lookup>> {
        if header.codec == Codec::Strong.number() {
            self.keep(header, sealed, room);
            return None;
        }
        let (_, payload) = item::open(sealed).ok()?;
        // One that cannot be becomes a dead letter, when it is unpacked.
        let reference = Reference::of(header, payload).ok()??;
        if let Some(lookup) = self.lookup.as_ref().filter(|lookup| lookup.is_of(header.run, &reference)) {
            return Some(lookup.clone());
        }
        let found = self.find(header.run, &reference);
        let is_lacking = found.is_none();
        let found = found.map_or_else(OnceLock::new, OnceLock::from);
        let lookup = Arc::new(Lookup { run: header.run, reference, found });
        if is_lacking {
            self.lacking.push_back(lookup.clone());
        }
        self.lookup.insert(lookup).clone().into()
    }

    fn keep(&mut self, header: &BlockHeader, sealed: &Arc<[u8]>, room: bool) {
        let begin = Place { run: header.run, seq: header.first, chain: header.prev };
        if !room || self.recent.last().is_some_and(|last| last.end() != begin) {
            self.recent.clear();
        }
        if !room || sealed.len() > REFERENCE_SEALED_BYTES_MAX {
            return;
        }
        self.recent.push(Recent { header: *header, sealed: sealed.clone() });
        let bytes = |recent: &[Recent]| recent.iter().map(|one| one.sealed.len()).sum::<usize>();
        while self.recent.len() > REFERENCE_BLOCKS_MAX || bytes(&self.recent) > REFERENCE_SEALED_BYTES_MAX {
            self.recent.remove(0);
        }
    }

    fn find(&self, run: RunId, reference: &Reference) -> Option<Blocks> {
        let last = self.recent.iter().position(|recent| recent.header.first == reference.seq)?;
        let first = (last + 1).checked_sub(usize::from(reference.count))?;
        let blocks: Blocks =
            self.recent.get(first..=last)?.iter().map(|recent| recent.sealed.clone()).collect();
        reference.is_met_by(run, &blocks).then_some(blocks)
    }

    /// The question that is due to the device.
    pub(super) fn poll_ask(&mut self, now: Mono, lane: Lane) -> Option<Ask> {
        let Lookup { run, reference, .. } = **self.lacking.front()?;
        let Asked { first, last, times } =
            self.asked.unwrap_or(Asked { first: now, last: Mono(0), times: 0 });
        if times > 0 && now.ms_since(last) < ASK_MS {
            return None;
        }
        self.asked = Some(Asked { first, last: now, times: times + 1 });
        Some(Ask { lane, run, reference })
    }

    /// Whether what is lacking was asked for in vain for long enough: it is given up, and what waited may go on.
    pub(super) fn give_up(&mut self, now: Mono) -> bool {
        let is_in_vain = |asked: Asked| now.ms_since(asked.first) >= GIVE_UP.0 && asked.times >= GIVE_UP.1;
        self.asked.is_some_and(is_in_vain) && self.settle(Blocks::new())
    }

    /// A block came again: perhaps because it was asked for.
    pub(super) fn handle_again(&mut self, header: &BlockHeader, sealed: &[u8]) {
        let Some(lookup) = self.lacking.front() else { return };
        let Reference { seq, count, .. } = lookup.reference;
        if header.run != lookup.run || header.codec != Codec::Strong.number() || header.first > seq {
            return;
        }
        self.answers.push(Arc::from(sealed));
        if self.answers.len() > usize::from(count) {
            self.answers.remove(0);
        }
        if header.first == seq && lookup.reference.is_met_by(lookup.run, &self.answers) {
            let blocks = std::mem::take(&mut self.answers);
            self.settle(blocks);
        }
    }

    /// The device has it no longer. Whether what waited may go on.
    pub(super) fn handle_gone(&mut self, gone: &Ask) -> bool {
        let is_it = |lookup: &Arc<Lookup>| lookup.is_of(gone.run, &gone.reference);
        self.lacking.front().is_some_and(is_it) && self.settle(Blocks::new())
    }

    /// The first of what is lacking is found, or gone; the next is asked for.
    fn settle(&mut self, blocks: Blocks) -> bool {
        (self.answers, self.asked) = (Blocks::new(), None);
        self.lacking.pop_front().is_some_and(|lookup| lookup.found.set(blocks).is_ok())
    }
}
