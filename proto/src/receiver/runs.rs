//! The runs of a lane: a small tree, parents before children.

use alloc::vec::Vec;

use super::{Notice, Receiver, Sinks};
use crate::ids::{AckNumber, Chain, Place, RunId, Seq};
use crate::limits::{ACK_RANGES_MAX, ACK_RUNS_MAX, RUNS_MAX, SINKS_MAX};
use crate::message::Range;

/// A run and how far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The run.
    pub run: RunId,
    /// The place in its parent after which it begins; [`Place::ORIGIN`] for a root, or where it
    /// was taken up at the device's base.
    pub parent: Place,
    /// The place after its start, or where it was taken up.
    pub begin: Place,
    /// Where its next item begins. A chain of 0 is not known and matches any.
    pub next: Place,
    /// For each sink the place up to which it durably has the run.
    pub marks: [Option<Place>; SINKS_MAX],
    /// The newest `Ack` issued when the run was first heard of.
    pub first_heard: AckNumber,
    /// The newest `Ack` that the run has echoed.
    pub last_echo: AckNumber,
    /// Bits of the notices stated about it.
    pub notices: u8,
    /// For each sink the bits of those that it durably has.
    pub notices_durable: [u8; SINKS_MAX],
    /// Its start has yet to be delivered (again, after loading or a rewind, to a sink without it).
    pub is_start_due: bool,
}

/// The bit of a notice in [`Run::notices`].
#[must_use]
pub const fn notice_bit(notice: Notice) -> u8 {
    1 << notice.index()
}

impl Run {
    /// A run that begins.
    #[must_use]
    pub const fn new(run: RunId, parent: Place, begin: Place, first_heard: AckNumber) -> Self {
        Self {
            run,
            parent,
            begin,
            next: begin,
            marks: [None; SINKS_MAX],
            first_heard,
            last_echo: AckNumber { generation: 0, counter: 0 },
            notices: 0,
            notices_durable: [0; SINKS_MAX],
            is_start_due: false,
        }
    }

    /// The lowest mark of all required sinks; `None` where one of them has none.
    #[must_use]
    pub fn lowest(&self, sinks: Sinks) -> Option<Place> {
        let mut lowest: Option<Place> = None;
        for at in sinks.required() {
            let mark = (*self.marks.get(at)?)?;
            lowest = Some(lowest.map_or(mark, |low| if mark.seq < low.seq { mark } else { low }));
        }
        lowest
    }

    /// The mark of one sink.
    #[must_use]
    pub fn mark(&self, sink: usize) -> Option<Place> {
        self.marks.get(sink).copied().flatten()
    }
}

/// Whether two chains can be of the same history: 0 is not known and matches any.
pub(super) fn is_same(one: Chain, other: Chain) -> bool {
    one == other || one == Chain::ROOT || other == Chain::ROOT
}

impl Receiver {
    /// For each run that concerns the device: the place below which everything is durable in
    /// every required sink, oldest first (rule 11).
    ///
    /// The list begins at the oldest run that a message named since the last `Ack`: what the
    /// device has on the air tells where it stands, also when a late `Hello` told otherwise. Where
    /// there are more than fit, the newest are named beside the oldest: a place in a run frees all
    /// that lies before it, so that whichever of them the device has moves it on. The newest are in
    /// it in any case: a device must not hear an `Ack` from behind the barrier that leaves it with
    /// a run that was forgotten.
    pub fn poll_acknowledged(&mut self) -> heapless::Vec<Place, ACK_RUNS_MAX> {
        let named = self.named.take().and_then(|run| self.position(run)).unwrap_or(0);
        let lowest = |run: &Run| run.lowest(self.sinks);
        let marked: Vec<Place> = self.runs.iter().filter_map(lowest).collect();
        let before = self.runs.iter().take(named).filter_map(lowest).count();
        let from = before.min(marked.len().saturating_sub(ACK_RUNS_MAX));
        let listed = marked.get(from..).unwrap_or_default();
        let oldest = listed.len().min(ACK_RUNS_MAX / 2);
        let newest = listed.len().saturating_sub(ACK_RUNS_MAX / 2).max(oldest);
        let (oldest, newest) = (listed.iter().take(oldest), listed.iter().skip(newest));
        oldest.chain(newest).copied().collect()
    }

    /// A message named this run: the next `Ack` speaks of it and of what came after it.
    pub(super) fn name(&mut self, run: RunId) {
        let Some(at) = self.position(run) else { return };
        let named = self.named.and_then(|named| self.position(named));
        let oldest = named.map_or(at, |named| named.min(at));
        self.named = self.runs.get(oldest).map(|run| run.run);
    }

    /// What arrived and is not durable yet, as hints for the sender: of each run what is delivered
    /// (an empty range: only its start), then what is held above a hole.
    #[must_use]
    pub fn received(&self) -> heapless::Vec<Range, ACK_RANGES_MAX> {
        let delivered = self.runs.iter().filter_map(|run| {
            let lowest = run.lowest(self.sinks);
            let first = lowest.unwrap_or(run.begin).seq;
            let is_new = lowest.is_none() || run.next.seq > first;
            is_new.then_some(Range { run: run.run, first, end: run.next.seq })
        });
        let mut blocks: Vec<Range> = self.held.iter().filter_map(super::Held::range).collect();
        blocks.sort_unstable_by_key(|range| (range.run, range.first));
        let mut ranges: heapless::Vec<Range, ACK_RANGES_MAX> = heapless::Vec::new();
        for block in delivered.chain(blocks) {
            match ranges.last_mut() {
                Some(last) if last.run == block.run && last.end == block.first => last.end = block.end,
                _ => {
                    if ranges.push(block).is_err() {
                        break;
                    }
                }
            }
        }
        ranges
    }

    /// The lowest number of a run's children's begins.
    pub(super) fn child_begin(&self, run: RunId) -> Option<Seq> {
        self.runs.iter().filter(|other| other.parent.run == run).map(|other| other.parent.seq).min()
    }

    /// Makes room for one more run, a child of `parent`, by giving up the oldest tombstones (rule 13):
    /// runs that have a child and are marked at their end, as all their children are marked, in every
    /// sink. Half of the table goes at once: every time the barrier moves, what is on its way has to
    /// be sent again.
    ///
    /// Where there is none, the oldest run goes that nothing follows from, marked at its end in every
    /// sink: its device was wiped, or its flash forgot it. Should a device still write in it, as a copy
    /// of a spool may, then nothing is lost by that: what was forgotten is in every sink, and what
    /// is sealed next has an unknown run until the device states its base, where it is taken up again
    /// with `MayRepeat`.
    ///
    /// `parent` may go too, as a tombstone; its child is then not admitted before it has come back.
    pub(super) fn make_room(&mut self, parent: RunId, issued: AckNumber) -> bool {
        if self.runs.len() < RUNS_MAX {
            return true;
        }
        let mut gone = self.oldest(RUNS_MAX / 2, |run| self.is_finished(run));
        if gone.is_empty() {
            gone = self.oldest(1, |run| run.run != parent && self.is_dead_end(run));
        }
        if gone.is_empty() {
            return false;
        }
        self.runs.retain(|run| !gone.contains(&run.run));
        self.release_orphans();
        self.barrier = AckNumber { counter: issued.counter.saturating_add(1), ..issued };
        self.has_forgotten = true;
        true
    }

    /// What followed a run that is not known is in every sink. If that run comes back, it comes as another.
    pub(super) fn release_orphans(&mut self) {
        for at in 0..self.runs.len() {
            let parent = self.runs.get(at).map(|run| run.parent.run);
            let is_known = parent.is_some_and(|parent| self.position(parent).is_some());
            if let Some(run) = self.runs.get_mut(at).filter(|_| !is_known) {
                run.parent = Place::ORIGIN;
            }
        }
    }

    /// The oldest such runs. A run goes only after its parent: so the children of a known run are
    /// known, and no fork is overlooked.
    fn oldest(&self, max: usize, is_such: impl Fn(&Run) -> bool) -> Vec<RunId> {
        let mut oldest = Vec::new();
        for run in &self.runs {
            let has_parent = self.position(run.parent.run).is_some() && !oldest.contains(&run.parent.run);
            if oldest.len() < max && !has_parent && is_such(run) {
                oldest.push(run.run);
            }
        }
        oldest
    }

    /// Whether a run is marked at `seq` or above in every sink.
    fn is_everywhere(&self, run: &Run, seq: Seq) -> bool {
        (0..self.sinks.count).all(|at| run.mark(at).is_some_and(|mark| mark.seq >= seq))
    }

    /// Whether nothing of a run is on its way to a sink, notices among it: what comes to be durable of a
    /// run after it was given up would be a mark of the one that comes back under its name.
    fn is_at_rest(&self, run: &Run) -> bool {
        self.is_everywhere(run, run.next.seq)
            && run.notices_durable.iter().take(self.sinks.count).all(|durable| run.notices & !durable == 0)
    }

    fn is_finished(&self, run: &Run) -> bool {
        let mut children = self.runs.iter().filter(|other| other.parent.run == run.run).peekable();
        children.peek().is_some()
            && self.is_at_rest(run)
            && children.all(|child| self.is_everywhere(child, child.parent.seq))
    }

    fn is_dead_end(&self, run: &Run) -> bool {
        self.is_at_rest(run) && self.child_begin(run.run).is_none()
    }

    /// The runs as the ledger has them after a commit: those that have a mark, or gain one.
    pub fn in_ledger(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(|run| run.marks.iter().any(Option::is_some))
    }
}
