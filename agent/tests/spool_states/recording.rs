//! A flash that writes down every operation that changes it.
//!
//! The program sees what it wrote, as it would in an operating system's memory. What a power cut
//! may leave of it is worked out afterwards, from the list alone: see `states`. (`SimDisk` draws one
//! such state by chance; here all of them are wanted, of several directories at one instant.)

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use driftlog_agent::spool::disk::{Disk, DiskError, DiskErrorKind, Slot};

use crate::image::{Image, Name};

/// One operation that changes something, on a file by its number: a name may pass to another file.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Create {
        name: Name,
        file: usize,
        length: usize,
    },
    Resize {
        file: usize,
        length: usize,
    },
    /// What was written of what was asked for.
    Write {
        file: usize,
        at: usize,
        bytes: Rc<[u8]>,
    },
    Sync {
        file: usize,
    },
    /// It reported an error: what was not synced is on the flash or is not, and will not be.
    FailedSync {
        file: usize,
    },
    Remove {
        name: Name,
    },
    SyncDirectory {
        directory: usize,
    },
}

impl Operation {
    pub(crate) const fn is_sync(&self) -> bool {
        matches!(self, Self::Sync { .. } | Self::FailedSync { .. } | Self::SyncDirectory { .. })
    }
}

/// What fails next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// There is no room for a file.
    Create,
    Resize,
    /// All of it was written, and an error came all the same.
    Write,
    /// Half of it was written.
    ShortWrite,
    Sync,
    Remove,
    SyncDirectory,
}

/// What happened on a flash.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    pub(crate) operations: Vec<Operation>,
    files: Vec<Vec<u8>>,
    names: BTreeMap<Name, usize>,
    fault: Option<Fault>,
    is_lying: bool,
    /// The process ends when so many operations were done, the last of them in half.
    ends_after: Option<(usize, bool)>,
}

impl Tape {
    /// The tape of a flash with this on it.
    pub(crate) fn new(image: &Image) -> Self {
        let mut tape = Self::default();
        for (name, content) in &image.0 {
            tape.names.insert(*name, tape.files.len());
            tape.files.push(content.bytes.to_vec());
        }
        tape
    }

    /// The next operation of this kind fails.
    pub(crate) fn fail(&mut self, fault: Fault) {
        self.fault = Some(fault);
    }

    /// From now on syncs report success and do nothing.
    pub(crate) fn lie(&mut self) {
        self.is_lying = true;
    }

    /// The process ends with the operation of this number; nothing that it asks for later is done.
    /// `within`: if that is a write, in the middle of it.
    pub(crate) fn end_after(&mut self, operations: usize, within: bool) {
        self.ends_after = Some((operations, within));
    }

    /// Another process goes on where the one before ended.
    pub(crate) fn revive(&mut self) {
        self.ends_after = None;
    }

    /// Whether the process has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.ends_after.is_some_and(|(count, _)| self.operations.len() >= count)
    }

    fn ends_within_this(&self) -> bool {
        self.ends_after == Some((self.operations.len() + 1, true))
    }

    fn takes(&mut self, fault: Fault) -> bool {
        let is_due = self.fault == Some(fault);
        if is_due {
            self.fault = None;
        }
        is_due
    }
}

/// One directory of a recorded flash. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    tape: Rc<RefCell<Tape>>,
    directory: usize,
}

fn failed(operation: &'static str, slot: Option<Slot>, detail: &str) -> DiskError {
    DiskError { kind: DiskErrorKind::Io, operation, slot, detail: detail.to_owned() }
}

impl Recorder {
    pub(crate) fn new(tape: &Rc<RefCell<Tape>>, directory: usize) -> Self {
        Self { tape: Rc::clone(tape), directory }
    }

    fn file(&self, operation: &'static str, slot: Slot) -> Result<usize, DiskError> {
        let missing =
            || DiskError { kind: DiskErrorKind::NotFound, ..failed(operation, Some(slot), "no such file") };
        self.tape.borrow().names.get(&(self.directory, slot)).copied().ok_or_else(missing)
    }

    /// Refuses a change by a dead process, and one that is to fail.
    fn permit(&self, operation: &'static str, slot: Option<Slot>, fault: Fault) -> Result<(), DiskError> {
        let mut tape = self.tape.borrow_mut();
        if tape.has_ended() {
            return Err(failed(operation, slot, "the process has ended"));
        }
        if !tape.takes(fault) {
            return Ok(());
        }
        let kind = if fault == Fault::Create { DiskErrorKind::Full } else { DiskErrorKind::Io };
        Err(DiskError { kind, ..failed(operation, slot, "simulated failure") })
    }

    fn note(&self, operation: Operation) {
        self.tape.borrow_mut().operations.push(operation);
    }

    fn with_content<T>(&self, file: usize, with: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        with(self.tape.borrow_mut().files.get_mut(file).expect("a file once made is kept"))
    }
}

/// Puts bytes into a content, which grows where it is too short.
pub(crate) fn put(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[at..end].copy_from_slice(bytes);
}

impl Disk for Recorder {
    fn list(&mut self) -> Result<Vec<(Slot, u64)>, DiskError> {
        let tape = self.tape.borrow();
        let own = tape.names.iter().filter(|((directory, _), _)| *directory == self.directory);
        Ok(own.map(|((_, slot), file)| (*slot, tape.files[*file].len() as u64)).collect())
    }

    fn create(&mut self, slot: Slot, bytes: u64) -> Result<(), DiskError> {
        self.permit("create", Some(slot), Fault::Create)?;
        if self.file("create", slot).is_ok() {
            return Err(failed("create", Some(slot), "file exists"));
        }
        let mut tape = self.tape.borrow_mut();
        let (name, file, length) = ((self.directory, slot), tape.files.len(), bytes as usize);
        tape.files.push(vec![0; length]);
        tape.names.insert(name, file);
        tape.operations.push(Operation::Create { name, file, length });
        Ok(())
    }

    fn resize(&mut self, slot: Slot, bytes: u64) -> Result<(), DiskError> {
        self.permit("resize", Some(slot), Fault::Resize)?;
        let (file, length) = (self.file("resize", slot)?, bytes as usize);
        self.with_content(file, |content| content.resize(length, 0));
        self.note(Operation::Resize { file, length });
        Ok(())
    }

    fn read_at(&mut self, slot: Slot, at: u64, buf: &mut [u8]) -> Result<usize, DiskError> {
        let file = self.file("read", slot)?;
        Ok(self.with_content(file, |content| {
            let rest = content.get(at as usize..).unwrap_or_default();
            let read = rest.len().min(buf.len());
            buf[..read].copy_from_slice(&rest[..read]);
            read
        }))
    }

    fn write_at(&mut self, slot: Slot, at: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let refused = self.permit("write", Some(slot), Fault::Write);
        let is_short = self.permit("write", Some(slot), Fault::ShortWrite).is_err();
        if self.tape.borrow().has_ended() {
            return refused;
        }
        let (file, at) = (self.file("write", slot)?, at as usize);
        let is_half = is_short || self.tape.borrow().ends_within_this();
        let done = if is_half { &bytes[..bytes.len() / 2] } else { bytes };
        self.with_content(file, |content| put(content, at, done));
        self.note(Operation::Write { file, at, bytes: Rc::from(done) });
        if is_half { Err(failed("write", Some(slot), "simulated failure")) } else { refused }
    }

    fn sync(&mut self, slot: Slot) -> Result<(), DiskError> {
        let permitted = self.permit("sync", Some(slot), Fault::Sync);
        if self.tape.borrow().has_ended() {
            return permitted;
        }
        let file = self.file("sync", slot)?;
        match &permitted {
            Err(_) => self.note(Operation::FailedSync { file }),
            Ok(()) if self.tape.borrow().is_lying => {}
            Ok(()) => self.note(Operation::Sync { file }),
        }
        permitted
    }

    fn remove(&mut self, slot: Slot) -> Result<(), DiskError> {
        self.permit("remove", Some(slot), Fault::Remove)?;
        self.file("remove", slot)?;
        let name = (self.directory, slot);
        self.tape.borrow_mut().names.remove(&name);
        self.note(Operation::Remove { name });
        Ok(())
    }

    /// Every file can be read here.
    fn set_aside(&mut self, slot: Slot) -> Result<(), DiskError> {
        self.remove(slot)
    }

    fn sync_dir(&mut self) -> Result<(), DiskError> {
        self.permit("sync", None, Fault::SyncDirectory)?;
        if !self.tape.borrow().is_lying {
            self.note(Operation::SyncDirectory { directory: self.directory });
        }
        Ok(())
    }
}
