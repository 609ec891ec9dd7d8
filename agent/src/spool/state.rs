//! What the spool remembers beside its items: base, gaps, counters and the source cursors.

use std::collections::BTreeMap;

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
    /// For every cursor that changed in frames which are not synced yet: what it was before.
    pub(crate) undo: BTreeMap<u64, Option<Box<[u8]>>>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            base: Place::ORIGIN,
            gaps: Gaps::default(),
            dropped: Dropped::default(),
            cursors: Cursors::new(),
            undo: BTreeMap::new(),
        }
    }
}

impl State {
    /// Takes over what a frame says.
    pub(crate) fn apply(&mut self, tail: &Tail<'_>, is_unsynced: bool) {
        self.base = tail.base;
        if let Some((gaps, dropped)) = &tail.gaps {
            self.gaps.clone_from(gaps);
            self.dropped = *dropped;
        }
        if tail.is_checkpoint {
            self.cursors.clear();
            self.undo.clear();
        }
        let is_unsynced = is_unsynced && !tail.is_checkpoint;
        self.set_cursors(tail.cursors.iter().copied(), &tail.forget, is_unsynced);
    }

    /// Changes cursors, and remembers what they were if the change is not synced.
    pub(crate) fn set_cursors<'c>(
        &mut self,
        cursors: impl Iterator<Item = (u64, &'c [u8])>,
        forget: &[u64],
        is_unsynced: bool,
    ) {
        for (key, cursor) in cursors {
            let before = self.cursors.insert(key, cursor.into());
            if is_unsynced {
                self.undo.entry(key).or_insert(before);
            }
        }
        for key in forget {
            let before = self.cursors.remove(key);
            if is_unsynced {
                self.undo.entry(*key).or_insert(before);
            }
        }
    }

    /// The cursors as they are on the flash.
    pub(crate) fn synced_cursors(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let unchanged = self.cursors.iter().filter(|(key, _)| !self.undo.contains_key(key));
        let changed = self.undo.iter().filter_map(|(key, before)| Some((key, before.as_ref()?)));
        unchanged.chain(changed).map(|(key, cursor)| (*key, cursor.as_ref()))
    }
}
