//! Room for a fresh segment: files within the spool's size, and what is dropped for them.

use driftlog_proto::item::Cause;

use super::disk::{Disk, DiskErrorKind, Slot};
use super::gaps::{Gaps, TableFull};
use super::recover::FreeFile;
use super::roll::{Need, PAGE_BYTES};
use super::tail::Dropped;
use super::{Overflow, Spool, SpoolError};

/// Segments of a log: what is kept in memory of each, and the headers that recovery reads, are bounded
/// by it. Only very many restarts while offline reach it.
pub const SEGMENTS_MAX: usize = 1024;

/// What is dropped to make room, decided and not yet done.
pub(crate) struct Drop {
    pub(crate) segments: usize,
    pub(crate) gaps: Gaps,
    pub(crate) dropped: Dropped,
    pub(crate) records: u64,
}

impl<D: Disk> Spool<D> {
    /// Cuts a last segment that will not be written any longer to what it holds, so that many
    /// restarts do not eat the spool's size.
    pub(crate) fn cut_short(&mut self) {
        let tip = self.log.tip;
        let Some(segment) = self.log.segments.back_mut().filter(|_| !tip.is_open) else { return };
        let bytes = u64::from(tip.used).next_multiple_of(PAGE_BYTES);
        let waste = u64::from(segment.bytes).saturating_sub(bytes);
        if waste > u64::from(self.config.segment_bytes) / 8 && self.disk.resize(segment.slot, bytes).is_ok() {
            segment.bytes = bytes as u32;
        }
    }

    /// Bytes of all files.
    pub(crate) fn allocated(&self) -> u64 {
        let log: u64 = self.log.segments.iter().map(|segment| u64::from(segment.bytes)).sum();
        log + self.files.bytes()
    }

    /// A file for a fresh segment that needs `bytes`, and what must be dropped so that there is a
    /// spare besides.
    pub(crate) fn reserve(&mut self, bytes: u64, need: Need) -> Result<(FreeFile, Option<Drop>), SpoolError> {
        let usual = bytes.max(u64::from(self.config.segment_bytes));
        match (self.reserve_with_spare(usual), need) {
            (Err(SpoolError::Full { .. } | SpoolError::GapsFull), Need::State) => {
                Ok((self.take_last_resort(bytes)?, None))
            }
            (Err(SpoolError::Full { .. }), Need::Items) if self.reclaim()? => self.reserve_with_spare(usual),
            (reserved, _) => reserved,
        }
    }

    fn reserve_with_spare(&mut self, bytes: u64) -> Result<(FreeFile, Option<Drop>), SpoolError> {
        let file = self.take_file(bytes)?;
        self.files.taken = Some(file);
        let drop = self.make_spare();
        self.files.taken = None;
        if drop.is_err() {
            self.files.free.push(file);
        }
        Ok((file, drop?))
    }

    /// Says in a frame of its own what is not needed any longer, also when even the spare is in use.
    /// `false` when there is nothing to be had.
    fn reclaim(&mut self) -> Result<bool, SpoolError> {
        if !self.files.has_retired() {
            let others = self.log.segments.len().saturating_sub(1);
            let drop = match self.config.overflow {
                Overflow::DropOldest if self.files.free.is_empty() => {
                    self.choose_drop(self.allocated(), others)?
                }
                Overflow::DropOldest | Overflow::PauseSources => return Ok(false),
            };
            for _ in 0..drop.segments {
                if let Some(segment) = self.log.segments.pop_front() {
                    self.retire(&segment);
                }
            }
            self.apply(drop);
        }
        self.put_gaps()?;
        Ok(true)
    }

    /// A file of at least this length.
    fn take_file(&mut self, bytes: u64) -> Result<FreeFile, SpoolError> {
        if let Some(file) = self.take_free(bytes)? {
            return Ok(file);
        }
        if let Some(file) = self.create_within(bytes)? {
            return Ok(file);
        }
        if self.remove_odd()
            && let Some(file) = self.create_within(bytes)?
        {
            return Ok(file);
        }
        let room = self.config.bytes_max.saturating_sub(self.allocated());
        let has_grown = self.files.grow(&mut self.disk, bytes, room).map_err(SpoolError::Disk)?;
        if has_grown && let Some(file) = self.take_free(bytes)? {
            return Ok(file);
        }
        Err(SpoolError::Full { bytes_max: self.config.bytes_max })
    }

    /// A new file, where the spool's size and the disk have room for it.
    fn create_within(&mut self, bytes: u64) -> Result<Option<FreeFile>, SpoolError> {
        if bytes > self.config.bytes_max.saturating_sub(self.allocated()) {
            return Ok(None);
        }
        match self.create(bytes) {
            Err(SpoolError::Disk(error)) if error.kind == DiskErrorKind::Full => Ok(None),
            created => created.map(Some),
        }
    }

    /// Removes free files of another length than the usual; false when there is none. The directory
    /// is synced before anything is written: none comes back when its index is another's.
    fn remove_odd(&mut self) -> bool {
        let is_removed = self.files.remove_odd(&mut self.disk, u64::from(self.config.segment_bytes));
        self.is_directory_synced &= !is_removed;
        is_removed
    }

    fn take_free(&mut self, bytes: u64) -> Result<Option<FreeFile>, SpoolError> {
        let Some(file) = self.files.take(bytes) else { return Ok(None) };
        // It may have been made by a run that was killed before the directory was synced.
        if !self.is_directory_synced {
            if let Err(error) = self.disk.sync_dir() {
                self.files.free.push(file);
                return Err(SpoolError::Disk(error));
            }
            self.is_directory_synced = true;
        }
        Ok(Some(file))
    }

    /// A file for what must be written so that anything can be freed again: if need be one that was
    /// acknowledged already, though no frame says so yet (a power cut right now would declare what
    /// is in it, though it arrived), or one small file more than the spool's size allows.
    fn take_last_resort(&mut self, bytes: u64) -> Result<FreeFile, SpoolError> {
        match self.take_file(bytes) {
            Err(SpoolError::Full { .. }) => {}
            taken => return taken,
        }
        if let Some(file) = self.files.take_retired(bytes) {
            return Ok(file);
        }
        self.create(bytes)
    }

    fn create(&mut self, bytes: u64) -> Result<FreeFile, SpoolError> {
        let is_taken = |slot: &Slot| {
            self.files.has_slot(*slot) || self.log.segments.iter().any(|segment| segment.slot == *slot)
        };
        let slot = (0..).find(|slot| !is_taken(slot)).expect("there are fewer files than numbers");
        self.disk.create(slot, bytes).map_err(SpoolError::Disk)?;
        let file = FreeFile { slot, bytes };
        if let Err(error) = self.disk.sync_dir() {
            self.is_directory_synced = false;
            self.files.free.push(file);
            return Err(SpoolError::Disk(error));
        }
        self.is_directory_synced = true;
        Ok(file)
    }

    /// Sees to it that a spare file will be there when the next segment is opened. Returns what
    /// must be dropped for it.
    fn make_spare(&mut self) -> Result<Option<Drop>, SpoolError> {
        let usual = u64::from(self.config.segment_bytes);
        let has_place = self.log.segments.len() < SEGMENTS_MAX;
        if has_place && self.files.has_spare(usual) {
            return Ok(None);
        }
        // With this segment's checkpoint files are given back that are no spares: nothing need be
        // dropped for what they take up.
        let remaining = self.allocated() - self.files.odd_bytes(usual);
        if has_place && self.allocated() + usual <= self.config.usual_bytes_max() {
            match self.create(usual) {
                Ok(file) => {
                    self.files.free.push(file);
                    return Ok(None);
                }
                Err(SpoolError::Disk(error)) if error.kind == DiskErrorKind::Full => {}
                Err(error) => return Err(error),
            }
        } else if has_place && remaining + usual <= self.config.usual_bytes_max() {
            return Ok(None);
        }
        match self.config.overflow {
            Overflow::PauseSources => Err(SpoolError::Full { bytes_max: self.config.bytes_max }),
            Overflow::DropOldest => self.choose_drop(remaining, self.log.segments.len()).map(Some),
        }
    }

    /// The oldest segments, of at most so many, without which there is room for a spare. `remaining`
    /// are the bytes that files take up when nothing is dropped.
    fn choose_drop(&self, remaining: u64, most: usize) -> Result<Drop, SpoolError> {
        let usual = u64::from(self.config.segment_bytes);
        let mut drop =
            Drop { segments: 0, gaps: self.log.gaps.clone(), dropped: self.state.dropped, records: 0 };
        let mut freed = 0;
        for (at, segment) in self.log.segments.iter().enumerate().take(most) {
            let covered =
                drop.gaps.cover(&self.log.runs, &self.log.base, &self.log.end_of(at), Cause::Overflow);
            drop.records += covered.map_err(|TableFull| SpoolError::GapsFull)?;
            drop.segments = at + 1;
            freed += u64::from(segment.bytes);
            let is_spare = segment.is_sound && u64::from(segment.bytes) == usual;
            if is_spare
                || self.files.has_spare(usual)
                || remaining - freed + usual <= self.config.usual_bytes_max()
            {
                if let Some(lost) = drop.dropped.get_mut(Cause::Overflow.index()) {
                    *lost += drop.records;
                }
                return Ok(drop);
            }
        }
        Err(SpoolError::Full { bytes_max: self.config.bytes_max })
    }
}
