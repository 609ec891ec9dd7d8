//! What the world knows of a log: what was given to it, what it said of itself, what it gave out.
//!
//! The log is a list of states, each after one frame: where it ends, which cursors it has, up to
//! where it is acknowledged and what it has counted as lost. A power cut may take it back to any of
//! these that was not promised yet, and to nothing else: so data, cursors, base and counters are
//! compared at once.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use driftlog_proto::ids::{Place, RunId, Seq};
use driftlog_proto::item::{Cause, Gap, ItemHeader};
use driftlog_proto::sender::{Kind, Stored};

use crate::exploring::Known;

/// The key of the cursor that holds how many lines were read: line n is record n.
pub(crate) const LINES: u64 = 1;

/// A state of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LogState {
    /// The place after the last item.
    pub(crate) end: Place,
    pub(crate) cursors: BTreeMap<u64, Vec<u8>>,
    pub(crate) stated: Stated,
}

/// What a frame says beside its items and cursors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Stated {
    pub(crate) base: Place,
    /// Records declared lost, by cause.
    pub(crate) dropped: [u64; Cause::ON_WIRE.len()],
}

impl LogState {
    fn empty() -> Self {
        let stated = Stated { base: Place::ORIGIN, dropped: [0; Cause::ON_WIRE.len()] };
        Self { end: Place::ORIGIN, cursors: BTreeMap::new(), stated }
    }
}

/// An item as it was given out for publishing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Published {
    pub(crate) item: Stored,
    pub(crate) header: ItemHeader,
    pub(crate) bytes: Rc<[u8]>,
}

impl Published {
    pub(crate) fn gap(&self) -> Option<&Gap> {
        match &self.header {
            ItemHeader::Gap(gap) => Some(gap),
            _ => None,
        }
    }
}

/// Records that the spool reported as gone, with their cause.
type Lost = (Seq, Seq, Cause);

#[derive(Clone, Debug)]
pub(crate) struct History {
    states: Vec<Rc<LogState>>,
    /// The newest state that the spool took; those behind it are in doubt.
    taken: usize,
    /// The newest state that a power cut may not take back.
    promised: usize,
    /// Every item that was given to the spool, by its end.
    offered: BTreeMap<(RunId, Seq, u64), Rc<[u8]>>,
    published: Vec<Published>,
    lost: Vec<Lost>,
    /// Which block a record was published in, by its identity.
    identities: BTreeMap<(RunId, u64), Place>,
    runs: u64,
    /// The flash reported syncs that it did not do: nothing is promised, and anything may be missing.
    is_lied_to: bool,
    fingerprint: u64,
}

impl Default for History {
    fn default() -> Self {
        Self {
            states: vec![Rc::new(LogState::empty())],
            taken: 0,
            promised: 0,
            offered: BTreeMap::new(),
            published: Vec::new(),
            lost: Vec::new(),
            identities: BTreeMap::new(),
            runs: 0,
            is_lied_to: false,
            fingerprint: 0,
        }
    }
}

impl Known for History {
    /// What the step did is in doubt, and only what was promised before it is promised.
    fn cut(&self, before: &Self) -> Self {
        let mut cut = self.clone();
        cut.published.clone_from(&before.published);
        cut.identities.clone_from(&before.identities);
        (cut.taken, cut.promised) = (before.taken, before.promised);
        cut.note(&(cut.taken, cut.promised, cut.published.len()));
        cut
    }

    /// Histories that went the same way have the same.
    fn fingerprint(&self) -> u64 {
        self.fingerprint
    }
}

impl History {
    fn note(&mut self, what: &impl Hash) {
        let mut hasher = DefaultHasher::new();
        (self.fingerprint, what).hash(&mut hasher);
        self.fingerprint = hasher.finish();
    }

    /// A number that no run had.
    pub(crate) fn begin_run(&mut self) -> RunId {
        self.runs += 1;
        RunId(self.runs)
    }

    pub(crate) const fn runs(&self) -> u64 {
        self.runs
    }

    /// An item was given to the spool.
    pub(crate) fn offer(&mut self, end: Place, bytes: &[u8]) {
        self.offered.insert((end.run, end.seq, end.chain.0), Rc::from(bytes));
    }

    /// The state in which the log is.
    pub(crate) fn state(&self) -> &LogState {
        &self.states[self.taken]
    }

    /// The spool was asked for what leads to this state; `is_taken`: and did it.
    pub(crate) fn push(&mut self, state: LogState, is_taken: bool) {
        self.note(&(&state, is_taken));
        if is_taken && *self.state() == state {
            return;
        }
        self.states.push(Rc::new(state));
        if is_taken {
            self.taken = self.states.len() - 1;
        }
    }

    /// What was taken is durable.
    pub(crate) fn promise(&mut self) {
        self.promised = self.taken;
        self.note(&self.promised.clone());
    }

    /// What ends at this place may be published, and so is durable.
    pub(crate) fn promise_up_to(&mut self, end: Place) {
        let from = self.promised;
        let at = (from..=self.taken).find(|at| self.states[*at].end == end);
        self.promised = at.expect("only what was taken may be published");
        self.note(&self.promised.clone());
    }

    /// From now on the flash lies.
    pub(crate) fn note_lie(&mut self) {
        self.is_lied_to = true;
    }

    pub(crate) const fn is_lied_to(&self) -> bool {
        self.is_lied_to
    }

    /// The spool reported a loss.
    pub(crate) fn lose(&mut self, from: Seq, to: Seq, cause: Cause) {
        self.lost.push((from, to, cause));
        self.note(&(from, to, cause.index()));
    }

    /// The log was found in a state: one that was promised or that came later. After a power cut
    /// `is_cut` what was taken in memory alone may be gone; after a kill it is there.
    pub(crate) fn resume(&mut self, found: &LogState, is_cut: bool) {
        if self.is_lied_to {
            self.note(found);
            self.states = vec![Rc::new(found.clone())];
            (self.taken, self.promised) = (0, 0);
            return;
        }
        let oldest = if is_cut { self.promised } else { self.taken };
        let newest = self.states.len() - 1;
        let is_it = |at: usize| {
            let state = &self.states[at];
            // A fresh segment may be there without its first frame: its checkpoint has the base and
            // the gaps of what was under way.
            let mut stated = std::iter::once(at).chain(at.max(self.taken) + 1..=newest);
            state.end == found.end
                && state.cursors == found.cursors
                && stated.any(|at| self.states[at].stated == found.stated)
        };
        let at = (oldest..=newest).rev().find(|at| is_it(*at)).unwrap_or_else(|| {
            let allowed = &self.states[oldest..];
            panic!("the log is in a state in which it never was, or older than what was promised\nfound {found:#?}\nallowed {allowed:#?}")
        });
        self.states.truncate(at + 1);
        self.taken = at;
        self.push(found.clone(), true);
        self.note(&at);
    }

    /// The log gave out these items, from base to end.
    pub(crate) fn publish(&mut self, base: Place, items: &[Published], may_forget: bool) {
        for item in items {
            self.check_origin(item);
        }
        if !may_forget {
            for item in &self.published {
                check_presence(item, base, items);
            }
        }
        for item in items {
            self.check_identity(item);
            if !self.published.contains(item) {
                self.note(&item.bytes);
                self.published.push(item.clone());
            }
        }
    }

    /// Nothing is invented: items are what was given to the spool, gaps what it said was lost.
    fn check_origin(&self, item: &Published) {
        let Some(gap) = item.gap() else {
            let end = item.item.end;
            let offered = self.offered.get(&(end.run, end.seq, end.chain.0));
            assert!(offered == Some(&item.bytes), "nobody gave the spool what it gives out: {item:?}");
            return;
        };
        if self.is_lied_to {
            return;
        }
        for seq in gap.from.seq.0..gap.to.seq.0 {
            let is_known = |(from, to, _): &Lost| (from.0..to.0).contains(&seq);
            assert!(self.lost.iter().any(is_known), "record {seq} is declared lost and never was: {gap:?}");
        }
        let is_known = self.lost.iter().any(|(_, _, cause)| *cause == gap.cause);
        assert!(is_known, "nothing was lost for this cause: {gap:?}");
    }

    /// No number is used for other content.
    fn check_identity(&mut self, item: &Published) {
        let (begin, end) = (item.item.begin, item.item.end);
        if item.item.kind != Kind::Block {
            return;
        }
        for seq in begin.seq.0..end.seq.0 {
            let other = *self.identities.entry((end.run, seq)).or_insert(end);
            assert!(other == end, "{:?} of run {:?} was published in another block: {other:?}", seq, end.run);
        }
    }
}

/// What was published is acknowledged, is there as it was, or lies in a gap that says why it is not.
fn check_presence(known: &Published, base: Place, items: &[Published]) {
    let (begin, end) = (known.item.begin, known.item.end);
    if end.seq <= base.seq && begin != base {
        return;
    }
    let covers = |gap: &Gap| {
        let is_loss = known.gap().is_some() || matches!(gap.cause, Cause::Overflow | Cause::Refused);
        is_loss && gap.from.seq <= begin.seq.max(base.seq) && end.seq <= gap.to.seq
    };
    let is_there = items.iter().any(|item| item == known || item.gap().is_some_and(covers));
    assert!(is_there, "what was published is gone: {known:?}\nthe log from {base:?}: {items:?}");
}
