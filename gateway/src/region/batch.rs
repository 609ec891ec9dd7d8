//! From the lanes' steps to one batch for one sink.

use driftlog_proto::ids::{Chain, DeviceId, Lane, Place};
use driftlog_proto::item::BlockHeader;
use driftlog_proto::receiver::Step;
use driftlog_proto::time::Mono;

use super::Region;
use super::device::Device;
use super::lane::{Kept, LaneState, Pending, Taken};
use super::ranges::Range;
use crate::ledger::Ledger;
use crate::sink::{Entry, What};

/// Bytes of sealed blocks in one batch; the last block may pass it.
pub(super) const BATCH_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Entries in one batch.
pub(super) const BATCH_ENTRIES_MAX: usize = 4096;
/// Bytes that one lane puts into a batch before the next has its turn.
const TURN_BYTES: u64 = 512 * 1024;

/// What a batch takes from one lane.
#[derive(Clone, Debug)]
pub(super) struct LaneTaken {
    pub(super) sink: usize,
    pub(super) device: DeviceId,
    pub(super) lane: Lane,
    pub(super) taken: Taken,
    pub(super) bytes: u64,
}

/// Entries for a sink, and where they come from.
#[derive(Clone, Debug)]
pub(super) struct Gathered {
    pub(super) entries: Vec<Entry>,
    pub(super) lanes: Vec<LaneTaken>,
}

/// Takes from every waiting device in turn, urgent lanes first; nothing when nothing waits.
pub(super) fn gather<L: Ledger>(region: &mut Region<L>, sink: usize) -> Option<Gathered> {
    let mut gathered = Gathered { entries: Vec::new(), lanes: Vec::new() };
    let index = region.outlets.get(sink)?.index;
    let waiting = in_turn(region, sink);
    for lane in [Lane::Urgent, Lane::Bulk] {
        for id in &waiting {
            let full = gathered.lanes.iter().map(|lane| lane.bytes).sum::<u64>() >= BATCH_BYTES_MAX;
            if full || gathered.entries.len() >= BATCH_ENTRIES_MAX {
                break;
            }
            let Some(device) = region.devices.get_mut(id) else { continue };
            if let Some(taken) = take(device, id, lane, (sink, index), &mut gathered.entries) {
                gathered.lanes.push(taken);
                if let (Lane::Bulk, Some(outlet)) = (lane, region.outlets.get_mut(sink)) {
                    outlet.turn = Some(id.clone());
                }
            }
        }
    }
    for id in &waiting {
        let is_empty = |device: &Device| {
            device.lanes().all(|lane| lane.feeds.get(sink).is_none_or(|feed| feed.is_empty()))
        };
        if region.devices.get(id).is_none_or(|device| is_empty(device)) {
            region.outlets.get_mut(sink)?.waiting.remove(id);
        }
    }
    (!gathered.lanes.is_empty()).then_some(gathered)
}

/// The waiting devices, beginning after the one that was served last.
fn in_turn<L>(region: &Region<L>, sink: usize) -> Vec<DeviceId> {
    let Some(outlet) = region.outlets.get(sink) else { return Vec::new() };
    let is_later = |id: &&DeviceId| outlet.turn.as_ref().is_none_or(|last| *id > last);
    let later = outlet.waiting.iter().filter(is_later);
    let earlier = outlet.waiting.iter().filter(|id| !is_later(id));
    later.chain(earlier).cloned().collect()
}

fn take(
    device: &mut Device,
    id: &DeviceId,
    lane: Lane,
    (sink, index): (usize, Option<u32>),
    into: &mut Vec<Entry>,
) -> Option<LaneTaken> {
    let labels = device.labels.clone();
    let mut taken = Taken::default();
    let mut bytes = 0;
    let mut entries = 0;
    while bytes < TURN_BYTES && into.len() < BATCH_ENTRIES_MAX {
        let Some(state) = device.lane(lane) else { break };
        let Some(mut pending) = state.next_for(sink, &taken) else { break };
        let index = index.map_or(0, |current| state.shelve(sink, &mut pending, current));
        bytes += pending.bytes();
        entries += 1;
        taken.reach(pending.end);
        if let Step::Notice(notice) = pending.step {
            taken.notices.push((pending.end, notice));
        }
        if let Some(Kept { header, .. }) = &pending.block {
            taken.newest = Some((pending.end, header.boot, last_of(header)));
        }
        let (end, received) = (pending.end, pending.received);
        let Some(what) = what(device, pending) else { continue };
        into.push(Entry {
            device: id.clone(),
            lane,
            run: end.run,
            end,
            received,
            labels: labels.clone(),
            index,
            what,
        });
    }
    (entries > 0).then(|| LaneTaken { sink, device: id.clone(), lane, taken, bytes })
}

impl LaneState {
    /// The index that a step goes to: that of the range which was put down for it, else the
    /// current one, which is put down now. A gap that has grown beyond its range is cut there.
    fn shelve(&mut self, sink: usize, pending: &mut Pending, current: u32) -> u32 {
        let (run, to) = (pending.end.run, pending.end.seq);
        let (Some(ranges), Some(feed)) = (self.ranges.get_mut(sink), self.feeds.get_mut(sink)) else {
            return current;
        };
        if let Step::Gap { from, cause } = pending.step {
            let (limit, index) = ranges.add_gap(run, from, to, current);
            if limit < to {
                feed.push_front(Pending { step: Step::Gap { from: limit, cause }, ..pending.clone() });
                pending.end = Place { run, seq: limit, chain: Chain::ROOT };
            }
            return index;
        }
        let from = pending.block.as_ref().map_or(to, |kept| kept.header.first);
        if let Some(range) = ranges.of(run, from, to) {
            return range.index;
        }
        ranges.add(Range { run, from, to, index: current, is_gap: false });
        current
    }
}

fn last_of(header: &BlockHeader) -> Mono {
    Mono(header.mono.0.saturating_add(header.span_ns))
}

fn what(device: &mut Device, pending: Pending) -> Option<What> {
    Some(match pending.step {
        Step::Start { parent } => What::Start { parent },
        Step::Gap { from, cause } => What::Gap { from, to: pending.end.seq, cause },
        Step::Notice(notice) => What::Notice(notice),
        Step::Block { .. } => {
            let Kept { received, is_of_session, header, sealed, line, lookup } = pending.block?;
            let refers_to = lookup.and_then(|lookup| lookup.blocks().cloned()).unwrap_or_default();
            let by = (!is_of_session).then_some(received);
            let BlockHeader { lane, boot, wall, clock, .. } = header;
            let span = (header.mono, last_of(&header));
            let clock = *line.get_or_init(|| device.clock.line_before(lane, boot, span, wall, clock, by));
            What::Block { header, sealed, refers_to, clock }
        }
    })
}
