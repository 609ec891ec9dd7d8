//! The files that are not part of the log: spares, and those that will be.
//!
//! A file is free only once what it held is acknowledged or declared *and a durable frame says
//! so*; until then it is retired. Spares of the usual length are kept to be written again, which costs
//! no change of metadata; all others are removed.

use super::disk::{Disk, DiskError, Slot};
use super::recover::FreeFile;

/// Spare files kept.
const SPARES_MAX: usize = 3;

/// A file that is not needed any longer, which the flash does not say yet.
#[derive(Clone, Copy, Debug)]
struct Retired {
    file: FreeFile,
    /// It may be written later.
    is_sound: bool,
    /// A frame that says so was written; once it is synced the file is free.
    is_stated: bool,
}

/// Files beside the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    /// May be written.
    pub(crate) free: Vec<FreeFile>,
    /// About to become a segment.
    pub(crate) taken: Option<FreeFile>,
    /// Not needed any longer.
    retired: Vec<Retired>,
    /// About to become a segment, though no frame says that it is free.
    borrowed: Option<Slot>,
    /// May be neither written nor, so far, removed.
    lost: Vec<FreeFile>,
}

impl Files {
    pub(crate) fn new(free: Vec<FreeFile>) -> Self {
        Self { free, ..Self::default() }
    }

    pub(crate) fn bytes(&self) -> u64 {
        let retired = self.retired.iter().map(|retired| &retired.file);
        self.free.iter().chain(&self.taken).chain(retired).chain(&self.lost).map(|file| file.bytes).sum()
    }

    pub(crate) fn has_slot(&self, slot: Slot) -> bool {
        let retired = self.retired.iter().map(|retired| &retired.file);
        self.free.iter().chain(&self.taken).chain(retired).chain(&self.lost).any(|file| file.slot == slot)
    }

    pub(crate) fn retire(&mut self, file: FreeFile, is_sound: bool) {
        self.retired.push(Retired { file, is_sound, is_stated: false });
    }

    /// A frame was written that says what is needed.
    pub(crate) fn note_stated(&mut self) {
        for retired in &mut self.retired {
            retired.is_stated = true;
        }
    }

    /// All free files count as needed again: it is not sure that the flash says otherwise.
    pub(crate) fn doubt(&mut self) {
        for file in std::mem::take(&mut self.free) {
            self.retire(file, true);
        }
    }

    pub(crate) fn has_retired(&self) -> bool {
        !self.retired.is_empty()
    }

    /// Whether a file of this length will be free once a durable frame says so.
    pub(crate) fn has_spare(&self, bytes: u64) -> bool {
        let retired = self.retired.iter().filter(|retired| retired.is_sound).map(|retired| &retired.file);
        self.free.iter().chain(retired).any(|file| file.bytes >= bytes)
    }

    /// Bytes of files that go once a durable frame says so: none of them can be a spare.
    pub(crate) fn odd_bytes(&self, usual_bytes: u64) -> u64 {
        let retired = self.retired.iter().map(|retired| (&retired.file, retired.is_sound));
        let files = self.free.iter().map(|file| (file, true)).chain(retired);
        files
            .filter(|(file, is_sound)| !is_sound || file.bytes != usual_bytes)
            .map(|(file, _)| file.bytes)
            .sum()
    }

    /// Removes free files of another length than the usual; false when there is none.
    pub(crate) fn remove_odd<D: Disk>(&mut self, disk: &mut D, usual_bytes: u64) -> bool {
        let before = self.free.len();
        self.free.retain(|file| file.bytes == usual_bytes || disk.remove(file.slot).is_err());
        self.free.len() < before
    }

    /// Takes a free file of at least this length.
    pub(crate) fn take(&mut self, bytes: u64) -> Option<FreeFile> {
        let at = self.free.iter().position(|file| file.bytes >= bytes)?;
        Some(self.free.remove(at))
    }

    /// Takes a file of at least this length that no frame says is free.
    pub(crate) fn take_retired(&mut self, bytes: u64) -> Option<FreeFile> {
        let at = self.retired.iter().position(|retired| retired.is_sound && retired.file.bytes >= bytes)?;
        let file = self.retired.swap_remove(at).file;
        self.borrowed = Some(file.slot);
        Some(file)
    }

    /// A file that was taken has become a segment.
    pub(crate) fn note_used(&mut self) {
        self.borrowed = None;
    }

    /// A file that was taken has become nothing: it is what it was.
    pub(crate) fn give_back(&mut self, file: FreeFile) {
        if self.borrowed.take() == Some(file.slot) {
            self.retire(file, true);
        } else {
            self.free.push(file);
        }
    }

    /// Removes a file that a failed write or sync left behind.
    pub(crate) fn discard<D: Disk>(&mut self, disk: &mut D, file: FreeFile) {
        if disk.remove(file.slot).is_err() {
            self.lost.push(file);
        }
    }

    /// What was written is synced: what it says is not needed is free. Removes what is not worth keeping.
    pub(crate) fn settle<D: Disk>(&mut self, disk: &mut D, usual_bytes: u64) {
        let is_tidy = self.free.len() <= SPARES_MAX && self.free.iter().all(|file| file.bytes == usual_bytes);
        if self.retired.is_empty() && is_tidy {
            return;
        }
        for retired in std::mem::take(&mut self.retired) {
            match retired {
                Retired { is_stated: false, .. } => self.retired.push(retired),
                Retired { is_sound: true, file, .. } => self.free.push(file),
                Retired { file, .. } => self.discard(disk, file),
            }
        }
        let mut spares = 0;
        for file in std::mem::take(&mut self.free) {
            if file.bytes == usual_bytes && spares < SPARES_MAX {
                spares += 1;
                self.free.push(file);
            } else if disk.remove(file.slot).is_err() {
                // It stays a free file; the next frame tries again.
                self.free.push(file);
            }
        }
    }

    /// Makes a free file longer.
    pub(crate) fn grow<D: Disk>(&mut self, disk: &mut D, bytes: u64, room: u64) -> Result<bool, DiskError> {
        let Some(at) = self.free.iter().position(|file| file.bytes.saturating_add(room) >= bytes) else {
            return Ok(false);
        };
        if let Some(file) = self.free.get_mut(at) {
            disk.resize(file.slot, bytes)?;
            file.bytes = bytes;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::super::disk::SimDisk;
    use super::*;

    const USUAL: u64 = 8192;

    /// A disk with files of these lengths, numbered from 1.
    fn disk(lengths: &[u64]) -> (SimDisk, Vec<FreeFile>) {
        let mut disk = SimDisk::new(1);
        let files = lengths.iter().zip(1..).map(|(bytes, slot)| {
            disk.create(slot, *bytes).unwrap();
            FreeFile { slot, bytes: *bytes }
        });
        let files = files.collect();
        (disk, files)
    }

    fn slots(files: &[FreeFile]) -> Vec<Slot> {
        files.iter().map(|file| file.slot).collect()
    }

    fn on(disk: &mut SimDisk) -> Vec<Slot> {
        disk.list().unwrap().iter().map(|(slot, _)| *slot).collect()
    }

    #[test]
    fn every_file_counts_whatever_it_is_for() {
        let (_, all) = disk(&[1, 20, 300, 4000]);
        let mut files = Files::new(vec![all[0]]);
        files.lost.push(all[1]);
        files.taken = Some(all[2]);
        assert!(!files.has_retired());
        files.retire(all[3], true);
        assert!(files.has_retired());
        assert_eq!(files.bytes(), 4321);
        for slot in 1..=4 {
            assert!(files.has_slot(slot));
        }
        assert!(!files.has_slot(5) && !Files::default().has_slot(1));
    }

    #[test]
    fn a_file_is_free_only_when_a_frame_that_says_so_was_written_and_synced() {
        let (mut disk, all) = disk(&[USUAL; 3]);
        let mut files = Files::default();
        files.retire(all[0], true);
        files.retire(all[1], false);
        files.settle(&mut disk, USUAL);
        assert_eq!((files.free.len(), files.bytes()), (0, 2 * USUAL), "no frame says so yet");
        files.note_stated();
        files.retire(all[2], true);
        files.settle(&mut disk, USUAL);
        assert_eq!((slots(&files.free), on(&mut disk)), (vec![1], vec![1, 3]), "a failed one is removed");
        files.doubt();
        assert_eq!((files.free.len(), files.retired.len()), (0, 2));
        files.settle(&mut disk, USUAL);
        assert!(files.free.is_empty());
    }

    #[test]
    fn three_spares_of_the_usual_length_are_kept_and_all_else_is_removed() {
        for lengths in
            [[USUAL, 4096, 16384].as_slice(), &[4096], &[USUAL; 4], &[4096, USUAL, USUAL, USUAL, USUAL]]
        {
            let (mut disk, all) = disk(lengths);
            let usual = lengths.iter().filter(|bytes| **bytes == USUAL).count();
            let mut files = Files::new(all);
            files.settle(&mut disk, USUAL);
            assert_eq!(files.free.len(), usual.min(SPARES_MAX), "{lengths:?}");
            assert!(files.free.iter().all(|file| file.bytes == USUAL));
            assert_eq!(on(&mut disk), slots(&files.free));
        }
    }

    #[test]
    fn what_cannot_be_removed_is_remembered() {
        let (mut disk, all) = disk(&[USUAL, 4096]);
        disk.set_read_only(true);
        let mut files = Files::new(vec![all[1]]);
        files.settle(&mut disk, USUAL);
        assert_eq!(slots(&files.free), [2], "the next frame tries again");
        files.discard(&mut disk, all[0]);
        assert_eq!((files.bytes(), files.has_slot(1)), (USUAL + 4096, true));
        disk.set_read_only(false);
        files.discard(&mut disk, all[0]);
        assert_eq!(on(&mut disk), [2]);
    }

    #[test]
    fn a_file_is_taken_when_it_is_long_enough() {
        let (_, all) = disk(&[4096, USUAL]);
        let mut files = Files::new(all.clone());
        assert!(files.has_spare(USUAL) && !files.has_spare(USUAL + 1));
        assert!(files.take(USUAL + 1).is_none());
        assert_eq!(files.take(USUAL).map(|file| file.slot), Some(2));
        assert!(files.take(USUAL).is_none());
        assert_eq!(files.take(100).map(|file| file.slot), Some(1));
        let mut files = Files::default();
        files.retire(all[1], false);
        assert!(!files.has_spare(100) && files.take_retired(100).is_none(), "a failed file is no spare");
        files.retire(all[0], true);
        assert!(files.has_spare(4096) && !files.has_spare(4097));
        assert!(files.take_retired(4097).is_none());
        assert_eq!(files.take_retired(4096).map(|file| file.slot), Some(1));
        assert!(files.take_retired(100).is_none());
    }

    /// Random work 1000296: a write into a file that no frame said was free failed; it counted as free,
    /// and was removed before the gap in its place was durable.
    #[test]
    fn a_file_that_no_frame_says_is_free_is_not_free_after_a_failed_write() {
        let (mut disk, all) = disk(&[4096, USUAL]);
        let mut files = Files::new(vec![all[1]]);
        files.retire(all[0], true);
        let file = files.take_retired(4096).unwrap();
        files.give_back(file);
        assert!(files.has_retired() && !files.remove_odd(&mut disk, USUAL));
        let file = files.take(4096).unwrap();
        files.give_back(file);
        assert_eq!(slots(&files.free), [2]);
        let file = files.take_retired(4096).unwrap();
        files.note_used();
        files.give_back(file);
        assert!(!files.has_retired(), "it was a segment since");
    }

    #[test]
    fn files_of_another_length_than_the_usual_are_no_spares_and_can_be_removed() {
        let (mut disk, all) = disk(&[USUAL, 4096, 0, USUAL, USUAL, 16384]);
        let mut files = Files::new(all[..3].to_vec());
        files.retire(all[3], true);
        files.retire(all[4], false);
        files.retire(all[5], true);
        assert_eq!(files.odd_bytes(USUAL), 4096 + USUAL + 16384);
        assert!(files.remove_odd(&mut disk, USUAL) && !files.remove_odd(&mut disk, USUAL));
        assert_eq!((slots(&files.free), on(&mut disk)), (vec![1], vec![1, 4, 5, 6]));
    }

    #[test]
    fn a_free_file_grows_within_the_room_that_there_is() {
        let (mut disk, all) = disk(&[4096]);
        let mut files = Files::new(all);
        assert_eq!(files.grow(&mut disk, USUAL, 4095), Ok(false));
        assert_eq!(files.grow(&mut disk, USUAL, 4096), Ok(true));
        assert_eq!((files.free[0].bytes, disk.list().unwrap()), (USUAL, vec![(1, USUAL)]));
        assert_eq!(Files::default().grow(&mut disk, 0, USUAL), Ok(false));
    }
}
