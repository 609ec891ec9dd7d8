//! A region: every device that this gateway receives, as one synchronous core.
//!
//! Bytes and instants go in, batches for the sinks and messages for the devices come out. The
//! shell owns the broker, the threads and the files; nothing is decided there.
//!
//! ```text
//! handle_up -> device -> lane (proto::Receiver, proto::DeviceClock) -> poll_batch -> sink and ledger
//!                                                      handle_committed <- one atomic commit <-+
//! poll_down <- acknowledgement of what is committed <-------+
//! ```
//!
//! Promises:
//! - an `Ack` names only what a successful commit has made durable in every required sink;
//! - memory is one budget, shared out as credit; what does not fit is dropped and sent again;
//! - a device that misbehaves is counted, and changes nothing for its neighbours.

mod batch;
mod commit;
mod counters;
mod device;
mod hear;
mod lane;
mod limiter;
mod obligation;
mod ranges;
mod references;
mod speak;
mod status;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use driftlog_proto::ids::{AckNumber, DeviceId};
use driftlog_proto::message::Down;
use driftlog_proto::receiver::Sinks;
use driftlog_proto::time::{Mono, Now};

use crate::broker::Channel;
use crate::config::DevicesConfig;
use crate::ledger::{Ledger, LedgerError, Write};
use crate::pipeline::Core;
use crate::sink::{Batch, CommitError};
use crate::status::RegionStatus;
use commit::Outlet;
pub use counters::{Blocks, Counters, Refused};
use device::Device;
pub use obligation::SINKS_KEY;
pub use ranges::{Range, Ranges};
pub use status::REGION_METRICS;

/// The key of the newest generation in the ledger.
pub const GENERATION_KEY: &[u8] = b"gateway/generation";
/// Devices in memory at once; the ledger has no such limit.
pub const DEVICES_MAX: usize = 100_000;
/// A device that has been silent for this long, with nothing under way, leaves memory.
const IDLE_MS: u64 = 3_600_000;
/// A device counts as connected for this long after its last message.
pub const CONNECTED_MS: u64 = 90_000;

/// Budgets that items in memory may come to, those counted that need no room.
pub const OVERDRAFT: u64 = 2;

/// A sink as the region knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkRole {
    /// Its name, under which its marks stand in the ledger.
    pub name: String,
    /// Whether an acknowledgement waits for it.
    pub is_required: bool,
    /// How its marks become durable.
    pub keeping: Keeping,
}

/// How a sink's marks become durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// In one transaction with its records and the ledger. At most one sink is kept so.
    WithLedger,
    /// In one transaction with its records, in a store of its own; the ledger has a copy.
    ByItself,
    /// After its records, in the ledger: what is written again meets what is there already.
    Behind {
        /// Its documents go to numbered indexes, which the ledger must name before they are written.
        is_indexed: bool,
    },
}

/// What a region is given at its opening.
#[derive(Clone, Debug)]
pub struct RegionConfig {
    /// The sinks: 1 to [`SINKS_MAX`](driftlog_proto::limits::SINKS_MAX).
    pub sinks: Vec<SinkRole>,
    /// Bytes of items that may wait in memory, over all devices.
    pub memory_bytes_max: u64,
    /// Bytes of items that may wait in memory for one lane.
    pub credit_bytes_max: u64,
    /// Messages that one device may send in a second, on average.
    pub message_rate_max: u32,
    /// Who is served.
    pub devices: DevicesConfig,
}

/// The core of a gateway.
#[derive(Debug)]
pub struct Region<L> {
    config: RegionConfig,
    roles: Sinks,
    ledger: L,
    generation: u64,
    issued: u64,
    /// Each by itself: a tree's nodes have room for more than they hold.
    devices: BTreeMap<DeviceId, Box<Device>>,
    /// The ways to the sinks, and one to the ledger alone where no sink shares its transaction.
    outlets: Vec<Outlet>,
    /// The stores of sinks that are kept by themselves.
    stores: Vec<(usize, Box<dyn Ledger + Send>)>,
    batches: u64,
    /// When an answer is due, soonest first.
    due: BTreeSet<(Mono, DeviceId)>,
    said: VecDeque<(DeviceId, Down)>,
    /// Bytes of items in memory.
    memory_bytes: u64,
    /// Lanes heard of lately: what the budget is divided by.
    lanes_active: u64,
    swept: Mono,
    counters: Counters,
}

impl<L: Ledger> Region<L> {
    /// Opens a region on its ledger and makes this gateway's generation durable. `stores` are those of
    /// the sinks that are kept by themselves, by the sink's place in `config`.
    ///
    /// # Errors
    /// When the ledger cannot be read or written.
    pub fn open(
        config: RegionConfig,
        mut ledger: L,
        stores: Vec<(usize, Box<dyn Ledger + Send>)>,
        now: Now,
    ) -> Result<Self, LedgerError> {
        let generation = next_generation(&ledger, now)?;
        let value = Some(generation.to_le_bytes().to_vec());
        let mut writes = obligation::begin(&ledger, &config.sinks)?;
        writes.push(Write { key: GENERATION_KEY.to_vec(), value });
        ledger.commit(&writes)?;
        let outlets = outlets(&config, &ledger)?;
        let count = config.sinks.len();
        let required = config.sinks.iter().enumerate().filter(|(_, sink)| sink.is_required);
        let roles = Sinks { count, required: required.fold(0, |bits, (at, _)| bits | 1 << at) };
        Ok(Self {
            roles,
            ledger,
            generation,
            issued: 0,
            devices: BTreeMap::new(),
            outlets,
            stores,
            batches: 0,
            due: BTreeSet::new(),
            said: VecDeque::new(),
            memory_bytes: 0,
            lanes_active: 1,
            swept: Mono(0),
            counters: Counters::default(),
            config,
        })
    }

    /// How the marks of an outlet's sink become durable.
    fn keeping(&self, at: usize) -> Keeping {
        self.config.sinks.get(at).map_or(Keeping::WithLedger, |sink| sink.keeping)
    }

    /// The number of the index that a sink's new ranges go to.
    #[must_use]
    pub fn index(&self, sink: usize) -> Option<u32> {
        self.outlets.get(sink)?.index
    }

    /// A sink has begun a new index: what is planned from now on goes there. Numbers only grow.
    pub fn handle_index(&mut self, sink: usize, number: u32) {
        if let Some(outlet) = self.outlets.get_mut(sink) {
            outlet.index = outlet.index.map(|index| index.max(number));
        }
    }

    /// The number of the newest `Ack` issued.
    fn issued(&self) -> AckNumber {
        AckNumber { generation: self.generation, counter: self.issued }
    }

    /// Bytes that one lane may have in memory now: its share of the budget.
    fn share(&self) -> u64 {
        (self.config.memory_bytes_max / self.lanes_active.max(1)).min(self.config.credit_bytes_max)
    }

    /// Whether even what needs no room has to wait: the lowest item of each run may pass the
    /// budget, up to [`OVERDRAFT`] budgets in all. What is in memory then can be committed, so that
    /// no lane waits for another for ever.
    fn is_overdrawn(&self) -> bool {
        self.memory_bytes >= self.config.memory_bytes_max.saturating_mul(OVERDRAFT)
    }

    /// When [`poll_batch`](Self::poll_batch) or [`poll_down`](Self::poll_down) next has something.
    #[must_use]
    pub fn poll_deadline(&self) -> Mono {
        let answer = self.due.first().map_or(Mono::FOREVER, |(at, _)| *at);
        let retry = self.outlets.iter().map(Outlet::retry_at).min().unwrap_or(Mono::FOREVER);
        answer.min(retry).min(self.swept.plus_ms(device::SWEEP_MS))
    }

    /// What was counted since the region was opened.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The next batch for a sink that has none under way; ask until there is none.
    pub fn poll_batch(&mut self, now: Now) -> Option<Batch> {
        self.sweep(now.mono);
        commit::poll(self, now)
    }
}

/// The key under which the ledger has the number of a sink's newest index.
fn index_key(sink: &str) -> Vec<u8> {
    format!("index/{sink}").into_bytes()
}

/// One outlet for each sink, and one for the ledger where no sink shares its transaction.
fn outlets(config: &RegionConfig, ledger: &impl Ledger) -> Result<Vec<Outlet>, LedgerError> {
    let mut outlets = Vec::new();
    for sink in &config.sinks {
        let mut outlet = Outlet::default();
        if sink.keeping == (Keeping::Behind { is_indexed: true }) {
            outlet.index_recorded = match ledger.get(&index_key(&sink.name))? {
                None => None,
                Some(bytes) => {
                    Some(bytes.as_slice().try_into().map(u32::from_le_bytes).map_err(|_| LedgerError {
                        operation: "read the number of an index in",
                        reason: format!("{} bytes where 4 should be", bytes.len()),
                    })?)
                }
            };
            outlet.index = Some(outlet.index_recorded.unwrap_or(1));
        }
        outlets.push(outlet);
    }
    if !config.sinks.iter().any(|sink| sink.keeping == Keeping::WithLedger) {
        outlets.push(Outlet::default());
    }
    Ok(outlets)
}

fn next_generation(ledger: &impl Ledger, now: Now) -> Result<u64, LedgerError> {
    let stored = match ledger.get(GENERATION_KEY)? {
        None => 0,
        Some(bytes) => bytes.as_slice().try_into().map(u64::from_le_bytes).map_err(|_| LedgerError {
            operation: "read the generation in",
            reason: format!("{} bytes where 8 should be", bytes.len()),
        })?,
    };
    let unix_ms = u64::try_from(now.wall.0 / 1_000_000).unwrap_or(0);
    Ok(unix_ms.max(stored.saturating_add(1)))
}

impl<L: Ledger> Core for Region<L> {
    fn handle_up(&mut self, now: Now, topic: &str, payload: &[u8]) {
        Self::handle_up(self, now, topic, payload);
    }

    fn poll_batch(&mut self, now: Now) -> Option<Batch> {
        Self::poll_batch(self, now)
    }

    fn handle_committed(&mut self, now: Now, number: u64, outcome: Result<(), CommitError>) {
        Self::handle_committed(self, now, number, &outcome);
    }

    fn handle_index(&mut self, sink: usize, number: u32) {
        Self::handle_index(self, sink, number);
    }

    fn poll_down(&mut self, now: Now) -> Option<(DeviceId, Channel, Vec<u8>)> {
        Self::poll_down(self, now)
    }

    fn poll_deadline(&self) -> Mono {
        Self::poll_deadline(self)
    }

    fn hindrance(&self) -> Option<String> {
        Self::hindrance(self)
    }

    fn status(&self, now: Now) -> RegionStatus {
        Self::status(self, now)
    }

    fn metrics(&self, now: Now, out: &mut dyn fmt::Write) -> fmt::Result {
        Self::metrics(self, out, now)
    }
}
