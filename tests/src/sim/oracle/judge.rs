//! The verdict at the end: what each sink holds, against everything that the world knows.

use driftlog_gateway::sink::Notice;
use driftlog_proto::ids::DeviceId;

use super::compare::Outcome;
use super::documents::Archived;
use super::{Sentence, violated};
use crate::sim::world::World;
use crate::sim::world::coast::SinkKind;
use crate::sim::world::machine::{Machine, Suffered};
use crate::sim::world::shore::Sink;

/// What a world came to, once nothing was found wrong with it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tallied {
    pub(crate) lines: u64,
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
    pub(crate) declared: u64,
}

impl World {
    pub(crate) fn archived(&self) -> Archived {
        Archived::read(&self.shore.coast.directory)
    }

    /// What a sink holds.
    fn held(&self, kind: SinkKind) -> Archived {
        match kind {
            SinkKind::Archive => self.archived(),
            kind => Archived::of_lines(&self.shore.coast.lines(kind)),
        }
    }

    /// Every line of every device is there once, in order, byte for byte, and at its time.
    #[cfg(test)]
    pub(crate) fn assert_complete(&mut self) -> Archived {
        let archived = self.archived();
        self.assert_promise(&archived);
        archived.assert_in_order(&self.machines);
        for machine in &self.machines {
            let outcome = archived.compare(machine);
            let device = machine.config.device.as_str();
            let declared = archived.declared(device);
            assert_eq!(
                (outcome.lost, outcome.repeated, declared),
                (0, 0, 0),
                "{device}: {outcome:?}, {declared} declared lost; {:#?}",
                archived.said(device)
            );
        }
        archived
    }

    /// What holds whatever happened: no identity twice, no hole without a word, honest times.
    pub(crate) fn assert_promise(&self, archived: &Archived) {
        assert_report(archived);
        for machine in &self.machines {
            archived.assert_times(machine);
        }
    }

    /// Everything that must hold at the end of a world, given what was done to it.
    pub(crate) fn judge(&self) -> Tallied {
        let sinks: Vec<Archived> = self.shore.sinks.iter().map(|sink| self.held(sink.kind)).collect();
        let mut tallied = Tallied::default();
        for (at, (sink, held)) in self.shore.sinks.iter().zip(&sinks).enumerate() {
            // What a new sink holds begins in the middle; each step of it was watched.
            if self.was.added.contains(&sink.kind) {
                continue;
            }
            self.assert_promise(held);
            self.assert_notices(held);
            let may_reject = self.was.rejecting && sink.kind != SinkKind::Archive;
            for machine in self.machines.iter().filter(|_| !may_reject) {
                let of = self.assert_lines(machine, held, *sink);
                if at == 0 {
                    tallied.lines += of.lines;
                    tallied.lost += of.lost;
                    tallied.repeated += of.repeated;
                    tallied.declared += held.declared(machine.config.device.as_str());
                }
            }
            held.assert_in_order(&self.machines);
        }
        // What flash forgot before every sink had it is missing where it did not arrive.
        if !self.machines.iter().any(|machine| machine.suffered.has_divided()) {
            self.assert_extents(&sinks);
        }
        tallied
    }

    fn assert_lines(&self, machine: &Machine, held: &Archived, sink: Sink) -> Outcome {
        let outcome = held.compare(machine);
        let device = machine.config.device.as_str();
        let declared = held.declared(device);
        let told = || {
            let said = held.said(device);
            format!("{device}: {outcome:?}, {declared} declared; {:?}; {said:#?}", machine.suffered)
        };
        let Suffered { forgot, rot, wiped, cloned, may_overflow, lost_source } = machine.suffered;
        // Flash that forgot the end of one lane, or changed it, and kept the other's cursors tells
        // nobody.
        let is_silent = (forgot || rot) && machine.has_both_lanes();
        if outcome.lost > declared && !lost_source && !is_silent {
            violated(Sentence::Declared, &told());
        }
        if outcome.repeated > 0 && !(forgot || rot || wiped || lost_source) {
            violated(Sentence::Once, &told());
        }
        // A gap may hold more than lines: parts of lines, and the agent's own sentences.
        let has_cause = forgot || rot || cloned || wiped;
        // An index may have had what the device dropped later, since the ledger did not say so yet; or what
        // was given up for it, as it is of best effort.
        let is_index = sink.kind == SinkKind::Index;
        let is_lost = may_overflow && (is_index || outcome.lost + self.said_lost(machine, held) > 0)
            || !sink.is_required;
        if declared > 0 && !has_cause && !is_lost {
            violated(Sentence::Declared, &format!("more than is lost: {}", told()));
        }
        outcome
    }

    /// Records of a device that are no lines and are not there.
    fn said_lost(&self, machine: &Machine, held: &Archived) -> u64 {
        let device = machine.config.device.as_str();
        let numbers: u64 = ["bulk", "urgent"]
            .iter()
            .map(|lane| held.tally(device, lane).last.map_or(0, |last| last + 1))
            .sum();
        let present = held.records.iter().filter(|record| record.device == device).count() as u64;
        numbers.saturating_sub(present)
    }

    fn assert_notices(&self, held: &Archived) {
        let any =
            |suffered: fn(&Suffered) -> bool| self.machines.iter().any(|machine| suffered(&machine.suffered));
        let forgot = any(|suffered| suffered.forgot || suffered.rot || suffered.cloned);
        let is_hostile = self.was.hostile;
        let allowed = |notice: Notice| match notice {
            Notice::Fork => forgot,
            Notice::Clone => any(|suffered| suffered.cloned),
            Notice::LedgerLost => self.was.rebuilt || forgot,
            Notice::MayRepeat => true,
            Notice::RunTwice => forgot,
            Notice::HardwareChanged => any(|suffered| suffered.cloned),
        };
        for notice in Notice::ALL {
            for row in &held.report.lanes {
                let is_own = self.machines.iter().any(|machine| machine.config.device.as_str() == row.device);
                if row.tally.noticed(notice) == 0 || allowed(notice) || is_hostile && !is_own {
                    continue;
                }
                let sentence = match notice {
                    Notice::Fork => Sentence::ForkOnlyWhereForgotten,
                    Notice::Clone => Sentence::CloneOnlyWhereCloned,
                    _ => Sentence::NoticeOnlyWithCause,
                };
                violated(sentence, &format!("{} {}: {:#?}", row.device, row.lane, row.tally));
            }
        }
    }

    /// All required sinks have come equally far in every run that they know of a device that is there: what
    /// one sink took and the ledger did not, the others get only when it is sent again, and who forges
    /// or replays messages does not send it again.
    fn assert_extents(&self, sinks: &[Archived]) {
        let required: Vec<_> =
            self.shore.sinks.iter().zip(sinks).filter(|(sink, _)| sink.is_required).collect();
        let Some(((first, reference), others)) = required.split_first() else { return };
        for (sink, held) in others {
            let is_ours =
                |device: &DeviceId| self.machines.iter().any(|machine| machine.config.device == *device);
            for (name, reached) in held.extents.iter().filter(|(name, _)| is_ours(&name.0)) {
                let there = reference.extents.get(name);
                if there != Some(reached) {
                    let detail = format!(
                        "{name:?}: the {} has come to {reached}, the {} to {there:?}",
                        sink.kind.name(),
                        first.kind.name()
                    );
                    violated(Sentence::SinksAgree, &detail);
                }
            }
        }
    }
}

/// The gateway's own audit finds nothing; what it finds has a sentence here.
fn assert_report(archived: &Archived) {
    let report = &archived.report;
    if !report.is_broken() {
        return;
    }
    for row in &report.lanes {
        let tally = &row.tally;
        let sentence = if tally.duplicates > 0 {
            Sentence::Once
        } else if tally.broken_starts > 0 {
            Sentence::ParentFirst
        } else if tally.out_of_order > 0 {
            Sentence::InOrder
        } else if tally.missing > 0 {
            Sentence::Whole
        } else if tally.unstated_forks > 0 {
            Sentence::ForkStated
        } else {
            continue;
        };
        violated(sentence, &format!("{} {}: {tally:#?}", row.device, row.lane));
    }
    violated(Sentence::Opens, &format!("{report:#?}"));
}
