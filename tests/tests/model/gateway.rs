//! The gateway's memory of one lane: what is admitted, taken, declared (rules 6 to 9).
//!
//! Nothing is held: what is early is dropped, and comes again from the carrier, which keeps all.

use crate::bounds::{Bounds, Broken};
use crate::state::{Gap, Item, Number, Place, Run, Seq, Up};

/// What a gateway states about a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Notice {
    Fork = 1,
    Clone = 2,
    LedgerLost = 4,
    MayRepeat = 8,
}

/// A run as the ledger has it (rule 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Record {
    pub run: Run,
    pub parent: Place,
    pub begin: Place,
    /// For each sink the place up to which it durably has the run.
    pub marks: [Option<Place>; 2],
    /// It was taken up at a device's base, with this notice.
    pub taken_up: Option<Notice>,
    pub first_heard: Number,
    pub last_echo: Number,
    /// For each sink the notices that it has.
    pub stated: [u8; 2],
}

/// The durable memory: what a commit writes, all of the lane at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Ledger {
    pub generation: u8,
    pub runs: Vec<Record>,
    pub has_forgotten: bool,
}

/// A run in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Known {
    pub record: Record,
    pub next: Place,
    pub notices: u8,
    /// Some sink lacks its start, which has yet to be delivered.
    pub is_start_due: bool,
}

/// What is delivered to the sinks; `end` is the place after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Step {
    pub end: Place,
    pub what: What,
    /// The sinks that have taken it.
    pub taken_by: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum What {
    Start { parent: Place },
    TakenUp(Notice),
    Record,
    Gap { from: Seq },
    Notice(Notice),
}

/// A gateway's memory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Memory {
    /// Parents before children.
    pub runs: Vec<Known>,
    /// What some sink has yet to take, in order.
    pub queue: Vec<Step>,
    pub issued: Number,
    /// Only a message that echoes an `Ack` from here on admits a run (rule 7).
    pub barrier: Number,
    pub has_forgotten: bool,
}

impl Record {
    /// The lowest required mark; `None` where a required sink has none.
    pub(crate) fn lowest(&self, bounds: &Bounds) -> Option<Place> {
        let mut lowest: Option<Place> = None;
        for sink in bounds.required() {
            let mark = self.marks[sink]?;
            lowest = Some(lowest.map_or(mark, |low| if mark.seq < low.seq { mark } else { low }));
        }
        lowest
    }

    pub(crate) fn highest(&self) -> Option<Place> {
        self.marks.into_iter().flatten().max_by_key(|mark| mark.seq)
    }

    pub(crate) fn has_any_mark(&self) -> bool {
        self.marks.iter().any(Option::is_some)
    }
}

impl Memory {
    /// A new gateway reads the ledger.
    pub(crate) fn load(ledger: &Ledger, bounds: &Bounds) -> Self {
        let first = Number { generation: ledger.generation, counter: 0 };
        let known =
            |record: &Record| Known { record: *record, next: record.begin, notices: 0, is_start_due: false };
        let mut memory = Self {
            runs: ledger.runs.iter().map(known).collect(),
            queue: Vec::new(),
            issued: first,
            barrier: first,
            has_forgotten: ledger.has_forgotten,
        };
        memory.go_back(bounds);
        memory
    }

    /// Everything goes back to the committed marks (rule 6): after loading, and after a commit that failed.
    pub(crate) fn go_back(&mut self, bounds: &Bounds) {
        self.queue.clear();
        self.runs.retain(|known| known.record.has_any_mark());
        for known in &mut self.runs {
            let record = &known.record;
            let mark = match bounds.broken {
                Some(Broken::ReloadHighest) => record.highest(),
                _ => record.lowest(bounds),
            };
            known.next = mark.unwrap_or(record.begin);
            known.notices = bounds.all_sinks().fold(u8::MAX, |all, sink| all & record.stated[sink]);
            known.is_start_due = bounds.all_sinks().any(|sink| record.marks[sink].is_none())
                && bounds.broken != Some(Broken::StartNotDueAgain);
        }
        self.state_forks(bounds);
        self.settle();
        self.declare_what_sinks_missed(bounds);
    }

    /// A best-effort sink that is behind what will come again gets a gap of its own (rule 6).
    fn declare_what_sinks_missed(&mut self, bounds: &Bounds) {
        if bounds.broken == Some(Broken::BestEffortSkips) {
            return;
        }
        let best_effort =
            || bounds.all_sinks().filter(|sink| bounds.required().all(|required| required != *sink));
        let steps = self.runs.iter().filter_map(|known| {
            let record = &known.record;
            let has = |sink: usize| record.marks[sink].unwrap_or(record.begin).seq;
            let from = best_effort().map(has).filter(|has| *has < known.next.seq).min()?;
            Some(Step { end: known.next, what: What::Gap { from }, taken_by: 0 })
        });
        // In the order of the runs, each after its start: a child's start waits for its parent's gap.
        for step in steps.collect::<Vec<_>>() {
            let after = self.queue.iter().position(|due| due.end.run == step.end.run).map(|at| at + 1);
            let before = self
                .queue
                .iter()
                .position(|due| matches!(due.what, What::Start { parent } if parent.run == step.end.run));
            let at = after.or(before).unwrap_or(self.queue.len());
            self.queue.insert(at, step);
        }
    }

    pub(crate) fn position(&self, run: Run) -> Option<usize> {
        self.runs.iter().position(|known| known.record.run == run)
    }

    pub(crate) fn of(&self, run: Run) -> Option<&Known> {
        self.runs.iter().find(|known| known.record.run == run)
    }

    fn is_fresh(&self, heard: Number, bounds: &Bounds) -> bool {
        heard >= self.barrier && heard.generation == self.barrier.generation
            || bounds.broken == Some(Broken::StaleEchoAdmits)
    }

    /// A message has arrived.
    pub(crate) fn hear(&mut self, up: &Up, bounds: &Bounds) {
        match up {
            Up::Hello { run, heard, base } => {
                self.told(*run, *heard, bounds);
                self.hear_base(*base, *heard, bounds);
            }
            Up::Item { item, run, heard, .. } => {
                self.told(*run, *heard, bounds);
                match item {
                    Item::Start { parent, begin } => self.hear_start(*parent, *begin, *heard, bounds),
                    Item::Block { from, to } => self.hear_block(*from, *to, bounds),
                    Item::Gap(gap) => self.hear_gap(gap, *heard, bounds),
                }
            }
        }
        self.settle();
    }

    /// Rule 7: only a root, or a start whose parent has come as far, and a fresh echo.
    fn hear_start(&mut self, parent: Place, begin: Place, heard: Number, bounds: &Bounds) {
        if self.position(begin.run).is_some() || !self.is_fresh(heard, bounds) {
            return;
        }
        let has_reached = match self.of(parent.run) {
            _ if parent.run == 0 => true,
            Some(known) => {
                !known.is_start_due && known.next.seq >= parent.seq
                    || bounds.broken == Some(Broken::StartBeforeItsTime)
            }
            None => bounds.broken == Some(Broken::OrphanAdmitted),
        };
        if has_reached {
            self.admit(parent, begin, heard, bounds);
        }
    }

    /// Admits a run, and notices a fork (rule 12). Not where the parent went to make room: then the
    /// device says its base again, and the parent comes back with a notice.
    fn admit(&mut self, parent: Place, begin: Place, heard: Number, bounds: &Bounds) -> bool {
        let had_parent = self.position(parent.run).is_some();
        if !self.make_room(parent.run, bounds) {
            return false;
        }
        if had_parent && self.position(parent.run).is_none() && bounds.broken != Some(Broken::ParentForgotten)
        {
            return false;
        }
        if let Some(at) = self.position(parent.run) {
            let Known { next, record, .. } = self.runs[at];
            let highest = record.highest().filter(|_| bounds.broken != Some(Broken::ForkUnseenAfterLoading));
            let reached = next.seq.max(highest.map_or(0, |mark| mark.seq));
            let is_fork = self.first_child(parent.run).is_some() || reached > parent.seq;
            if is_fork || bounds.broken == Some(Broken::EveryChildIsAFork) {
                self.state(at, Notice::Fork, bounds);
            }
        }
        // Whether a root is new or one that was forgotten cannot be told (rule 13).
        let repeats = parent.run == 0 && self.has_forgotten && bounds.broken != Some(Broken::RepeatsUnsaid);
        let taken_up = repeats.then_some(Notice::MayRepeat);
        self.push(parent, begin, heard, taken_up);
        self.deliver(begin, taken_up.map_or(What::Start { parent }, What::TakenUp));
        true
    }

    fn push(&mut self, parent: Place, begin: Place, heard: Number, taken_up: Option<Notice>) {
        let record = Record {
            run: begin.run,
            parent,
            begin,
            marks: [None; 2],
            taken_up,
            first_heard: self.issued,
            last_echo: heard,
            stated: [0; 2],
        };
        self.runs.push(Known { record, next: begin, notices: 0, is_start_due: false });
    }

    /// Rule 8: at its run's `next` and nowhere else.
    fn hear_block(&mut self, from: Place, to: Place, bounds: &Bounds) {
        let Some(at) = self.position(to.run) else { return };
        let known = self.runs[at];
        let is_next = from.seq == known.next.seq && from.is_same_history(known.next);
        let is_early = from.seq > known.next.seq && bounds.broken == Some(Broken::HoleSkipped);
        if known.is_start_due || !(is_next || is_early) {
            return;
        }
        self.move_on(at, to, What::Record, bounds);
    }

    /// A run comes as far as `end`; above a child's beginning that is a fork (rule 12).
    fn move_on(&mut self, at: usize, end: Place, what: What, bounds: &Bounds) {
        let is_unseen = matches!(what, What::Gap { .. }) && bounds.broken == Some(Broken::ForkUnseenInGap);
        if self.first_child(end.run).is_some_and(|begin| end.seq > begin) && !is_unseen {
            self.state(at, Notice::Fork, bounds);
        }
        self.runs[at].next = end;
        self.deliver(end, what);
    }

    pub(crate) fn deliver(&mut self, end: Place, what: What) {
        self.queue.push(Step { end, what, taken_by: 0 });
    }

    /// Rules 7 and 8: an unknown run begins at the base that its device states; what is below the base
    /// of a known run was acknowledged before.
    fn hear_base(&mut self, base: Place, heard: Number, bounds: &Bounds) {
        if base.run == 0 || !self.is_fresh(heard, bounds) {
            return;
        }
        let Some(at) = self.position(base.run) else {
            if self.make_room(base.run, bounds) {
                let notice = if self.has_forgotten { Notice::MayRepeat } else { Notice::LedgerLost };
                self.push(Place::ORIGIN, base, heard, Some(notice));
                self.deliver(base, What::TakenUp(notice));
            }
            return;
        };
        let next = self.runs[at].next;
        if base.seq > next.seq {
            self.move_on(at, base, What::Gap { from: next.seq }, bounds);
        }
    }

    /// Rule 9: piece by piece, from the first run that is known.
    fn hear_gap(&mut self, gap: &Gap, heard: Number, bounds: &Bounds) {
        let parts = parts(gap);
        let is_known = |part: &(Place, Seq, Place)| part.2.run == 0 || self.position(part.2.run).is_some();
        let Some(first) = parts.iter().position(is_known) else { return };
        let is_early = self.of(gap.from.run).is_some_and(|known| known.next.seq < gap.from.seq);
        if is_early && bounds.broken != Some(Broken::GapTooEarly) {
            return;
        }
        for &(parent, from, end) in &parts[first..] {
            if self.of(end.run).is_some_and(|known| known.is_start_due) {
                return;
            }
            if end.run != 0 && self.position(end.run).is_none() {
                let begin = Place { run: end.run, seq: from, chain: 0 };
                if !self.is_fresh(heard, bounds) || !self.admit(parent, begin, heard, bounds) {
                    return;
                }
            }
            self.declare(from, end, bounds);
        }
    }

    fn declare(&mut self, from: Seq, end: Place, bounds: &Bounds) {
        let Some(at) = self.position(end.run) else { return };
        let next = self.runs[at].next;
        if next.seq < end.seq {
            let early = bounds.broken == Some(Broken::GapTooEarly);
            let from = if early { from } else { next.seq.max(from) };
            self.move_on(at, end, What::Gap { from }, bounds);
        } else if next.seq == end.seq && next.chain == 0 {
            self.runs[at].next = end;
        }
    }

    /// Delivers each start that is due and whose parent has come as far (rule 10).
    fn settle(&mut self) {
        for at in 0..self.runs.len() {
            let record = self.runs[at].record;
            let parent = self.of(record.parent.run);
            let is_waiting =
                parent.is_some_and(|parent| parent.is_start_due || parent.next.seq < record.parent.seq);
            if self.runs[at].is_start_due && !is_waiting {
                self.runs[at].is_start_due = false;
                let what = record.taken_up.map_or(What::Start { parent: record.parent }, What::TakenUp);
                self.deliver(record.begin, what);
                let Known { next: end, notices, .. } = self.runs[at];
                for notice in
                    [Notice::Fork, Notice::Clone].into_iter().filter(|one| notices & *one as u8 != 0)
                {
                    self.deliver(end, What::Notice(notice));
                }
            }
        }
    }
}

/// The parts of a gap, one for each run: where the run begins in the one before, from, to.
fn parts(gap: &Gap) -> Vec<(Place, Seq, Place)> {
    let mut parts = Vec::new();
    let (mut parent, mut run, mut from) = (gap.from, gap.from.run, gap.from.seq);
    for &(next, n) in &gap.starts {
        let end = Place { run, seq: n, chain: 0 };
        parts.push((parent, from, end));
        (parent, run, from) = (end, next, n);
    }
    parts.push((parent, from, gap.to));
    parts
}
