//! Who and where: the names of devices, lanes, runs and places in a log.
//!
//! Every number that identifies something is a newtype, so that a run is never compared with a
//! sequence. The rules behind them stand in `docs/guarantees.md`.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Malformed;
use crate::limits::{DEVICE_ID_BYTES_MAX, SEQ_MAX};

/// The name of one node: 1 to 64 of `A-Z a-z 0-9 . _ -`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId(heapless::String<DEVICE_ID_BYTES_MAX>);

impl DeviceId {
    /// Checks and takes a device id.
    ///
    /// # Errors
    /// [`Malformed::DeviceId`] when it is empty, longer than 64 bytes or has another character.
    pub fn new(text: &str) -> Result<Self, Malformed> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if text.is_empty() || !text.bytes().all(allowed) {
            return Err(Malformed::DeviceId);
        }
        heapless::String::try_from(text).map(Self).map_err(|_| Malformed::DeviceId)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The shard of this device: the low byte of CRC-32C of the id. There are 256 shards, for ever.
    #[must_use]
    pub fn shard(&self) -> u8 {
        crate::checksum::crc32c(self.0.as_bytes()) as u8
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceId({})", self.0)
    }
}

/// An independent ordered log of a device, with its own spool, sequence and budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Lane {
    /// Everything that is not urgent.
    Bulk,
    /// What must overtake a backlog.
    Urgent,
}

impl Lane {
    /// Every lane, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Bulk, Self::Urgent];

    /// The lane's name in configuration, metrics and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bulk => "bulk",
            Self::Urgent => "urgent",
        }
    }

    /// The lane with this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lane| lane.name() == name)
    }

    /// The lane's number on flash and in tables.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Bulk => 0,
            Self::Urgent => 1,
        }
    }
}

/// One run of the agent over a lane's spool: a random number made at every start, never 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunId(pub u64);

impl RunId {
    /// No run: what lies before the first start of a lane.
    pub const ORIGIN: Self = Self(0);
}

/// One boot of the device's kernel (on Linux, `/proc/sys/kernel/random/boot_id`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
pub struct BootId(pub [u8; 16]);

/// One connection of a device: random at each connection, so that an answer is known to be to it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
pub struct SessionId(pub u64);

/// The number of a record in its lane: from 0, dense, below 2^53.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
pub struct Seq(pub u64);

impl Seq {
    /// The first number of a lane.
    pub const ZERO: Self = Self(0);

    /// The number `count` records later.
    ///
    /// # Errors
    /// [`Malformed::Seq`] when that is not below 2^53.
    pub fn plus(self, count: u64) -> Result<Self, Malformed> {
        match self.0.checked_add(count) {
            Some(n) if n <= SEQ_MAX => Ok(Self(n)),
            _ => Err(Malformed::Seq),
        }
    }

    /// How many records lie between `earlier` and here; 0 when `earlier` is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A 64-bit hash over an item and the chain before it: equal chains mean equal histories.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
pub struct Chain(pub u64);

impl Chain {
    /// The chain before the first item of a lane.
    pub const ROOT: Self = Self(0);

    /// The chain after a start or a block: the first 8 bytes (little endian) of BLAKE3 of its
    /// sealed bytes, which contain the chain before it. (After a gap it is the gap's `to` chain.)
    #[must_use]
    pub fn after(sealed: &[u8]) -> Self {
        let mut first = [0u8; 8];
        let hash = blake3::hash(sealed);
        for (to, from) in first.iter_mut().zip(hash.as_bytes()) {
            *to = *from;
        }
        Self(u64::from_le_bytes(first))
    }
}

/// A boundary in a lane's history: before the record `seq` of `run`, after what `chain` covers.
///
/// The place after a run's start is (run, N) and differs from (parent, N).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The run whose items end here.
    pub run: RunId,
    /// The number of the record that comes next.
    pub seq: Seq,
    /// The chain over all items before here.
    pub chain: Chain,
}

impl Place {
    /// Before the first start of a lane.
    pub const ORIGIN: Self = Self { run: RunId::ORIGIN, seq: Seq::ZERO, chain: Chain::ROOT };
}

/// The number of an `Ack`: the gateway's generation, then a counter within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
pub struct AckNumber {
    /// Larger at every start of a gateway: the larger of stored + 1 and Unix milliseconds.
    pub generation: u64,
    /// Counts the `Ack`s of a generation, from 1.
    pub counter: u64,
}

macro_rules! shown_as_hex {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:016x})"), self.0)
            }
        }
    )*};
}
shown_as_hex!(RunId, SessionId, Chain);

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seq({})", self.0)
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BootId({self})")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.run, self.seq, self.chain)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({self})")
    }
}

impl fmt::Display for AckNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.generation, self.counter)
    }
}
