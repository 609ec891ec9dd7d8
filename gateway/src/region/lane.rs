//! One lane of a device: its receiver, the items that wait, what each sink has yet to take.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};

use driftlog_proto::clock::Line;
use driftlog_proto::ids::{AckNumber, BootId, Lane, Place, RunId, Seq};
use driftlog_proto::item::{BlockHeader, Cause};
use driftlog_proto::message::BeatLane;
use driftlog_proto::receiver::{Notice, Receiver, Run, Sinks, Step, notice_bit};
use driftlog_proto::time::{Mono, Unix};

use super::SinkRole;
use super::ranges::Ranges;
use super::references::{Lookup, References};
use crate::ledger::record::{LaneRecord, Mark, RunRecord};

/// A step of the lane's history that a sink has yet to take.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) end: Place,
    pub(super) step: Step,
    pub(super) received: Unix,
    /// For a block what was kept of it.
    pub(super) block: Option<Kept>,
}

impl Pending {
    pub(super) fn bytes(&self) -> u64 {
        self.block.as_ref().map_or(0, |kept| kept.sealed.len() as u64)
    }
}

/// A block that waits.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) received: Unix,
    /// It came in a session whose `Hello` had been heard.
    pub(super) is_of_session: bool,
    pub(super) header: BlockHeader,
    pub(super) sealed: Arc<[u8]>,
    /// When its records happened: the same in every sink.
    pub(super) line: Arc<OnceLock<Line>>,
    /// What it refers to.
    pub(super) lookup: Option<Arc<Lookup>>,
}

/// What a sink of best effort lacks of a run and will not get.
#[derive(Clone, Copy, Debug)]
struct Lack {
    sink: usize,
    from: Seq,
    to: Place,
    /// It has the run's start; otherwise that comes first.
    has_start: bool,
}

/// A lane in memory.
#[derive(Debug)]
pub(super) struct LaneState {
    pub(super) lane: Lane,
    pub(super) receiver: Receiver,
    /// Held blocks, by slot.
    pub(super) kept: BTreeMap<u32, Kept>,
    /// Blocks that others refer to.
    pub(super) references: References,
    /// For each sink what it has yet to take, in order.
    pub(super) feeds: Vec<VecDeque<Pending>>,
    /// For each sink which index has what of it.
    pub(super) ranges: Vec<Ranges>,
    /// Bytes of blocks that a sink has yet to commit, over all required sinks.
    queued_bytes: u64,
    /// The same over the sinks of best effort.
    optional_bytes: u64,
    /// Bit i: sink i is of best effort.
    optional: u8,
    /// What sinks of best effort had not taken when the lane was loaded: the device has freed it.
    lacking: Vec<Lack>,
    /// What of this lane the region's budget counts.
    accounted: u64,
    /// What the device said about the lane last.
    pub(super) beat: Option<BeatLane>,
    /// The place after the newest item on the device's flash, as it said last.
    pub(super) device_next: Option<Place>,
    /// Gaps declared in this generation.
    pub(super) gaps: u64,
    /// Records declared lost in this generation.
    pub(super) lost: u64,
}

impl LaneState {
    pub(super) fn new(
        lane: Lane,
        sinks: Sinks,
        names: &[SinkRole],
        barrier: AckNumber,
        record: LaneRecord,
    ) -> Self {
        let runs = record.runs.iter().map(|run| restored(run, names)).collect();
        let receiver = Receiver::new(sinks, barrier, runs, record.has_forgotten);
        let optional = names.iter().enumerate().filter(|(_, role)| !role.is_required);
        let optional = optional.fold(0, |bits, (at, _)| bits | 1 << at);
        let lacks = |run: &Run| {
            let (run, to) = (*run, run.next);
            (0..sinks.count).filter(move |at| optional & (1 << at) != 0).filter_map(move |sink| {
                let mark = run.mark(sink);
                let from = mark.unwrap_or(run.begin).seq;
                (from < to.seq).then_some(Lack { sink, from, to, has_start: mark.is_some() })
            })
        };
        let lacking = receiver.runs().iter().flat_map(lacks).collect();
        Self {
            lane,
            receiver,
            kept: BTreeMap::new(),
            references: References::default(),
            feeds: vec![VecDeque::new(); sinks.count],
            ranges: vec![Ranges::default(); sinks.count],
            queued_bytes: 0,
            optional_bytes: 0,
            optional,
            lacking,
            accounted: 0,
            beat: None,
            device_next: None,
            gaps: 0,
            lost: 0,
        }
    }

    /// Bytes of this lane's items in memory, but for those that only sinks of best effort have yet to take:
    /// they hold nobody back.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.receiver.held_bytes() + self.queued_bytes
    }

    /// By how much the memory has changed since this was asked last.
    pub(super) fn account(&mut self) -> i64 {
        let bytes = self.memory_bytes() + self.optional_bytes + self.references.bytes();
        let change = bytes.cast_signed() - self.accounted.cast_signed();
        self.accounted = bytes;
        change
    }

    fn is_optional(&self, sink: usize) -> bool {
        self.optional & (1 << sink) != 0
    }

    /// Blocks of so many bytes wait no longer for a sink.
    fn release(&mut self, sink: usize, bytes: u64) {
        let of = if self.is_optional(sink) { &mut self.optional_bytes } else { &mut self.queued_bytes };
        *of = of.saturating_sub(bytes);
    }

    /// A step for every sink.
    pub(super) fn push(&mut self, pending: &Pending) {
        for sink in 0..self.feeds.len() {
            let of = if self.is_optional(sink) { &mut self.optional_bytes } else { &mut self.queued_bytes };
            *of += pending.bytes();
            if let Some(feed) = self.feeds.get_mut(sink) {
                feed.push_back(pending.clone());
            }
        }
        self.declare_lacking(pending.received, Some(pending.end.run));
    }

    /// Declares to sinks of best effort what they lack: at once where they have the run's start, else behind
    /// the start of `started`.
    pub(super) fn declare_lacking(&mut self, received: Unix, started: Option<RunId>) {
        let feeds = &mut self.feeds;
        self.lacking.retain(|lack| {
            let is_due = lack.has_start || started == Some(lack.to.run);
            if let Some(feed) = feeds.get_mut(lack.sink).filter(|_| is_due) {
                let step = Step::Gap { from: lack.from, cause: Cause::Missed };
                feed.push_back(Pending { end: lack.to, step, received, block: None });
            }
            !is_due
        });
    }

    /// Gives up what sinks of best effort have yet to take: in each place stands a gap.
    pub(super) fn give_up(&mut self) {
        let optional = self.optional;
        let feeds = self.feeds.iter_mut().enumerate().filter(|(sink, _)| optional & (1 << sink) != 0);
        for (_, feed) in feeds {
            let mut rest: VecDeque<Pending> = VecDeque::with_capacity(feed.len());
            for mut pending in feed.drain(..) {
                if let Some(kept) = pending.block.take() {
                    self.optional_bytes = self.optional_bytes.saturating_sub(kept.sealed.len() as u64);
                    let from = kept.header.first;
                    if let Some(last) = rest.back_mut()
                        && matches!(last.step, Step::Gap { cause: Cause::Missed, .. })
                        && (last.end.run, last.end.seq) == (pending.end.run, from)
                    {
                        last.end = pending.end;
                        continue;
                    }
                    pending.step = Step::Gap { from, cause: Cause::Missed };
                }
                rest.push_back(pending);
            }
            *feed = rest;
        }
    }

    /// Whether blocks wait for sinks of best effort.
    pub(super) const fn has_optional(&self) -> bool {
        self.optional_bytes > 0
    }

    /// The notices that some sink has about the remembered runs.
    pub(super) fn notices(&self) -> impl Iterator<Item = Notice> + use<> {
        let runs = self.receiver.runs().iter();
        let bits = runs.fold(0, |bits, run| run.notices_durable.iter().fold(bits, |all, bits| all | bits));
        Notice::ALL.into_iter().filter(move |notice| bits & notice_bit(*notice) != 0)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.kept.is_empty() && self.feeds.iter().all(VecDeque::is_empty)
    }

    /// The step that a sink takes next, cut to what lies above its own mark; steps below it, and
    /// notices that it has, are passed over. A start waits for the parent's committed mark (rule 10), and a
    /// block for those that it refers to: when they are gone, so is what is in it.
    pub(super) fn next_for(&mut self, sink: usize, taken: &Taken) -> Option<Pending> {
        loop {
            let runs = self.receiver.runs();
            let feed = self.feeds.get_mut(sink)?;
            let front = feed.front()?;
            if let Step::Start { parent } = front.step {
                let known = runs.iter().find(|run| run.run == parent.run);
                if known.is_some_and(|run| run.mark(sink).is_none_or(|mark| mark.seq < parent.seq)) {
                    return None;
                }
            }
            let lookup = front.block.as_ref().and_then(|kept| kept.lookup.as_ref());
            let is_unreadable = match lookup.map(|lookup| lookup.blocks()) {
                Some(None) => return None,
                Some(Some(blocks)) => blocks.is_empty(),
                None => false,
            };
            let mut pending = feed.pop_front()?;
            if is_unreadable && let Some(kept) = pending.block.take() {
                let bytes = kept.sealed.len() as u64;
                pending.step = Step::Gap { from: kept.header.first, cause: Cause::Corruption };
                self.release(sink, bytes);
            }
            let runs = self.receiver.runs();
            if let Step::Notice(notice) = pending.step {
                let bits = runs.iter().find(|run| run.run == pending.end.run);
                let bits = bits.and_then(|run| run.notices_durable.get(sink)).copied().unwrap_or(0);
                if bits & notice_bit(notice) != 0 {
                    continue;
                }
            }
            let bytes = pending.bytes();
            let durable = runs.iter().find(|run| run.run == pending.end.run).and_then(|run| run.mark(sink));
            let mark = further(taken.place(pending.end), durable);
            if let Some(pending) = beyond(mark, pending) {
                return Some(pending);
            }
            self.release(sink, bytes);
        }
    }

    /// A sink durably has what was taken of the lane.
    pub(super) fn stored(&mut self, sink: usize, taken: &Taken, bytes: u64) {
        for place in &taken.places {
            self.receiver.handle_stored(sink, place);
            if let Some(ranges) = self.ranges.get_mut(sink) {
                ranges.pass(place.run, place.seq);
            }
        }
        for (place, notice) in &taken.notices {
            self.receiver.handle_stated(sink, place.run, *notice);
        }
        self.release(sink, bytes);
        // Most devices are silent most of the time.
        if self.is_idle() {
            self.feeds.iter_mut().for_each(VecDeque::shrink_to_fit);
            self.receiver.shrink();
        }
    }

    /// Whether every sink has a run up to `place`.
    pub(super) fn is_everywhere(&self, place: &Place) -> bool {
        let run = self.receiver.runs().iter().find(|run| run.run == place.run);
        let has = |sink| run.and_then(|run| run.mark(sink)).is_some_and(|mark| mark.seq >= place.seq);
        (0..self.feeds.len()).all(has)
    }

    /// The lane as the ledger has it once these sinks have what was taken.
    pub(super) fn record(&self, names: &[SinkRole], taken: &[(usize, &Taken)]) -> LaneRecord {
        let runs = self.receiver.runs().iter().filter_map(|run| recorded(run, names, taken)).collect();
        LaneRecord { runs, has_forgotten: self.receiver.has_forgotten() }
    }
}

/// What a batch takes from a lane: the place that it reaches in each run, and its notices.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    pub(super) places: Vec<Place>,
    pub(super) notices: Vec<(Place, Notice)>,
    /// The newest block: the place after it, its boot, when its last record was read.
    pub(super) newest: Option<(Place, BootId, Mono)>,
}

impl Taken {
    /// The place reached in the run of `of`.
    fn place(&self, of: Place) -> Option<Place> {
        self.places.iter().find(|place| place.run == of.run).copied()
    }

    pub(super) fn reach(&mut self, place: Place) {
        match self.places.iter_mut().find(|known| known.run == place.run) {
            Some(known) if known.seq <= place.seq => *known = place,
            Some(_) => {}
            None => self.places.push(place),
        }
    }
}

/// Of two places in one run the later: a notice stands where the run's slowest sink is, which may
/// be below this one's mark.
fn further(one: Option<Place>, other: Option<Place>) -> Option<Place> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if one.seq >= other.seq { one } else { other }),
        (one, other) => one.or(other),
    }
}

/// What of a step lies beyond a sink's mark.
fn beyond(mark: Option<Place>, mut pending: Pending) -> Option<Pending> {
    let Some(mark) = mark else { return Some(pending) };
    let is_below = pending.end.seq <= mark.seq;
    match &mut pending.step {
        Step::Start { .. } => None,
        Step::Notice(_) => Some(pending),
        Step::Block { .. } | Step::Gap { .. } if is_below => None,
        Step::Block { .. } => Some(pending),
        Step::Gap { from, .. } => {
            *from = Seq(from.0.max(mark.seq.0));
            Some(pending)
        }
    }
}

fn restored(record: &RunRecord, names: &[SinkRole]) -> Run {
    let mut run = Run::new(record.run, record.parent, record.begin, record.first_heard);
    run.last_echo = record.last_echo;
    for (at, sink) in names.iter().enumerate() {
        let mark = record.marks.iter().find(|mark| mark.sink == sink.name);
        if let (Some(mark), Some(place), Some(bits)) =
            (mark, run.marks.get_mut(at), run.notices_durable.get_mut(at))
        {
            *place = Some(mark.place);
            *bits = mark.notices;
        }
    }
    run
}

fn recorded(run: &Run, names: &[SinkRole], taken: &[(usize, &Taken)]) -> Option<RunRecord> {
    let mark_of = |at: usize, name: &str| {
        let mut notices = run.notices_durable.get(at).copied().unwrap_or(0);
        let mut place = run.mark(at);
        for (_, taken) in taken.iter().filter(|(sink, _)| *sink == at) {
            place = further(taken.place(run.next), place);
            for (of, notice) in &taken.notices {
                if of.run == run.run {
                    notices |= notice_bit(*notice);
                }
            }
        }
        place.map(|place| Mark { sink: name.to_owned(), place, notices })
    };
    let marks: Vec<Mark> =
        names.iter().enumerate().filter_map(|(at, role)| mark_of(at, &role.name)).collect();
    (!marks.is_empty()).then_some(RunRecord {
        run: run.run,
        parent: run.parent,
        begin: run.begin,
        first_heard: run.first_heard,
        last_echo: run.last_echo,
        marks,
    })
}
