//! Holds the lines of a sink against what was written, byte for byte, and their times against the
//! true time.

use std::collections::BTreeMap;
use std::ops::Range;

use super::documents::{Archived, Record};
use super::{Sentence, violated};
use crate::sim::world::app::Written;
use crate::sim::world::machine::Machine;

/// What a device's lines came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Lines that are in the archive.
    pub(crate) lines: u64,
    /// Lines that are not.
    pub(crate) lost: u64,
    /// Bytes that are there more than once.
    pub(crate) repeated: u64,
    /// The beginning of the first line that is not there.
    pub(crate) first_lost: Option<String>,
}

impl Outcome {
    fn add(&mut self, written: &Written, counts: &[u8]) {
        let bytes = &written.bytes;
        if let Some(at) = counts.iter().position(|count| *count == 0)
            && !written.is_gone
        {
            let line = String::from_utf8_lossy(&bytes[at..bytes.len().min(at + 40)]);
            self.first_lost.get_or_insert_with(|| format!("{line} at {at} of {}", bytes.len()));
        }
        for (byte, count) in bytes.iter().zip(counts) {
            self.repeated += u64::from(count.saturating_sub(1));
            if *byte == b'\n' {
                self.lines += u64::from(*count > 0);
                self.lost += u64::from(*count == 0 && !written.is_gone);
            }
        }
    }
}

impl Record {
    fn range(&self) -> Range<usize> {
        let from = self.offset as usize;
        from..from + self.bytes.len()
    }

    fn is_of(&self, written: &Written) -> bool {
        let is_there = |bytes: &Vec<u8>| bytes.get(self.range()) == Some(&self.bytes);
        is_there(&written.bytes) || written.past.iter().any(is_there)
    }

    fn is_covered(&self, counts: &[u8]) -> bool {
        counts.get(self.range()).is_some_and(|counts| counts.iter().any(|count| *count > 0))
    }

    fn cover(&self, counts: &mut [u8]) {
        let range = self.range();
        let end = range.end.min(counts.len());
        if let Some(counts) = counts.get_mut(range.start..end) {
            counts.iter_mut().for_each(|count| *count = count.saturating_add(1));
        }
    }
}

impl Archived {
    /// Holds what there is of a machine's lines against what its programs wrote.
    pub(crate) fn compare(&self, machine: &Machine) -> Outcome {
        let device = machine.config.device.as_str();
        let mut found: BTreeMap<(&str, usize), Vec<&Record>> = BTreeMap::new();
        let mut files: BTreeMap<&str, usize> = BTreeMap::new();
        for record in &self.records {
            let is_its = machine.runs.iter().any(|run| run.0 == record.run);
            if record.device == device && is_its && record.path != "driftlog:agent" {
                let file = files.entry(&record.file).or_default();
                // Where nobody knows when a file was made, a later one may have the key of one that is gone.
                let begins = !machine.files.keeps_births() && record.offset == 0;
                if begins && found.get(&(record.file.as_str(), *file)).is_some_and(|all| !all.is_empty()) {
                    *file += 1;
                }
                found.entry((&record.file, *file)).or_default().push(record);
            }
        }
        let mut covered: Vec<(&Written, Vec<u8>)> = Vec::new();
        for app in &machine.apps {
            covered.extend(app.files.iter().map(|file| (file, vec![0; file.bytes.len()])));
        }
        let mut matched: Vec<(Vec<usize>, &str, Vec<&Record>)> = Vec::new();
        for ((file, _), records) in found {
            let is_it = |written: &Written| records.iter().all(|record| record.is_of(written));
            let candidates = (0..covered.len()).filter(|at| is_it(covered[*at].0)).collect();
            matched.push((candidates, file, records));
        }
        // A file of which little has come may look like several: those that are certain go first.
        matched.sort_by_key(|(candidates, ..)| candidates.len());
        for (candidates, file, records) in matched {
            let is_new = |at: &&usize| records.iter().all(|record| !record.is_covered(&covered[**at].1));
            let Some(&at) = candidates.iter().find(is_new).or(candidates.first()) else {
                let detail = format!("{device}: no file was written as {file} came: {:?}", records.first());
                violated(Sentence::NothingInvented, &detail);
            };
            records.iter().for_each(|record| record.cover(&mut covered[at].1));
        }
        let mut outcome = Outcome::default();
        for (written, counts) in covered {
            outcome.add(written, &counts);
        }
        outcome
    }

    /// Within a lane and a file what was written first stands first; where the device's history
    /// divided, within a run.
    pub(crate) fn assert_in_order(&self, machines: &[Machine]) {
        let is_divided = |record: &Record| {
            let its = |machine: &&Machine| machine.config.device.as_str() == record.device;
            // Who is no device says what it likes.
            let mut its = machines.iter().filter(its).peekable();
            its.peek().is_none() || its.any(|machine| machine.suffered.has_divided())
        };
        let may_begin_again = |record: &Record| {
            let its = |machine: &&Machine| machine.config.device.as_str() == record.device;
            record.offset == 0
                && machines.iter().find(its).is_some_and(|machine| !machine.files.keeps_births())
        };
        let mut reached: BTreeMap<(&str, &str, &str, u64), u64> = BTreeMap::new();
        for record in self.records.iter().filter(|record| record.path != "driftlog:agent") {
            let run = if is_divided(record) { record.run } else { 0 };
            let end = reached.entry((&record.device, &record.lane, &record.file, run)).or_default();
            if record.offset < *end && !may_begin_again(record) {
                violated(Sentence::InOrder, &format!("{record:?} after {end}"));
            }
            *end = record.offset + record.bytes.len() as u64;
        }
    }

    /// Corrected times lie within their bound of the true time; answers with the records whose
    /// time rests on an exchange.
    pub(crate) fn assert_times(&self, machine: &Machine) -> u64 {
        let device = machine.config.device.as_str();
        let mut measured = 0;
        for record in self.records.iter().filter(|record| record.device == device) {
            let Some(boot) = machine.boots.iter().find(|boot| boot.id.to_string() == record.boot) else {
                continue;
            };
            let off = boot.time(record.mono).abs_diff(record.time);
            // Where histories divide, a boot's neighbours in the lane are not its neighbours in time.
            if record.basis == "bounded" && machine.suffered.has_divided() {
                continue;
            }
            // Monotonic time is kept in whole microseconds.
            let bound = record.bound.saturating_add(2_000);
            if off > bound {
                violated(Sentence::TimeWithinBound, &format!("{off} ns off, {bound} stated: {record:?}"));
            }
            measured += u64::from(record.basis == "measured");
        }
        measured
    }
}
