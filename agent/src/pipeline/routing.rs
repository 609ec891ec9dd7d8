//! Which lane a line takes: a pure function of the line and of the rule in force.
//!
//! After a crash the bulk lane's cursors may lie behind what the urgent lane has: its own cursors
//! (for each file the end of the last urgent line) say which lines to skip. They were written
//! under a rule that is recorded beside them. A changed rule takes effect only when everything
//! that was read under the old one is sealed in both lanes.

use std::collections::{BTreeMap, BTreeSet};

use driftlog_proto::block::Severity;

use crate::spool::Spool;
use crate::spool::disk::Disk;

/// The key of the rule among the urgent lane's cursors; a file's key is never 0.
pub(super) const RULE_KEY: u64 = 0;

/// Where a line goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Bulk,
    Urgent,
    /// The urgent lane has it already.
    Skip,
}

/// The rule in force and what the urgent lane has.
#[derive(Debug, Default)]
pub(super) struct Routing {
    min: Option<Severity>,
    /// The configured rule, when it is not in force yet.
    next: Option<Option<Severity>>,
    /// For each file the end of what the urgent lane had when this run began.
    had: BTreeMap<u64, u64>,
    /// For each file the end of the last line that was put into the urgent lane and is not sealed.
    reached: BTreeMap<u64, u64>,
    /// Files of which the bulk lane durably has a cursor, as far as the urgent lane had to know.
    placed: BTreeSet<u64>,
    /// Files that are gone and that the urgent lane still has a cursor of.
    gone: BTreeSet<u64>,
}

impl Routing {
    pub(super) fn new<D: Disk>(configured: Option<Severity>, urgent: Option<&Spool<D>>) -> Self {
        let mut routing = Self { min: configured, ..Self::default() };
        let Some(spool) = urgent else { return routing };
        for (key, bytes) in spool.cursors() {
            match (key, bytes) {
                (RULE_KEY, &[number]) => {
                    let recorded =
                        Severity::new(number).filter(|severity| *severity != Severity::UNSPECIFIED);
                    if recorded != configured {
                        routing.min = recorded;
                        routing.next = Some(configured);
                    }
                }
                (_, bytes) => {
                    if let Ok(end) = bytes.try_into() {
                        routing.had.insert(key, u64::from_le_bytes(end));
                    }
                }
            }
        }
        routing
    }

    /// Where a line of `severity` that ends at `end` of file `file` goes.
    pub(super) fn route(&self, severity: Severity, file: u64, end: u64) -> Route {
        if self.min.is_none_or(|min| severity < min) {
            Route::Bulk
        } else if self.had.get(&file).is_some_and(|had| end <= *had) {
            Route::Skip
        } else {
            Route::Urgent
        }
    }

    /// A line was put into the urgent lane's open block.
    pub(super) fn handle_urgent(&mut self, file: u64, end: u64) {
        self.reached.insert(file, end);
    }

    /// The cursors that go with the urgent lane's open block.
    pub(super) fn urgent_cursors(&self) -> impl Iterator<Item = (u64, [u8; 8])> {
        self.reached.iter().map(|(key, end)| (*key, end.to_le_bytes()))
    }

    /// Files with lines in the urgent lane's open block of which the bulk lane may have no cursor.
    pub(super) fn unplaced(&self) -> BTreeSet<u64> {
        self.reached.keys().filter(|file| !self.placed.contains(file)).copied().collect()
    }

    /// The bulk lane durably has a cursor of these files.
    pub(super) fn handle_placed(&mut self, files: BTreeSet<u64>) {
        self.placed.extend(files);
    }

    /// The rule in force as it is recorded.
    pub(super) fn rule(&self) -> [u8; 1] {
        [self.min.unwrap_or(Severity::UNSPECIFIED).number()]
    }

    /// The cursors that the urgent lane may drop.
    pub(super) fn gone(&self) -> Vec<u64> {
        self.gone.iter().copied().collect()
    }

    /// The urgent lane's frame, with its cursors and without those that are gone, is durable.
    pub(super) fn handle_urgent_sealed(&mut self) {
        self.reached.clear();
        self.gone.clear();
    }

    /// Bulk cursors are durable that lie at `position` in `file`; the rest as [`settle`](Self::settle).
    pub(super) fn handle_bulk_sealed(&mut self, file: u64, position: u64) {
        if self.had.get(&file).is_some_and(|had| position >= *had) {
            self.had.remove(&file);
        }
    }

    /// Whether a changed rule may take effect now: nothing read under the old one can be read again.
    pub(super) fn settle(&mut self) -> bool {
        if !self.had.is_empty() || !self.reached.is_empty() {
            return false;
        }
        let Some(next) = self.next.take() else { return false };
        self.min = next;
        true
    }

    /// A file is gone and read, durably: what the urgent lane had of it is of no use any more.
    pub(super) fn forget(&mut self, file: u64) {
        self.had.remove(&file);
        self.placed.remove(&file);
        self.gone.insert(file);
    }

    /// Everything that can be read has been: what no source knows of will not be read again.
    pub(super) fn keep(&mut self, is_known: impl Fn(u64) -> bool) {
        self.had.retain(|file, _| is_known(*file));
        self.placed.retain(|file| is_known(*file));
    }
}
