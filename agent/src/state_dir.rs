//! The agent's directory on the device: taken by one agent at a time.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The file that says whose state it is, for whoever reads it without its agent.
pub const DEVICE_ID_FILE: &str = "device_id";
/// Name of the status socket in the state directory.
pub const SOCKET_NAME: &str = "agent.sock";
/// Name of the lock in the state directory.
pub(crate) const LOCK_NAME: &str = "lock";

/// The state directory, held: nobody else opens its spool until this is dropped or the process ends,
/// however it ends.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: File,
}

/// Why the state directory cannot be had.
#[derive(Debug)]
pub enum StateDirError {
    /// Another agent has it.
    InUse {
        /// The directory.
        path: PathBuf,
        /// The other's process id, as far as it is known.
        process: Option<u32>,
    },
    /// The file system refuses.
    Io {
        /// What could not be done.
        operation: &'static str,
        /// With which path.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
}

impl fmt::Display for StateDirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { path, process } => {
                let who = process.map(|id| format!(" (process {id})")).unwrap_or_default();
                write!(f, "another driftlog-agent{who} uses {}", path.display())?;
                f.write_str("\nhint: stop it, or give this one a state_dir of its own")
            }
            Self::Io { operation, path, error } => {
                write!(f, "cannot {operation} {}: {error}", path.display())?;
                f.write_str("\nhint: state_dir must be a directory that the agent's user may write")
            }
        }
    }
}

impl std::error::Error for StateDirError {}

impl StateDir {
    /// Makes the directory if need be and takes its lock.
    ///
    /// # Errors
    /// [`StateDirError`]: another agent has it, or the file system refuses.
    pub fn take(path: &Path) -> Result<Self, StateDirError> {
        let failed = |operation, path: &Path| {
            let path = path.to_owned();
            move |error| StateDirError::Io { operation, path, error }
        };
        DirBuilder::new().recursive(true).mode(0o750).create(path).map_err(failed("make", path))?;
        let name = path.join(LOCK_NAME);
        let mut options = OpenOptions::new();
        let mut lock = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&name)
            .map_err(failed("open", &name))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let process = lock.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(StateDirError::InUse { path: path.to_owned(), process });
            }
            Err(TryLockError::Error(error)) => return Err(failed("lock", &name)(error)),
        }
        // For the message above only: a full disk must not keep the agent from starting.
        let _ = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_agent_is_told_who_has_the_directory_and_it_is_free_when_the_first_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let held = StateDir::take(&path).unwrap();
        let error = StateDir::take(&path).unwrap_err();
        let expected = format!(
            "another driftlog-agent (process {}) uses {}\nhint: stop it, or give this one a state_dir of its own",
            std::process::id(),
            path.display()
        );
        assert_eq!(error.to_string(), expected);
        drop(held);
        assert_eq!(StateDir::take(&path).unwrap().path(), path);
    }

    #[test]
    fn a_file_in_the_place_of_the_directory_is_named_with_a_hint() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "").unwrap();
        let text = StateDir::take(&path).unwrap_err().to_string();
        assert!(text.starts_with(&format!("cannot make {}: ", path.display())), "{text}");
        assert!(text.contains("\nhint: state_dir must be a directory"), "{text}");
    }
}
