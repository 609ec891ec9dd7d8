//! The audit: whether every record is in the archive once and in order, or declared gone.
//!
//! It reads the archive itself and trusts no counter: not the ledger, not the gateway's. For each
//! device and lane it follows the history from start to start. It may also be given what the
//! devices' spools say, and compares what they were told is safe with what is there.
//!
//! Costs one pass over the archive; memory by runs and gaps, not by records.

mod compare;
mod history;
mod ranges;
mod report;
mod spool;

use std::collections::BTreeMap;

use driftlog_proto::ids::{DeviceId, Lane};
use serde::Serialize;

pub use self::compare::{Comparison, compare};
use self::history::History;
pub use self::history::{DeclaredGaps, Tally};
pub use self::spool::{SpoolFinding, SpoolLane};
use crate::sink::archive::directory::{Directory, DiskError};
use crate::sink::archive::read::{self, File, Lines};
use crate::sink::ecs::document::Outline;

/// Sentences about damaged files that a report keeps; the counts go on.
const FINDINGS_MAX: usize = 32;

/// How far an audit has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Files read.
    pub files: usize,
    /// Files to read.
    pub of_files: usize,
    /// Lines read.
    pub lines: u64,
}

/// What an audit found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Files read.
    pub files: usize,
    /// Lines read.
    pub lines: u64,
    /// The oldest files are gone (retention removes them): histories may begin in the middle.
    pub is_headless: bool,
    /// Files that are missing between others, or stand twice, or cannot be read to their end.
    pub damaged_files: u64,
    /// Lines that are no document.
    pub damaged_lines: u64,
    /// Bytes of a last line that is being written, or was when the gateway died.
    pub unfinished_bytes: u64,
    /// What is wrong with files and lines, in words: the first few.
    pub findings: Vec<String>,
    /// Every lane.
    pub lanes: Vec<LaneReport>,
    /// What was compared with the devices' spools.
    pub spools: Vec<SpoolFinding>,
}

/// One lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LaneReport {
    /// The device.
    pub device: String,
    /// The lane.
    pub lane: &'static str,
    /// What its documents add up to.
    #[serde(flatten)]
    pub tally: Tally,
}

impl Report {
    /// Whether the promise is broken.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.damaged_files + self.damaged_lines > 0
            || self.lanes.iter().any(|lane| lane.tally.is_broken())
            || self.spools.iter().any(SpoolFinding::is_broken)
    }

    fn find(&mut self, sentence: impl FnOnce() -> String) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(sentence());
        }
    }
}

/// Audits an archive, and what `spools` say against it.
///
/// # Errors
/// When the archive's folder cannot be read. A file that cannot be read is a finding.
pub fn audit(
    directory: &dyn Directory,
    spools: &[SpoolLane],
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, DiskError> {
    let files = read::files(directory)?;
    let mut reader =
        Reader { report: Report::default(), histories: BTreeMap::new(), spools, seen: Vec::new() };
    reader.seen.resize(spools.len(), None);
    reader.numbers(&files);
    for (at, file) in files.iter().enumerate() {
        reader.file(directory, file, at + 1 == files.len());
        reader.report.files += 1;
        progress(Progress { files: at + 1, of_files: files.len(), lines: reader.report.lines });
    }
    Ok(reader.finish())
}

/// Audits documents that `read` gives out in the order of each device's history, and what `spools` say against
/// them. `is_headless`: the oldest are not among them.
///
/// # Errors
/// What `read` said.
pub fn audit_documents(
    spools: &[SpoolLane],
    is_headless: bool,
    read: impl FnOnce(&mut dyn FnMut(&[u8])) -> Result<(), String>,
) -> Result<Report, String> {
    let mut reader = Reader {
        report: Report { is_headless, ..Report::default() },
        histories: BTreeMap::new(),
        spools,
        seen: vec![None; spools.len()],
    };
    read(&mut |document| {
        reader.report.lines += 1;
        let number = reader.report.lines;
        let at = || format!("document {number}");
        match Outline::parse(document) {
            Ok(outline) => reader.follow(&outline, &at),
            Err(reason) => reader.damaged(&at, &reason),
        }
    })?;
    Ok(reader.finish())
}

struct Reader<'a> {
    report: Report,
    histories: BTreeMap<(DeviceId, Lane), History>,
    spools: &'a [SpoolLane],
    /// For each spool the chain that the archive has at its base.
    seen: Vec<Option<driftlog_proto::ids::Chain>>,
}

impl Reader<'_> {
    /// Files are numbered without holes; only the oldest may be gone.
    fn numbers(&mut self, files: &[File]) {
        self.report.is_headless = files.first().is_some_and(|first| first.name.number > 1);
        for pair in files.windows(2) {
            let (one, next) = (pair[0].name.number, pair[1].name.number);
            if next != one + 1 {
                self.report.damaged_files += 1;
                self.report.find(|| format!("after file {one} comes file {next}"));
            }
        }
    }

    fn file(&mut self, directory: &dyn Directory, file: &File, is_last: bool) {
        if let Err(error) = self.lines(directory, file, is_last) {
            self.report.damaged_files += 1;
            self.report.find(|| error.to_string());
        }
    }

    fn lines(&mut self, directory: &dyn Directory, file: &File, is_last: bool) -> Result<(), DiskError> {
        let Some(mut lines) = Lines::open(directory, file)? else {
            let is_removed = file.name.number == 1 || self.report.lines == 0;
            if is_removed {
                self.report.is_headless = true;
                return Ok(());
            }
            let reason = std::io::ErrorKind::NotFound.into();
            return Err(DiskError { operation: "open", path: file.name.path(file.stored), reason });
        };
        let path = lines.path().to_owned();
        while let Some(line) = lines.next_line()? {
            if !line.is_whole && is_last {
                self.report.unfinished_bytes = line.end - line.begin;
                break;
            }
            self.report.lines += 1;
            let at = || format!("{path}:{}", line.number);
            match Outline::parse(line.bytes) {
                Ok(outline) if line.is_whole => self.follow(&outline, &at),
                Ok(_) => self.damaged(&at, "it has no end"),
                Err(_) if line.is_cut => self.damaged(&at, "it is longer than any document"),
                Err(reason) => self.damaged(&at, &reason),
            }
        }
        Ok(())
    }

    fn damaged(&mut self, at: &dyn Fn() -> String, reason: &str) {
        self.report.damaged_lines += 1;
        self.report.find(|| format!("{}: no document: {reason}", at()));
    }

    fn follow(&mut self, outline: &Outline, at: &dyn Fn() -> String) {
        if let Some(end) = outline.end() {
            for (spool, seen) in self.spools.iter().zip(&mut self.seen) {
                if spool.is_at_base(outline, &end) {
                    *seen = Some(end.chain);
                }
            }
        }
        let is_headless = self.report.is_headless;
        let key = (outline.device.clone(), outline.lane);
        let history = self.histories.entry(key).or_insert_with(|| History::new(is_headless));
        history.follow(outline, at);
    }

    fn finish(mut self) -> Report {
        for (spool, seen) in self.spools.iter().zip(&self.seen) {
            let history = self.histories.get_mut(&(spool.device.clone(), spool.lane));
            self.report.spools.push(spool.compare(history, *seen));
        }
        for ((device, lane), mut history) in self.histories {
            history.finish();
            let device = device.to_string();
            self.report.lanes.push(LaneReport { device, lane: lane.name(), tally: history.tally });
        }
        self.report
    }
}
