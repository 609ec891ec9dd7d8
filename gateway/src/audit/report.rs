//! The audit's table.

use std::io;

use super::{Report, SpoolFinding, Tally};

const COLUMNS: [&str; 11] = [
    "device", "lane", "first", "last", "records", "runs", "double", "disorder", "missing", "declared",
    "notices",
];

impl Report {
    /// Writes the report as a person reads it.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write_table(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let rows: Vec<[String; 11]> =
            self.lanes.iter().map(|lane| row(&lane.device, lane.lane, &lane.tally)).collect();
        let mut widths = COLUMNS.map(str::len);
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        write_row(&COLUMNS.map(str::to_owned), &widths, out)?;
        for row in &rows {
            write_row(row, &widths, out)?;
        }
        for lane in &self.lanes {
            let details = details(&lane.tally);
            if !details.is_empty() {
                writeln!(out, "\n{} {}:", lane.device, lane.lane)?;
            }
            for detail in details {
                writeln!(out, "  {detail}")?;
            }
        }
        for spool in &self.spools {
            writeln!(out, "\n{}", spool_sentence(spool))?;
        }
        self.write_end(out)
    }

    fn write_end(&self, out: &mut dyn io::Write) -> io::Result<()> {
        writeln!(out)?;
        for finding in &self.findings {
            writeln!(out, "{finding}")?;
        }
        if self.is_headless {
            writeln!(
                out,
                "the oldest files are gone: histories that began in them are followed from their middle"
            )?;
        }
        if self.unfinished_bytes > 0 {
            writeln!(
                out,
                "the last line is unfinished ({} bytes): it is not counted",
                self.unfinished_bytes
            )?;
        }
        let sum = |of: fn(&Tally) -> u64| self.lanes.iter().map(|lane| of(&lane.tally)).sum::<u64>();
        let verdict = if self.is_broken() { "BROKEN" } else { "kept" };
        writeln!(
            out,
            "{} lines in {} files: {} records, {} lost, {} doubled, {} out of order, {} declared gone; promise {verdict}",
            self.lines,
            self.files,
            sum(|tally| tally.records),
            sum(|tally| tally.missing),
            sum(|tally| tally.duplicates),
            sum(|tally| tally.out_of_order),
            sum(Tally::declared),
        )
    }

    /// Writes the report of a sink as one object of JSON.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write_json(&self, sink: &str, out: &mut dyn io::Write) -> io::Result<()> {
        #[derive(serde::Serialize)]
        struct Shown<'a> {
            sink: &'a str,
            is_broken: bool,
            #[serde(flatten)]
            report: &'a Report,
        }
        serde_json::to_writer(&mut *out, &Shown { sink, is_broken: self.is_broken(), report: self })?;
        writeln!(out)
    }
}

fn row(device: &str, lane: &str, tally: &Tally) -> [String; 11] {
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let notices: Vec<String> = tally.notices.iter().map(|(name, count)| format!("{name} {count}")).collect();
    [
        device.to_owned(),
        lane.to_owned(),
        number(tally.first),
        number(tally.last),
        tally.records.to_string(),
        tally.runs.to_string(),
        tally.duplicates.to_string(),
        tally.out_of_order.to_string(),
        tally.missing.to_string(),
        tally.declared().to_string(),
        if notices.is_empty() { "-".to_owned() } else { notices.join(", ") },
    ]
}

/// Names to the left, numbers to the right.
fn write_row(row: &[String; 11], widths: &[usize; 11], out: &mut dyn io::Write) -> io::Result<()> {
    for (at, (cell, &width)) in row.iter().zip(widths).enumerate() {
        match at {
            0 => write!(out, "{cell:<width$}")?,
            1 => write!(out, "  {cell:<width$}")?,
            10 => write!(out, "  {cell}")?,
            _ => write!(out, "  {cell:>width$}")?,
        }
    }
    writeln!(out)
}

fn details(tally: &Tally) -> Vec<String> {
    let mut details = Vec::new();
    for gaps in &tally.gaps {
        details.push(format!("{} records in {} gaps declared gone: {}", gaps.records, gaps.gaps, gaps.cause));
    }
    if tally.declared_but_present > 0 {
        details.push(format!("{} records declared gone are there after all", tally.declared_but_present));
    }
    if tally.dead_letters > 0 {
        details.push(format!(
            "{} blocks of {} records could not be unpacked; they are there whole",
            tally.dead_letters, tally.dead_records
        ));
    }
    if tally.forks > 0 {
        details.push(format!("{} runs fork", tally.forks));
    }
    details.extend(tally.findings.iter().cloned());
    details
}

fn spool_sentence(spool: &SpoolFinding) -> String {
    let SpoolFinding { device, lane, acknowledged, waiting, .. } = spool;
    let mut sentence = format!(
        "{device} {lane}: told that all below {acknowledged} is safe, {waiting} records still to come"
    );
    if spool.missing > 0 {
        sentence.push_str(&format!("; {} acknowledged records are NOT in the archive", spool.missing));
    }
    if spool.is_other_history {
        sentence.push_str("; the archive has ANOTHER history at that place");
    }
    if spool.forgotten > 0 {
        sentence.push_str(&format!("; the archive has {} records that it does not know of", spool.forgotten));
    }
    sentence
}
