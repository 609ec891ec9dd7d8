//! A simulated flash: deterministic, seeded, and as treacherous as it is told to be.
//!
//! Two states are kept of every file: what a running program sees, and what would be found after
//! a power cut, with the changes in between in a list. A power cut keeps any subset of that list,
//! each write whole, as a prefix or as any of its sectors. A sync that fails keeps any subset and
//! forgets the rest, as Linux does: the program still sees what the flash does not have.

use std::collections::BTreeMap;

use super::{Disk, DiskError, DiskErrorKind, Slot};

/// What may be torn apart: a write survives in pieces of this many bytes.
const SECTOR_BYTES: usize = 512;

/// What of the unsynced changes survives a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerCut {
    /// Nothing that was not synced.
    LoseAll,
    /// Everything, as after a kill -9.
    KeepAll,
    /// Any subset, each write whole or torn.
    Tear,
}

/// What was asked of a disk so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SimDiskStats {
    /// Operations that change something, syncs among them.
    pub operations: u64,
    /// Write calls.
    pub writes: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Syncs of a file.
    pub syncs: u64,
    /// Changes of what files there are and how long: create, resize, remove, directory sync.
    pub metadata: u64,
    /// Bytes read.
    pub bytes_read: u64,
}

#[derive(Clone, Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Resize(usize),
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes } => put(content, *at, bytes),
            Self::Resize(length) => content.resize(*length, 0),
        }
    }
}

fn put(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    if let Some(room) = content.get_mut(at..end) {
        room.copy_from_slice(bytes);
    }
}

#[derive(Clone, Debug, Default)]
struct SimFile {
    exists: bool,
    visible: Vec<u8>,
    exists_durably: bool,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

impl SimFile {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.visible);
        self.pending.push(change);
    }
}

/// A simulated flash.
#[derive(Clone, Debug)]
pub struct SimDisk {
    files: BTreeMap<Slot, SimFile>,
    random: u64,
    capacity: u64,
    read_only: bool,
    lying: bool,
    powered: bool,
    /// The power fails in the operation with this number.
    cut_at: Option<u64>,
    /// Operations of this name fail so, so many times.
    failures: Vec<(&'static str, DiskErrorKind, u32)>,
    stats: SimDiskStats,
}

impl SimDisk {
    /// An empty flash; the same seed tears in the same way.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            files: BTreeMap::new(),
            random: seed,
            capacity: u64::MAX,
            read_only: false,
            lying: false,
            powered: true,
            cut_at: None,
            failures: Vec::new(),
            stats: SimDiskStats::default(),
        }
    }

    /// What was asked so far.
    #[must_use]
    pub const fn stats(&self) -> SimDiskStats {
        self.stats
    }

    /// How many bytes all files together may have.
    pub fn set_capacity(&mut self, bytes: u64) {
        self.capacity = bytes;
    }

    /// Every change fails, or no longer does.
    pub fn set_read_only(&mut self, read_only: bool) {
        self.read_only = read_only;
    }

    /// Syncs report success and do nothing, or work again.
    pub fn set_lying(&mut self, lying: bool) {
        self.lying = lying;
    }

    /// The next `times` operations named `operation` fail.
    pub fn fail(&mut self, operation: &'static str, kind: DiskErrorKind, times: u32) {
        self.failures.push((operation, kind, times));
    }

    /// How many of the next operations of this name fail.
    #[must_use]
    pub fn will_fail(&self, operation: &str) -> u32 {
        self.failures.iter().filter(|(name, ..)| *name == operation).map(|(_, _, times)| times).sum()
    }

    /// No operation fails any longer.
    pub fn heal(&mut self) {
        self.failures.clear();
    }

    /// The power fails in the middle of the operation with this number, counted as in
    /// [`SimDiskStats::operations`]; every later one fails until [`power_cut`](Self::power_cut).
    pub fn cut_at(&mut self, operation: u64) {
        self.cut_at = Some(operation);
    }

    /// Whether the power failed in an operation.
    #[must_use]
    pub const fn is_off(&self) -> bool {
        !self.powered
    }

    /// The power fails now, and comes back: what was not synced is lost as `cut` says.
    pub fn power_cut(&mut self, cut: PowerCut, seed: u64) {
        self.random ^= seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut files = std::mem::take(&mut self.files);
        for file in files.values_mut() {
            if file.exists != file.exists_durably {
                file.exists = match cut {
                    PowerCut::LoseAll => file.exists_durably,
                    PowerCut::KeepAll => file.exists,
                    PowerCut::Tear => self.next(2) == 0,
                };
            }
            file.exists_durably = file.exists;
            for change in std::mem::take(&mut file.pending) {
                match cut {
                    PowerCut::LoseAll => {}
                    PowerCut::KeepAll => change.apply(&mut file.durable),
                    PowerCut::Tear => self.tear(&change, &mut file.durable),
                }
            }
            file.visible.clone_from(&file.durable);
        }
        files.retain(|_, file| file.exists);
        self.files = files;
        self.powered = true;
        self.cut_at = None;
        self.failures.clear();
    }

    /// The power comes back and nothing was lost: what failed was the program, not the flash.
    pub fn revive(&mut self) {
        self.powered = true;
        self.cut_at = None;
    }

    /// Flips one bit of a file, on the flash and in what is read.
    pub fn flip(&mut self, slot: Slot, at: usize, bit: u8) {
        if let Some(file) = self.files.get_mut(&slot) {
            for content in [&mut file.visible, &mut file.durable] {
                if let Some(byte) = content.get_mut(at) {
                    *byte ^= 1 << (bit % 8);
                }
            }
        }
    }

    /// Overwrites a piece of a file, on the flash and in what is read.
    pub fn overwrite(&mut self, slot: Slot, at: usize, bytes: &[u8]) {
        if let Some(file) = self.files.get_mut(&slot) {
            put(&mut file.visible, at, bytes);
            put(&mut file.durable, at, bytes);
        }
    }

    /// Cuts a file to this length, on the flash and in what is read.
    pub fn truncate(&mut self, slot: Slot, length: usize) {
        if let Some(file) = self.files.get_mut(&slot) {
            file.visible.truncate(length);
            file.durable.truncate(length);
        }
    }

    /// Takes a file away, on the flash and in what is read.
    pub fn lose(&mut self, slot: Slot) {
        self.files.remove(&slot);
    }

    /// What a program sees in a file.
    #[must_use]
    pub fn content(&self, slot: Slot) -> Option<&[u8]> {
        self.files.get(&slot).filter(|file| file.exists).map(|file| file.visible.as_slice())
    }

    /// A random number below `below` (splitmix64).
    fn next(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.random;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % below.max(1)
    }

    fn tear(&mut self, change: &Change, content: &mut Vec<u8>) {
        let Change::Write { at, bytes } = change else {
            if self.next(2) == 0 {
                change.apply(content);
            }
            return;
        };
        match self.next(4) {
            0 => {}
            1 => change.apply(content),
            2 => {
                let kept = self.next(bytes.len() as u64 + 1) as usize;
                put(content, *at, bytes.get(..kept).unwrap_or_default());
            }
            _ => {
                let mut from = 0;
                while from < bytes.len() {
                    // Sectors lie where they lie on the flash, not where the write begins.
                    let to = bytes.len().min(from + SECTOR_BYTES - (at + from) % SECTOR_BYTES);
                    if self.next(2) == 0 {
                        put(content, at + from, bytes.get(from..to).unwrap_or_default());
                    }
                    from = to;
                }
            }
        }
    }

    /// Counts an operation that changes something. `Ok(true)`: the power fails in this very one.
    fn begin(&mut self, operation: &'static str, slot: Option<Slot>) -> Result<bool, DiskError> {
        let failed = |kind, detail: &str| DiskError { kind, operation, slot, detail: detail.to_owned() };
        if !self.powered {
            return Err(failed(DiskErrorKind::Io, "no power"));
        }
        self.stats.operations += 1;
        if self.cut_at == Some(self.stats.operations) {
            self.powered = false;
            return Ok(true);
        }
        if self.read_only {
            return Err(failed(DiskErrorKind::ReadOnly, "read-only file system"));
        }
        match self.planned(operation) {
            Some(kind) => Err(failed(kind, "simulated failure")),
            None => Ok(false),
        }
    }

    fn planned(&mut self, operation: &'static str) -> Option<DiskErrorKind> {
        let planned = self.failures.iter_mut().find(|(name, _, left)| *name == operation && *left > 0)?;
        planned.2 -= 1;
        Some(planned.1)
    }

    fn file(&mut self, operation: &'static str, slot: Slot) -> Result<&mut SimFile, DiskError> {
        self.files.get_mut(&slot).filter(|file| file.exists).ok_or_else(|| DiskError {
            kind: DiskErrorKind::NotFound,
            operation,
            slot: Some(slot),
            detail: String::from("no such file"),
        })
    }

    fn room_for(&self, operation: &'static str, slot: Slot, more: u64) -> Result<(), DiskError> {
        let used: u64 = self.files.values().filter(|f| f.exists).map(|f| f.visible.len() as u64).sum();
        if used.saturating_add(more) <= self.capacity {
            return Ok(());
        }
        let detail = String::from("no space left on device");
        Err(DiskError { kind: DiskErrorKind::Full, operation, slot: Some(slot), detail })
    }

    fn no_power<T>(&self, operation: &'static str, slot: Option<Slot>) -> Result<T, DiskError> {
        Err(DiskError { kind: DiskErrorKind::Io, operation, slot, detail: String::from("no power") })
    }
}

impl Disk for SimDisk {
    fn list(&mut self) -> Result<Vec<(Slot, u64)>, DiskError> {
        if !self.powered {
            return self.no_power("list", None);
        }
        if let Some(kind) = self.planned("list") {
            let detail = String::from("simulated failure");
            return Err(DiskError { kind, operation: "list", slot: None, detail });
        }
        let files = self.files.iter().filter(|(_, file)| file.exists);
        Ok(files.map(|(slot, file)| (*slot, file.visible.len() as u64)).collect())
    }

    fn create(&mut self, slot: Slot, bytes: u64) -> Result<(), DiskError> {
        let cut = self.begin("create", Some(slot))?;
        self.stats.metadata += 1;
        self.room_for("create", slot, bytes)?;
        let file = self.files.entry(slot).or_default();
        if file.exists {
            let detail = String::from("file exists");
            return Err(DiskError { kind: DiskErrorKind::Io, operation: "create", slot: Some(slot), detail });
        }
        file.exists = true;
        file.change(Change::Resize(0));
        file.change(Change::Resize(bytes as usize));
        if cut { self.no_power("create", Some(slot)) } else { Ok(()) }
    }

    fn resize(&mut self, slot: Slot, bytes: u64) -> Result<(), DiskError> {
        let cut = self.begin("resize", Some(slot))?;
        self.stats.metadata += 1;
        let length = self.file("resize", slot)?.visible.len() as u64;
        self.room_for("resize", slot, bytes.saturating_sub(length))?;
        self.file("resize", slot)?.change(Change::Resize(bytes as usize));
        if cut { self.no_power("resize", Some(slot)) } else { Ok(()) }
    }

    fn read_at(&mut self, slot: Slot, at: u64, buf: &mut [u8]) -> Result<usize, DiskError> {
        if !self.powered {
            return self.no_power("read", Some(slot));
        }
        if let Some(kind) = self.planned("read") {
            let detail = String::from("simulated failure");
            return Err(DiskError { kind, operation: "read", slot: Some(slot), detail });
        }
        let file = self.file("read", slot)?;
        let rest = file.visible.get(at as usize..).unwrap_or_default();
        let read = rest.len().min(buf.len());
        for (to, from) in buf.iter_mut().zip(rest) {
            *to = *from;
        }
        self.stats.bytes_read += read as u64;
        Ok(read)
    }

    fn write_at(&mut self, slot: Slot, at: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let cut = self.begin("write", Some(slot))?;
        self.stats.writes += 1;
        self.stats.bytes_written += bytes.len() as u64;
        let length = self.file("write", slot)?.visible.len() as u64;
        self.room_for("write", slot, (at + bytes.len() as u64).saturating_sub(length))?;
        let write = Change::Write { at: at as usize, bytes: bytes.to_vec() };
        self.file("write", slot)?.change(write);
        if cut { self.no_power("write", Some(slot)) } else { Ok(()) }
    }

    fn sync(&mut self, slot: Slot) -> Result<(), DiskError> {
        let cut = match self.begin("sync", Some(slot)) {
            Err(error) if self.powered && error.kind == DiskErrorKind::Io => {
                self.forget_unsynced(slot)?;
                return Err(error);
            }
            other => other?,
        };
        self.stats.syncs += 1;
        if cut {
            return self.no_power("sync", Some(slot));
        }
        let lying = self.lying;
        let file = self.file("sync", slot)?;
        if !lying {
            for change in std::mem::take(&mut file.pending) {
                change.apply(&mut file.durable);
            }
        }
        Ok(())
    }

    fn remove(&mut self, slot: Slot) -> Result<(), DiskError> {
        let cut = self.begin("remove", Some(slot))?;
        self.stats.metadata += 1;
        self.file("remove", slot)?.exists = false;
        if cut { self.no_power("remove", Some(slot)) } else { Ok(()) }
    }

    /// Who would read it later is not simulated: it is gone as a file that is removed.
    fn set_aside(&mut self, slot: Slot) -> Result<(), DiskError> {
        let cut = self.begin("rename", Some(slot))?;
        self.stats.metadata += 1;
        self.file("rename", slot)?.exists = false;
        if cut { self.no_power("rename", Some(slot)) } else { Ok(()) }
    }

    fn sync_dir(&mut self) -> Result<(), DiskError> {
        let cut = self.begin("sync_dir", None)?;
        self.stats.metadata += 1;
        if cut {
            return self.no_power("sync", None);
        }
        if !self.lying {
            for file in self.files.values_mut() {
                file.exists_durably = file.exists;
            }
            self.files.retain(|_, file| file.exists);
        }
        Ok(())
    }
}

impl SimDisk {
    /// A sync failed: each change since the last one is on the flash or is not, and will not be.
    fn forget_unsynced(&mut self, slot: Slot) -> Result<(), DiskError> {
        let changes = std::mem::take(&mut self.file("sync", slot)?.pending);
        let mut durable = std::mem::take(&mut self.file("sync", slot)?.durable);
        for change in &changes {
            self.tear(change, &mut durable);
        }
        self.file("sync", slot)?.durable = durable;
        Ok(())
    }
}
