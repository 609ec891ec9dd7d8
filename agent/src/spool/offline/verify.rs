//! Every byte of a spool read and checked.

use std::fmt;

use driftlog_proto::sender::Kind;
use serde::Serialize;

use super::inspect::{GapSummary, PlaceSummary};
use super::{Offline, Progress, Step};
use crate::spool::disk::Disk;

/// Damage that no gap has declared so far; a running agent would declare it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DamageSummary {
    /// Where it begins.
    pub from: PlaceSummary,
    /// Where the next good item begins.
    pub to: PlaceSummary,
    /// Records that are gone with it.
    pub records: u64,
}

/// What reading a whole spool showed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Starts that are whole.
    pub starts: u64,
    /// Blocks that are whole.
    pub blocks: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of sealed items.
    pub bytes: u64,
    /// Gaps.
    pub gaps: Vec<GapSummary>,
    /// Undeclared damage.
    pub damaged: Vec<DamageSummary>,
}

impl Verification {
    /// Whether everything is whole or declared.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damaged.is_empty()
    }
}

impl<D: Disk> Offline<D> {
    /// Reads every item from base to end.
    pub fn verify(&mut self, progress: &mut dyn FnMut(Progress)) -> Verification {
        let mut seen = Verification::default();
        let mut place = self.base();
        let total = self.total();
        let first = place.seq;
        while place != self.end() {
            let step = self.step(&place);
            match &step {
                Step::Item(item) => {
                    seen.bytes += u64::from(item.bytes);
                    match item.kind {
                        Kind::Start => seen.starts += 1,
                        _ => {
                            seen.blocks += 1;
                            seen.records += item.end.seq.since(item.begin.seq);
                        }
                    }
                }
                Step::Gap(hole) => seen.gaps.push(GapSummary::of(hole)),
                Step::Damaged(to) => seen.damaged.push(DamageSummary {
                    from: PlaceSummary::of(&place),
                    to: PlaceSummary::of(to),
                    records: to.seq.since(place.seq),
                }),
            }
            place = step.end();
            progress(Progress { done: place.seq.since(first), total });
        }
        seen
    }
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { starts, blocks, records, bytes, .. } = self;
        writeln!(f, "{records} records in {blocks} blocks ({bytes} bytes), {starts} starts: whole")?;
        for gap in &self.gaps {
            writeln!(f, "gap: {} records from {} ({})", gap.records, gap.from, gap.cause)?;
        }
        for damage in &self.damaged {
            writeln!(f, "damaged: {} records from {} to {}", damage.records, damage.from, damage.to)?;
        }
        Ok(())
    }
}
