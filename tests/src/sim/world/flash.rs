//! A lane's flash that outlives the agent, and the fuse through which both lanes have their power.

use std::cell::{Cell, RefCell, RefMut};
use std::rc::Rc;

use driftlog_agent::spool::disk::{Disk, DiskError, DiskErrorKind, PowerCut, SimDisk, Slot};

/// Counts the changes of both lanes' flash; blows in the middle of one, and nothing works after.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fuse(Rc<Cell<FuseState>>);

#[derive(Clone, Copy, Debug, Default)]
struct FuseState {
    left: Option<u64>,
    is_blown: bool,
}

impl Fuse {
    /// The agent dies in the middle of the change after the next `changes`.
    pub(crate) fn burn_after(&self, changes: u64) {
        self.0.set(FuseState { left: Some(changes), is_blown: false });
    }

    pub(crate) fn replace(&self) {
        self.0.set(FuseState::default());
    }

    pub(crate) fn is_blown(&self) -> bool {
        self.0.get().is_blown
    }

    /// Takes one change; true when the fuse blows in it.
    fn take(&self) -> bool {
        let mut state = self.0.get();
        let blows = state.left == Some(0);
        state.is_blown |= blows;
        state.left = state.left.map(|left| left.saturating_sub(1));
        self.0.set(state);
        blows
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Flash {
    disk: Rc<RefCell<SimDisk>>,
    fuse: Fuse,
}

impl Flash {
    pub(crate) fn new(seed: u64, fuse: Fuse) -> Self {
        Self { disk: Rc::new(RefCell::new(SimDisk::new(seed))), fuse }
    }

    /// A copy of what is on it, for another device.
    pub(crate) fn image(&self, fuse: Fuse) -> Self {
        Self { disk: Rc::new(RefCell::new(self.disk.borrow().clone())), fuse }
    }

    pub(crate) fn disk(&self) -> RefMut<'_, SimDisk> {
        self.disk.borrow_mut()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.disk.borrow_mut().list().map_or(true, |files| files.is_empty())
    }

    /// The agent is dead; what was not synced is lost as `cut` says.
    pub(crate) fn cut(&self, cut: PowerCut, seed: u64) {
        self.disk.borrow_mut().power_cut(cut, seed);
    }

    fn change<T>(&self, change: impl FnOnce(&mut SimDisk) -> Result<T, DiskError>) -> Result<T, DiskError> {
        self.alive()?;
        let mut disk = self.disk.borrow_mut();
        if self.fuse.take() {
            let this = disk.stats().operations + 1;
            disk.cut_at(this);
        }
        change(&mut disk)
    }

    fn alive(&self) -> Result<(), DiskError> {
        if self.fuse.is_blown() {
            let detail = String::from("no power");
            return Err(DiskError { kind: DiskErrorKind::Io, operation: "reach", slot: None, detail });
        }
        Ok(())
    }
}

impl Disk for Flash {
    fn list(&mut self) -> Result<Vec<(Slot, u64)>, DiskError> {
        self.alive()?;
        self.disk.borrow_mut().list()
    }

    fn create(&mut self, slot: Slot, bytes: u64) -> Result<(), DiskError> {
        self.change(|disk| disk.create(slot, bytes))
    }

    fn resize(&mut self, slot: Slot, bytes: u64) -> Result<(), DiskError> {
        self.change(|disk| disk.resize(slot, bytes))
    }

    fn read_at(&mut self, slot: Slot, at: u64, buf: &mut [u8]) -> Result<usize, DiskError> {
        self.alive()?;
        self.disk.borrow_mut().read_at(slot, at, buf)
    }

    fn write_at(&mut self, slot: Slot, at: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.change(|disk| disk.write_at(slot, at, bytes))
    }

    fn sync(&mut self, slot: Slot) -> Result<(), DiskError> {
        self.change(|disk| disk.sync(slot))
    }

    fn remove(&mut self, slot: Slot) -> Result<(), DiskError> {
        self.change(|disk| disk.remove(slot))
    }

    fn set_aside(&mut self, slot: Slot) -> Result<(), DiskError> {
        self.change(|disk| disk.set_aside(slot))
    }

    fn sync_dir(&mut self) -> Result<(), DiskError> {
        self.change(|disk| disk.sync_dir())
    }
}
