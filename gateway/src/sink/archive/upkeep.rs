//! What is done to closed files, a step at a time between commits: compression and retention.
//!
//! Compression: lines → `.part`, synced; renamed to `.zst`, names synced; one ledger commit; then
//! the lines are removed. Retention: one ledger commit calls the file leaving; it is removed, names
//! synced; one ledger commit forgets it. A kill between any two steps is repaired when the archive
//! is opened (see `recover`).

use std::io::{self, Read, Write as _};

use driftlog_proto::time::Unix;
use zstd::stream::write::Encoder;

use super::Archive;
use super::directory::{Append, DiskError};
use super::state::{Closed, Stored};
use crate::ledger::{Ledger, Write};
use crate::sink::CommitError;
use crate::sink::ecs::time::Day;

/// Bytes compressed in one step: some ten milliseconds.
const STEP_BYTES: usize = 4 * 1024 * 1024;
const CHUNK_BYTES: usize = 128 * 1024;
/// The level of compression: more costs much time for little.
const LEVEL: i32 = 3;
/// How long nothing is tried after the disk refused.
const PAUSE_NS: i64 = 60_000_000_000;

/// Whether there is more to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upkeep {
    /// Nothing until another file is closed or another day begins.
    Idle,
    /// Call again when there is time.
    More,
}

/// What is to be done next.
#[derive(Clone, Copy)]
enum Step {
    Nothing,
    Retire(Closed),
    Compress,
}

/// A file that is being compressed.
pub(super) struct Compression {
    file: Closed,
    reader: Box<dyn Read + Send>,
    left: u64,
    encoder: Encoder<'static, Counted>,
}

struct Counted {
    file: Box<dyn Append>,
    bytes: u64,
}

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.append(bytes).map_err(|error| error.reason)?;
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Failure {
    Disk(DiskError),
    Ledger(CommitError),
}

impl From<DiskError> for Failure {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

impl Archive {
    /// Does one bounded step of what closed files need. To be called between commits.
    ///
    /// # Errors
    /// [`CommitError::Refused`] when the disk refuses: it is tried again later. After
    /// [`CommitError::InDoubt`] archive and ledger must be opened afresh.
    pub fn upkeep(&mut self, ledger: &mut dyn Ledger, now: Unix) -> Result<Upkeep, CommitError> {
        let step = self.due(now);
        let done = match step {
            Step::Nothing => return Ok(Upkeep::Idle),
            Step::Retire(file) => self.retire(file, ledger),
            Step::Compress => self.compress(ledger),
        };
        match done {
            Ok(()) => Ok(Upkeep::More),
            Err(Failure::Ledger(error)) => Err(error),
            Err(Failure::Disk(error)) => {
                let later = Unix(now.0.saturating_add(PAUSE_NS));
                match step {
                    Step::Compress => {
                        self.compression_not_before = later;
                        self.give_up_compression();
                    }
                    _ => self.retention_not_before = later,
                }
                Err(CommitError::Refused(error.to_string()))
            }
        }
    }

    /// What is to be done next. A file is compressed before retention asks how much room all take,
    /// unless the disk has just refused that.
    fn due(&self, now: Unix) -> Step {
        let may_compress = self.config.compress && now >= self.compression_not_before;
        let oldest = self.closed.values().next().filter(|_| now >= self.retention_not_before);
        match oldest {
            Some(file) if self.is_old(file, Day::of(now)) => Step::Retire(*file),
            _ if may_compress && self.first_plain().is_some() => Step::Compress,
            Some(file) if self.is_over_size() => Step::Retire(*file),
            _ => Step::Nothing,
        }
    }

    fn is_old(&self, file: &Closed, today: Day) -> bool {
        let days = i64::from(today.0) - i64::from(file.name.day.0);
        file.is_leaving || self.config.retention_days > 0 && days > i64::from(self.config.retention_days)
    }

    fn is_over_size(&self) -> bool {
        self.config.retention_bytes_max > 0 && self.disk_bytes() > self.config.retention_bytes_max
    }

    /// Removes the oldest file. (Always the oldest: so nothing is missing within.)
    fn retire(&mut self, file: Closed, ledger: &mut dyn Ledger) -> Result<(), Failure> {
        if self.compression.as_ref().is_some_and(|running| running.file.name == file.name) {
            self.give_up_compression();
        }
        let leaving = Closed { is_leaving: true, ..file };
        commit(ledger, &[leaving.write()])?;
        self.closed.insert(file.name.number, leaving);
        let path = file.name.path(file.stored());
        self.directory.remove(&path)?;
        self.directory.sync_names(&path)?;
        commit(ledger, &[file.forget()])?;
        self.closed.remove(&file.name.number);
        log::info!("retention removed {path}");
        Ok(())
    }

    fn compress(&mut self, ledger: &mut dyn Ledger) -> Result<(), Failure> {
        let Some(mut running) = self.compression.take() else { return self.begin_compression() };
        let path = running.file.name.path(Stored::Plain);
        let failed = |reason| DiskError { operation: "compress", path: path.clone(), reason };
        let mut chunk = vec![0; CHUNK_BYTES];
        for _ in 0..STEP_BYTES / CHUNK_BYTES {
            let wanted = CHUNK_BYTES.min(usize::try_from(running.left).unwrap_or(CHUNK_BYTES));
            if wanted == 0 {
                return self.finish_compression(running, ledger);
            }
            running.reader.read_exact(&mut chunk[..wanted]).map_err(failed)?;
            running.encoder.write_all(&chunk[..wanted]).map_err(failed)?;
            running.left -= wanted as u64;
        }
        self.compression = Some(running);
        Ok(())
    }

    fn first_plain(&self) -> Option<Closed> {
        let is_plain = |file: &&Closed| file.stored() == Stored::Plain && !file.is_leaving;
        self.closed.values().find(is_plain).copied()
    }

    fn begin_compression(&mut self) -> Result<(), Failure> {
        let Some(file) = self.first_plain() else { return Ok(()) };
        let part = file.name.part_path();
        let reader = self.directory.read(&file.name.path(Stored::Plain), 0)?;
        let counted = Counted { file: self.directory.create(&part)?, bytes: 0 };
        let failed = |reason| DiskError { operation: "compress", path: part.clone(), reason };
        let mut encoder = Encoder::new(counted, LEVEL).map_err(failed)?;
        encoder.include_checksum(true).map_err(failed)?;
        self.compression = Some(Compression { file, reader, left: file.bytes, encoder });
        Ok(())
    }

    fn finish_compression(&mut self, done: Compression, ledger: &mut dyn Ledger) -> Result<(), Failure> {
        let (part, path) = (done.file.name.part_path(), done.file.name.path(Stored::Zstd));
        let failed = |reason| DiskError { operation: "compress", path: part.clone(), reason };
        let mut counted = done.encoder.finish().map_err(failed)?;
        counted.file.sync()?;
        self.directory.rename(&part, &path)?;
        self.directory.sync_names(&path)?;
        let compressed = Closed { compressed_bytes: Some(counted.bytes), ..done.file };
        commit(ledger, &[compressed.write()])?;
        self.closed.insert(compressed.name.number, compressed);
        let lines = done.file.name.path(Stored::Plain);
        self.directory.remove(&lines)?;
        Ok(self.directory.sync_names(&lines)?)
    }

    /// What is being compressed is always the first plain file: gives back the room of its `.part`.
    fn give_up_compression(&mut self) {
        self.compression = None;
        let Some(file) = self.first_plain() else { return };
        if let Err(error) = self.directory.remove(&file.name.part_path()) {
            log::warn!("{error}; it is removed at the next start");
        }
    }
}

fn commit(ledger: &mut dyn Ledger, writes: &[Write]) -> Result<(), Failure> {
    ledger.commit(writes).map_err(|error| Failure::Ledger(CommitError::InDoubt(error.to_string())))
}
