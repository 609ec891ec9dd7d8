//! What all rounds together come to, for each broker and each fault.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::fault::Fault;
use super::round::Outcome;
use crate::servers::Kind;
use crate::table::{Table, grouped};

/// Everything so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    brokers: BTreeMap<Kind, Sum>,
}

/// What the rounds with one broker come to.
#[derive(Clone, Debug, Default)]
struct Sum {
    rounds: u64,
    failed: u64,
    lines_in: u64,
    lines_out: u64,
    lost: u64,
    doubled: u64,
    disordered: u64,
    changed: u64,
    declared: u64,
    struck: BTreeMap<Fault, u64>,
    skipped: BTreeMap<Fault, u64>,
}

impl Tally {
    /// Adds a round.
    pub(super) fn add(&mut self, outcome: &Outcome) {
        let sum = self.brokers.entry(outcome.plan.broker).or_default();
        sum.rounds += 1;
        sum.failed += u64::from(!outcome.is_good());
        sum.lines_in += outcome.count.lines_in;
        sum.lines_out += outcome.count.lines_out;
        sum.lost += outcome.count.lost;
        sum.doubled += outcome.count.doubled;
        sum.disordered += outcome.count.disordered;
        sum.changed += outcome.count.changed;
        sum.declared += outcome.count.declared;
        for (fault, times) in &outcome.struck {
            *sum.struck.entry(*fault).or_default() += times;
        }
        for fault in outcome.skipped.keys() {
            *sum.skipped.entry(*fault).or_default() += 1;
        }
    }

    /// Whether the promise was kept in every round, and there was one.
    pub(super) fn is_good(&self) -> bool {
        !self.brokers.is_empty() && self.brokers.values().all(|sum| sum.failed == 0)
    }

    /// Writes both tables and the verdict.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out)?;
        let mut table = Table::new(&[
            "broker",
            "rounds",
            "failed",
            "lines in",
            "lines out",
            "lost",
            "doubled",
            "out of order",
            "changed",
            "declared",
        ]);
        for (kind, sum) in &self.brokers {
            table.row(sum.row(kind.name()));
        }
        table.rule();
        let total = self.total();
        table.row(total.row("all"));
        table.write(out)?;
        writeln!(out)?;
        self.faults().write(out)?;
        let word = if self.is_good() { "KEPT" } else { "BROKEN" };
        let skipped: u64 = total.skipped.values().sum();
        let skipped = if skipped > 0 { format!(" ({skipped} faults were skipped)") } else { String::new() };
        writeln!(
            out,
            "\nThe promise is {word} in {} of {} rounds{skipped}.",
            total.rounds - total.failed,
            total.rounds
        )
    }

    /// How often each fault struck, with each broker.
    fn faults(&self) -> Table {
        let kinds: Vec<Kind> = self.brokers.keys().copied().collect();
        let names = kinds.iter().map(|kind| kind.name());
        let columns: Vec<&str> =
            std::iter::once("fault").chain(names).chain(["all", "rounds skipped"]).collect();
        let mut table = Table::new(&columns);
        for fault in Fault::ALL {
            let times = |sum: &Sum| sum.struck.get(&fault).copied().unwrap_or(0);
            let each: Vec<u64> = self.brokers.values().map(times).collect();
            let skipped =
                self.brokers.values().map(|sum| sum.skipped.get(&fault).copied().unwrap_or(0)).sum();
            let numbers = each.iter().copied().chain([each.iter().sum(), skipped]).map(grouped);
            table.row(std::iter::once(fault.name().to_owned()).chain(numbers).collect());
        }
        table
    }

    fn total(&self) -> Sum {
        let mut total = Sum::default();
        for sum in self.brokers.values() {
            total.rounds += sum.rounds;
            total.failed += sum.failed;
            total.lines_in += sum.lines_in;
            total.lines_out += sum.lines_out;
            total.lost += sum.lost;
            total.doubled += sum.doubled;
            total.disordered += sum.disordered;
            total.changed += sum.changed;
            total.declared += sum.declared;
            for (fault, rounds) in &sum.skipped {
                *total.skipped.entry(*fault).or_default() += rounds;
            }
        }
        total
    }
}

impl Sum {
    fn row(&self, name: &str) -> Vec<String> {
        let numbers = [
            self.rounds,
            self.failed,
            self.lines_in,
            self.lines_out,
            self.lost,
            self.doubled,
            self.disordered,
            self.changed,
            self.declared,
        ];
        std::iter::once(name.to_owned()).chain(numbers.map(grouped)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::chaos::plan::Plan;
    use crate::compare::DeviceComparison;

    fn outcome(kind: Kind, violations: Vec<String>) -> Outcome {
        Outcome {
            plan: Plan::draw(1, &[kind], None),
            took: Duration::ZERO,
            quiet: Duration::ZERO,
            count: DeviceComparison { lines_in: 1_200, lines_out: 1_200, ..DeviceComparison::default() },
            struck: BTreeMap::from([(Fault::KillAgent, 3)]),
            skipped: BTreeMap::from([(Fault::FullSpool, "no right to mount".to_owned())]),
            ends: 0,
            violations,
            folder: None,
        }
    }

    fn written(tally: &Tally) -> String {
        let mut out = Vec::new();
        tally.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rounds_and_strikes_add_up_and_what_was_skipped_is_said() {
        let mut tally = Tally::default();
        tally.add(&outcome(Kind::Embedded, Vec::new()));
        tally.add(&outcome(Kind::Mosquitto, Vec::new()));
        let text = written(&tally);
        assert!(
            tally.is_good()
                && text.contains("\nThe promise is KEPT in 2 of 2 rounds (2 faults were skipped).")
        );
        let words = |name: &str| {
            text.lines()
                .find(|line| line.starts_with(name))
                .unwrap()
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(words("all"), "all 2 0 2,400 2,400 0 0 0 0 0");
        assert_eq!(words("kill-agent"), "kill-agent 3 3 6 0");
        assert_eq!(words("full-spool"), "full-spool 0 0 0 2");
    }

    #[test]
    fn one_failed_round_breaks_the_whole_and_no_round_at_all_proves_nothing() {
        let mut tally = Tally::default();
        assert!(!tally.is_good());
        tally.add(&outcome(Kind::Embedded, Vec::new()));
        tally.add(&outcome(Kind::Embedded, vec!["1 line lost".to_owned()]));
        assert!(!tally.is_good() && written(&tally).contains("The promise is BROKEN in 1 of 2 rounds"));
    }
}
