//! A directory of a real file system under a spool.

use std::fs;
use std::path::Path;

use driftlog_agent::spool::disk::{Disk, DiskError, DiskErrorKind, OsDisk, aside_name, file_name};
use proptest::prelude::*;
use tempfile::TempDir;

fn opened() -> (TempDir, OsDisk) {
    let folder = tempfile::tempdir().unwrap();
    let disk = OsDisk::open(folder.path().join("made").join("deeply")).unwrap();
    (folder, disk)
}

fn kind<T: std::fmt::Debug>(result: Result<T, DiskError>) -> DiskErrorKind {
    result.unwrap_err().kind
}

fn read(disk: &mut OsDisk, slot: u32, at: u64, count: usize) -> Vec<u8> {
    let mut bytes = vec![0xff; count];
    let read = disk.read_at(slot, at, &mut bytes).unwrap();
    bytes.truncate(read);
    bytes
}

#[test]
fn files_are_listed_by_number_with_their_lengths_and_nothing_else_is() {
    let (_folder, mut disk) = opened();
    assert_eq!(disk.list().unwrap(), []);
    for (slot, bytes) in [(12, 8192), (3, 4096)] {
        disk.create(slot, bytes).unwrap();
    }
    let directory = disk.directory().to_path_buf();
    assert!(directory.ends_with("made/deeply"));
    fs::create_dir(directory.join(file_name(5))).unwrap();
    for other in ["7.segment", "000008.segments", "notes"] {
        fs::write(directory.join(other), b"x").unwrap();
    }
    assert_eq!(disk.list().unwrap(), [(3, 4096), (12, 8192)]);
    assert_eq!(kind(OsDisk::read_only("/nowhere/at/all").list()), DiskErrorKind::NotFound);
}

#[test]
fn a_file_is_made_once_with_its_room_and_changes_its_length_both_ways() {
    let (_folder, mut disk) = opened();
    disk.create(1, 8192).unwrap();
    assert_eq!(kind(disk.create(1, 4096)), DiskErrorKind::Io);
    assert_eq!(disk.list().unwrap(), [(1, 8192)]);
    assert_eq!(read(&mut disk, 1, 8000, 500), vec![0; 192]);
    for bytes in [4096, 4096, 16384] {
        disk.resize(1, bytes).unwrap();
        assert_eq!(disk.list().unwrap(), [(1, bytes)]);
    }
    assert_eq!(kind(disk.resize(2, 4096)), DiskErrorKind::NotFound);
}

/// Every state of two lanes: a power cut showed, at the head of a file that was just made, the header of a
/// file that the other lane had removed, and the spool would not open.
#[test]
fn a_file_has_its_name_only_once_nothing_of_another_can_show_at_its_head() {
    let (_folder, mut disk) = opened();
    let unnamed = disk.directory().join("new.segment");
    // As a kill in mid-making leaves it: longer, and with what somebody else had there.
    fs::write(&unnamed, [7; 20_000]).unwrap();
    assert_eq!(disk.list().unwrap(), []);
    for (slot, bytes) in [(1, 100), (2, 8192)] {
        disk.create(slot, bytes).unwrap();
        assert_eq!(read(&mut disk, slot, 0, 20_000), vec![0; bytes as usize]);
    }
    assert!(!unnamed.exists());
    assert_eq!(disk.create(1, 4096).unwrap_err().operation, "create");
    assert_eq!((disk.list().unwrap(), unnamed.exists()), (vec![(1, 100), (2, 8192)], false));
}

#[test]
fn a_file_for_which_there_is_no_room_is_not_there() {
    let (_folder, mut disk) = opened();
    let refused = disk.create(1, 1 << 62).unwrap_err();
    assert_eq!((refused.kind, refused.operation, refused.slot), (DiskErrorKind::Full, "allocate", Some(1)));
    assert_eq!(disk.list().unwrap(), []);
    assert_eq!(fs::read_dir(disk.directory()).unwrap().count(), 0, "and nothing under another name");
    disk.create(1, 4096).unwrap();
    assert_eq!(kind(disk.resize(1, 1 << 62)), DiskErrorKind::Full);
    assert_eq!(disk.list().unwrap(), [(1, 4096)]);
}

#[test]
fn what_is_written_is_read_back_from_where_it_was_written() {
    let (_folder, mut disk) = opened();
    // More files than are kept open.
    for slot in 0..7u32 {
        disk.create(slot, 4096).unwrap();
        disk.write_at(slot, 100, &[slot as u8 + 1; 50]).unwrap();
        disk.sync(slot).unwrap();
    }
    disk.sync_dir().unwrap();
    for slot in [3, 0, 6, 3, 1, 2, 5, 4, 3] {
        let bytes = read(&mut disk, slot, 99, 52);
        assert_eq!((bytes[0], bytes[1], bytes[50], bytes[51]), (0, slot as u8 + 1, slot as u8 + 1, 0));
    }
    assert_eq!(open_files(disk.directory()), 4, "no more are kept open");
    assert!(read(&mut disk, 1, 4096, 10).is_empty());
}

/// How many files of this directory this process has open.
fn open_files(directory: &Path) -> usize {
    let links =
        fs::read_dir("/proc/self/fd").unwrap().filter_map(|link| fs::read_link(link.ok()?.path()).ok());
    links.filter(|target| target.starts_with(directory)).count()
}

#[test]
fn a_removed_file_is_gone_and_a_new_one_under_its_number_is_another() {
    let (_folder, mut disk) = opened();
    for slot in [1, 2] {
        disk.create(slot, 4096).unwrap();
        disk.write_at(slot, 0, &[7; 10]).unwrap();
    }
    disk.remove(1).unwrap();
    disk.remove(1).unwrap();
    assert_eq!(disk.list().unwrap(), [(2, 4096)]);
    assert_eq!(open_files(disk.directory()), 1, "the other one stays open");
    assert_eq!(kind(disk.read_at(1, 0, &mut [0; 4])), DiskErrorKind::NotFound);
    assert_eq!(kind(disk.write_at(1, 0, &[0; 4])), DiskErrorKind::NotFound);
    assert_eq!(kind(disk.sync(1)), DiskErrorKind::NotFound);
    disk.create(1, 4096).unwrap();
    assert_eq!(read(&mut disk, 1, 0, 10), [0; 10]);
    assert_eq!(read(&mut disk, 2, 0, 10), [7; 10]);
    // A directory under a file's name cannot be removed as one.
    fs::create_dir(disk.directory().join(file_name(3))).unwrap();
    assert_eq!(kind(disk.remove(3)), DiskErrorKind::Io);
    assert_eq!(kind(disk.read_at(3, 0, &mut [0; 4])), DiskErrorKind::Io);
}

#[test]
fn a_file_that_is_set_aside_is_kept_and_no_longer_listed() {
    let (_folder, mut disk) = opened();
    for content in [b"one", b"two"] {
        disk.create(1, 3).unwrap();
        disk.write_at(1, 0, content).unwrap();
        disk.set_aside(1).unwrap();
        assert_eq!(disk.list().unwrap(), []);
        assert_eq!(kind(disk.read_at(1, 0, &mut [0; 3])), DiskErrorKind::NotFound);
        assert_eq!(fs::read(disk.directory().join(aside_name(1))).unwrap(), content);
    }
    assert_eq!(kind(disk.set_aside(1)), DiskErrorKind::NotFound);
}

#[test]
fn a_directory_that_went_away_is_an_error() {
    let (folder, mut disk) = opened();
    fs::remove_dir_all(folder.path().join("made")).unwrap();
    assert_eq!(kind(disk.sync_dir()), DiskErrorKind::NotFound);
    assert_eq!(kind(disk.list()), DiskErrorKind::NotFound);
    assert_eq!(kind(disk.create(1, 4096)), DiskErrorKind::NotFound);
    disk.remove(1).unwrap();
}

#[test]
fn a_directory_that_is_opened_for_reading_is_not_changed() {
    let (_folder, mut writer) = opened();
    writer.create(1, 4096).unwrap();
    writer.write_at(1, 0, b"kept").unwrap();
    let mut disk = OsDisk::read_only(writer.directory());
    assert_eq!(kind(disk.create(2, 4096)), DiskErrorKind::ReadOnly);
    assert_eq!(kind(disk.resize(1, 8192)), DiskErrorKind::ReadOnly);
    assert_eq!(kind(disk.write_at(1, 0, b"lost")), DiskErrorKind::ReadOnly);
    assert_eq!(kind(disk.sync(1)), DiskErrorKind::ReadOnly);
    assert_eq!(kind(disk.remove(1)), DiskErrorKind::ReadOnly);
    assert_eq!(kind(disk.set_aside(1)), DiskErrorKind::ReadOnly);
    assert_eq!(kind(disk.sync_dir()), DiskErrorKind::ReadOnly);
    assert_eq!(disk.list().unwrap(), [(1, 4096)]);
    assert_eq!(read(&mut disk, 1, 0, 4), b"kept");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Past the cache whole sectors are written: what stands beside a write in its sectors stays, also what
    /// the cache wrote, and a file whose end is in the middle of a sector keeps its length.
    #[test]
    fn what_is_written_past_the_cache_stands_beside_what_was_there(
        length in 30_000_u64..60_000,
        writes in prop::collection::vec((0_u64..60_000, 1_usize..40_000, any::<bool>()), 1..12),
    ) {
        let (_folder, mut cached) = opened();
        let mut direct = OsDisk::open(cached.directory()).unwrap().direct();
        direct.create(1, length).unwrap();
        let mut expected = vec![0; length as usize];
        for (number, (at, count, is_direct)) in writes.into_iter().enumerate() {
            let at = at % length;
            let count = count.min((length - at) as usize);
            let bytes = vec![number as u8 + 1; count];
            let disk = if is_direct { &mut direct } else { &mut cached };
            disk.write_at(1, at, &bytes).unwrap();
            expected[at as usize..at as usize + count].copy_from_slice(&bytes);
            prop_assert!(read(disk, 1, 0, 70_000) == expected);
        }
        direct.sync(1).unwrap();
        prop_assert!(fs::read(direct.directory().join(file_name(1))).unwrap() == expected);
    }
}
