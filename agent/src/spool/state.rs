//! What the spool remembers beside its items: base, gaps, counters and the source cursors.

use driftlog_proto::ids::Place;

use super::gaps::Gaps;
use super::tail::{Cursors, Dropped, Tail};

/// The state that a checkpoint holds. (A running spool keeps base and gaps in its log.)
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) base: Place,
    pub(crate) gaps: Gaps,
    pub(crate) dropped: Dropped,
    pub(crate) cursors: Cursors,
}

impl Default for State {
    fn default() -> Self {
        Self {
            base: Place::ORIGIN,
            gaps: Gaps::default(),
            dropped: Dropped::default(),
            cursors: Cursors::new(),
        }
    }
}

impl State {
    /// Takes over what a frame says.
    pub(crate) fn apply(&mut self, tail: &Tail<'_>) {
        self.base = tail.base;
        if let Some((gaps, dropped)) = &tail.gaps {
            self.gaps.clone_from(gaps);
            self.dropped = *dropped;
        }
        if tail.is_checkpoint {
            self.cursors.clear();
        }
        self.set_cursors(tail.cursors.iter().copied(), &tail.forget);
    }

    /// Changes cursors.
    pub(crate) fn set_cursors<'c>(&mut self, cursors: impl Iterator<Item = (u64, &'c [u8])>, forget: &[u64]) {
        self.cursors.extend(cursors.map(|(key, cursor)| (key, Box::from(cursor))));
        for key in forget {
            self.cursors.remove(key);
        }
    }
}
