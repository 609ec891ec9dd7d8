//! One gateway on a data directory.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// The name of the lock's file in the data directory.
const NAME: &str = "lock";

/// Holds a data directory for this process, until it is dropped or the process ends, however it
/// ends: the kernel keeps the lock, not the file.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why the data directory cannot be had.
#[derive(Debug)]
pub enum LockError {
    /// Another process has it.
    Held {
        /// The directory.
        data_dir: PathBuf,
        /// The process, as it has noted itself.
        by: String,
    },
    /// The directory or the lock's file cannot be made.
    Io {
        /// What was being done.
        operation: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
}

impl std::fmt::Display for LockError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Held { data_dir, by } => {
                let process = if by.is_empty() { String::new() } else { format!(" (process {by})") };
                write!(
                    f,
                    "another gateway{process} is using the data directory {}\nhint: stop it first, or give \
                     this one its own `data_dir`",
                    data_dir.display()
                )
            }
            Self::Io { operation, path, error } => {
                write!(
                    f,
                    "cannot {operation} {}: {error}\nhint: `data_dir` must be on a disk that this user may \
                     write to",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for LockError {}

impl Lock {
    /// Takes the directory, which is made when it is missing.
    ///
    /// # Errors
    /// [`LockError::Held`] when another process has it.
    pub fn take(data_dir: &Path) -> Result<Self, LockError> {
        let io = |operation, path: &Path| {
            let path = path.to_owned();
            move |error| LockError::Io { operation, path, error }
        };
        std::fs::create_dir_all(data_dir).map_err(io("make the data directory", data_dir))?;
        let path = data_dir.join(NAME);
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(io("open", &path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut by = String::new();
                // Who it is only adds to the message.
                let _ = (&mut file).take(32).read_to_string(&mut by);
                return Err(LockError::Held { data_dir: data_dir.to_owned(), by: by.trim().to_owned() });
            }
            Err(errno) => return Err(io("lock", &path)(errno.into())),
        }
        let note = |file: &mut File| -> std::io::Result<()> {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        note(&mut file).map_err(io("write", &path))?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_that_is_taken_is_not_taken_twice_and_is_free_again_after() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let held = Lock::take(&data_dir).unwrap();
        let error = Lock::take(&data_dir).unwrap_err().to_string();
        let expected = format!(
            "another gateway (process {}) is using the data directory {}\nhint: stop it first, or give this \
             one its own `data_dir`",
            std::process::id(),
            data_dir.display()
        );
        assert_eq!(error, expected);
        drop(held);
        Lock::take(&data_dir).unwrap();
    }

    #[test]
    fn a_data_directory_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = Lock::take(&file.join("data")).unwrap_err().to_string();
        assert!(error.starts_with("cannot make the data directory "), "{error}");
        assert!(error.ends_with("hint: `data_dir` must be on a disk that this user may write to"), "{error}");
    }
}
