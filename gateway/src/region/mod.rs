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
mod counters;
mod device;
mod hear;
mod lane;
mod limiter;
mod obligation;
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
pub use counters::{Counters, Refused};
use device::Device;
pub use obligation::SINKS_KEY;
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
    devices: BTreeMap<DeviceId, Device>,
    /// Devices with something for a sink, by sink.
    waiting: Vec<BTreeSet<DeviceId>>,
    /// After whom the next batch of a sink begins, so that all are served in turn.
    turns: Vec<Option<DeviceId>>,
    outstanding: Option<batch::Outstanding>,
    batches: u64,
    retry_at: Mono,
    retries: u32,
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
    /// Opens a region on its ledger and makes this gateway's generation durable.
    ///
    /// # Errors
    /// When the ledger cannot be read or written.
    pub fn open(config: RegionConfig, mut ledger: L, now: Now) -> Result<Self, LedgerError> {
        let generation = next_generation(&ledger, now)?;
        let value = Some(generation.to_le_bytes().to_vec());
        let mut writes = obligation::begin(&ledger, &config.sinks)?;
        writes.push(Write { key: GENERATION_KEY.to_vec(), value });
        ledger.commit(&writes)?;
        let count = config.sinks.len();
        let required = config.sinks.iter().enumerate().filter(|(_, sink)| sink.is_required);
        let roles = Sinks { count, required: required.fold(0, |bits, (at, _)| bits | 1 << at) };
        Ok(Self {
            roles,
            ledger,
            generation,
            issued: 0,
            devices: BTreeMap::new(),
            waiting: vec![BTreeSet::new(); count],
            turns: vec![None; count],
            outstanding: None,
            batches: 0,
            retry_at: Mono(0),
            retries: 0,
            due: BTreeSet::new(),
            said: VecDeque::new(),
            memory_bytes: 0,
            lanes_active: 1,
            swept: Mono(0),
            counters: Counters::default(),
            config,
        })
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
        let retry = if self.outstanding.as_ref().is_some_and(|batch| batch.is_refused) {
            self.retry_at
        } else {
            Mono::FOREVER
        };
        answer.min(retry).min(self.swept.plus_ms(device::SWEEP_MS))
    }

    /// What was counted since the region was opened.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The batch for a sink, if there is something to commit and no commit under way.
    pub fn poll_batch(&mut self, now: Now) -> Option<Batch> {
        self.sweep(now.mono);
        batch::poll(self, now)
    }
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

    fn poll_down(&mut self, now: Now) -> Option<(DeviceId, Channel, Vec<u8>)> {
        Self::poll_down(self, now)
    }

    fn poll_deadline(&self) -> Mono {
        Self::poll_deadline(self)
    }

    fn status(&self, now: Now) -> RegionStatus {
        Self::status(self, now)
    }

    fn metrics(&self, now: Now, out: &mut dyn fmt::Write) -> fmt::Result {
        Self::metrics(self, out, now)
    }
}
