//! A file system in memory behind [`Files`]: for tests, and for the simulated device.
//!
//! It has what rotation needs: directories, names apart from inodes, inodes that stay while open
//! and whose numbers are given out again, lowest first, once they are free.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::files::{FileError, FileErrorCause, Files, Kind, Stat};

#[derive(Clone, Debug, Default)]
struct Inode {
    content: Vec<u8>,
    born: u64,
    written: u64,
    names: u64,
    handles: u64,
}

#[derive(Clone, Debug, Default)]
struct World {
    names: BTreeMap<String, u64>,
    links: BTreeMap<String, String>,
    inodes: BTreeMap<u64, Inode>,
    denied: BTreeSet<String>,
    failing: bool,
    clock: u64,
    dev: u64,
    keeps_births: bool,
    reads: u64,
    looks: u64,
}

/// A simulated file system. Clones are the same one: the world's hand and the agent's eyes.
#[derive(Clone, Debug)]
pub struct SimFiles(Rc<RefCell<World>>);

/// An open simulated file.
#[derive(Debug)]
pub struct SimHandle {
    world: Rc<RefCell<World>>,
    ino: u64,
}

impl Drop for SimHandle {
    fn drop(&mut self) {
        let mut world = self.world.borrow_mut();
        if let Some(inode) = world.inodes.get_mut(&self.ino) {
            inode.handles -= 1;
        }
        world.collect(self.ino);
    }
}

impl World {
    fn collect(&mut self, ino: u64) {
        if self.inodes.get(&ino).is_some_and(|inode| inode.names == 0 && inode.handles == 0) {
            self.inodes.remove(&ino);
        }
    }

    fn resolve<'a>(&'a self, path: &'a str) -> &'a str {
        self.links.get(path).map_or(path, String::as_str)
    }

    fn is_directory(&self, path: &str) -> bool {
        let inside = |name: &String| name.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
        path == "/" || self.names.keys().chain(self.links.keys()).any(inside)
    }

    fn create(&mut self, path: &str) -> u64 {
        if let Some(ino) = self.names.get(self.resolve(path)) {
            return *ino;
        }
        let ino = (1..).find(|ino| !self.inodes.contains_key(ino)).unwrap_or(u64::MAX);
        self.clock += 1;
        let inode = Inode { born: self.clock, written: self.clock, names: 1, ..Inode::default() };
        self.inodes.insert(ino, inode);
        self.names.insert(path.to_owned(), ino);
        ino
    }

    fn change(&mut self, ino: u64, change: impl FnOnce(&mut Vec<u8>)) {
        self.clock += 1;
        if let Some(inode) = self.inodes.get_mut(&ino) {
            inode.written = self.clock;
            change(&mut inode.content);
        }
    }

    fn stat(&self, ino: u64, operation: &'static str, path: &str) -> Result<Stat, FileError> {
        let inode = self.inodes.get(&ino).ok_or_else(|| not_found(operation, path))?;
        Ok(Stat {
            kind: Kind::File,
            dev: self.dev,
            ino,
            born: if self.keeps_births { inode.born } else { 0 },
            len: inode.content.len() as u64,
            written: inode.written,
            links: inode.names,
        })
    }

    fn look_up(&self, operation: &'static str, path: &str) -> Result<u64, FileError> {
        if self.denied.contains(path) {
            return Err(FileError { operation, path: path.to_owned(), cause: FileErrorCause::Denied });
        }
        self.names.get(self.resolve(path)).copied().ok_or_else(|| not_found(operation, path))
    }
}

fn not_found(operation: &'static str, path: &str) -> FileError {
    FileError { operation, path: path.to_owned(), cause: FileErrorCause::NotFound }
}

impl Default for SimFiles {
    fn default() -> Self {
        Self(Rc::new(RefCell::new(World { dev: 1, keeps_births: true, ..World::default() })))
    }
}

impl SimFiles {
    /// Another file system with the same files, as a copy of its whole disk has them.
    #[must_use]
    pub fn image(&self) -> Self {
        let mut world = self.0.borrow().clone();
        world.inodes.values_mut().for_each(|inode| inode.handles = 0);
        world.inodes.retain(|_, inode| inode.names > 0);
        Self(Rc::new(RefCell::new(world)))
    }

    /// Adds bytes to the end of a file, which is made where there is none.
    pub fn append(&self, path: &str, bytes: &[u8]) {
        let mut world = self.0.borrow_mut();
        let ino = world.create(path);
        world.change(ino, |content| content.extend_from_slice(bytes));
    }

    /// Gives a file a new name, in the place of what had it.
    pub fn rename(&self, from: &str, to: &str) {
        let ino = self.0.borrow_mut().names.remove(from);
        let Some(ino) = ino else { return };
        self.remove(to);
        self.0.borrow_mut().names.insert(to.to_owned(), ino);
    }

    /// Gives a file a second name.
    pub fn hard_link(&self, from: &str, to: &str) {
        let mut world = self.0.borrow_mut();
        let Some(ino) = world.names.get(from).copied() else { return };
        if let Some(inode) = world.inodes.get_mut(&ino) {
            inode.names += 1;
        }
        world.names.insert(to.to_owned(), ino);
    }

    /// Puts a symbolic link at `path`.
    pub fn link(&self, path: &str, target: &str) {
        self.0.borrow_mut().links.insert(path.to_owned(), target.to_owned());
    }

    /// Takes a name away; the file stays while it has another name or is open.
    pub fn remove(&self, path: &str) {
        let mut world = self.0.borrow_mut();
        if let Some(ino) = world.names.remove(path) {
            if let Some(inode) = world.inodes.get_mut(&ino) {
                inode.names -= 1;
            }
            world.collect(ino);
        }
    }

    /// Cuts a file to a length.
    pub fn truncate(&self, path: &str, len: usize) {
        let mut world = self.0.borrow_mut();
        if let Some(ino) = world.names.get(path).copied() {
            world.change(ino, |content| content.truncate(len));
        }
    }

    /// Copies the first `bytes` of a file into a new one.
    pub fn copy(&self, from: &str, to: &str, bytes: usize) {
        let content = self.content(from).unwrap_or_default();
        self.remove(to);
        self.append(to, content.get(..bytes).unwrap_or(&content));
    }

    /// The bytes of a file.
    #[must_use]
    pub fn content(&self, path: &str) -> Option<Vec<u8>> {
        let world = self.0.borrow();
        world.names.get(path).and_then(|ino| world.inodes.get(ino)).map(|inode| inode.content.clone())
    }

    /// The names of all files, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.0.borrow().names.keys().cloned().collect()
    }

    /// Whether the agent may look at a path.
    pub fn deny(&self, path: &str, is_denied: bool) {
        let mut world = self.0.borrow_mut();
        if is_denied {
            world.denied.insert(path.to_owned());
        } else {
            world.denied.remove(path);
        }
    }

    /// Whether every read fails with an input/output error.
    pub fn fail_reads(&self, is_failing: bool) {
        self.0.borrow_mut().failing = is_failing;
    }

    /// Whether the file system tells when a file was made.
    #[must_use]
    pub fn keeps_births(&self) -> bool {
        self.0.borrow().keeps_births
    }

    /// Whether the file system tells when a file was made, as some do not.
    pub fn keep_births(&self, keeps: bool) {
        self.0.borrow_mut().keeps_births = keeps;
    }

    /// Gives the file system another device number, as a reboot may.
    pub fn renumber_device(&self, dev: u64) {
        self.0.borrow_mut().dev = dev;
    }

    /// How often a file was read and looked at so far.
    #[must_use]
    pub fn reads_and_looks(&self) -> (u64, u64) {
        let world = self.0.borrow();
        (world.reads, world.looks)
    }
}

impl Files for SimFiles {
    type Handle = SimHandle;

    fn list(&mut self, dir: &str, each: &mut dyn FnMut(Option<&str>, Kind)) -> Result<(), FileError> {
        let world = self.0.borrow();
        if world.denied.contains(dir) {
            return Err(FileError { operation: "list", path: dir.to_owned(), cause: FileErrorCause::Denied });
        }
        if !world.is_directory(dir) {
            return Err(not_found("list", dir));
        }
        let prefix = if dir == "/" { String::from("/") } else { format!("{dir}/") };
        let mut seen = BTreeSet::new();
        let files = world.names.keys().map(|path| (path, Kind::File));
        for (path, kind) in files.chain(world.links.keys().map(|path| (path, Kind::Link))) {
            let Some(rest) = path.strip_prefix(&prefix) else { continue };
            match rest.split_once('/') {
                Some((below, _)) if seen.insert(below) => each(Some(below), Kind::Directory),
                Some(_) => {}
                None => each(Some(rest), kind),
            }
        }
        Ok(())
    }

    fn stat(&mut self, path: &str) -> Result<Stat, FileError> {
        let mut world = self.0.borrow_mut();
        world.looks += 1;
        match world.look_up("look at", path) {
            Ok(ino) => world.stat(ino, "look at", path),
            Err(_) if world.is_directory(world.resolve(path)) => {
                let dev = world.dev;
                Ok(Stat { kind: Kind::Directory, dev, ino: 0, born: 0, len: 0, written: 0, links: 1 })
            }
            Err(error) => Err(error),
        }
    }

    fn open(&mut self, path: &str) -> Result<SimHandle, FileError> {
        let mut world = self.0.borrow_mut();
        let ino = world.look_up("open", path)?;
        if let Some(inode) = world.inodes.get_mut(&ino) {
            inode.handles += 1;
        }
        Ok(SimHandle { world: Rc::clone(&self.0), ino })
    }

    fn stat_open(&mut self, handle: &SimHandle) -> Result<Stat, FileError> {
        let mut world = self.0.borrow_mut();
        world.looks += 1;
        world.stat(handle.ino, "look at", "an open file")
    }

    fn read_at(&mut self, handle: &SimHandle, offset: u64, buf: &mut [u8]) -> Result<usize, FileError> {
        let mut world = self.0.borrow_mut();
        world.reads += 1;
        if world.failing {
            let path = String::from("an open file");
            return Err(FileError { operation: "read", path, cause: FileErrorCause::Os(5) });
        }
        let inode = world.inodes.get(&handle.ino).ok_or_else(|| not_found("read", "an open file"))?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = inode.content.get(from..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        for (to, from) in buf.iter_mut().zip(rest) {
            *to = *from;
        }
        Ok(n)
    }
}
