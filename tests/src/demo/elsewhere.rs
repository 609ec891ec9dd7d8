//! What the sinks on servers hold in the end, counted twice as the archive is.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::world::World;
use crate::compare::{Comparison, DeviceComparison, compare_documents};
use crate::place::shown;
use crate::shore::Audit;
use crate::table::{Table, grouped};
use crate::writer::Journal;

/// What was found in them.
pub(super) struct Elsewhere {
    /// The gateway's audit of each sink, the archive too, and of all against each other.
    audit: Audit,
    /// The whole of that audit.
    report: PathBuf,
    comparisons: Vec<(&'static str, Comparison)>,
}

impl Elsewhere {
    /// Counts while the servers run; nothing if there are none.
    pub(super) fn count(folder: &Path, world: &World) -> io::Result<Option<Self>> {
        let journals: Vec<(&str, &Journal)> =
            world.units.iter().map(|unit| (unit.device.name(), &unit.journal)).collect();
        let mut comparisons = Vec::new();
        for sink in world.servers.sinks() {
            comparisons.push((sink.name(), compare_documents(&sink.documents()?, &journals)?));
        }
        if comparisons.is_empty() {
            return Ok(None);
        }
        let sinks: Vec<&str> =
            std::iter::once("archive").chain(comparisons.iter().map(|one| one.0)).collect();
        let audit = world.shore.audit_sinks(&sinks)?;
        let report = folder.join("audit.txt");
        fs::write(&report, &audit.report)?;
        Ok(Some(Self { audit, report, comparisons }))
    }

    /// Whether each of them has everything once and in order, and all have the same.
    pub(super) fn is_good(&self) -> bool {
        self.audit.is_kept && self.comparisons.iter().all(|(_, comparison)| comparison.is_exact())
    }

    /// Says it, with the archive's count for comparison.
    pub(super) fn write(&self, archive: &Comparison, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "Every sink by its own content, read by kcat (committed messages only) and by _search.\n"
        )?;
        let mut table =
            Table::new(&["sink", "lines in", "lines out", "lost", "doubled", "out of order", "changed"]);
        table.row(row("archive", &archive.total()));
        for (name, comparison) in &self.comparisons {
            table.row(row(name, &comparison.total()));
        }
        table.write(out)?;
        for (name, comparison) in self.comparisons.iter().filter(|(_, comparison)| !comparison.is_exact()) {
            writeln!(out, "\n{name}:")?;
            comparison.write_table(out)?;
        }
        writeln!(out, "\nThe gateway's audit of the same (the whole of it: {}):\n", shown(&self.report))?;
        let text = &self.audit.report;
        let is_verdict = |line: &&str| line.contains("; promise ") || line.starts_with("of ");
        let said: Vec<&str> = text.lines().filter(is_verdict).collect();
        // A line for each sink, and one for all of them together.
        if said.len() != self.comparisons.len() + 2 || !self.audit.is_kept {
            return out.write_all(text.as_bytes());
        }
        let names = std::iter::once("archive").chain(self.comparisons.iter().map(|(name, _)| *name));
        for (name, line) in names.zip(&said) {
            writeln!(out, "{name:<9}{line}")?;
        }
        said.last().map_or(Ok(()), |line| writeln!(out, "together {line}"))
    }
}

fn row(name: &str, of: &DeviceComparison) -> Vec<String> {
    let numbers = [of.lines_in, of.lines_out, of.lost, of.doubled, of.disordered, of.changed];
    std::iter::once(name.to_owned()).chain(numbers.map(grouped)).collect()
}
