//! The archive: every record of a region as one line of JSON in a few shared files.
//!
//! Promises: an entry is in the archive exactly when the ledger says so. Its bytes are durable
//! before the ledger commit that counts them; what a crash leaves beyond the committed length is
//! cut off when the archive is opened; and an archive and a ledger that do not belong together
//! are never opened. Costs one sync of the open file and one of the ledger for each commit.
//!
//! Files, their layout and every field are described in `docs/archive-format.md`.
//!
//! The invariants:
//! - A1 The open file's committed length and every closed file are durable before the ledger
//!   names them. (So are their names in the folder.)
//! - A2 Nothing of an uncommitted batch is below a committed length.
//! - A3 A file is compressed only when closed, and its lines are removed only after the ledger
//!   says that the compressed form holds.
//! - A4 A file that is not in the ledger and numbered below the ledger's next is not ours: it is
//!   left alone.

pub mod directory;
pub mod read;
mod recover;
pub mod simulated;
pub mod state;
mod upkeep;

use std::collections::BTreeMap;

use driftlog_proto::time::Unix;
use serde::{Deserialize, Serialize};

use self::directory::{Append, Directory, DiskError};
pub use self::recover::OpenError;
pub(crate) use self::recover::{read_id, write_id};
use self::state::{ArchiveId, Closed, FileName, Head, Open, Stored};
use self::upkeep::Compression;
pub use self::upkeep::Upkeep;
use super::Entry;
use super::ecs::Documents;
use super::ecs::time::Day;
use crate::ledger::{Ledger, Write};

/// Documents are gathered up to here before they are handed to the system.
const WRITE_BYTES: usize = 256 * 1024;

/// How the archive is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ArchiveConfig {
    /// Whether there is one.
    pub enabled: bool,
    /// Whether an acknowledgement waits for it.
    pub required: bool,
    /// A file that has reached this is closed before the next entry.
    pub file_bytes_max: u64,
    /// Whether closed files are compressed.
    pub compress: bool,
    /// Files whose day lies further back than this are removed; 0 keeps all.
    pub retention_days: u32,
    /// The oldest files are removed while all of them take more than this; 0 keeps all.
    pub retention_bytes_max: u64,
}

impl Default for ArchiveConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            required: true,
            file_bytes_max: 256 * 1024 * 1024,
            compress: true,
            retention_days: 0,
            retention_bytes_max: 0,
        }
    }
}

/// The region's records on the local disk.
pub struct Archive {
    directory: Box<dyn Directory>,
    config: ArchiveConfig,
    id: ArchiveId,
    documents: Documents,
    /// The end of the archive and its closed files, as the ledger has them.
    head: Head,
    closed: BTreeMap<u64, Closed>,
    /// What is written and not yet committed.
    tail: Tail,
    file: Option<Box<dyn Append>>,
    buffer: Vec<u8>,
    /// A sync of the open file failed: nothing is appended to it any more.
    is_poisoned: bool,
    compression: Option<Compression>,
    compression_not_before: Unix,
    retention_not_before: Unix,
}

/// How the archive will stand once the ledger has it.
#[derive(Clone, Debug, Default)]
struct Tail {
    head: Head,
    closed: Vec<Closed>,
    created: Vec<FileName>,
    is_written: bool,
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archive").field("id", &self.id).field("head", &self.head).finish_non_exhaustive()
    }
}

impl Archive {
    /// Opens the archive that belongs to `ledger` and repairs what a crash left of it; where both
    /// are empty, makes a new one that is called `fresh`.
    ///
    /// # Errors
    /// [`OpenError`]: the archive and the ledger do not belong together, or cannot be read.
    /// Nothing was cut or removed then.
    pub fn open(
        mut directory: Box<dyn Directory>,
        config: ArchiveConfig,
        ledger: &mut dyn Ledger,
        fresh: ArchiveId,
    ) -> Result<Self, OpenError> {
        let found = recover::recover(directory.as_mut(), ledger, fresh)?;
        let file = match &found.head.open {
            Some(open) => Some(directory.open(&open.name.path(Stored::Plain))?),
            None => None,
        };
        Ok(Self {
            directory,
            config,
            id: found.id,
            documents: Documents::new(),
            tail: Tail { head: found.head.clone(), ..Tail::default() },
            head: found.head,
            closed: found.closed,
            file,
            buffer: Vec::with_capacity(WRITE_BYTES * 2),
            is_poisoned: false,
            compression: None,
            compression_not_before: Unix(i64::MIN),
            retention_not_before: Unix(i64::MIN),
        })
    }

    /// The archive's id.
    #[must_use]
    pub fn id(&self) -> ArchiveId {
        self.id
    }

    /// Files of the archive, the open one included.
    #[must_use]
    pub fn files(&self) -> usize {
        self.closed.len() + usize::from(self.head.open.is_some())
    }

    /// Bytes that the archive takes on the disk.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        let open = self.head.open.map_or(0, |open| open.bytes);
        self.closed.values().map(Closed::disk_bytes).sum::<u64>() + open
    }

    /// Blocks that could not be unpacked and were written whole, since the archive was opened.
    #[must_use]
    pub fn dead_letters(&self) -> u64 {
        self.documents.dead_letters()
    }

    /// Writes entries behind the last one. They count once a ledger commit has what
    /// [`sync`](Self::sync) answers; until then [`cut_back`](Self::cut_back) takes them out again.
    ///
    /// # Errors
    /// When the disk refuses: some of the bytes may be there, so cut back.
    pub fn write(&mut self, entries: &[Entry]) -> Result<(), DiskError> {
        for entry in entries {
            self.make_room(Day::of(entry.received))?;
            let before = self.buffer.len();
            self.documents.write(entry, &mut self.buffer);
            let written = (self.buffer.len() - before) as u64;
            if let Some(open) = &mut self.tail.head.open {
                open.bytes += written;
            }
            if self.buffer.len() >= WRITE_BYTES {
                self.flush()?;
            }
        }
        self.flush()
    }

    /// Makes durable what was written and answers with the ledger's writes that make it count.
    ///
    /// # Errors
    /// When it is not known whether it is durable: cut back. The open file is then closed at its
    /// committed length, since the system may call bytes durable that it has lost.
    pub fn sync(&mut self) -> Result<Vec<Write>, DiskError> {
        if !self.tail.is_written {
            return Ok(Vec::new());
        }
        self.sync_file()?;
        for name in &self.tail.created {
            self.directory.sync_names(&name.path(Stored::Plain))?;
        }
        let closed = self.tail.closed.iter().map(Closed::write);
        Ok(closed.chain([self.tail.head.write()]).collect())
    }

    /// The ledger has what [`sync`](Self::sync) answered.
    pub fn committed(&mut self) {
        self.head = self.tail.head.clone();
        self.closed.extend(self.tail.closed.drain(..).map(|closed| (closed.name.number, closed)));
        self.tail.created.clear();
        self.tail.is_written = false;
    }

    /// Takes out what is not committed.
    ///
    /// # Errors
    /// When the disk refuses that too: the archive must be opened afresh.
    pub fn cut_back(&mut self) -> Result<(), DiskError> {
        self.buffer.clear();
        self.file = None;
        for name in std::mem::take(&mut self.tail.created) {
            self.directory.remove(&name.path(Stored::Plain))?;
        }
        self.tail = Tail { head: self.head.clone(), ..Tail::default() };
        if let Some(open) = &self.head.open {
            let mut file = self.directory.open(&open.name.path(Stored::Plain))?;
            file.cut(open.bytes)?;
            self.file = Some(file);
        }
        Ok(())
    }

    /// Sees to it that there is an open file that may take an entry of this day.
    fn make_room(&mut self, day: Day) -> Result<(), DiskError> {
        match &self.tail.head.open {
            Some(open) if !self.is_poisoned && !self.is_due(open, day) => return Ok(()),
            Some(_) => self.close()?,
            None => {}
        }
        let name = FileName { number: self.tail.head.next, day };
        self.tail.is_written = true;
        self.tail.created.push(name);
        self.file = Some(self.directory.create(&name.path(Stored::Plain))?);
        self.tail.head = Head { next: name.number + 1, open: Some(Open { name, bytes: 0 }) };
        Ok(())
    }

    /// A file is done when it is full or its day is over. Entries of the day before still come
    /// after midnight (they were held above a hole), so the day turns back only by more than one.
    fn is_due(&self, open: &Open, day: Day) -> bool {
        let of_file = open.name.day;
        open.bytes >= self.config.file_bytes_max || day > of_file || day.0 + 1 < of_file.0
    }

    fn close(&mut self) -> Result<(), DiskError> {
        self.flush()?;
        if self.is_poisoned {
            // Its committed bytes were durable before the sync that failed. What it had beyond them comes
            // again in the next file: without a ledger nobody could tell afterwards which of the two counts.
            if let Some(file) = &mut self.file {
                file.sync()?;
            }
            self.is_poisoned = false;
        } else {
            self.sync_file()?;
        }
        self.file = None;
        if let Some(Open { name, bytes }) = self.tail.head.open.take() {
            self.tail.closed.push(Closed { name, bytes, compressed_bytes: None, is_leaving: false });
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        if let (Some(file), false) = (&mut self.file, self.buffer.is_empty()) {
            self.tail.is_written = true;
            file.append(&self.buffer)?;
        }
        self.buffer.clear();
        Ok(())
    }

    fn sync_file(&mut self) -> Result<(), DiskError> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.sync().inspect_err(|_| self.is_poisoned = self.head.open.is_some())
    }
}
