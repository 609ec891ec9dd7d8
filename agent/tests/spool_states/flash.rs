//! A flash and what is not yet sure on it: from a list of operations to the states that a power cut
//! may leave at each of them.
//!
//! The rules, those of the trait `Disk`:
//! - A sync makes durable what was written to its file before it, and the file's length. Until then
//!   each write and each change of length may have got through or not, whatever became of others.
//! - Which names there are is durable after a sync of the directory; until then each making and
//!   each removal of a name may have got through or not, apart from the file's content.
//! - Room that was added to a file and never written holds zeros, or what the file that was removed
//!   last had there. The head of a new file is zeros by the rule; what was removed from the same
//!   directory is tried there besides.
//! - A sync that failed leaves what it should have made durable unsure for ever.
//! - An operation that was asked for and has not returned is like one that is not synced.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use crate::choices::{Bounds, Choice, choices};
use crate::image::{Content, Image, Name};
use crate::recording::{Operation, put};
use crate::tears::{Kept, tears};

/// What stands in room that was never written, where nothing was removed yet.
const GARBAGE: u8 = 0xa5;
/// The head of a file: a segment's header lies within.
const HEAD_BYTES: usize = 4096;

#[derive(Clone, Debug)]
enum Change {
    Length { length: usize, stale: Rc<Vec<u8>> },
    Write { at: usize, bytes: Rc<[u8]>, kept: Rc<Vec<Kept>> },
}

impl Change {
    fn ways(&self) -> usize {
        match self {
            Self::Length { .. } => 3,
            Self::Write { kept, .. } => kept.len(),
        }
    }

    fn apply(&self, way: usize, content: &mut Vec<u8>) {
        match self {
            Self::Length { .. } if way == 0 => {}
            Self::Length { length, stale } => {
                let had = content.len();
                content.resize(*length, 0);
                if way == 2 && had < *length {
                    let old = stale.get(had..(*length).min(stale.len())).unwrap_or_default();
                    put(content, had, old);
                }
            }
            Self::Write { at, bytes, kept } => {
                for piece in &kept[way] {
                    put(content, at + piece.start, &bytes[piece.clone()]);
                }
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// The next sync makes it durable.
    Unsynced,
    /// A sync failed: no later one does.
    Adrift,
    /// Durable, above a change that is adrift.
    Synced,
}

#[derive(Debug)]
struct File {
    durable: Vec<u8>,
    pending: Vec<(Change, Standing)>,
    /// As a running program sees it.
    visible: Vec<u8>,
}

/// A change that a power cut may undo.
#[derive(Clone, Copy, Debug)]
enum Unsure {
    Name(usize),
    Content(usize, usize),
}

/// A flash in the middle of a recording.
pub(crate) struct Flash {
    bounds: Bounds,
    files: Vec<File>,
    names: BTreeMap<Name, usize>,
    pending_names: Vec<(Name, Option<usize>)>,
    visible_names: BTreeMap<Name, usize>,
    /// In the order in which they were asked for.
    unsure: Vec<Unsure>,
    /// What the file had that was removed last, and its directory.
    removed: (Option<usize>, Vec<u8>),
}

impl Flash {
    pub(crate) fn new(image: &Image, bounds: Bounds) -> Self {
        let file = |content: &Content| File {
            durable: content.bytes.to_vec(),
            pending: Vec::new(),
            visible: content.bytes.to_vec(),
        };
        let names: BTreeMap<Name, usize> = image.0.keys().copied().zip(0..).collect();
        Self {
            bounds,
            files: image.0.values().map(file).collect(),
            visible_names: names.clone(),
            names,
            pending_names: Vec::new(),
            unsure: Vec::new(),
            removed: (None, vec![GARBAGE; 1 << 16]),
        }
    }

    /// An operation is asked for, and has not returned.
    pub(crate) fn begin(&mut self, operation: &Operation) {
        match operation {
            Operation::Create { name, file, length } => {
                self.files.push(File { durable: Vec::new(), pending: Vec::new(), visible: Vec::new() });
                assert_eq!(self.files.len(), file + 1, "files are numbered as they are made");
                self.rename(*name, Some(*file));
                let stale = self.stale(Some(name.0));
                self.change(*file, Change::Length { length: *length, stale });
            }
            Operation::Resize { file, length } => {
                let name = self.visible_names.iter().find(|(_, named)| *named == file);
                let stale = self.stale(name.map(|(name, _)| name.0));
                self.change(*file, Change::Length { length: *length, stale });
            }
            Operation::Write { file, at, bytes } => {
                let kept = Rc::new(tears(*at, bytes.len(), self.bounds.torn_bytes));
                self.change(*file, Change::Write { at: *at, bytes: Rc::clone(bytes), kept });
            }
            Operation::Remove { name } => {
                if let Some(file) = self.visible_names.get(name) {
                    self.removed = (Some(name.0), self.files[*file].visible.clone());
                }
                self.rename(*name, None);
            }
            Operation::Sync { .. } | Operation::FailedSync { .. } | Operation::SyncDirectory { .. } => {}
        }
    }

    /// It has returned.
    pub(crate) fn end(&mut self, operation: &Operation) {
        match operation {
            Operation::Sync { file } => self.sync(*file),
            Operation::FailedSync { file } => {
                for (_, standing) in &mut self.files[*file].pending {
                    if *standing == Standing::Unsynced {
                        *standing = Standing::Adrift;
                    }
                }
            }
            Operation::SyncDirectory { directory } => self.sync_directory(*directory),
            _ => {}
        }
    }

    /// What may stand in room that is added to a file of this directory.
    fn stale(&self, directory: Option<usize>) -> Rc<Vec<u8>> {
        let (from, mut content) = self.removed.clone();
        if from != directory {
            let head = content.len().min(HEAD_BYTES);
            content[..head].fill(0);
        }
        Rc::new(content)
    }

    fn rename(&mut self, name: Name, file: Option<usize>) {
        self.unsure.push(Unsure::Name(self.pending_names.len()));
        self.pending_names.push((name, file));
        set(&mut self.visible_names, name, file);
    }

    fn change(&mut self, number: usize, change: Change) {
        let file = &mut self.files[number];
        change.apply(1, &mut file.visible);
        self.unsure.push(Unsure::Content(number, file.pending.len()));
        file.pending.push((change, Standing::Unsynced));
    }

    fn sync(&mut self, number: usize) {
        let file = &mut self.files[number];
        let is_adrift = |(_, standing): &(Change, Standing)| *standing == Standing::Adrift;
        if !file.pending.iter().any(is_adrift) {
            for (change, _) in std::mem::take(&mut file.pending) {
                change.apply(1, &mut file.durable);
            }
        }
        for (_, standing) in &mut file.pending {
            if *standing == Standing::Unsynced {
                *standing = Standing::Synced;
            }
        }
        let files = &self.files;
        self.unsure.retain(|unsure| match unsure {
            Unsure::Content(file, at) if *file == number => {
                files[*file].pending.get(*at).is_some_and(is_adrift)
            }
            _ => true,
        });
    }

    fn sync_directory(&mut self, directory: usize) {
        let pending = &mut self.pending_names;
        let is_here = |(name, _): &(Name, Option<usize>)| name.0 == directory;
        for (name, file) in pending.iter().copied().filter(|change| is_here(change)) {
            set(&mut self.names, name, file);
        }
        self.unsure.retain(|unsure| !matches!(unsure, Unsure::Name(at) if is_here(&pending[*at])));
    }

    /// Calls `each` with the states that a power cut may leave now, as far as the bounds go, and what
    /// became of each change. Returns whether these are all.
    pub(crate) fn states(&self, mut each: impl FnMut(Image, &Choice)) -> bool {
        let ways = |unsure: &Unsure| match unsure {
            Unsure::Name(_) => 2,
            Unsure::Content(file, at) => self.files[*file].pending[*at].0.ways(),
        };
        let ways: Vec<usize> = self.unsure.iter().map(ways).collect();
        let (choices, is_complete) = choices(&ways, &self.bounds);
        let mut known = HashMap::new();
        for choice in &choices {
            each(self.state(choice, &mut known), choice);
        }
        is_complete
    }

    fn state(&self, choice: &Choice, known: &mut HashMap<(usize, Choice), Content>) -> Image {
        let mut names = self.names.clone();
        for (unsure, way) in self.unsure.iter().zip(choice) {
            if let (Unsure::Name(at), 1) = (unsure, way) {
                let (name, file) = self.pending_names[*at];
                set(&mut names, name, file);
            }
        }
        let content = |number: usize| {
            let own = self.unsure.iter().zip(choice);
            let own = own.filter_map(|(unsure, way)| match unsure {
                Unsure::Content(file, at) if *file == number => Some((*at, *way)),
                _ => None,
            });
            let key = (number, own.clone().map(|(_, way)| way).collect());
            (own.collect::<Vec<_>>(), key)
        };
        let mut image = Image::default();
        for (name, number) in names {
            let (ways, key) = content(number);
            let content = known.entry(key).or_insert_with(|| Content::new(self.content(number, &ways)));
            image.0.insert(name, content.clone());
        }
        image
    }

    fn content(&self, number: usize, ways: &[(usize, usize)]) -> Vec<u8> {
        let file = &self.files[number];
        let mut content = file.durable.clone();
        for (at, (change, _)) in file.pending.iter().enumerate() {
            // What is not unsure was synced, above something that is adrift.
            let way = ways.iter().find(|(unsure, _)| *unsure == at).map_or(1, |(_, way)| *way);
            change.apply(way, &mut content);
        }
        content
    }
}

fn set(names: &mut BTreeMap<Name, usize>, name: Name, file: Option<usize>) {
    match file {
        Some(file) => drop(names.insert(name, file)),
        None => drop(names.remove(&name)),
    }
}
