//! The seam between the sources and a file system: what they ask of it, and nothing more.
//!
//! [`OsFiles`](super::OsFiles) asks the kernel, [`SimFiles`](super::SimFiles) a model of one. No
//! call blocks on anything but the disk, and none changes a file.

use std::fmt;

/// What the sources ask of a file system. Paths are text; a name that is not UTF-8 is reported by
/// [`Files::list`] as `None` and cannot be followed.
pub trait Files {
    /// An open file. Dropping it closes it. While it is open its inode is not given to another file.
    type Handle;

    /// Calls `each` for every entry of a directory, in any order, without following links.
    ///
    /// # Errors
    /// [`FileError`] when the directory cannot be read.
    fn list(&mut self, dir: &str, each: &mut dyn FnMut(Option<&str>, Kind)) -> Result<(), FileError>;

    /// What stands at a path; links are followed.
    ///
    /// # Errors
    /// [`FileError`] when there is nothing, or it may not be looked at.
    fn stat(&mut self, path: &str) -> Result<Stat, FileError>;

    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// [`FileError`] when there is none, or it may not be read.
    fn open(&mut self, path: &str) -> Result<Self::Handle, FileError>;

    /// As [`Files::stat`], for an open file, wherever it now is.
    ///
    /// # Errors
    /// [`FileError`] when the file system fails.
    fn stat_open(&mut self, handle: &Self::Handle) -> Result<Stat, FileError>;

    /// Reads bytes at an offset; fewer than asked only where the file ends, 0 at or after its end.
    ///
    /// # Errors
    /// [`FileError`] when the file system fails.
    fn read_at(&mut self, handle: &Self::Handle, offset: u64, buf: &mut [u8]) -> Result<usize, FileError>;
}

/// What kind of thing a directory entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, or a kind that the directory does not tell.
    Link,
    /// A pipe, a socket, a device.
    Other,
}

/// What a file system says about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// What it is; never [`Kind::Link`].
    pub kind: Kind,
    /// The file system it is on. May change over a reboot.
    pub dev: u64,
    /// Its number on that file system. Is given to another file once this one is gone.
    pub ino: u64,
    /// When it was made, in nanoseconds of the device's wall clock; 0 where the file system does
    /// not keep it. Only compared, never taken for a time.
    pub born: u64,
    /// Its length in bytes.
    pub len: u64,
    /// When it was last written, in nanoseconds of the device's wall clock. Only compared.
    pub written: u64,
    /// How many names it has; 0 when it was deleted while open.
    pub links: u64,
}

/// A file system refused or failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    /// What was tried: a verb.
    pub operation: &'static str,
    /// On which path; empty for an open file.
    pub path: String,
    /// What sort of failure it is.
    pub cause: FileErrorCause,
}

/// Why a file system refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileErrorCause {
    /// There is no such file or directory.
    NotFound,
    /// The agent may not.
    Denied,
    /// It is not a regular file.
    NotAFile,
    /// Anything else: the error number of the operating system.
    Os(i32),
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: ", self.operation, self.path)?;
        match self.cause {
            FileErrorCause::NotFound => f.write_str("there is no such file or directory"),
            FileErrorCause::Denied => f.write_str("permission denied"),
            FileErrorCause::NotAFile => f.write_str("it is not a regular file"),
            FileErrorCause::Os(number) => std::io::Error::from_raw_os_error(number).fmt(f),
        }
    }
}

impl std::error::Error for FileError {}
