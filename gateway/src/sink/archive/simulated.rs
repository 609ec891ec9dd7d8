//! An archive's directory in memory that loses power, fills up and breaks, for tests and the
//! simulator.
//!
//! What it models: names and bytes are durable only once synced. A kill leaves everything as it
//! stands; a power cut loses any part of what was not synced: for each file's new bytes a part,
//! for each new, removed or renamed name either way.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Cursor, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::directory::{Append, Directory, DiskError};

/// When things fail. Clones are the same: a directory and a ledger can share one.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Plan>>);

#[derive(Debug, Default)]
struct Plan {
    steps: u64,
    crash_at: Option<u64>,
    space: Option<u64>,
    sync_fails: bool,
}

impl Faults {
    /// Everything from the step with this number on fails: the process is dead. `None` revives it.
    pub fn crash_at(&self, step: Option<u64>) {
        let mut plan = self.plan();
        plan.crash_at = step;
        plan.steps = 0;
    }

    /// Whether the process is dead.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        let plan = self.plan();
        plan.crash_at.is_some_and(|at| plan.steps > at)
    }

    /// How many bytes can still be written; `None` for no end.
    pub fn space(&self, bytes: Option<u64>) {
        self.plan().space = bytes;
    }

    /// Whether every sync of a file fails.
    pub fn sync_fails(&self, fails: bool) {
        self.plan().sync_fails = fails;
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one change of something durable.
    pub(crate) fn step(&self) -> io::Result<()> {
        let mut plan = self.plan();
        plan.steps += 1;
        match plan.crash_at {
            Some(at) if plan.steps > at => Err(io::Error::other("simulated crash")),
            _ => Ok(()),
        }
    }

    /// Takes room for `bytes`; answers with how many of them there is room for.
    fn take(&self, bytes: usize) -> usize {
        let mut plan = self.plan();
        let Some(space) = &mut plan.space else { return bytes };
        let taken = bytes.min(usize::try_from(*space).unwrap_or(usize::MAX));
        *space -= taken as u64;
        taken
    }
}

/// A directory in memory. Clones are the same directory: a test keeps one and looks inside.
#[derive(Clone, Debug, Default)]
pub struct SimDirectory {
    state: Arc<Mutex<State>>,
    faults: Faults,
}

#[derive(Debug, Default)]
struct State {
    /// The files under their present names.
    names: BTreeMap<String, usize>,
    /// The names as they are after a power cut, at the earliest.
    durable_names: BTreeMap<String, usize>,
    files: Vec<Content>,
}

#[derive(Clone, Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    /// What a power cut cannot take.
    durable: Vec<u8>,
}

impl SimDirectory {
    /// An empty directory that fails when `faults` says so.
    #[must_use]
    pub fn with_faults(faults: Faults) -> Self {
        Self { state: Arc::default(), faults }
    }

    /// The power fails: of what was not synced, `survives` says what is there afterwards. It is
    /// given a question's number and answers with a number: even or odd for a name, and for bytes
    /// how many of the new ones (modulo their count + 1).
    pub fn cut_power(&self, mut survives: impl FnMut(u64) -> u64) {
        let mut state = self.lock();
        let state = &mut *state;
        let mut question = 0;
        let mut ask = || {
            question += 1;
            survives(question)
        };
        let either: BTreeSet<String> =
            state.names.keys().chain(state.durable_names.keys()).cloned().collect();
        for name in either {
            let (now, before) = (state.names.get(&name).copied(), state.durable_names.get(&name).copied());
            let kept = if now == before || ask() % 2 == 0 { now } else { before };
            match kept {
                Some(file) => state.names.insert(name, file),
                None => state.names.remove(&name),
            };
        }
        for content in &mut state.files {
            let shared = content.durable.iter().zip(&content.bytes).take_while(|(a, b)| a == b).count();
            let new = (content.bytes.len() - shared) as u64;
            let is_grown = shared == content.durable.len();
            if is_grown {
                content.bytes.truncate(shared + usize::try_from(ask() % (new + 1)).unwrap_or(0));
            } else if ask() % 2 == 0 {
                content.bytes.clone_from(&content.durable);
            }
            content.durable.clone_from(&content.bytes);
        }
        state.durable_names.clone_from(&state.names);
    }

    /// The file's bytes as they stand.
    #[must_use]
    pub fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        let state = self.lock();
        state.names.get(path).map(|&file| state.files[file].bytes.clone())
    }

    /// Puts a file there, durably and without counting as a step.
    pub fn put(&self, path: &str, bytes: &[u8]) {
        let mut state = self.lock();
        let file = state.files.len();
        state.files.push(Content { bytes: bytes.to_vec(), durable: bytes.to_vec() });
        state.names.insert(path.to_owned(), file);
        state.durable_names.insert(path.to_owned(), file);
    }

    /// The names of the files, in their order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.lock().names.keys().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self, operation: &'static str, path: &str) -> Result<(), DiskError> {
        self.faults.step().map_err(|reason| DiskError { operation, path: path.to_owned(), reason })
    }

    fn find(&self, operation: &'static str, path: &str) -> Result<usize, DiskError> {
        let missing =
            || DiskError { operation, path: path.to_owned(), reason: io::ErrorKind::NotFound.into() };
        self.lock().names.get(path).copied().ok_or_else(missing)
    }
}

impl Directory for SimDirectory {
    fn list(&self) -> Result<Vec<(String, u64)>, DiskError> {
        let state = self.lock();
        let length = |file: &usize| state.files[*file].bytes.len() as u64;
        Ok(state.names.iter().map(|(name, file)| (name.clone(), length(file))).collect())
    }

    fn read(&self, path: &str, offset: u64) -> Result<Box<dyn Read + Send>, DiskError> {
        let file = self.find("open", path)?;
        let bytes = self.lock().files[file].bytes.clone();
        let mut reader = Cursor::new(bytes);
        reader.set_position(offset);
        Ok(Box::new(reader))
    }

    fn create(&mut self, path: &str) -> Result<Box<dyn Append>, DiskError> {
        self.step("create", path)?;
        let mut state = self.lock();
        let file = state.files.len();
        state.files.push(Content::default());
        state.names.insert(path.to_owned(), file);
        drop(state);
        Ok(Box::new(SimFile { directory: self.clone(), path: path.to_owned(), file }))
    }

    fn open(&mut self, path: &str) -> Result<Box<dyn Append>, DiskError> {
        let file = self.find("open", path)?;
        Ok(Box::new(SimFile { directory: self.clone(), path: path.to_owned(), file }))
    }

    fn remove(&mut self, path: &str) -> Result<(), DiskError> {
        self.step("remove", path)?;
        self.lock().names.remove(path);
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        let file = self.find("rename", from)?;
        self.step("rename", from)?;
        let mut state = self.lock();
        state.names.remove(from);
        state.names.insert(to.to_owned(), file);
        Ok(())
    }

    fn sync_names(&mut self, path: &str) -> Result<(), DiskError> {
        self.step("sync", path)?;
        let mut state = self.lock();
        let state = &mut *state;
        let folder = |name: &str| name.split_once('/').map(|(folder, _)| folder.to_owned());
        let here = folder(path);
        state.durable_names.retain(|name, _| folder(name) != here);
        let now = state.names.iter().filter(|(name, _)| folder(name) == here);
        state.durable_names.extend(now.map(|(name, file)| (name.clone(), *file)));
        Ok(())
    }

    fn name(&self) -> String {
        "simulated".to_owned()
    }
}

struct SimFile {
    directory: SimDirectory,
    path: String,
    file: usize,
}

impl Append for SimFile {
    fn append(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        self.directory.step("write", &self.path)?;
        let room = self.directory.faults.take(bytes.len());
        let mut state = self.directory.lock();
        state.files[self.file].bytes.extend(bytes.iter().take(room));
        if room == bytes.len() {
            return Ok(());
        }
        let reason = io::ErrorKind::StorageFull.into();
        Err(DiskError { operation: "write", path: self.path.clone(), reason })
    }

    fn cut(&mut self, bytes: u64) -> Result<(), DiskError> {
        self.directory.step("cut", &self.path)?;
        let mut state = self.directory.lock();
        state.files[self.file].bytes.resize(usize::try_from(bytes).unwrap_or(usize::MAX), 0);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        self.directory.step("sync", &self.path)?;
        if self.directory.faults.plan().sync_fails {
            let reason = io::Error::other("simulated failure");
            return Err(DiskError { operation: "sync", path: self.path.clone(), reason });
        }
        let mut state = self.directory.lock();
        let content = &mut state.files[self.file];
        content.durable.clone_from(&content.bytes);
        Ok(())
    }
}
