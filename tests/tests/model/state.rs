//! The words of the model: places, items, messages, and the world that they make.
//!
//! Every block holds one record. Runs are numbered in the order in which they are sealed, and the
//! chain after an item is the number of the life that wrote it: within one life no number of a run
//! is written twice, so (run, number, life) names one history, as the real hash does.

use std::fmt;

use crate::bounds::Bounds;
use crate::gateway::{Ledger, Memory};
use crate::sinks::Entry;

/// A run; 0 is where a device that never wrote stands.
pub(crate) type Run = u8;
/// A record's number.
pub(crate) type Seq = u8;
/// A short list that is copied without allocating.
pub(crate) type List<T> = heapless::Vec<T, 6>;

/// A boundary in a lane's history. A chain of 0 is not known, and matches any.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    pub run: Run,
    pub seq: Seq,
    pub chain: u8,
}

impl Place {
    pub(crate) const ORIGIN: Self = Self { run: 0, seq: 0, chain: 0 };

    pub(crate) fn is_same_history(self, other: Self) -> bool {
        self.chain == other.chain || self.chain == 0 || other.chain == 0
    }
}

/// `B2`: after two records, in the second run. `B2?`: the chain is not known. `B2'3`: life 3 wrote on in it.
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.run {
            0 => return f.write_str("origin"),
            run => write!(f, "{}{}", letter(run), self.seq)?,
        }
        match self.chain {
            0 => f.write_str("?"),
            chain if chain != self.run => write!(f, "'{chain}"),
            _ => Ok(()),
        }
    }
}

/// The letter of a run in a trace.
pub(crate) fn letter(run: Run) -> char {
    char::from(b'A'.saturating_add(run.saturating_sub(1)))
}

/// What is gone, and the starts that went with it (rule 3).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Gap {
    pub from: Place,
    pub to: Place,
    pub starts: List<(Run, Seq)>,
}

/// What a lane's log consists of.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Item {
    Start { parent: Place, begin: Place },
    Block { from: Place, to: Place },
    Gap(Gap),
}

impl Item {
    pub(crate) fn begin(&self) -> Place {
        match self {
            Self::Start { parent, .. } => *parent,
            Self::Block { from, .. } => *from,
            Self::Gap(gap) => gap.from,
        }
    }

    pub(crate) fn end(&self) -> Place {
        match self {
            Self::Start { begin, .. } => *begin,
            Self::Block { to, .. } => *to,
            Self::Gap(gap) => gap.to,
        }
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { parent, begin } => write!(f, "start {begin:?} after {parent:?}"),
            Self::Block { from, to } => write!(f, "block {from:?}..{to:?}"),
            Self::Gap(gap) => {
                write!(f, "gap {:?}..{:?}", gap.from, gap.to)?;
                gap.starts.iter().try_for_each(|(run, n)| write!(f, " start {}{n}", letter(*run)))
            }
        }
    }
}

/// The number of an `Ack` (rule 4).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Number {
    pub generation: u8,
    pub counter: u8,
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}.{}", self.generation, self.counter)
    }
}

/// From a device. `run`, the base and `heard` say who speaks, from where on, and what it has heard; a
/// block says none of it. Where one of them makes no difference, it is left at 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Up {
    Hello { run: Run, heard: Number, base: Place },
    Item { item: Item, run: Run, base_run: Run, heard: Number },
}

/// From the gateway: for each run the place below which all is durable.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Ack {
    pub number: Number,
    pub places: List<Place>,
}

/// What a device has on flash, from the base that is stated there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Log {
    pub base: Place,
    pub items: Vec<Item>,
}

impl Log {
    pub(crate) fn tail(&self) -> Place {
        self.items.last().map_or(self.base, Item::end)
    }
}

/// One device, or a copy of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Device {
    pub flash: Log,
    /// How many items of the flash are synced.
    pub synced: usize,
    /// The base in memory: a cut goes back to the one on flash.
    pub base: Place,
    /// The run of this life; 0 while it has sealed nothing.
    pub run: Run,
    /// The number of this life; 0 while it has sealed nothing.
    pub life: u8,
    pub heard: Number,
}

/// How much may still go wrong, and how much may still be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    pub blocks: u8,
    pub cuts: u8,
    pub lies: u8,
    pub rots: u8,
    pub overflows: u8,
    pub wipes: u8,
    pub clones: u8,
    pub crashes: u8,
    pub rewinds: u8,
    pub losses: u8,
}

/// Everything there is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub devices: Vec<Device>,
    /// Every message that is on its way. Delivering does not take it out, so all are doubled, late
    /// and out of order at will; not delivering it is losing it.
    pub up: Vec<Up>,
    pub down: Vec<Ack>,
    pub gateway: Memory,
    /// A gateway that was given up for dead and still acts on its memory.
    pub superseded: Option<Memory>,
    pub ledger: Ledger,
    pub sinks: Vec<Vec<Entry>>,
    pub left: Budget,
    /// The true parent of each run, run 1 first.
    pub parents: Vec<Place>,
    pub lives: u8,
}

impl World {
    /// A device that never wrote, and a gateway that never heard.
    pub(crate) fn new(bounds: &Bounds) -> Self {
        let ledger = Ledger { generation: 1, ..Ledger::default() };
        let mut world = Self {
            devices: vec![Device::default()],
            up: Vec::new(),
            down: Vec::new(),
            gateway: Memory::load(&ledger, bounds),
            superseded: None,
            ledger,
            sinks: vec![Vec::new(); usize::from(bounds.sinks)],
            left: bounds.budget,
            parents: Vec::new(),
            lives: 0,
        };
        world.speak(None, bounds);
        for _ in 0..bounds.prelude {
            world.append(0, bounds);
            world.devices[0].heard = world.gateway.issued;
            world.settle(bounds);
            world.devices[0].cut(true, None);
        }
        world
    }

    /// The path from a place to its root, by what was truly written: each run with the numbers
    /// that lie on the path.
    pub(crate) fn lineage(&self, place: Place) -> Vec<(Run, Seq, Seq)> {
        let mut path = Vec::new();
        let mut at = place;
        while let Some(parent) = usize::from(at.run).checked_sub(1).and_then(|run| self.parents.get(run)) {
            path.push((at.run, parent.seq, at.seq));
            at = *parent;
        }
        path
    }
}
