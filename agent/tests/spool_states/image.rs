//! What lies on a flash: files by name, their contents shared between the many images that differ in
//! one of them.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use driftlog_agent::spool::disk::Slot;

/// A file's name: which directory, for a device has one for each lane, and which number.
pub(crate) type Name = (usize, Slot);

/// What is in a file.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) bytes: Rc<Vec<u8>>,
    hash: u64,
}

impl Content {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        Self { bytes: Rc::new(bytes), hash: hasher.finish() }
    }

    /// Its header stands at its head twice, and the two are of different segments.
    pub(crate) fn is_torn_in_its_header(&self) -> bool {
        let copy = |at: usize| self.bytes.get(at..at + 512).filter(|copy| copy.starts_with(b"driftspl"));
        copy(0).zip(copy(512)).is_some_and(|(first, second)| first != second)
    }
}

/// A flash while nothing runs on it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Image(pub(crate) BTreeMap<Name, Content>);

impl Image {
    /// One number for all that is on it.
    pub(crate) fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (name, content) in &self.0 {
            (name, content.hash).hash(&mut hasher);
        }
        hasher.finish()
    }
}
