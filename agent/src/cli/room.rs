//! Where a state directory lies, how much room there is, and what its spool has of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use driftlog_proto::ids::Lane;
use rustix::fs::{statfs, statvfs};

use crate::pipeline::SPOOL_FOLDER;

/// `statfs(2)`: file systems that a power cut empties.
const TMPFS: u64 = 0x0102_1994;
const RAMFS: u64 = 0x8584_58f6;

/// The room in which a directory lies, or will lie.
#[derive(Clone, Debug)]
pub(super) struct Room {
    /// What there is for others than root.
    pub(super) free_bytes: u64,
    /// It lies in memory.
    pub(super) is_memory: bool,
}

impl Room {
    /// Of the directory, or the nearest above it that exists. Asks the kernel, and changes nothing.
    pub(super) fn of(directory: &Path) -> io::Result<Self> {
        let place = directory.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
        let (kind, room) = (statfs(place)?, statvfs(place)?);
        // The field's type is another on other targets; a magic number has 32 bits.
        let kind = kind.f_type as u64 & 0xffff_ffff;
        Ok(Self {
            free_bytes: room.f_bavail.saturating_mul(room.f_frsize),
            is_memory: kind == TMPFS || kind == RAMFS,
        })
    }
}

/// The folders of the lanes that a state directory has.
pub(super) fn lane_folders(state_dir: &Path) -> impl Iterator<Item = PathBuf> {
    let spool = state_dir.join(SPOOL_FOLDER);
    Lane::ALL.into_iter().map(move |lane| spool.join(lane.name())).filter(|folder| folder.is_dir())
}

/// Bytes that a spool's files take up.
pub(super) fn spool_bytes(state_dir: &Path) -> u64 {
    let entries = lane_folders(state_dir).filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|of| of.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_not_there_lies_where_the_one_above_it_does() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("made/later");
        let room = Room::of(&state).unwrap();
        assert!(room.free_bytes > 0);
        assert_eq!(room.is_memory, Room::of(dir.path()).unwrap().is_memory);
        assert_eq!(spool_bytes(&state), 0);
        fs::create_dir_all(state.join("spool/urgent")).unwrap();
        fs::write(state.join("spool/urgent/000000.segment"), [0; 5000]).unwrap();
        assert_eq!((spool_bytes(&state), lane_folders(&state).count()), (5000, 1));
        assert!(Room::of(Path::new("/proc")).is_ok_and(|room| !room.is_memory));
    }
}
