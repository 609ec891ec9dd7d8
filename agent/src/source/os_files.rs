//! The kernel's file system behind [`Files`].
//!
//! `statx` tells when a file was made, where kernel and file system know it (ext4, xfs, btrfs,
//! f2fs; not ubifs, jffs2 or older tmpfs); otherwise `fstat` answers and that stays unknown.

use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, StatxFlags};
use rustix::io::Errno;

use super::files::{FileError, FileErrorCause, Files, Kind, Stat};

/// The real file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsFiles;

impl Files for OsFiles {
    type Handle = File;

    fn list(&mut self, dir: &str, each: &mut dyn FnMut(Option<&str>, Kind)) -> Result<(), FileError> {
        let failed = |errno| failure("list", dir, errno);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = fs::open(dir, flags, Mode::empty()).map_err(failed)?;
        for entry in fs::Dir::new(handle).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            each(name.to_str().ok(), kind(entry.file_type()));
        }
        Ok(())
    }

    fn stat(&mut self, path: &str) -> Result<Stat, FileError> {
        let failed = |errno| failure("look at", path, errno);
        match fs::statx(fs::CWD, path, AtFlags::empty(), wanted()) {
            Ok(statx) => Ok(from_statx(&statx)),
            Err(Errno::NOSYS) => fs::stat(path).map(|stat| from_stat(&stat)).map_err(failed),
            Err(errno) => Err(failed(errno)),
        }
    }

    fn open(&mut self, path: &str) -> Result<File, FileError> {
        // Without waiting: a pipe put in the place of a file must not stop the agent.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = fs::open(path, flags, Mode::empty()).map_err(|errno| failure("open", path, errno))?;
        let file = File::from(file);
        match self.stat_open(&file)?.kind {
            Kind::File => Ok(file),
            _ => Err(FileError { operation: "open", path: path.to_owned(), cause: FileErrorCause::NotAFile }),
        }
    }

    fn stat_open(&mut self, handle: &File) -> Result<Stat, FileError> {
        let failed = |errno| failure("look at", "an open file", errno);
        match fs::statx(handle, "", AtFlags::EMPTY_PATH, wanted()) {
            Ok(statx) => Ok(from_statx(&statx)),
            Err(Errno::NOSYS) => fs::fstat(handle).map(|stat| from_stat(&stat)).map_err(failed),
            Err(errno) => Err(failed(errno)),
        }
    }

    fn read_at(&mut self, handle: &File, offset: u64, buf: &mut [u8]) -> Result<usize, FileError> {
        let mut filled = 0;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match handle.read_at(rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let errno = error.raw_os_error().unwrap_or_default();
                    return Err(failure("read", "an open file", Errno::from_raw_os_error(errno)));
                }
            }
        }
        Ok(filled)
    }
}

fn wanted() -> StatxFlags {
    StatxFlags::BASIC_STATS | StatxFlags::BTIME
}

fn kind(of: FileType) -> Kind {
    match of {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink | FileType::Unknown => Kind::Link,
        _ => Kind::Other,
    }
}

fn from_statx(statx: &fs::Statx) -> Stat {
    let known = StatxFlags::from_bits_retain(statx.stx_mask).contains(StatxFlags::BTIME);
    Stat {
        kind: kind(FileType::from_raw_mode(statx.stx_mode.into())),
        dev: fs::makedev(statx.stx_dev_major, statx.stx_dev_minor),
        ino: statx.stx_ino,
        born: if known { nanoseconds(statx.stx_btime.tv_sec, statx.stx_btime.tv_nsec) } else { 0 },
        len: statx.stx_size,
        written: nanoseconds(statx.stx_mtime.tv_sec, statx.stx_mtime.tv_nsec),
        links: statx.stx_nlink.into(),
    }
}

fn from_stat(stat: &fs::Stat) -> Stat {
    Stat {
        kind: kind(FileType::from_raw_mode(stat.st_mode)),
        dev: unsigned(stat.st_dev),
        ino: unsigned(stat.st_ino),
        born: 0,
        len: unsigned(stat.st_size),
        written: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
        links: unsigned(stat.st_nlink),
    }
}

/// The fields of `stat` are of other types on other targets.
fn unsigned(number: impl TryInto<u64>) -> u64 {
    number.try_into().unwrap_or(0)
}

fn nanoseconds(seconds: impl TryInto<u64>, nanoseconds: impl TryInto<u64>) -> u64 {
    unsigned(seconds).saturating_mul(1_000_000_000).saturating_add(unsigned(nanoseconds))
}

fn failure(operation: &'static str, path: &str, errno: Errno) -> FileError {
    let cause = match errno {
        Errno::NOENT | Errno::NOTDIR => FileErrorCause::NotFound,
        Errno::ACCESS | Errno::PERM => FileErrorCause::Denied,
        other => FileErrorCause::Os(other.raw_os_error()),
    };
    FileError { operation, path: path.to_owned(), cause }
}
