//! Marks from documents: how far a sink has every run.

use std::collections::BTreeMap;

use driftlog_proto::ids::{AckNumber, Chain, DeviceId, Lane, Place};
use driftlog_proto::limits::RUNS_MAX;
use driftlog_proto::receiver::notice_bit;

use crate::ledger::Write;
use crate::ledger::record::{LaneRecord, Mark, RunRecord};
use crate::sink::ecs::document::{Fact, Outline};

/// When a run was first heard of a sink does not say. No echo is newer than this, so that
/// none of these runs is taken for the clone of another.
const HEARD_UNKNOWN: AckNumber = AckNumber { generation: u64::MAX, counter: u64::MAX };

/// The newest place of every run, as the documents of one sink tell it.
pub(super) struct Marks {
    sink: &'static str,
    lanes: BTreeMap<(DeviceId, Lane), LaneRecord>,
    is_headless: bool,
}

impl Marks {
    /// Nothing yet. `is_headless`: the oldest documents are gone.
    pub(super) fn new(sink: &'static str, is_headless: bool) -> Self {
        Self { sink, lanes: BTreeMap::new(), is_headless }
    }

    /// Lanes that have a mark.
    pub(super) fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// Runs that have a mark.
    pub(super) fn runs(&self) -> usize {
        self.lanes.values().map(|lane| lane.runs.len()).sum()
    }

    /// What the ledger is to hold.
    pub(super) fn writes(&self) -> impl Iterator<Item = Write> {
        self.lanes.iter().map(|((device, lane), record)| Write {
            key: LaneRecord::key(device, *lane),
            value: Some(record.encode()),
        })
    }

    /// The next document of a device, and the place after it.
    pub(super) fn follow(&mut self, outline: &Outline, end: Place) {
        let (sink, is_headless) = (self.sink, self.is_headless);
        let new = || LaneRecord { runs: Vec::new(), has_forgotten: is_headless };
        let lane = self.lanes.entry((outline.device.clone(), outline.lane)).or_insert_with(new);
        let run = match lane.runs.iter_mut().rev().find(|known| known.run == end.run) {
            Some(run) => run,
            None => admit(lane, sink, outline, end),
        };
        let Some(mark) = run.marks.first_mut() else { return };
        if mark.place.seq <= end.seq {
            mark.place = end;
        }
        if let Fact::Notice(notice) = outline.fact {
            mark.notices |= notice_bit(notice);
        }
    }
}

/// Adds a run that its first document begins.
fn admit<'a>(lane: &'a mut LaneRecord, sink: &str, outline: &Outline, end: Place) -> &'a mut RunRecord {
    if lane.runs.len() >= RUNS_MAX {
        // As the gateway does: the oldest run that has a child is finished, since its child was
        // taken after it. (Without one, the oldest.)
        let has_child = |run: &RunRecord| lane.runs.iter().any(|other| other.parent.run == run.run);
        let oldest = lane.runs.iter().position(has_child).unwrap_or(0);
        lane.runs.remove(oldest);
        lane.has_forgotten = true;
    }
    let (parent, begin) = match outline.fact {
        Fact::Start { parent } => (parent, end),
        Fact::Notice(_) => (Place::ORIGIN, end),
        _ => (Place::ORIGIN, Place { run: end.run, seq: outline.seq, chain: Chain::ROOT }),
    };
    lane.runs.push(RunRecord {
        run: end.run,
        parent,
        begin,
        first_heard: HEARD_UNKNOWN,
        last_echo: AckNumber::default(),
        marks: vec![Mark { sink: sink.to_owned(), place: end, notices: 0 }],
    });
    let last = lane.runs.len() - 1;
    &mut lane.runs[last]
}
