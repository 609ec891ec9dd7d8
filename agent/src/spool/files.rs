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
    /// May be neither written nor, so far, removed.
    lost: Vec<FreeFile>,
}

impl Files {
    pub(crate) fn new(free: Vec<FreeFile>, lost: Vec<FreeFile>) -> Self {
        Self { free, taken: None, retired: Vec::new(), lost }
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

    /// Takes a free file of at least this length.
    pub(crate) fn take(&mut self, bytes: u64) -> Option<FreeFile> {
        let at = self.free.iter().position(|file| file.bytes >= bytes)?;
        Some(self.free.remove(at))
    }

    /// Takes a file of at least this length that no frame says is free.
    pub(crate) fn take_retired(&mut self, bytes: u64) -> Option<FreeFile> {
        let at = self.retired.iter().position(|retired| retired.is_sound && retired.file.bytes >= bytes)?;
        Some(self.retired.swap_remove(at).file)
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
