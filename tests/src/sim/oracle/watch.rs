//! What is judged at every step: each batch that became durable, each `Ack`, each `Hello`.
//!
//! Of each sink it keeps how far each run has come, from the batches alone: no ledger is asked.

use std::collections::{BTreeMap, BTreeSet};

use driftlog_gateway::sink::{Batch, Entry, Notice, What};
use driftlog_proto::ids::{AckNumber, DeviceId, Lane, Place, RunId};
use driftlog_proto::message::{self, Ack, Down, Up};

use super::{Sentence, violated};
use crate::sim::world::coast::SinkKind;
use crate::sim::world::shore::Sink;

/// One run of one lane of one device.
type Name = (DeviceId, Lane, RunId);

/// What a sink has of the runs.
#[derive(Clone, Debug, Default)]
struct Reached {
    /// The number after the last that is there or declared.
    runs: BTreeMap<Name, u64>,
    notices: BTreeSet<(Name, usize)>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Watch {
    sinks: BTreeMap<SinkKind, Reached>,
    /// The highest place of each run that any `Ack` named.
    acknowledged: BTreeMap<Name, u64>,
    generations: BTreeMap<DeviceId, AckNumber>,
    pub(crate) records: u64,
    pub(crate) notices: u64,
    pub(crate) gaps: u64,
}

impl Watch {
    /// A batch is durable in a sink.
    pub(crate) fn durable(&mut self, kind: SinkKind, batch: &Batch) {
        for entry in &batch.entries {
            self.count(entry);
            let reached = self.sinks.entry(kind).or_default();
            reached.take(kind, entry);
        }
    }

    fn count(&mut self, entry: &Entry) {
        match &entry.what {
            What::Block { header, .. } => self.records += u64::from(header.count),
            What::Gap { .. } => self.gaps += 1,
            What::Notice(_) => self.notices += 1,
            What::Start { .. } => {}
        }
    }

    /// A gateway says something; `sinks` are those that it has.
    pub(crate) fn told(&mut self, device: &DeviceId, bytes: &[u8], sinks: &[Sink], credit_max: u64) {
        let Ok((Down::Ack(ack), _)) = message::decode::<Down>(bytes) else { return };
        log::info!("{device} is told {ack:?}");
        self.numbered(device, &ack);
        for lane in &ack.lanes {
            if u64::from(lane.credit) > credit_max {
                violated(Sentence::Credit, &format!("{} bytes, and {credit_max} are allowed", lane.credit));
            }
            for place in &lane.runs {
                self.acknowledge(device, lane.lane, place, sinks);
            }
        }
    }

    fn acknowledge(&mut self, device: &DeviceId, lane: Lane, place: &Place, sinks: &[Sink]) {
        let name = (device.clone(), lane, place.run);
        for sink in sinks.iter().filter(|sink| sink.is_required) {
            let reached = self.sinks.get(&sink.kind).and_then(|sink| sink.runs.get(&name));
            if reached.is_none_or(|reached| *reached < place.seq.0) {
                let kind = sink.kind.name();
                let detail = format!("{device} {lane:?}: {place:?}, and the {kind} has {reached:?}");
                violated(Sentence::AcknowledgedIsDurable, &detail);
            }
        }
        let known = self.acknowledged.entry(name).or_default();
        *known = (*known).max(place.seq.0);
    }

    /// One gateway's numbers grow.
    fn numbered(&mut self, device: &DeviceId, ack: &Ack) {
        let known = self.generations.entry(device.clone()).or_insert(ack.number);
        if known.generation == ack.number.generation && known.counter > ack.number.counter {
            violated(Sentence::Counters, &format!("{device}: {:?} after {known:?}", ack.number));
        }
        *known = (*known).max(ack.number);
    }

    /// A device says something of its own.
    pub(crate) fn said(&self, device: &DeviceId, bytes: &[u8]) {
        let Ok((Up::Hello(hello), _)) = message::decode::<Up>(bytes) else { return };
        for lane in hello.lanes.iter().filter(|lane| lane.base.run != RunId::ORIGIN) {
            let name = (device.clone(), lane.lane, lane.base.run);
            let known = self.acknowledged.get(&name);
            if known.is_none_or(|known| *known < lane.base.seq.0) {
                let detail =
                    format!("{device} {:?}: base {:?}, acknowledged {known:?}", lane.lane, lane.base);
                violated(Sentence::FreedIsAcknowledged, &detail);
            }
        }
    }

    /// A sink is new, and owes what comes after what another has.
    pub(crate) fn add(&mut self, kind: SinkKind, like: SinkKind) {
        let reached = self.sinks.get(&like).cloned().unwrap_or_default();
        self.sinks.insert(kind, reached);
    }

    /// A sink's content was read afresh: it may have more than the batches told.
    pub(crate) fn read_again(&mut self, kind: SinkKind, reached: impl Iterator<Item = (Name, u64)>) {
        let sink = self.sinks.entry(kind).or_default();
        for (name, seq) in reached {
            let known = sink.runs.entry(name).or_default();
            *known = (*known).max(seq);
        }
    }
}

impl Reached {
    fn take(&mut self, kind: SinkKind, entry: &Entry) {
        let name = (entry.device.clone(), entry.lane, entry.run);
        let at = |detail: String| format!("{} {:?} {:?}: {detail}", kind.name(), entry.device, entry.end);
        let known = self.runs.get(&name).copied();
        match &entry.what {
            What::Start { parent } => {
                if known.is_some() {
                    violated(Sentence::Once, &at("the start again".to_owned()));
                }
                let before = (entry.device.clone(), entry.lane, parent.run);
                if let Some(reached) = self.runs.get(&before)
                    && *reached < parent.seq.0
                {
                    violated(Sentence::ParentFirst, &at(format!("{parent:?}, and that run has {reached}")));
                }
                self.runs.insert(name, entry.end.seq.0);
            }
            What::Notice(notice) => self.notice(name, *notice, entry.end.seq.0, at),
            What::Block { header, .. } => self.extend(name, known, header.first.0, entry.end.seq.0, at),
            // An index had it, the ledger did not say so, and the device has dropped it since: it is
            // declared gone although it is there, which an audit tells.
            What::Gap { from, to, .. } if kind == SinkKind::Index => {
                let from = known.map_or(from.0, |reached| from.0.max(reached));
                let to = known.map_or(to.0, |reached| to.0.max(reached));
                self.extend(name, known, from, to, at);
            }
            What::Gap { from, to, .. } => self.extend(name, known, from.0, to.0, at),
        }
    }

    fn notice(&mut self, name: Name, notice: Notice, seq: u64, at: impl Fn(String) -> String) {
        if !self.notices.insert((name.clone(), notice.index())) {
            violated(Sentence::Once, &at(format!("the notice {} again", notice.name())));
        }
        if matches!(notice, Notice::LedgerLost | Notice::MayRepeat) {
            // The run is taken up here.
            self.runs.entry(name).or_insert(seq);
        }
    }

    fn extend(&mut self, name: Name, known: Option<u64>, from: u64, to: u64, at: impl Fn(String) -> String) {
        match known {
            Some(reached) if from < reached => {
                violated(Sentence::Once, &at(format!("{from} to {to}, and it has {reached}")));
            }
            Some(reached) if from > reached => {
                violated(Sentence::Whole, &at(format!("{from} to {to}, and it has {reached}")));
            }
            None if from > 0 => {
                violated(Sentence::Whole, &at(format!("{from} to {to}, and it has no start")))
            }
            _ => {}
        }
        self.runs.insert(name, to);
    }
}
