//! Compares an archive with what was written, byte for byte.
//!
//! It shares no code with the gateway or its audit: it reads the archive's lines itself, puts each
//! file of each device together again by the offsets of its records, and lays it beside the copy
//! that the writer kept. Sequence numbers, chains and counters play no part.
//!
//! Costs memory for all bytes of the files and 40 bytes a record.

mod archive;
mod arrived;
mod base64;
mod document;
mod file;
mod table;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;

use crate::writer::Journal;
pub use archive::read_lines;
use arrived::Arrived;
use document::{Document, Piece};

/// Sentences about what is wrong that are kept for each device.
const FINDINGS_MAX: usize = 8;

/// What the comparison found.
#[derive(Debug, Default)]
pub struct Comparison {
    /// The devices, in the order of their names.
    pub devices: BTreeMap<String, DeviceComparison>,
    /// Lines of the archive that cannot be read, or are of a device that nobody wrote for.
    pub strange: Vec<String>,
}

/// What it found of one device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceComparison {
    /// Files written; one that is rotated away and its successor are two.
    pub files: u64,
    /// Lines written.
    pub lines_in: u64,
    /// Lines in the archive.
    pub lines_out: u64,
    /// Bytes written.
    pub bytes_in: u64,
    /// Lines that are not there, or not whole.
    pub lost: u64,
    /// Lines, or parts of long ones, that are there twice.
    pub doubled: u64,
    /// Records that come after a later one of their file and lane.
    pub disordered: u64,
    /// Lines that are there with other bytes, or that nobody wrote.
    pub changed: u64,
    /// Records declared gone.
    pub declared: u64,
    /// What the records' times are worth.
    pub time: TimeComparison,
    /// What is wrong, in words.
    pub findings: Vec<String>,
}

/// What the corrected times are worth: a line cannot happen before it is written nor after it has
/// arrived, by more than the bound that its record states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeComparison {
    /// Records whose time was checked.
    pub checked: u64,
    /// Records whose time rests on the device's own clock, which is bound by nothing.
    pub unbounded: u64,
    /// Records that would have happened before their line was written.
    pub early: u64,
    /// Records that would have happened after they arrived.
    pub late: u64,
    /// The widest bound, in nanoseconds.
    pub bound_ns_max: u64,
}

impl DeviceComparison {
    /// Whether every line is there once, in order, as it was written.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.lost + self.doubled + self.disordered + self.changed == 0 && self.lines_in == self.lines_out
    }

    fn find(&mut self, sentence: impl FnOnce() -> String) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(sentence());
        }
    }
}

impl Comparison {
    /// Whether every line of every device is there once, in order, as it was written.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.strange.is_empty() && self.devices.values().all(DeviceComparison::is_exact)
    }

    /// Whether every corrected time lies where it must.
    #[must_use]
    pub fn is_in_time(&self) -> bool {
        self.devices.values().all(|device| device.time.early + device.time.late == 0)
    }

    /// All devices together.
    #[must_use]
    pub fn total(&self) -> DeviceComparison {
        let mut total = DeviceComparison::default();
        for device in self.devices.values() {
            total.files += device.files;
            total.lines_in += device.lines_in;
            total.lines_out += device.lines_out;
            total.bytes_in += device.bytes_in;
            total.lost += device.lost;
            total.doubled += device.doubled;
            total.disordered += device.disordered;
            total.changed += device.changed;
            total.declared += device.declared;
            total.time.checked += device.time.checked;
            total.time.unbounded += device.time.unbounded;
            total.time.early += device.time.early;
            total.time.late += device.time.late;
            total.time.bound_ns_max = total.time.bound_ns_max.max(device.time.bound_ns_max);
        }
        total
    }
}

/// Compares the archive with the journals of the devices.
///
/// # Errors
/// When the archive or a journal cannot be read. What is wrong *in* the archive is no error but
/// part of the comparison.
pub fn compare(archive: &Path, journals: &[(&str, &Journal)]) -> io::Result<Comparison> {
    let mut gathered = Gathered::new(journals);
    read_lines(archive, |line| {
        gathered.take(line);
        Ok(())
    })?;
    conclude(gathered, journals)
}

/// Compares documents, each lane's in order, with the journals of the devices.
///
/// # Errors
/// When a journal cannot be read.
pub fn compare_documents(documents: &[String], journals: &[(&str, &Journal)]) -> io::Result<Comparison> {
    let mut gathered = Gathered::new(journals);
    documents.iter().for_each(|document| gathered.take(document.as_bytes()));
    conclude(gathered, journals)
}

fn conclude(gathered: Gathered, journals: &[(&str, &Journal)]) -> io::Result<Comparison> {
    let Gathered { mut comparison, mut files, .. } = gathered;
    for (name, journal) in journals {
        let Some(device) = comparison.devices.get_mut(*name) else { continue };
        let mut arrived = Vec::new();
        files.retain(|(whose, _), file| {
            if whose == name {
                arrived.push(std::mem::take(file));
            }
            whose != name
        });
        file::compare(journal, arrived, device)?;
    }
    Ok(comparison)
}

/// What has been read of the archive so far.
struct Gathered {
    comparison: Comparison,
    /// Files by device and identity.
    files: HashMap<(String, String), Arrived>,
    /// No file is longer than this.
    end: u64,
}

impl Gathered {
    fn new(journals: &[(&str, &Journal)]) -> Self {
        let mut comparison = Comparison::default();
        let mut end = 0;
        for (name, journal) in journals {
            let device = DeviceComparison {
                files: journal.files.len() as u64,
                lines_in: journal.lines(),
                bytes_in: journal.bytes(),
                ..DeviceComparison::default()
            };
            comparison.devices.insert((*name).to_owned(), device);
            end = journal.files.iter().map(|file| file.bytes).fold(end, u64::max);
        }
        Self { comparison, files: HashMap::new(), end }
    }

    fn take(&mut self, line: &[u8]) {
        let strange = match Document::parse(line) {
            Ok(Document::Other) => return,
            Ok(Document::Piece(piece)) => match self.piece(&piece) {
                Ok(()) => return,
                Err(what) => what,
            },
            Ok(Document::Gap { device, records } | Document::DeadLetter { device, records }) => {
                match self.comparison.devices.get_mut(device.as_ref()) {
                    Some(device) => return device.declared += records,
                    None => format!("a gap of {device}, which nobody wrote for"),
                }
            }
            Err(what) => format!("a line of the archive cannot be read: {what}"),
        };
        if self.comparison.strange.len() < FINDINGS_MAX {
            self.comparison.strange.push(strange);
        }
    }

    fn piece(&mut self, piece: &Piece<'_>) -> Result<(), String> {
        if !self.comparison.devices.contains_key(piece.device.as_ref()) {
            return Err(format!("a record of {}, which nobody wrote for", piece.device));
        }
        let key = (piece.device.clone().into_owned(), piece.file.clone().into_owned());
        let file = self
            .files
            .entry(key)
            .or_insert_with(|| Arrived { path: piece.path.clone().into_owned(), ..Arrived::default() });
        if file.take(piece, self.end) {
            return Ok(());
        }
        let Piece { device, path, offset, .. } = piece;
        Err(format!("{device}: a record of {path} at offset {offset}, where no file reaches"))
    }
}

#[cfg(test)]
mod tests;
