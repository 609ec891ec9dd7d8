//! Opening an archive: whether it belongs to the ledger, and what a crash left of it.
//!
//! | a kill or a power cut | leaves | repaired by |
//! | --- | --- | --- |
//! | in a commit, before the ledger has it | bytes beyond the committed length; files numbered at or above the ledger's next | cutting, removing |
//! | while a file is compressed | a `.part`, or a `.zst` beside the lines | removing both: the ledger says plain |
//! | after the ledger has the compressed form | the lines beside a `.zst` | removing the lines |
//! | while a file leaves | a file that the ledger calls leaving | removing it, then its entry |

use std::collections::BTreeMap;

use super::directory::{Directory, DiskError};
use super::state::{
    ArchiveId, CLOSED_PREFIX, Closed, FileKind, FileName, HEAD_KEY, Head, ID_FILE, ID_KEY, Stored, decode,
};
use crate::ledger::{Ledger, LedgerError, Write};

/// Why an archive cannot be opened. Nothing was cut or removed.
#[derive(Debug)]
pub enum OpenError {
    /// There are archive files and the ledger knows of no archive.
    LedgerMissing {
        /// The archive's folder.
        archive: String,
    },
    /// The ledger knows of an archive and there is none.
    ArchiveMissing {
        /// The archive's folder.
        archive: String,
        /// What the ledger knows.
        expected: ArchiveId,
    },
    /// The ledger belongs to another archive.
    OtherArchive {
        /// The archive's folder.
        archive: String,
        /// Its id.
        found: ArchiveId,
        /// What the ledger knows.
        expected: ArchiveId,
    },
    /// The open file is shorter than what was committed.
    Shorter {
        /// The file.
        path: String,
        /// Its length.
        bytes: u64,
        /// The committed length.
        expected: u64,
    },
    /// What the ledger says about the archive is not readable by this build.
    State(String),
    /// The disk.
    Disk(DiskError),
    /// The ledger.
    Ledger(LedgerError),
}

impl From<DiskError> for OpenError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

impl From<LedgerError> for OpenError {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::LedgerMissing { archive } => write!(
                f,
                "there is an archive in {archive} and the ledger knows of none: going on could double or \
                 lose records\nhint: if the ledger is lost, `driftlog-gateway rebuild` makes a new one from \
                 the archive"
            ),
            Self::ArchiveMissing { archive, expected } => write!(
                f,
                "the ledger belongs to archive {expected}, and there is none in {archive}\nhint: is its disk \
                 mounted? If the archive is lost, `driftlog-gateway rebuild --force` begins a new ledger from \
                 what is there"
            ),
            Self::OtherArchive { archive, found, expected } => write!(
                f,
                "the ledger belongs to archive {expected}, and in {archive} is archive {found}\nhint: point \
                 data_dir at the right one, or let `driftlog-gateway rebuild --force` make a new ledger from \
                 the archive that is there"
            ),
            Self::Shorter { path, bytes, expected } => write!(
                f,
                "{path} has {bytes} bytes and the ledger counts {expected}: committed records are gone\nhint: \
                 restore the file, or let `driftlog-gateway rebuild --force` make a new ledger from what is \
                 there"
            ),
            Self::State(key) => write!(
                f,
                "the ledger's entry {key} is damaged or of another version\nhint: run the driftlog-gateway \
                 that wrote it, or `driftlog-gateway rebuild --force`"
            ),
            Self::Disk(error) => error.fmt(f),
            Self::Ledger(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {}

/// An archive as it stands after recovery: just as the ledger says.
pub(super) struct Found {
    pub(super) id: ArchiveId,
    pub(super) head: Head,
    pub(super) closed: BTreeMap<u64, Closed>,
}

pub(super) fn recover(
    directory: &mut dyn Directory,
    ledger: &mut dyn Ledger,
    fresh: ArchiveId,
) -> Result<Found, OpenError> {
    let listed = directory.list()?;
    let id = agree(directory, &listed, ledger, fresh)?;
    let (head, mut closed) = load(ledger)?;
    let plan = survey(directory, &listed, &head, &closed)?;
    for (path, bytes) in &plan.cut {
        log::info!("cutting {path} back to its committed {bytes} bytes");
        let mut file = directory.open(path)?;
        file.cut(*bytes)?;
        file.sync()?;
    }
    // An earlier start may have cut it and failed to sync that: it looks right, and is not on the disk.
    if let Some(open) = &head.open {
        directory.open(&open.name.path(Stored::Plain))?.sync()?;
    }
    for path in &plan.remove {
        directory.remove(path)?;
        directory.sync_names(path)?;
    }
    let gone = closed.extract_if(.., |number, closed| closed.is_leaving || plan.missing.contains(number));
    let forget: Vec<Write> = gone.map(|(_, closed)| closed.forget()).collect();
    if !forget.is_empty() {
        ledger.commit(&forget)?;
    }
    Ok(Found { id, head, closed })
}

/// The archive's id, if the archive and the ledger belong together or are both new.
fn agree(
    directory: &mut dyn Directory,
    listed: &[(String, u64)],
    ledger: &mut dyn Ledger,
    fresh: ArchiveId,
) -> Result<ArchiveId, OpenError> {
    let archive = directory.name();
    let found = read_id(directory, listed)?;
    let has_files = listed.iter().any(|(path, _)| FileName::parse(path).is_some());
    let expected = match ledger.get(ID_KEY)? {
        Some(bytes) => Some(ArchiveId(
            bytes.as_slice().try_into().map_err(|_| OpenError::State("archive/id".to_owned()))?,
        )),
        None => None,
    };
    match (found, expected) {
        (Some(found), Some(expected)) if found == expected => Ok(found),
        (Some(found), Some(expected)) => Err(OpenError::OtherArchive { archive, found, expected }),
        (None, Some(expected)) => Err(OpenError::ArchiveMissing { archive, expected }),
        (_, None) if has_files => Err(OpenError::LedgerMissing { archive }),
        (found, None) => {
            // One that was found may be in the system's memory alone: a start before this one died
            // before it synced it. The ledger names only what is durable.
            let id = found.unwrap_or(fresh);
            write_id(directory, id)?;
            ledger.commit(&[Write { key: ID_KEY.to_vec(), value: Some(id.0.to_vec()) }])?;
            Ok(id)
        }
    }
}

/// The id that stands in the archive; `None` where there is none, or one that was never finished.
pub(crate) fn read_id(
    directory: &dyn Directory,
    listed: &[(String, u64)],
) -> Result<Option<ArchiveId>, DiskError> {
    if !listed.iter().any(|(path, _)| path == ID_FILE) {
        return Ok(None);
    }
    let mut text = Vec::new();
    let mut reader = std::io::Read::take(directory.read(ID_FILE, 0)?, 64);
    std::io::Read::read_to_end(&mut reader, &mut text).map_err(|reason| DiskError {
        operation: "read",
        path: ID_FILE.to_owned(),
        reason,
    })?;
    Ok(ArchiveId::parse(&text))
}

/// Writes the archive's id, durably.
pub(crate) fn write_id(directory: &mut dyn Directory, id: ArchiveId) -> Result<(), DiskError> {
    let mut file = directory.create(ID_FILE)?;
    file.append(format!("{id}\n").as_bytes())?;
    file.sync()?;
    directory.sync_names(ID_FILE)
}

fn load(ledger: &dyn Ledger) -> Result<(Head, BTreeMap<u64, Closed>), OpenError> {
    let broken = |key: &[u8]| OpenError::State(String::from_utf8_lossy(key).into_owned());
    let head = match ledger.get(HEAD_KEY)? {
        Some(bytes) => decode(&bytes).ok_or_else(|| broken(HEAD_KEY))?,
        None => Head::default(),
    };
    let mut closed = BTreeMap::new();
    for (key, value) in ledger.scan(CLOSED_PREFIX)? {
        let file: Closed = decode(&value).ok_or_else(|| broken(&key))?;
        closed.insert(file.name.number, file);
    }
    Ok((head, closed))
}

/// What has to be done to the files so that they are as the ledger says.
#[derive(Default)]
struct Plan {
    cut: Vec<(String, u64)>,
    remove: Vec<String>,
    missing: Vec<u64>,
}

fn survey(
    directory: &dyn Directory,
    listed: &[(String, u64)],
    head: &Head,
    closed: &BTreeMap<u64, Closed>,
) -> Result<Plan, OpenError> {
    let mut plan = Plan { missing: closed.keys().copied().collect(), ..Plan::default() };
    let mut open_bytes = 0;
    for (path, bytes) in listed {
        let Some((name, kind)) = FileName::parse(path) else { continue };
        let FileKind::Whole(stored) = kind else {
            plan.remove.push(path.clone());
            continue;
        };
        let is_open = head.open.is_some_and(|open| open.name == name) && stored == Stored::Plain;
        if is_open {
            open_bytes = *bytes;
        } else if name.number >= head.next {
            log::info!("removing {path}, which was never committed");
            plan.remove.push(path.clone());
        } else if let Some(file) = closed.get(&name.number).filter(|file| file.name == name) {
            plan.closed(file, stored, path, *bytes);
        } else {
            log::warn!("{path} is not in the ledger; it is left alone");
        }
    }
    if let Some(open) = &head.open {
        let path = open.name.path(Stored::Plain);
        if open_bytes < open.bytes {
            let path = format!("{}/{path}", directory.name());
            return Err(OpenError::Shorter { path, bytes: open_bytes, expected: open.bytes });
        }
        if open_bytes > open.bytes {
            plan.cut.push((path, open.bytes));
        }
    }
    for number in &plan.missing {
        if closed.get(number).is_some_and(|file| !file.is_leaving) {
            log::warn!("file {number} of the archive is gone; its records are not there any more");
        }
    }
    Ok(plan)
}

impl Plan {
    fn closed(&mut self, file: &Closed, stored: Stored, path: &str, bytes: u64) {
        if file.is_leaving || file.stored() != stored {
            self.remove.push(path.to_owned());
            return;
        }
        self.missing.retain(|number| *number != file.name.number);
        if bytes > file.disk_bytes() {
            self.cut.push((path.to_owned(), file.disk_bytes()));
        } else if bytes < file.disk_bytes() {
            log::warn!("{path} has {bytes} bytes, the ledger counts {}: it is damaged", file.disk_bytes());
        }
    }
}
