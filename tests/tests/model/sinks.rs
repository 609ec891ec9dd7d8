//! Sinks and their commits: what a sink takes next, and the ledger's mark that goes with it (rules 6, 10).

use crate::bounds::{Bounds, Broken};
use crate::gateway::{Known, Ledger, Memory, Notice, Record, Step, What};
use crate::state::{Number, Place, Run, Seq, World};

/// What a sink holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    pub held: Held,
    /// A ledger was lost without a rebuild since, and no device had freed this: it may come again.
    pub may_repeat: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Held {
    Start { parent: Place, begin: Place },
    TakenUp { at: Place, notice: Notice },
    Record { end: Place },
    Gap { from: Seq, to: Place },
    Notice { run: Run, notice: Notice },
}

impl Held {
    /// The run and the numbers `from..to`; a start is at the number where it stands.
    pub(crate) fn span(self) -> (Run, Seq, Seq) {
        match self {
            Self::Start { begin, .. } => (begin.run, begin.seq, begin.seq),
            Self::TakenUp { at, .. } => (at.run, at.seq, at.seq),
            Self::Record { end } => (end.run, end.seq - 1, end.seq),
            Self::Gap { from, to } => (to.run, from, to.seq),
            Self::Notice { run, .. } => (run, 0, 0),
        }
    }
}

impl Memory {
    /// The step that a sink takes next, cut to what lies beyond its mark.
    fn next_for(&self, sink: usize, bounds: &Bounds) -> Option<Step> {
        let mut beyond = self.queue.iter().filter_map(|step| self.beyond(sink, *step));
        if bounds.broken == Some(Broken::StartAtAnyTime) {
            return beyond
                .clone()
                .find(|step| matches!(step.what, What::Start { .. }))
                .or_else(|| beyond.next());
        }
        beyond.next().filter(|step| !self.waits(sink, step))
    }

    /// Rule 10: a start waits for the sink's committed mark on the parent.
    fn waits(&self, sink: usize, step: &Step) -> bool {
        let What::Start { parent } = step.what else { return false };
        let parent_of = self.position(parent.run).map(|at| self.runs[at].record.marks[sink]);
        parent_of.is_some_and(|mark| mark.is_none_or(|mark| mark.seq < parent.seq))
    }

    fn beyond(&self, sink: usize, step: Step) -> Option<Step> {
        if step.taken_by & (1 << sink) != 0 {
            return None;
        }
        // Of a run that was forgotten nothing is left but a notice.
        let record = self.position(step.end.run).map(|at| self.runs[at].record);
        let mark = record.and_then(|record| record.marks[sink]);
        let stated = record.map_or(0, |record| record.stated[sink]);
        let is_below = mark.is_some_and(|mark| step.end.seq <= mark.seq);
        match step.what {
            What::Start { .. } | What::TakenUp(_) => mark.is_none().then_some(step),
            What::Notice(notice) => (stated & notice as u8 == 0).then_some(step),
            What::Record => (!is_below).then_some(step),
            What::Gap { from } => {
                let from = from.max(mark.map_or(0, |mark| mark.seq));
                (!is_below).then_some(Step { what: What::Gap { from }, ..step })
            }
        }
    }

    /// A sink has this step; those that no sink takes any more are dropped.
    fn taken(&mut self, sink: usize, step: Step, bounds: &Bounds) {
        let is_it = |queued: &&mut Step| {
            (queued.end, queued.taken_by) == (step.end, step.taken_by)
                && std::mem::discriminant(&queued.what) == std::mem::discriminant(&step.what)
        };
        if let Some(queued) = self.queue.iter_mut().find(is_it) {
            queued.taken_by |= 1 << sink;
        }
        if let Some(at) = self.position(step.end.run) {
            let record = &mut self.runs[at].record;
            match step.what {
                What::Notice(notice) => record.stated[sink] |= notice as u8,
                _ => record.marks[sink] = Some(step.end),
            }
        }
        let queue = std::mem::take(&mut self.queue);
        let is_due = |step: &Step| bounds.all_sinks().any(|sink| self.beyond(sink, *step).is_some());
        self.queue = queue.into_iter().filter(is_due).collect();
    }
}

/// How a commit goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Done,
    /// The gateway is killed between the sink's write and the ledger's commit, which come as one:
    /// what is beyond the ledger's word is cut off when the sink is opened.
    Killed,
}

impl World {
    /// One sink takes one step and commits it with its mark; false if there is none to take.
    pub(crate) fn commit(&mut self, sink: usize, ending: Ending, bounds: &Bounds) -> bool {
        let Some(step) = self.gateway.next_for(sink, bounds) else { return false };
        let entry = Entry { held: held(step), may_repeat: false };
        let is_written = match ending {
            Ending::Done => true,
            Ending::Killed => bounds.broken == Some(Broken::SinkNotCutBack),
        };
        let is_marked = match ending {
            Ending::Done => true,
            Ending::Killed => bounds.broken == Some(Broken::LedgerBeforeSink),
        };
        if is_written {
            self.sinks[sink].push(entry);
        }
        if is_marked {
            self.gateway.taken(sink, step, bounds);
            self.ledger.write(&self.gateway);
        }
        if bounds.broken == Some(Broken::BatchOutOfOrder)
            && ending == Ending::Done
            && let Some(second) = self.gateway.next_for(sink, bounds)
        {
            self.gateway.taken(sink, second, bounds);
            self.ledger.write(&self.gateway);
            let last = self.sinks[sink].len() - 1;
            self.sinks[sink].insert(last, Entry { held: held(second), may_repeat: false });
        }
        true
    }

    /// The superseded gateway tries to commit: it is fenced.
    pub(crate) fn commit_late(&mut self, sink: usize, bounds: &Bounds) -> bool {
        if bounds.broken != Some(Broken::NotFenced) {
            return false;
        }
        let Some(mut old) = self.superseded.take() else { return false };
        let step = old.next_for(sink, bounds);
        if let Some(step) = step {
            self.sinks[sink].push(Entry { held: held(step), may_repeat: false });
            old.taken(sink, step, bounds);
            self.ledger.write(&old);
        }
        self.superseded = Some(old);
        step.is_some()
    }

    /// The ledger is lost and made anew from what the sinks hold.
    pub(crate) fn rebuild(&mut self) {
        let mut runs: Vec<Record> = Vec::new();
        for (sink, entries) in self.sinks.iter().enumerate() {
            for entry in entries {
                let (run, ..) = entry.held.span();
                let at = runs.iter().position(|record| record.run == run).unwrap_or_else(|| {
                    runs.push(fresh(entry.held));
                    runs.len() - 1
                });
                let record = &mut runs[at];
                match entry.held {
                    Held::Start { begin: place, .. }
                    | Held::TakenUp { at: place, .. }
                    | Held::Record { end: place }
                    | Held::Gap { to: place, .. } => record.marks[sink] = Some(place),
                    Held::Notice { notice, .. } => record.stated[sink] |= notice as u8,
                }
            }
        }
        self.ledger.runs = runs;
    }

    /// The ledger is lost and nothing is made of it: devices are taken up at their bases. What they
    /// have not freed on their flash may come again.
    pub(crate) fn forget_ledger(&mut self) {
        let freed: Vec<_> = self.devices.iter().map(|device| self.lineage(device.flash.base)).collect();
        let is_freed = |held: Held| {
            let (run, from, to) = held.span();
            freed.iter().flatten().any(|&(of, _, end)| of == run && to <= end && (from, to) != (end, end + 1))
        };
        for entry in self.sinks.iter_mut().flatten() {
            entry.may_repeat |= !is_freed(entry.held);
        }
        self.ledger.runs.clear();
    }
}

impl Ledger {
    /// All of the lane, as a commit writes it: each run that has a mark (rule 6).
    fn write(&mut self, memory: &Memory) {
        let records = memory.runs.iter().map(|known: &Known| known.record);
        self.runs = records.filter(Record::has_any_mark).collect();
        self.has_forgotten = memory.has_forgotten;
    }
}

fn held(step: Step) -> Held {
    match step.what {
        What::Start { parent } => Held::Start { parent, begin: step.end },
        What::TakenUp(notice) => Held::TakenUp { at: step.end, notice },
        What::Record => Held::Record { end: step.end },
        What::Gap { from } => Held::Gap { from, to: step.end },
        What::Notice(notice) => Held::Notice { run: step.end.run, notice },
    }
}

fn fresh(held: Held) -> Record {
    let (parent, begin, taken_up) = match held {
        Held::Start { parent, begin } => (parent, begin, None),
        Held::TakenUp { at, notice } => (Place::ORIGIN, at, Some(notice)),
        _ => (Place::ORIGIN, Place { run: held.span().0, ..Place::ORIGIN }, None),
    };
    Record {
        run: begin.run,
        parent,
        begin,
        marks: [None; 2],
        taken_up,
        first_heard: Number::default(),
        last_echo: Number::default(),
        stated: [0; 2],
    }
}
