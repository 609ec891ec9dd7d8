//! From the lanes' steps to one commit of one sink, and what follows from it.

use std::collections::BTreeSet;

use driftlog_proto::ids::{DeviceId, Lane};
use driftlog_proto::item::BlockHeader;
use driftlog_proto::receiver::Step;
use driftlog_proto::time::{Mono, Now};

use super::device::{Device, DeviceRecord};
use super::lane::{Kept, Pending, Taken};
use super::{Counters, Region};
use crate::ledger::record::LaneRecord;
use crate::ledger::{Ledger, Write};
use crate::sink::{Batch, CommitError, Entry, What};

/// Bytes of sealed blocks in one batch; the last block may pass it.
pub(super) const BATCH_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Entries in one batch.
pub(super) const BATCH_ENTRIES_MAX: usize = 4096;
/// Bytes that one lane puts into a batch before the next has its turn.
const TURN_BYTES: u64 = 512 * 1024;
/// The shortest and the longest wait before a refused commit is tried again.
const RETRY_MS: (u64, u64) = (250, 30_000);

/// A commit under way.
#[derive(Debug)]
pub(super) struct Outstanding {
    sink: usize,
    batch: Batch,
    lanes: Vec<LaneTaken>,
    /// The sink refused it; it is tried again.
    pub(super) is_refused: bool,
}

#[derive(Debug)]
struct LaneTaken {
    device: DeviceId,
    lane: Lane,
    taken: Taken,
    bytes: u64,
}

impl Outstanding {
    pub(super) fn devices(&self) -> impl Iterator<Item = &DeviceId> {
        self.lanes.iter().map(|lane| &lane.device)
    }
}

/// The next batch: a refused one again when its time has come, else a new one.
pub(super) fn poll<L: Ledger>(region: &mut Region<L>, now: Now) -> Option<Batch> {
    if let Some(outstanding) = &mut region.outstanding {
        if !outstanding.is_refused || now.mono < region.retry_at {
            return None;
        }
        outstanding.is_refused = false;
        return Some(outstanding.batch.clone());
    }
    let count = region.config.sinks.len();
    let first = usize::try_from(region.batches).unwrap_or(0);
    (0..count).find_map(|offset| gather(region, (first + offset) % count))
}

/// Takes from every waiting device in turn, urgent lanes first.
fn gather<L: Ledger>(region: &mut Region<L>, sink: usize) -> Option<Batch> {
    let mut batch = Batch { sink, ..Batch::default() };
    let mut lanes: Vec<LaneTaken> = Vec::new();
    let waiting = in_turn(region, sink);
    for lane in [Lane::Urgent, Lane::Bulk] {
        for id in &waiting {
            let full = lanes.iter().map(|lane| lane.bytes).sum::<u64>() >= BATCH_BYTES_MAX;
            if full || batch.entries.len() >= BATCH_ENTRIES_MAX {
                break;
            }
            let Some(device) = region.devices.get_mut(id) else { continue };
            if let Some(taken) = take(device, id, lane, sink, &mut batch) {
                lanes.push(taken);
                if lane == Lane::Bulk {
                    region.turns.insert(sink, Some(id.clone()));
                    region.turns.remove(sink + 1);
                }
            }
        }
    }
    for id in &waiting {
        let is_empty = |device: &Device| {
            device.lanes().all(|lane| lane.feeds.get(sink).is_none_or(|feed| feed.is_empty()))
        };
        if region.devices.get(id).is_none_or(is_empty) {
            region.waiting.get_mut(sink)?.remove(id);
        }
    }
    if lanes.is_empty() {
        return None;
    }
    batch.writes = writes(region, sink, &lanes);
    region.batches += 1;
    batch.number = region.batches;
    region.outstanding = Some(Outstanding { sink, batch: batch.clone(), lanes, is_refused: false });
    Some(batch)
}

/// The waiting devices, beginning after the one that was served last.
fn in_turn<L>(region: &Region<L>, sink: usize) -> Vec<DeviceId> {
    let Some(waiting) = region.waiting.get(sink) else { return Vec::new() };
    let last = region.turns.get(sink).cloned().flatten();
    let is_later = |id: &&DeviceId| last.as_ref().is_none_or(|last| *id > last);
    let later = waiting.iter().filter(is_later);
    let earlier = waiting.iter().filter(|id| !is_later(id));
    later.chain(earlier).cloned().collect()
}

fn take(device: &mut Device, id: &DeviceId, lane: Lane, sink: usize, batch: &mut Batch) -> Option<LaneTaken> {
    let labels = device.labels.clone();
    let mut taken = Taken::default();
    let mut bytes = 0;
    let mut entries = 0;
    while bytes < TURN_BYTES && batch.entries.len() < BATCH_ENTRIES_MAX {
        let Some(pending) = device.lane(lane).and_then(|state| state.next_for(sink, &taken)) else { break };
        bytes += pending.bytes();
        entries += 1;
        taken.reach(pending.end);
        if let Step::Notice(notice) = pending.step {
            taken.notices.push((pending.end, notice));
        }
        let (end, received) = (pending.end, pending.received);
        let Some(what) = what(device, pending) else { continue };
        batch.entries.push(Entry {
            device: id.clone(),
            lane,
            run: end.run,
            end,
            received,
            labels: labels.clone(),
            what,
        });
    }
    (entries > 0).then(|| LaneTaken { device: id.clone(), lane, taken, bytes })
}

fn what(device: &mut Device, pending: Pending) -> Option<What> {
    Some(match pending.step {
        Step::Start { parent } => What::Start { parent },
        Step::Gap { from, cause } => What::Gap { from, to: pending.end.seq, cause },
        Step::Notice(notice) => What::Notice(notice),
        Step::Block { .. } => {
            let Kept { received, is_of_session, header, sealed } = pending.block?;
            let span = (header.mono, Mono(header.mono.0.saturating_add(header.span_ns)));
            let by = (!is_of_session).then_some(received);
            let BlockHeader { lane, boot, wall, clock, .. } = header;
            let clock = device.clock.line_before(lane, boot, span, wall, clock, by);
            What::Block { header, sealed, clock }
        }
    })
}

fn writes<L: Ledger>(region: &Region<L>, sink: usize, lanes: &[LaneTaken]) -> Vec<Write> {
    let mut writes = Vec::with_capacity(lanes.len() * 2);
    let mut written = BTreeSet::new();
    for taken in lanes {
        let Some(device) = region.devices.get(&taken.device) else { continue };
        for state in device.lanes().filter(|state| state.lane == taken.lane) {
            let record = state.record(&region.config.sinks, sink, &taken.taken);
            writes.push(Write {
                key: LaneRecord::key(&taken.device, taken.lane),
                value: Some(record.encode()),
            });
        }
        if !written.insert(&taken.device) {
            continue;
        }
        let record = DeviceRecord { clock: device.clock.encode(), labels: (*device.labels).clone() };
        writes.push(Write { key: DeviceRecord::key(&taken.device), value: Some(record.encode()) });
    }
    writes
}

impl<L: Ledger> Region<L> {
    /// A batch is durable, or is not. What is in doubt is not for the core to decide: the shell
    /// opens the region afresh.
    pub fn handle_committed(&mut self, now: Now, number: u64, outcome: &Result<(), CommitError>) {
        let Some(outstanding) = self.outstanding.take_if(|outstanding| outstanding.batch.number == number)
        else {
            return;
        };
        if outcome.is_ok() {
            self.stored(now, &outstanding);
            self.retries = 0;
            return;
        }
        self.counters.commits_failed += 1;
        let wait = (RETRY_MS.0 << self.retries.min(7)).min(RETRY_MS.1);
        self.retries = self.retries.saturating_add(1);
        self.retry_at = now.mono.plus_ms(wait);
        self.outstanding = Some(Outstanding { is_refused: true, ..outstanding });
    }

    fn stored(&mut self, now: Now, outstanding: &Outstanding) {
        self.counters.commits += 1;
        for entry in &outstanding.batch.entries {
            self.count(entry);
            self.delivered(entry);
        }
        for taken in &outstanding.lanes {
            let Some(device) = self.devices.get_mut(&taken.device) else { continue };
            if let Some(state) = device.lane(taken.lane) {
                for place in &taken.taken.places {
                    state.receiver.handle_stored(outstanding.sink, place);
                }
                for (place, notice) in &taken.taken.notices {
                    state.receiver.handle_stated(outstanding.sink, place.run, *notice);
                }
                state.queued_bytes = state.queued_bytes.saturating_sub(taken.bytes);
                self.memory_bytes = self.memory_bytes.saturating_add_signed(state.account());
            }
            self.answer(&taken.device, now.mono);
        }
    }

    /// What is committed bounds the time of what comes later.
    fn delivered(&mut self, entry: &Entry) {
        if let (What::Block { header, .. }, Some(device)) = (&entry.what, self.devices.get_mut(&entry.device))
        {
            let last = Mono(header.mono.0.saturating_add(header.span_ns));
            device.clock.handle_delivered(entry.lane, header.boot, last);
        }
    }

    fn count(&mut self, entry: &Entry) {
        let counters = &mut self.counters;
        match &entry.what {
            What::Start { .. } => {}
            What::Block { header, sealed, .. } => {
                counters.blocks += 1;
                counters.records += u64::from(header.count);
                counters.block_bytes += sealed.len() as u64;
            }
            What::Gap { from, to, cause } => {
                let lost = to.since(*from);
                Counters::add(&mut counters.lost, cause.index(), lost);
                let device = self.devices.get_mut(&entry.device);
                if let Some(state) = device.and_then(|device| device.lane(entry.lane)) {
                    state.gaps += 1;
                    state.lost = state.lost.saturating_add(lost);
                }
            }
            What::Notice(notice) => {
                log::warn!("{}: notice {} about run {}", entry.device, notice.name(), entry.run);
                Counters::add(&mut counters.notices, notice.index(), 1);
            }
        }
    }
}
