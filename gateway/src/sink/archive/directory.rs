//! Where the archive keeps its files: the seam between its rules and a file system.
//!
//! A path here is relative to the archive and has at most one folder: `ID`,
//! `2026-11-23/000001.ndjson`.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write as _};
use std::path::PathBuf;

/// A flat pair of levels: files, and folders of files.
pub trait Directory: Send {
    /// Every file and its length in bytes, in no particular order.
    ///
    /// # Errors
    /// When a folder cannot be read. An archive that is not there is an empty one.
    fn list(&self) -> Result<Vec<(String, u64)>, DiskError>;

    /// The file's bytes from `offset` on.
    ///
    /// # Errors
    /// When it is not there or cannot be read.
    fn read(&self, path: &str, offset: u64) -> Result<Box<dyn Read + Send>, DiskError>;

    /// Makes an empty file, and its folder; an older one of that name is emptied. Its name is
    /// durable once [`sync_names`](Self::sync_names) returned.
    ///
    /// # Errors
    /// When it cannot be made.
    fn create(&mut self, path: &str) -> Result<Box<dyn Append>, DiskError>;

    /// Opens a file to append to it.
    ///
    /// # Errors
    /// When it is not there or cannot be opened.
    fn open(&mut self, path: &str) -> Result<Box<dyn Append>, DiskError>;

    /// Removes a file; one that is gone already is removed. Empty folders are left to the caller.
    ///
    /// # Errors
    /// When it cannot be removed.
    fn remove(&mut self, path: &str) -> Result<(), DiskError>;

    /// Gives a file another name in its folder, in one step, replacing what had it.
    ///
    /// # Errors
    /// When it cannot be renamed.
    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError>;

    /// Makes durable which names are in the folder of `path`, and the folder's own name.
    ///
    /// # Errors
    /// When it is not known whether they are.
    fn sync_names(&mut self, path: &str) -> Result<(), DiskError>;

    /// What a person calls the place.
    fn name(&self) -> String;
}

/// A file that grows at its end.
pub trait Append: Send {
    /// Writes behind the last byte.
    ///
    /// # Errors
    /// When not all of it could be written: some of it may be there.
    fn append(&mut self, bytes: &[u8]) -> Result<(), DiskError>;

    /// Cuts the file to `bytes`.
    ///
    /// # Errors
    /// When it could not be cut.
    fn cut(&mut self, bytes: u64) -> Result<(), DiskError>;

    /// Makes its bytes durable.
    ///
    /// # Errors
    /// When it is not known whether they are: what was not durable before must be taken for lost.
    fn sync(&mut self) -> Result<(), DiskError>;
}

/// An operation on a file failed.
#[derive(Debug)]
pub struct DiskError {
    /// What was being done.
    pub operation: &'static str,
    /// With which file.
    pub path: String,
    /// What the system said.
    pub reason: io::Error,
}

impl std::fmt::Display for DiskError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot {} {}: {}", self.operation, self.path, self.reason)?;
        if self.reason.kind() == io::ErrorKind::StorageFull {
            write!(f, "\nhint: make room on that disk; the gateway tries again by itself")?;
        }
        Ok(())
    }
}

impl std::error::Error for DiskError {}

/// A folder of the file system.
#[derive(Debug)]
pub struct OsDirectory {
    root: PathBuf,
}

impl OsDirectory {
    /// The folder `root`, which need not be there yet.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn error(&self, operation: &'static str, path: &str) -> impl Fn(io::Error) -> DiskError + use<> {
        let path = self.root.join(path).display().to_string();
        move |reason| DiskError { operation, path: path.clone(), reason }
    }

    fn file(&self, path: &str, file: fs::File) -> Box<dyn Append> {
        Box::new(OsFile { path: self.root.join(path).display().to_string(), file })
    }

    fn sync_folder(&self, path: &str) -> Result<(), DiskError> {
        let folder = fs::File::open(self.root.join(path));
        folder.and_then(|folder| folder.sync_all()).map_err(self.error("sync", path))
    }
}

impl Directory for OsDirectory {
    fn list(&self) -> Result<Vec<(String, u64)>, DiskError> {
        let mut files = Vec::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(self.root.join(&folder)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other.map_err(self.error("list", &folder))?,
            };
            for entry in entries {
                let entry = entry.map_err(self.error("list", &folder))?;
                let Ok(name) = entry.file_name().into_string() else { continue };
                let meta = match entry.metadata() {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    other => other.map_err(self.error("list", &name))?,
                };
                match (meta.is_dir(), folder.is_empty()) {
                    (true, true) => folders.push(name),
                    (true, false) => {}
                    (false, true) => files.push((name, meta.len())),
                    (false, false) => files.push((format!("{folder}/{name}"), meta.len())),
                }
            }
        }
        Ok(files)
    }

    fn read(&self, path: &str, offset: u64) -> Result<Box<dyn Read + Send>, DiskError> {
        let mut file = fs::File::open(self.root.join(path)).map_err(self.error("open", path))?;
        file.seek(SeekFrom::Start(offset)).map_err(self.error("read", path))?;
        Ok(Box::new(file))
    }

    fn create(&mut self, path: &str) -> Result<Box<dyn Append>, DiskError> {
        if let Some(folder) = self.root.join(path).parent() {
            fs::create_dir_all(folder).map_err(self.error("create the folder of", path))?;
        }
        let options = fs::File::create(self.root.join(path));
        drop(options.map_err(self.error("create", path))?);
        self.open(path)
    }

    fn open(&mut self, path: &str) -> Result<Box<dyn Append>, DiskError> {
        let file = fs::OpenOptions::new().append(true).open(self.root.join(path));
        Ok(self.file(path, file.map_err(self.error("open", path))?))
    }

    fn remove(&mut self, path: &str) -> Result<(), DiskError> {
        match fs::remove_file(self.root.join(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other.map_err(self.error("remove", path))?,
        }
        if let Some((folder, _)) = path.split_once('/') {
            // Fails where other files are left in it, which is as it should be.
            let _still_in_use = fs::remove_dir(self.root.join(folder));
        }
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        fs::rename(self.root.join(from), self.root.join(to)).map_err(self.error("rename", from))
    }

    fn sync_names(&mut self, path: &str) -> Result<(), DiskError> {
        if let Some((folder, _)) = path.split_once('/') {
            match self.sync_folder(folder) {
                Err(error) if error.reason.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        self.sync_folder("")
    }

    fn name(&self) -> String {
        self.root.display().to_string()
    }
}

struct OsFile {
    path: String,
    file: fs::File,
}

impl OsFile {
    fn error(&self, operation: &'static str) -> impl Fn(io::Error) -> DiskError {
        move |reason| DiskError { operation, path: self.path.clone(), reason }
    }
}

impl Append for OsFile {
    fn append(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        self.file.write_all(bytes).map_err(|reason| self.error("write")(reason))
    }

    fn cut(&mut self, bytes: u64) -> Result<(), DiskError> {
        self.file.set_len(bytes).map_err(self.error("cut"))
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        self.file.sync_data().map_err(self.error("sync"))
    }
}
