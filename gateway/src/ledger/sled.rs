//! The ledger on one machine: sled, with an explicit flush at every commit.
//!
//! Promises: a commit that returned `Ok` survives a power cut, whole; one that was cut short is
//! there whole or not at all. Costs one sync of sled's log for each commit, and about 10 MB of
//! memory and 5 MB of disk when empty. A commit that failed poisons the ledger: what is durable is
//! then unknown, and every later commit is refused until it has been opened afresh.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::{Ledger, LedgerError, Pair, Write};

/// Bytes of sled's page cache: the ledger is read at start and then only written.
const CACHE_BYTES: u64 = 8 * 1024 * 1024;
/// Bytes of one of sled's own segments.
const SEGMENT_BYTES: usize = 512 * 1024;
/// How often a ledger is tried again that another has open, and after how long: one that was just
/// closed is held by sled's threads for a moment more when the machine is busy.
const LOCK_TRIES: u32 = 20;
const LOCK_WAIT: Duration = Duration::from_millis(100);
/// How the name of a snapshot ends that sled has not finished.
const UNFINISHED: &str = "generating";
/// The key of the layout's version.
const VERSION_KEY: &[u8] = b"ledger/version";
/// The version of the keys and values that this build reads and writes.
const VERSION: u8 = 1;

/// A ledger in a folder of its own.
#[derive(Clone, Debug)]
pub struct SledLedger {
    db: sled::Db,
    is_poisoned: bool,
}

impl SledLedger {
    /// Opens the ledger in `folder`, or makes an empty one there.
    ///
    /// # Errors
    /// When another process has it open, when it cannot be read or written, and when it is of a
    /// version that this build does not know.
    pub fn open(folder: &Path) -> Result<Self, LedgerError> {
        remove_unfinished_snapshots(folder)?;
        let failed = |error: sled::Error| open_error(folder, &error);
        let config = sled::Config::new()
            .path(folder)
            .cache_capacity(CACHE_BYTES)
            .segment_size(SEGMENT_BYTES)
            .flush_every_ms(None);
        let mut db = config.open();
        for _ in 0..LOCK_TRIES {
            if !db.as_ref().is_err_and(is_locked) {
                break;
            }
            thread::sleep(LOCK_WAIT);
            db = config.open();
        }
        let db = db.map_err(failed)?;
        match db.get(VERSION_KEY).map_err(failed)?.as_deref() {
            Some([VERSION]) => {}
            None => {
                db.insert(VERSION_KEY, &[VERSION]).map_err(failed)?;
                db.flush().map_err(failed)?;
            }
            Some(other) => {
                return Err(LedgerError {
                    operation: "open",
                    reason: format!(
                        "{} is of layout version {other:?}, this build knows {VERSION}\nhint: run the \
                         driftlog-gateway that wrote it, or a newer one",
                        folder.display()
                    ),
                });
            }
        }
        Ok(Self { db, is_poisoned: false })
    }
}

/// When sled is opened it writes a snapshot of its index, under another name until that is whole and
/// synced, and removes the one before it only then. A gateway that is killed in between, or whose disk
/// is full, leaves a torn one behind, and sled would take that for its newest and refuse to open for
/// ever. Nothing is in it that the one before it and the log do not have.
fn remove_unfinished_snapshots(folder: &Path) -> Result<(), LedgerError> {
    let failed = |error: io::Error| LedgerError {
        operation: "open",
        reason: format!("{}: an unfinished snapshot cannot be removed: {error}", folder.display()),
    };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|ending| ending == UNFINISHED) {
            fs::remove_file(&path).map_err(failed)?;
        }
    }
    Ok(())
}

fn open_error(folder: &Path, error: &sled::Error) -> LedgerError {
    let text = error.to_string();
    let hint = if is_locked(error) {
        "\nhint: another driftlog-gateway has it open; stop that one first"
    } else {
        ""
    };
    LedgerError { operation: "open", reason: format!("{}: {text}{hint}", folder.display()) }
}

fn is_locked(error: &sled::Error) -> bool {
    error.to_string().contains("lock")
}

fn read_error(error: sled::Error) -> LedgerError {
    LedgerError { operation: "read", reason: error.to_string() }
}

fn write_error(error: sled::Error) -> LedgerError {
    LedgerError { operation: "write", reason: error.to_string() }
}

impl Ledger for SledLedger {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, LedgerError> {
        Ok(self.db.get(key).map_err(read_error)?.map(|value| value.to_vec()))
    }

    fn scan(&self, prefix: &[u8]) -> Result<Vec<Pair>, LedgerError> {
        let pair = |pair: sled::Result<(sled::IVec, sled::IVec)>| {
            pair.map(|(key, value)| (key.to_vec(), value.to_vec())).map_err(read_error)
        };
        self.db.scan_prefix(prefix).map(pair).collect()
    }

    fn commit(&mut self, writes: &[Write]) -> Result<(), LedgerError> {
        if self.is_poisoned {
            let reason = "an earlier commit failed; it must be opened afresh".to_owned();
            return Err(LedgerError { operation: "write", reason });
        }
        let mut batch = sled::Batch::default();
        for write in writes {
            match &write.value {
                Some(value) => batch.insert(write.key.as_slice(), value.as_slice()),
                None => batch.remove(write.key.as_slice()),
            }
        }
        let done = self.db.apply_batch(batch).and_then(|()| self.db.flush());
        self.is_poisoned = done.is_err();
        done.map(|_| ()).map_err(write_error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, value: &str) -> Write {
        Write { key: key.into(), value: Some(value.into()) }
    }

    #[test]
    fn what_was_committed_is_there_after_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = SledLedger::open(folder.path()).unwrap();
        ledger.commit(&[put("lane/a/bulk", "1"), put("lane/b/bulk", "2"), put("x", "3")]).unwrap();
        ledger.commit(&[Write { key: b"lane/a/bulk".to_vec(), value: None }, put("x", "4")]).unwrap();
        drop(ledger);
        let ledger = SledLedger::open(folder.path()).unwrap();
        assert_eq!(ledger.get(b"x").unwrap().as_deref(), Some(&b"4"[..]));
        assert_eq!(ledger.scan(b"lane/").unwrap(), vec![(b"lane/b/bulk".to_vec(), b"2".to_vec())]);
    }

    #[test]
    fn a_snapshot_that_was_torn_by_a_full_disk_or_a_kill_does_not_lock_the_ledger_for_ever() {
        for torn in ["", "torn in its middle"] {
            let folder = tempfile::tempdir().unwrap();
            let mut ledger = SledLedger::open(folder.path()).unwrap();
            ledger.commit(&[put("x", "1")]).unwrap();
            drop(ledger);
            // Higher than every snapshot that is there, so that it counts as the newest.
            let snapshot = folder.path().join(format!("snap.{:016X}.{UNFINISHED}", u64::MAX >> 1));
            fs::write(&snapshot, torn).unwrap();
            let ledger = SledLedger::open(folder.path()).unwrap();
            assert_eq!(ledger.get(b"x").unwrap().as_deref(), Some(&b"1"[..]));
            assert!(!snapshot.exists());
        }
    }

    #[test]
    fn a_second_gateway_on_the_same_ledger_is_told_so() {
        let folder = tempfile::tempdir().unwrap();
        let _first = SledLedger::open(folder.path()).unwrap();
        let error = SledLedger::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("hint: another driftlog-gateway has it open"), "{error}");
    }

    #[test]
    fn a_ledger_of_an_unknown_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = SledLedger::open(folder.path()).unwrap();
        ledger.db.insert(VERSION_KEY, &[9]).unwrap();
        drop(ledger);
        let error = SledLedger::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("layout version [9], this build knows 1"), "{error}");
    }
}
