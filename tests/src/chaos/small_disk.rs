//! A disk of a few megabytes, in memory, that can be filled up and freed again.
//!
//! It is a tmpfs, so it takes root to have one. Whatever lies below a folder of chaos is unmounted
//! again: when the disk is dropped, and (after a chaos that was killed) at the next start.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::clock;
use crate::process::run;

/// The file that fills it up.
const FILLER: &str = "filler";
const PIECE_BYTES: usize = 64 * 1024;
/// How long a program may take to start.
const START: Duration = Duration::from_secs(10);
/// How long a program may still end for want of room that is there again.
const AFTERMATH: Duration = Duration::from_secs(5);

/// A small disk, mounted.
#[derive(Debug)]
pub(super) struct SmallDisk {
    folder: PathBuf,
    is_kept: bool,
    /// When it was last filled.
    filled: Option<Instant>,
    /// When it was last freed, after that.
    freed: Option<Instant>,
}

impl SmallDisk {
    /// Mounts one over an empty folder, which is made.
    ///
    /// # Errors
    /// Where this user may not mount: `mount` says why.
    pub(super) fn mount(folder: &Path, bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={bytes},mode=0700"), "driftlog-chaos"]).arg(folder);
        succeed(command)?;
        Ok(Self { folder: folder.to_owned(), is_kept: false, filled: None, freed: None })
    }

    /// Fills it to the last byte.
    pub(super) fn fill(&mut self) -> io::Result<()> {
        (self.filled, self.freed) = (Some(clock::now()), None);
        let mut filler = File::create(self.folder.join(FILLER))?;
        let mut piece = vec![0xf1; PIECE_BYTES];
        while !piece.is_empty() {
            match filler.write(&piece) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::StorageFull => piece.truncate(piece.len() / 2),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Gives the room back.
    pub(super) fn free(&mut self) -> io::Result<()> {
        fs::remove_file(self.folder.join(FILLER))?;
        self.freed = Some(clock::now());
        Ok(())
    }

    /// Whether a program that was started then may have ended by itself for want of room: one that
    /// finds none when it starts may, one that runs may not.
    pub(super) fn explains(&self, started: Instant) -> bool {
        let Some(filled) = self.filled else { return false };
        let is_aftermath = self.freed.is_none_or(|at| clock::now() < at + AFTERMATH);
        is_aftermath && filled < started + START
    }

    /// What is on it is to stay in its folder when it is unmounted.
    pub(super) fn keep(&mut self) {
        self.is_kept = true;
    }

    /// Copies what is on it beside it, unmounts it and puts the copy in its place.
    fn unmount(&self) -> io::Result<()> {
        let copy = self.folder.with_extension("copy");
        if self.is_kept {
            let mut command = Command::new("cp");
            command.arg("-a").arg(&self.folder).arg(&copy);
            succeed(command)?;
        }
        unmount(&self.folder)?;
        if self.is_kept {
            fs::remove_dir(&self.folder)?;
            fs::rename(&copy, &self.folder)?;
        }
        Ok(())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What could not be unmounted is at the next start.
        let _ = self.unmount();
    }
}

/// Unmounts every small disk below a folder: those of a chaos that was killed.
pub(super) fn unmount_below(folder: &Path) -> io::Result<()> {
    let mounts = fs::read("/proc/self/mounts")?;
    for mounted in mounted_below(&mounts, folder).iter().rev() {
        unmount(mounted)?;
    }
    Ok(())
}

fn unmount(folder: &Path) -> io::Result<()> {
    let mut command = Command::new("umount");
    command.arg(folder);
    succeed(command)
}

/// The mount points below a folder, in the order in which they were mounted; `proc(5)` writes
/// blanks in them as `\040`.
fn mounted_below(mounts: &[u8], folder: &Path) -> Vec<PathBuf> {
    let lines = mounts.split(|byte| *byte == b'\n');
    let points = lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(1));
    let unescape = |point: &[u8]| {
        let text = String::from_utf8_lossy(point).replace("\\040", " ");
        PathBuf::from(OsStr::from_bytes(text.as_bytes()))
    };
    points.map(unescape).filter(|point| point.starts_with(folder) && point != folder).collect()
}

fn succeed(command: Command) -> io::Result<()> {
    let output = run(command)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(said.lines().next().unwrap_or("it failed without a word").to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_mounted_below_the_folder_is_found() {
        let mounts = b"tmpfs /a/chaos/round-1/state tmpfs rw 0 0\nproc /proc proc rw 0 0\n\
            tmpfs /a/chaos tmpfs rw 0 0\ntmpfs /a/chaos-2/x tmpfs rw 0 0\ntmpfs /a/chaos/with\\040blank tmpfs rw 0 0\n";
        let found = mounted_below(mounts, Path::new("/a/chaos"));
        assert_eq!(found, [Path::new("/a/chaos/round-1/state"), Path::new("/a/chaos/with blank")]);
    }

    #[test]
    fn a_small_disk_fills_up_is_freed_and_keeps_what_is_on_it_where_one_can_be_had() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("state");
        let Ok(mut disk) = SmallDisk::mount(&folder, 1 << 20) else {
            // Without the right to mount nothing may be left behind.
            assert!(mounted_below(&fs::read("/proc/self/mounts").unwrap(), dir.path()).is_empty());
            return;
        };
        assert!(!disk.explains(clock::now()));
        disk.fill().unwrap();
        let refused = fs::write(folder.join("file"), vec![1; 4096]).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
        let now = clock::now();
        assert!(disk.explains(now) && !disk.explains(now - 2 * START), "only what starts may end");
        disk.free().unwrap();
        fs::write(folder.join("file"), "kept").unwrap();
        disk.keep();
        drop(disk);
        assert_eq!(fs::read_to_string(folder.join("file")).unwrap(), "kept");
        fs::remove_dir_all(&folder).unwrap();
        let left = SmallDisk::mount(&folder, 1 << 20).unwrap();
        unmount_below(dir.path()).unwrap();
        assert!(mounted_below(&fs::read("/proc/self/mounts").unwrap(), dir.path()).is_empty());
        drop(left);
    }
}
