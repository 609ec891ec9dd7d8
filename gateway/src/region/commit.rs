//! Who is given a batch when, and what follows from its commit.
//!
//! One sink may share the ledger's transaction; its batches carry the ledger's writes, those of all
//! other sinks among them. The other sinks take their batches beside it, each in its own time:
//!
//! ```text
//! with the ledger:  gather ------------------> commit: records, marks of all, ranges of all
//! by itself:        gather ------------------> commit: records, its own marks in a store of its own
//! behind:           gather -> [its ranges are committed] -> deliver -> [its marks are committed]
//! ```
//!
//! A mark counts when it is durable, wherever that is; an `Ack` names nothing else.

use std::collections::{BTreeMap, BTreeSet};

use driftlog_proto::ids::{DeviceId, Lane, Place};
use driftlog_proto::item::Cause;
use driftlog_proto::time::{Mono, Now};

use super::batch::{Gathered, LaneTaken, gather};
use super::device::DeviceRecord;
use super::lane::Taken;
use super::ranges::Ranges;
use super::{Counters, Keeping, Region};
use crate::ledger::record::LaneRecord;
use crate::ledger::{Ledger, Write};
use crate::sink::{Batch, CommitError, Entry, What};

/// The shortest and the longest wait before a refused commit is tried again.
const RETRY_MS: (u64, u64) = (250, 30_000);

/// The way to one sink, or to the ledger alone.
#[derive(Debug, Default)]
pub(super) struct Outlet {
    /// Devices with something for it.
    pub(super) waiting: BTreeSet<DeviceId>,
    /// After whom the next batch begins, so that all are served in turn.
    pub(super) turn: Option<DeviceId>,
    /// What the sink is working on.
    outstanding: Option<Outstanding>,
    /// What is to be delivered next, once its ranges are committed.
    planned: Option<Planned>,
    /// What the sink has and the ledger does not say yet.
    delivered: Vec<LaneTaken>,
    /// The index that new ranges go to, for a sink that has such.
    pub(super) index: Option<u32>,
    /// The index that the ledger names.
    pub(super) index_recorded: Option<u32>,
    /// Records that the sink took.
    pub(super) records: u64,
    /// Records that were declared missed to it alone.
    pub(super) missed: u64,
    /// How often it refused a batch.
    pub(super) refusals: u64,
    /// Why it refused the last one, while that waits.
    pub(super) refused: Option<String>,
}

/// A batch under way.
#[derive(Debug)]
struct Outstanding {
    batch: Batch,
    lanes: Vec<LaneTaken>,
    /// Sinks of which it makes the ranges durable.
    planned: Vec<usize>,
    /// The sink refused it; it is tried again then.
    retry_at: Option<Mono>,
    retries: u32,
}

#[derive(Debug)]
struct Planned {
    gathered: Gathered,
    is_committed: bool,
}

impl Outlet {
    /// The devices of which something is on its way.
    pub(super) fn devices(&self) -> impl Iterator<Item = &DeviceId> {
        let outstanding = self.outstanding.iter().flat_map(|outstanding| &outstanding.lanes);
        let planned = self.planned.iter().flat_map(|planned| &planned.gathered.lanes);
        outstanding.chain(planned).chain(&self.delivered).map(|lane| &lane.device)
    }

    /// When a batch is to be tried again.
    pub(super) fn retry_at(&self) -> Mono {
        self.outstanding.as_ref().and_then(|batch| batch.retry_at).unwrap_or(Mono::FOREVER)
    }

    fn has_news(&self) -> bool {
        !self.delivered.is_empty() || self.planned.as_ref().is_some_and(|planned| !planned.is_committed)
    }
}

/// The next batch: a refused one again when its time has come, else a new one.
pub(super) fn poll<L: Ledger>(region: &mut Region<L>, now: Now) -> Option<Batch> {
    let count = region.outlets.len();
    (0..count).for_each(|at| plan(region, at));
    let first = usize::try_from(region.batches).unwrap_or(0);
    (0..count).find_map(|offset| next(region, (first + offset) % count, now))
}

/// A sink with ranges is planned for while it works on what was planned before.
fn plan<L: Ledger>(region: &mut Region<L>, at: usize) {
    let is_free = |outlet: &Outlet| outlet.index.is_some() && outlet.planned.is_none();
    if region.outlets.get(at).is_some_and(is_free)
        && let Some(gathered) = gather(region, at)
        && let Some(outlet) = region.outlets.get_mut(at)
    {
        outlet.planned = Some(Planned { gathered, is_committed: false });
    }
}

fn next<L: Ledger>(region: &mut Region<L>, at: usize, now: Now) -> Option<Batch> {
    let outlet = region.outlets.get_mut(at)?;
    if let Some(outstanding) = &mut outlet.outstanding {
        outstanding.retry_at.take_if(|at| *at <= now.mono)?;
        return Some(outstanding.batch.clone());
    }
    match region.keeping(at) {
        Keeping::WithLedger => with_ledger(region, at),
        Keeping::ByItself => {
            let Gathered { entries, lanes } = gather(region, at)?;
            let writes = writes(region, &lanes);
            Some(begin(region, at, Batch { entries, writes, ..Batch::default() }, lanes))
        }
        Keeping::Behind { .. } => {
            let outlet = region.outlets.get_mut(at)?;
            let gathered = match outlet.index {
                Some(_) => outlet.planned.take_if(|planned| planned.is_committed)?.gathered,
                None => gather(region, at)?,
            };
            let Gathered { entries, lanes } = gathered;
            Some(begin(region, at, Batch { entries, ..Batch::default() }, lanes))
        }
    }
}

/// A commit of the ledger: with the records of the sink that shares it, the marks of those behind
/// and the ranges of what they take next.
fn with_ledger<L: Ledger>(region: &mut Region<L>, at: usize) -> Option<Batch> {
    let gathered = if at < region.config.sinks.len() { gather(region, at) } else { None };
    let has_news = region.outlets.iter().any(Outlet::has_news);
    if gathered.is_none() && !has_news {
        return None;
    }
    let Gathered { entries, mut lanes } =
        gathered.unwrap_or(Gathered { entries: Vec::new(), lanes: Vec::new() });
    let mut planned = Vec::new();
    let mut ranged: BTreeSet<(usize, DeviceId, Lane)> = BTreeSet::new();
    for (sink, outlet) in region.outlets.iter_mut().enumerate() {
        let mut touched: Vec<&LaneTaken> = outlet.delivered.iter().collect();
        if let Some(plan) = outlet.planned.as_ref().filter(|plan| !plan.is_committed) {
            planned.push(sink);
            touched.extend(&plan.gathered.lanes);
        }
        if outlet.index.is_some() {
            ranged.extend(touched.into_iter().map(|lane| (sink, lane.device.clone(), lane.lane)));
        }
        lanes.append(&mut outlet.delivered);
    }
    let mut writes = writes(region, &lanes);
    writes.extend(ranges(region, &lanes, ranged));
    writes.extend(region.outlets.iter().enumerate().filter_map(|(sink, outlet)| {
        let number = outlet.index.filter(|number| outlet.index_recorded != Some(*number))?;
        Some(Write {
            key: super::index_key(&region.config.sinks.get(sink)?.name),
            value: Some(number.to_le_bytes().to_vec()),
        })
    }));
    let batch = begin(region, at, Batch { entries, writes, ..Batch::default() }, lanes);
    if let Some(outstanding) = region.outlets.get_mut(at).and_then(|outlet| outlet.outstanding.as_mut()) {
        outstanding.planned = planned;
    }
    Some(batch)
}

fn begin<L>(region: &mut Region<L>, at: usize, batch: Batch, lanes: Vec<LaneTaken>) -> Batch {
    region.batches += 1;
    let batch = Batch { number: region.batches, sink: at, ..batch };
    if let Some(outlet) = region.outlets.get_mut(at) {
        let outstanding =
            Outstanding { batch: batch.clone(), lanes, planned: Vec::new(), retry_at: None, retries: 0 };
        outlet.outstanding = Some(outstanding);
    }
    batch
}

/// The lanes and devices as they stand once `lanes` are durable.
fn writes<L: Ledger>(region: &Region<L>, lanes: &[LaneTaken]) -> Vec<Write> {
    let mut by_lane: BTreeMap<(&DeviceId, Lane), Vec<(usize, &Taken)>> = BTreeMap::new();
    for lane in lanes {
        by_lane.entry((&lane.device, lane.lane)).or_default().push((lane.sink, &lane.taken));
    }
    let mut writes = Vec::with_capacity(by_lane.len() * 2);
    let mut written = BTreeSet::new();
    for ((id, lane), taken) in by_lane {
        let Some(device) = region.devices.get(id) else { continue };
        for state in device.lanes().filter(|state| state.lane == lane) {
            let record = state.record(&region.config.sinks, &taken);
            writes.push(Write { key: LaneRecord::key(id, lane), value: Some(record.encode()) });
        }
        if written.insert(id) {
            let record = DeviceRecord { clock: device.clock.encode(), labels: (*device.labels).clone() };
            writes.push(Write { key: DeviceRecord::key(id), value: Some(record.encode()) });
        }
    }
    writes
}

/// The open ranges of the touched lanes as they stand once `lanes` are durable.
fn ranges<L: Ledger>(
    region: &Region<L>,
    lanes: &[LaneTaken],
    touched: BTreeSet<(usize, DeviceId, Lane)>,
) -> Vec<Write> {
    let mut passed: BTreeMap<(usize, &DeviceId, Lane), Vec<Place>> = BTreeMap::new();
    for lane in lanes {
        passed.entry((lane.sink, &lane.device, lane.lane)).or_default().extend(&lane.taken.places);
    }
    let write = |(sink, id, lane): &(usize, DeviceId, Lane)| {
        let state = region.devices.get(id)?.lanes().find(|state| state.lane == *lane)?;
        let mut ranges = state.ranges.get(*sink)?.clone();
        for place in passed.get(&(*sink, id, *lane)).into_iter().flatten() {
            ranges.pass(place.run, place.seq);
        }
        let name = &region.config.sinks.get(*sink)?.name;
        Some(Write { key: Ranges::key(name, id, *lane), value: ranges.encode() })
    };
    touched.iter().filter_map(write).collect()
}

fn records_of(entry: &Entry) -> u64 {
    match &entry.what {
        What::Block { header, .. } => u64::from(header.count),
        What::Start { .. } | What::Gap { .. } | What::Notice(_) => 0,
    }
}

fn missed_of(entry: &Entry) -> u64 {
    match &entry.what {
        What::Gap { from, to, cause: Cause::Missed } => to.since(*from),
        _ => 0,
    }
}

impl<L: Ledger> Region<L> {
    /// A batch is durable, or is not. What is in doubt is not for the core to decide: the shell
    /// opens the region afresh.
    pub fn handle_committed(&mut self, now: Now, number: u64, outcome: &Result<(), CommitError>) {
        let is_it =
            |outlet: &Outlet| outlet.outstanding.as_ref().is_some_and(|one| one.batch.number == number);
        let Some(at) = self.outlets.iter().position(is_it) else { return };
        let Some(outlet) = self.outlets.get_mut(at) else { return };
        if let Err(error) = outcome {
            self.counters.commits_failed += 1;
            outlet.refusals += 1;
            outlet.refused = Some(error.reason().to_owned());
            if let Some(outstanding) = &mut outlet.outstanding {
                let wait = (RETRY_MS.0 << outstanding.retries.min(7)).min(RETRY_MS.1);
                outstanding.retries = outstanding.retries.saturating_add(1);
                outstanding.retry_at = Some(now.mono.plus_ms(wait));
            }
            return;
        }
        let Some(Outstanding { batch, lanes, planned, .. }) = outlet.outstanding.take() else { return };
        self.counters.commits += 1;
        outlet.refused = None;
        outlet.records += batch.entries.iter().map(records_of).sum::<u64>();
        outlet.missed += batch.entries.iter().map(missed_of).sum::<u64>();
        if matches!(self.keeping(at), Keeping::Behind { .. }) {
            self.taken(&batch);
            if let Some(outlet) = self.outlets.get_mut(at) {
                outlet.delivered.extend(lanes);
            }
            return;
        }
        for sink in planned {
            if let Some(planned) = self.outlets.get_mut(sink).and_then(|outlet| outlet.planned.as_mut()) {
                planned.is_committed = true;
            }
        }
        if self.keeping(at) == Keeping::WithLedger {
            for outlet in &mut self.outlets {
                outlet.index_recorded = outlet.index;
            }
        }
        self.taken(&batch);
        self.stored(now, &lanes);
    }

    /// A sink has what is in a batch. Records are counted once, in the first sink.
    fn taken(&mut self, batch: &Batch) {
        if batch.sink == 0 {
            batch.entries.iter().for_each(|entry| self.count(entry));
        }
    }

    fn stored(&mut self, now: Now, lanes: &[LaneTaken]) {
        for lane in lanes {
            let Some(device) = self.devices.get_mut(&lane.device) else { continue };
            if let Some(state) = device.lane(lane.lane) {
                state.stored(lane.sink, &lane.taken, lane.bytes);
                self.memory_bytes = self.memory_bytes.saturating_add_signed(state.account());
                // What no sink takes again bounds the time of what comes later.
                let newest = lane.taken.newest.filter(|(place, ..)| state.is_everywhere(place));
                if let Some((_, boot, last)) = newest {
                    device.clock.handle_delivered(lane.lane, boot, last);
                }
            }
            self.answer(&lane.device, now.mono);
        }
    }

    fn count(&mut self, entry: &Entry) {
        let counters = &mut self.counters;
        match &entry.what {
            What::Start { .. } => {}
            What::Block { header, sealed, .. } => counters.block(header, sealed.len() as u64),
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
