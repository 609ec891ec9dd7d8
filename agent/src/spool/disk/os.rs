//! A directory of a real file system.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, fdatasync};
use rustix::io::Errno;

use super::direct::DirectWriter;
use super::{Disk, DiskError, DiskErrorKind, Slot, aside_name, file_name, slot_of};

/// Files kept open: the one that is written, the one that is read, and one each in between.
pub(crate) const OPEN_FILES_MAX: usize = 4;
/// What a file is called until its head is on the flash: no segment's name. One that a kill left is
/// written over by the next.
const UNNAMED: &str = "new.segment";
/// Zeros at the head of a new file: more than a segment's header.
const HEAD_BYTES: usize = 4096;

/// A spool's directory on a real file system.
#[derive(Debug)]
pub struct OsDisk {
    directory: PathBuf,
    writable: bool,
    /// If it writes past the page cache.
    direct: Option<DirectWriter>,
    /// Most recently used last.
    open: Vec<(Slot, File)>,
}

impl OsDisk {
    /// Opens the directory and makes it when it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, DiskError> {
        let directory = directory.into();
        fs::create_dir_all(&directory).map_err(|error| failed("make", None, &error))?;
        Ok(Self { directory, writable: true, direct: None, open: Vec::new() })
    }

    /// Writes past the page cache, by sectors, where the file system does that. It spares flash where what is
    /// written is soon synced; otherwise the cache may write a page for several writes once.
    #[must_use]
    pub fn direct(self) -> Self {
        Self { direct: Some(DirectWriter::new()), ..self }
    }

    /// For reading alone: nothing is made or changed, whatever is asked.
    #[must_use]
    pub fn read_only(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), writable: false, direct: None, open: Vec::new() }
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn path(&self, slot: Slot) -> PathBuf {
        self.directory.join(file_name(slot))
    }

    fn may_write(&self, operation: &'static str, slot: Option<Slot>) -> Result<(), DiskError> {
        if self.writable {
            return Ok(());
        }
        let detail = String::from("opened for reading only");
        Err(DiskError { kind: DiskErrorKind::ReadOnly, operation, slot, detail })
    }

    fn file(&mut self, operation: &'static str, slot: Slot) -> Result<&File, DiskError> {
        let file = match self.open.iter().position(|(open, _)| *open == slot) {
            Some(at) => self.open.remove(at).1,
            None => OpenOptions::new()
                .read(true)
                .write(self.writable)
                .open(self.path(slot))
                .or_else(|error| match error.kind() {
                    // Reading must go on when the file system became read-only.
                    io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                        File::open(self.path(slot))
                    }
                    _ => Err(error),
                })
                .map_err(|error| failed(operation, Some(slot), &error))?,
        };
        if self.open.len() >= OPEN_FILES_MAX {
            self.open.remove(0);
        }
        self.open.push((slot, file));
        let (_, file) = self.open.last().expect("an entry was pushed in the line above");
        Ok(file)
    }

    fn close(&mut self, slot: Slot) {
        self.open.retain(|(open, _)| *open != slot);
    }
}

fn failed(operation: &'static str, slot: Option<Slot>, error: &io::Error) -> DiskError {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            DiskErrorKind::Full
        }
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => DiskErrorKind::ReadOnly,
        io::ErrorKind::NotFound => DiskErrorKind::NotFound,
        _ => DiskErrorKind::Io,
    };
    DiskError { kind, operation, slot, detail: error.to_string() }
}

/// Allocates room without writing it. Where the file system knows no such thing, the length alone
/// is set, and a write may find the disk full.
fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => file.set_len(bytes),
        Err(error) => Err(error.into()),
    }
}

/// Makes the head of a new file zeros on the flash too. Some file systems let a power cut show, in room that
/// was never written, what a removed file had there: perhaps the header of a segment of the other lane.
fn blank_head(file: &File, bytes: u64) -> io::Result<()> {
    let head = [0; HEAD_BYTES];
    let kept = usize::try_from(bytes).unwrap_or(HEAD_BYTES).min(HEAD_BYTES);
    file.write_all_at(head.get(..kept).unwrap_or(&head), 0)?;
    Ok(fdatasync(file)?)
}

impl Disk for OsDisk {
    fn list(&mut self) -> Result<Vec<(Slot, u64)>, DiskError> {
        let wrong = |error: io::Error| failed("list", None, &error);
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(wrong)? {
            let entry = entry.map_err(wrong)?;
            let Some(slot) = entry.file_name().to_str().and_then(slot_of) else { continue };
            match entry.metadata() {
                Ok(metadata) if metadata.is_file() => files.push((slot, metadata.len())),
                _ => {}
            }
        }
        files.sort_unstable();
        Ok(files)
    }

    fn create(&mut self, slot: Slot, bytes: u64) -> Result<(), DiskError> {
        self.may_write("create", Some(slot))?;
        let wrong = |error: io::Error| failed("create", Some(slot), &error);
        let (unnamed, path) = (self.directory.join(UNNAMED), self.path(slot));
        if path.try_exists().map_err(wrong)? {
            return Err(wrong(io::ErrorKind::AlreadyExists.into()));
        }
        let file = File::create(&unnamed).map_err(wrong)?;
        let made = allocate(&file, bytes).map_err(|error| failed("allocate", Some(slot), &error));
        let made = made.and_then(|()| blank_head(&file, bytes).map_err(wrong));
        let made = made.and_then(|()| fs::rename(&unnamed, &path).map_err(wrong));
        if made.is_err() {
            // The caller hears of the first failure; a file that stays has no segment's name.
            let _ = fs::remove_file(&unnamed);
        }
        made
    }

    fn resize(&mut self, slot: Slot, bytes: u64) -> Result<(), DiskError> {
        self.may_write("resize", Some(slot))?;
        let file = self.file("resize", slot)?;
        let wrong = |error: io::Error| failed("resize", Some(slot), &error);
        let length = file.metadata().map_err(wrong)?.len();
        if bytes > length { allocate(file, bytes) } else { file.set_len(bytes) }.map_err(wrong)
    }

    fn read_at(&mut self, slot: Slot, at: u64, buf: &mut [u8]) -> Result<usize, DiskError> {
        let file = self.file("read", slot)?;
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, at + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed("read", Some(slot), &error)),
            }
        }
        Ok(done)
    }

    fn write_at(&mut self, slot: Slot, at: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.may_write("write", Some(slot))?;
        let mut direct = self.direct.take();
        let written = self.file("write", slot).and_then(|file| {
            let wrong = |error: io::Error| failed("write", Some(slot), &error);
            let done = match &mut direct {
                Some(direct) => direct.write_at(file, at, bytes).map_err(wrong)?,
                None => 0,
            };
            file.write_all_at(bytes.get(done..).unwrap_or_default(), at + done as u64).map_err(wrong)
        });
        self.direct = direct;
        written
    }

    fn sync(&mut self, slot: Slot) -> Result<(), DiskError> {
        self.may_write("sync", Some(slot))?;
        let file = self.file("sync", slot)?;
        fdatasync(file).map_err(|error| failed("sync", Some(slot), &error.into()))
    }

    fn remove(&mut self, slot: Slot) -> Result<(), DiskError> {
        self.may_write("remove", Some(slot))?;
        self.close(slot);
        match fs::remove_file(self.path(slot)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove", Some(slot), &error))
            }
            _ => Ok(()),
        }
    }

    fn set_aside(&mut self, slot: Slot) -> Result<(), DiskError> {
        self.may_write("rename", Some(slot))?;
        self.close(slot);
        fs::rename(self.path(slot), self.directory.join(aside_name(slot)))
            .map_err(|error| failed("rename", Some(slot), &error))
    }

    fn sync_dir(&mut self) -> Result<(), DiskError> {
        self.may_write("sync", None)?;
        let wrong = |error: io::Error| failed("sync", None, &error);
        File::open(&self.directory).map_err(wrong)?.sync_all().map_err(wrong)
    }
}
