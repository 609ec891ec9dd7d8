//! One lane's history as its documents tell it, followed from start to start.
//!
//! Memory is bounded by runs, declared gaps and what is wrong, never by records.

use std::collections::HashMap;
use std::ops::Range;

use driftlog_proto::ids::{Place, RunId, Seq};
use driftlog_proto::item::Cause;
use driftlog_proto::receiver::notice_bit;
use serde::Serialize;

use super::ranges::Ranges;
use crate::sink::Notice;
use crate::sink::ecs::document::{Fact, Outline};

/// Sentences about what is wrong that a lane keeps; the counts go on.
const FINDINGS_MAX: usize = 16;
/// Separate holes that a run remembers; what lies in further ones and comes late counts as double.
const HOLES_MAX: usize = 4096;

/// What a lane's documents add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// The lowest number that a record or a gap has.
    pub first: Option<u64>,
    /// The highest number that a record or a gap has.
    pub last: Option<u64>,
    /// Records.
    pub records: u64,
    /// Runs.
    pub runs: u64,
    /// Identities that occur twice.
    pub duplicates: u64,
    /// Items that come after what they should come before.
    pub out_of_order: u64,
    /// Numbers that are neither there nor declared gone.
    pub missing: u64,
    /// Starts that are missing, come too early or contradict their parent.
    pub broken_starts: u64,
    /// Forks that no notice states.
    pub unstated_forks: u64,
    /// Declared gaps by cause: how many, and of how many records.
    pub gaps: Vec<DeclaredGaps>,
    /// Records that are there although they were declared gone: allowed.
    pub declared_but_present: u64,
    /// Blocks that could not be unpacked.
    pub dead_letters: u64,
    /// Records in them.
    pub dead_records: u64,
    /// Histories that divide.
    pub forks: u64,
    /// Notices by name.
    pub notices: Vec<(&'static str, u64)>,
    /// What is wrong, in words: the first few.
    pub findings: Vec<String>,
}

/// Gaps of one cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeclaredGaps {
    /// The cause's name.
    pub cause: &'static str,
    /// How many.
    pub gaps: u64,
    /// Of how many records.
    pub records: u64,
}

impl Tally {
    /// Whether the promise is broken: something is double, out of order, or gone without a word.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.duplicates + self.out_of_order + self.missing + self.broken_starts + self.unstated_forks > 0
    }

    /// Records that are declared gone.
    #[must_use]
    pub fn declared(&self) -> u64 {
        self.gaps.iter().map(|gaps| gaps.records).sum()
    }

    /// How often a notice was stated.
    #[must_use]
    pub fn noticed(&self, notice: Notice) -> u64 {
        self.notices.iter().find(|(name, _)| *name == notice.name()).map_or(0, |(_, count)| *count)
    }

    pub(super) fn find(&mut self, sentence: impl FnOnce() -> String) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(sentence());
        }
    }
}

#[derive(Clone, Debug)]
struct Run {
    run: RunId,
    next: u64,
    holes: Ranges,
    gaps: Ranges,
    notices: u8,
    has_start: bool,
    /// The lowest begin of a child.
    child: Option<u64>,
    is_forked: bool,
}

/// The history of one lane.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    runs: Vec<Run>,
    index: HashMap<RunId, usize>,
    /// The run of the last document, which is mostly that of the next.
    last: Option<(RunId, usize)>,
    /// The oldest files of the archive are gone: runs may begin in their middle.
    is_headless: bool,
    pub(super) tally: Tally,
    gaps: [(u64, u64); Cause::ALL.len()],
    notices: [u64; Notice::ALL.len()],
}

/// What takes up numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    Record,
    Gap,
    DeadLetter,
}

impl History {
    pub(super) fn new(is_headless: bool) -> Self {
        Self { is_headless, ..Self::default() }
    }

    /// Follows one document; `at` says where it stands.
    pub(super) fn follow(&mut self, outline: &Outline, at: &dyn Fn() -> String) {
        let seq = outline.seq.0;
        let (to, taken) = match outline.fact {
            Fact::Start { parent } => return self.start(outline.run, outline.seq, &parent, at),
            Fact::Notice(notice) => return self.notice(outline.run, seq, notice, at),
            Fact::Record => (seq + 1, Taken::Record),
            Fact::Gap { to, cause } => {
                self.gaps[cause.index()].0 += 1;
                self.gaps[cause.index()].1 += to.since(outline.seq);
                (to.0, Taken::Gap)
            }
            Fact::DeadLetter { to } => {
                self.tally.dead_letters += 1;
                self.tally.dead_records += to.since(outline.seq);
                (to.0, Taken::DeadLetter)
            }
        };
        if taken == Taken::Record {
            self.tally.records += 1;
        }
        self.tally.first = Some(self.tally.first.map_or(seq, |first| first.min(seq)));
        self.tally.last = Some(self.tally.last.map_or(to.max(1) - 1, |last| last.max(to.max(1) - 1)));
        let position = match self.position(outline.run) {
            Some(position) => position,
            None => self.begin_in_the_middle(outline.run, seq, at),
        };
        self.take(position, seq..to, taken, at);
    }

    /// The number below which a run is accounted for; `None` for a run that is not there.
    pub(super) fn reached(&mut self, run: RunId) -> Option<u64> {
        let position = self.position(run)?;
        let run = &self.runs[position];
        Some(run.holes.iter().next().map_or(run.next, |hole| hole.start))
    }

    /// The number after the last of a run.
    pub(super) fn next(&mut self, run: RunId) -> Option<u64> {
        self.position(run).map(|position| self.runs[position].next)
    }

    /// Adds up what only the end shows.
    pub(super) fn finish(&mut self) {
        self.tally.runs = self.runs.len() as u64;
        self.tally.missing += self.runs.iter().map(|run| run.holes.count()).sum::<u64>();
        for run in &self.runs {
            for hole in run.holes.iter() {
                let (run, last) = (run.run, hole.end - 1);
                self.tally
                    .find(|| format!("run {run}: {} to {last} are missing and not declared", hole.start));
            }
        }
        let stated = [Notice::Fork, Notice::Clone, Notice::RunTwice];
        let is_stated = stated.into_iter().any(|notice| self.notices[notice.index()] > 0);
        if self.tally.forks > 0 && !is_stated {
            self.tally.unstated_forks = self.tally.forks;
            self.tally.find(|| "the history divides and no notice says so".to_owned());
        }
        for cause in Cause::ALL {
            let (gaps, records) = self.gaps[cause.index()];
            if gaps > 0 {
                self.tally.gaps.push(DeclaredGaps { cause: cause.name(), gaps, records });
            }
        }
        let counted = Notice::ALL.into_iter().map(|notice| (notice.name(), self.notices[notice.index()]));
        self.tally.notices = counted.filter(|(_, count)| *count > 0).collect();
    }

    fn position(&mut self, run: RunId) -> Option<usize> {
        match self.last {
            Some((last, position)) if last == run => return Some(position),
            _ => {}
        }
        let position = *self.index.get(&run)?;
        self.last = Some((run, position));
        Some(position)
    }

    fn add(&mut self, run: RunId, next: u64, has_start: bool) -> usize {
        let position = self.runs.len();
        self.index.insert(run, position);
        self.runs.push(Run {
            run,
            next,
            holes: Ranges::default(),
            gaps: Ranges::default(),
            notices: 0,
            has_start,
            child: None,
            is_forked: false,
        });
        position
    }

    fn begin_in_the_middle(&mut self, run: RunId, seq: u64, at: &dyn Fn() -> String) -> usize {
        if !self.is_headless {
            self.tally.broken_starts += 1;
            self.tally.find(|| format!("{}: run {run} has no start before its record {seq}", at()));
        }
        self.add(run, seq, false)
    }

    fn start(&mut self, run: RunId, seq: Seq, parent: &Place, at: &dyn Fn() -> String) {
        if let Some(position) = self.position(run) {
            let known = &mut self.runs[position];
            if known.has_start {
                self.tally.duplicates += 1;
                self.tally.find(|| format!("{}: run {run} has a second start", at()));
            } else {
                known.has_start = true;
                self.tally.out_of_order += 1;
                self.tally.find(|| format!("{}: the start of run {run} comes after its records", at()));
            }
            return;
        }
        self.add(run, seq.0, true);
        if seq != parent.seq {
            self.tally.broken_starts += 1;
            self.tally.find(|| format!("{}: run {run} starts at {seq}, its parent's {}", at(), parent.seq));
        }
        if parent.run == RunId::ORIGIN {
            return;
        }
        let Some(position) = self.position(parent.run) else {
            let is_excused = self.is_headless
                || self.notices[Notice::LedgerLost.index()] + self.notices[Notice::MayRepeat.index()] > 0;
            if !is_excused {
                self.tally.broken_starts += 1;
                self.tally.find(|| format!("{}: run {run} follows run {}, unknown", at(), parent.run));
            }
            return;
        };
        let next = self.runs[position].next;
        if next < parent.seq.0 {
            self.tally.out_of_order += 1;
            self.tally.find(|| {
                format!("{}: run {run} starts at {seq} when its parent {} is at {next}", at(), parent.run)
            });
        }
        if next > parent.seq.0 || self.runs[position].child.is_some() {
            self.fork(position);
        }
        let known = &mut self.runs[position];
        known.child = Some(known.child.map_or(parent.seq.0, |child| child.min(parent.seq.0)));
    }

    fn fork(&mut self, position: usize) {
        let run = &mut self.runs[position];
        if !run.is_forked {
            run.is_forked = true;
            self.tally.forks += 1;
        }
    }

    fn notice(&mut self, run: RunId, seq: u64, notice: Notice, at: &dyn Fn() -> String) {
        self.notices[notice.index()] += 1;
        let is_taken_up = matches!(notice, Notice::LedgerLost | Notice::MayRepeat);
        let position = match self.position(run) {
            Some(position) => position,
            None if is_taken_up => self.add(run, seq, false),
            None => return,
        };
        let known = &mut self.runs[position];
        if known.notices & notice_bit(notice) != 0 {
            self.tally.duplicates += 1;
            self.tally.find(|| format!("{}: run {run} has the notice {} twice", at(), notice.name()));
        }
        self.runs[position].notices |= notice_bit(notice);
    }

    /// Numbers of a run are there, or declared gone.
    fn take(&mut self, position: usize, range: Range<u64>, taken: Taken, at: &dyn Fn() -> String) {
        let run = &mut self.runs[position];
        if range.start < run.next {
            let below = range.start..range.end.min(run.next);
            self.take_again(position, below, taken, at);
        } else if range.start > run.next {
            let hole = run.next..range.start;
            if run.holes.len() < HOLES_MAX {
                run.holes.insert(hole);
            } else {
                self.tally.missing += hole.end - hole.start;
            }
        }
        let run = &mut self.runs[position];
        if taken == Taken::Gap {
            let new = range.start.max(run.next)..range.end;
            run.gaps.insert(new);
        }
        run.next = run.next.max(range.end);
        if run.child.is_some_and(|child| run.next > child) {
            self.fork(position);
        }
    }

    /// Numbers below the run's next: late, double, or declared gone and here after all.
    fn take_again(&mut self, position: usize, range: Range<u64>, taken: Taken, at: &dyn Fn() -> String) {
        let Run { run, holes, gaps, .. } = &mut self.runs[position];
        let run = *run;
        let count = range.end - range.start;
        let late = holes.remove(&range);
        let declared = gaps.remove(&range);
        if taken == Taken::Gap {
            // What it declares a second time is double; what is there already is declared but present.
            gaps.insert(range.clone());
            self.tally.duplicates += declared;
            self.tally.declared_but_present += count - late - declared;
        } else {
            self.tally.duplicates += count - late - declared;
            self.tally.declared_but_present += declared;
        }
        self.tally.out_of_order += late;
        let is_double = if taken == Taken::Gap { declared > 0 } else { count > late + declared };
        if is_double {
            self.tally.find(|| format!("{}: run {run}: {} is there twice", at(), range.start));
        } else if late > 0 {
            self.tally.find(|| format!("{}: run {run}: {} comes too late", at(), range.start));
        }
    }
}
