//! The seam between a spool and its flash: one flat directory of numbered files.
//!
//! [`OsDisk`] is a directory of a real file system, [`SimDisk`] a simulated one that loses what
//! was not synced. A file is named by its [`Slot`]; what it holds says its header.

mod direct;
mod os;
mod sim;

pub(crate) use os::OPEN_FILES_MAX;
pub use os::OsDisk;
pub use sim::{PowerCut, SimDisk, SimDiskStats};

use std::fmt;

/// The number of a file in the spool's directory.
pub type Slot = u32;

/// What a spool needs of a file system.
///
/// Nothing is durable before [`sync`](Disk::sync) (contents and length of one file) or
/// [`sync_dir`](Disk::sync_dir) (which files exist) returned without an error.
pub trait Disk {
    /// Every file with its length in bytes, in the order of their numbers.
    ///
    /// # Errors
    /// When the directory cannot be read.
    fn list(&mut self) -> Result<Vec<(Slot, u64)>, DiskError>;

    /// Makes a file of `bytes` length with its room allocated. Also after a power cut its first page shows
    /// nothing of a file that had this room before.
    ///
    /// # Errors
    /// When it exists already or there is no room; then there is no such file.
    fn create(&mut self, slot: Slot, bytes: u64) -> Result<(), DiskError>;

    /// Changes a file's length; room that is added is allocated.
    ///
    /// # Errors
    /// When there is no room; then the length is as before.
    fn resize(&mut self, slot: Slot, bytes: u64) -> Result<(), DiskError>;

    /// Reads at `at` until `buf` is full or the file ends, and returns how much was read.
    ///
    /// # Errors
    /// When the flash does not give its bytes.
    fn read_at(&mut self, slot: Slot, at: u64, buf: &mut [u8]) -> Result<usize, DiskError>;

    /// Writes all of `bytes` at `at`.
    ///
    /// # Errors
    /// When not all could be written; any part of it may stand in the file.
    fn write_at(&mut self, slot: Slot, at: u64, bytes: &[u8]) -> Result<(), DiskError>;

    /// Makes a file's contents and length durable.
    ///
    /// # Errors
    /// When that failed: what was written since the last sync is unknown from then on, also if a
    /// later sync succeeds.
    fn sync(&mut self, slot: Slot) -> Result<(), DiskError>;

    /// Removes a file.
    ///
    /// # Errors
    /// When that failed; the file is still there.
    fn remove(&mut self, slot: Slot) -> Result<(), DiskError>;

    /// Takes a file out of the spool, as it is: it is not listed any longer, but kept for whoever can
    /// read it. One that was set aside before under the same number goes.
    ///
    /// # Errors
    /// When that failed; the file is still there.
    fn set_aside(&mut self, slot: Slot) -> Result<(), DiskError>;

    /// Makes durable which files exist.
    ///
    /// # Errors
    /// When that failed.
    fn sync_dir(&mut self) -> Result<(), DiskError>;
}

/// How often a read is tried before the flash counts as damaged there.
pub const READ_TRIES: u32 = 4;

/// Reads as [`Disk::read_at`] does; a failure that passes is not taken for damage.
pub(crate) fn read_again<D: Disk>(
    disk: &mut D,
    slot: Slot,
    at: u64,
    buf: &mut [u8],
) -> Result<usize, DiskError> {
    for _ in 1..READ_TRIES {
        match disk.read_at(slot, at, buf) {
            Err(error) if error.kind == DiskErrorKind::Io => {}
            read => return read,
        }
    }
    disk.read_at(slot, at, buf)
}

/// What kind of failure, as far as the spool acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DiskErrorKind {
    /// No space, or over a quota of the file system.
    Full,
    /// The file system is mounted read-only, or we may not write.
    ReadOnly,
    /// There is no such file.
    NotFound,
    /// Everything else: the flash failed.
    Io,
}

/// A failed operation on the spool's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskError {
    /// What kind of failure.
    pub kind: DiskErrorKind,
    /// What was tried: `read`, `write`, `sync`, …
    pub operation: &'static str,
    /// On which file; `None` for the directory.
    pub slot: Option<Slot>,
    /// The operating system's own words.
    pub detail: String,
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} ", self.operation)?;
        match self.slot {
            Some(slot) => write!(f, "{}", file_name(slot))?,
            None => f.write_str("the spool's directory")?,
        }
        write!(f, ": {}", self.detail)
    }
}

impl std::error::Error for DiskError {}

/// The name of a spool file.
#[must_use]
pub fn file_name(slot: Slot) -> String {
    format!("{slot:06}.segment")
}

/// The name of a spool file that was set aside, since it could not be read.
#[must_use]
pub fn aside_name(slot: Slot) -> String {
    format!("{slot:06}.unreadable")
}

/// The slot of a file name, if it is one of ours.
fn slot_of(name: &str) -> Option<Slot> {
    let digits = name.strip_suffix(".segment")?;
    let slot = digits.parse().ok()?;
    (file_name(slot) == name).then_some(slot)
}
