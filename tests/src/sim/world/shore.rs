//! A gateway: region, sinks and ledger, with commits that take their time and may be cut.

use std::collections::BTreeMap;

use driftlog_gateway::broker::Channel;
use driftlog_gateway::config::DevicesConfig;
use driftlog_gateway::region::{Keeping, OVERDRAFT, Region, RegionConfig, SinkRole};
use driftlog_gateway::sink::archive::state::ArchiveId;
use driftlog_gateway::sink::archive::{Archive, ArchiveConfig, OpenError};
use driftlog_gateway::sink::commit::commit;
use driftlog_gateway::sink::ecs::Documents;
use driftlog_gateway::sink::{Batch, CommitError};
use driftlog_proto::ids::DeviceId;
use driftlog_proto::limits::ITEM_BYTES_MAX;
use driftlog_proto::time::{ClockState, Mono, Now, Unix};

use super::broker::{MS, SECOND};
use super::coast::{Coast, FencedLedger, SinkKind};
use super::random::Random;
use crate::sim::oracle::{Sentence, violated};

/// A sink of a gateway's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sink {
    pub(crate) kind: SinkKind,
    pub(crate) is_required: bool,
}

/// How a gateway is configured; a change takes effect with its next start.
#[derive(Clone, Debug)]
pub(crate) struct ShoreConfig {
    pub(crate) sinks: Vec<Sink>,
    pub(crate) memory_bytes_max: u64,
    pub(crate) credit_bytes_max: u64,
    pub(crate) message_rate_max: u32,
}

impl Default for ShoreConfig {
    fn default() -> Self {
        Self {
            sinks: vec![Sink { kind: SinkKind::Archive, is_required: true }],
            memory_bytes_max: 4 << 20,
            credit_bytes_max: 1 << 18,
            message_rate_max: 2_000,
        }
    }
}

fn region_budget(config: &ShoreConfig) -> u64 {
    config.memory_bytes_max * OVERDRAFT
}

impl ShoreConfig {
    fn region(&self) -> RegionConfig {
        let role = |sink: &Sink| SinkRole {
            name: sink.kind.name().to_owned(),
            is_required: sink.is_required,
            keeping: match sink.kind {
                SinkKind::Archive | SinkKind::Stream => Keeping::WithLedger,
                SinkKind::Index => Keeping::Behind { is_indexed: true },
            },
        };
        RegionConfig {
            sinks: self.sinks.iter().map(role).collect(),
            memory_bytes_max: self.memory_bytes_max,
            credit_bytes_max: self.credit_bytes_max,
            message_rate_max: self.message_rate_max,
            devices: DevicesConfig::default(),
        }
    }
}

/// What a turn of a gateway brought.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) messages: Vec<(DeviceId, Channel, Vec<u8>)>,
    /// Batches that are durable in a sink, whether or not the gateway knows.
    pub(crate) durable: Vec<(SinkKind, Batch)>,
}

pub(crate) struct Shore {
    pub(crate) config: ShoreConfig,
    pub(crate) coast: Coast,
    pub(crate) region: Option<Region<FencedLedger>>,
    /// The sinks of the region that is open.
    pub(crate) sinks: Vec<Sink>,
    archive: Option<Archive>,
    /// By the number of the sink.
    committing: BTreeMap<usize, (i64, Batch)>,
    documents: Documents,
    /// Changes of anything durable that still come about before it dies.
    pub(crate) dies_after: Option<u64>,
    pub(crate) commit_ms: (u64, u64),
    pub(crate) start_at: i64,
    /// It does nothing before then: stopped by a signal, or suspended.
    pub(crate) frozen_until: i64,
    pub(crate) is_connected: bool,
    pub(crate) commits: u64,
    pub(crate) memory_bytes_seen: u64,
    pub(crate) starts: u64,
    /// Blocks that the gateways before this one asked devices for.
    asked: u64,
    /// Wake-ups in these 10 seconds.
    turns: (i64, u32),
    since: i64,
    random: Random,
}

/// Wake-ups in 10 seconds that a gateway may ask for.
const TURNS_MAX: u32 = 20_000;

impl Shore {
    pub(crate) fn new(now: i64, config: ShoreConfig, coast: Coast, seed: u64) -> Self {
        Self {
            sinks: config.sinks.clone(),
            config,
            coast,
            region: None,
            archive: None,
            committing: BTreeMap::new(),
            documents: Documents::new(),
            dies_after: None,
            commit_ms: (2, 30),
            start_at: now,
            frozen_until: 0,
            is_connected: false,
            commits: 0,
            memory_bytes_seen: 0,
            starts: 0,
            asked: 0,
            turns: (0, 0),
            since: now - 5 * SECOND,
            random: Random::new(seed),
        }
    }

    pub(crate) fn now(&self, now: i64) -> Now {
        let mono = Mono((now - self.since) as u64);
        Now { mono, wall: Unix(now), state: ClockState::Synchronised }
    }

    fn has(&self, kind: SinkKind) -> bool {
        self.config.sinks.iter().any(|sink| sink.kind == kind)
    }

    /// Opens ledger, archive and region, as `store::open` does.
    fn start(&mut self, now: i64) {
        self.coast.ledger.fence();
        let again = now + SECOND;
        if self.has(SinkKind::Archive) {
            let config =
                ArchiveConfig { file_bytes_max: 256 * 1024, compress: true, ..ArchiveConfig::default() };
            let directory = Box::new(self.coast.directory.clone());
            let fresh = ArchiveId(self.random.bytes());
            match Archive::open(directory, config, &mut self.coast.ledger, fresh) {
                // A supervisor starts it again, as long as it takes.
                Err(OpenError::Disk(_) | OpenError::Ledger(_)) => return self.start_at = again,
                Err(error) => violated(Sentence::Opens, &error.to_string()),
                Ok(archive) => self.archive = Some(archive),
            }
        }
        match Region::open(self.config.region(), self.coast.ledger.clone(), Vec::new(), self.now(now)) {
            Err(_) => self.start_at = again,
            Ok(region) => {
                self.sinks.clone_from(&self.config.sinks);
                self.region = Some(region);
                self.is_connected = true;
                self.starts += 1;
            }
        }
    }

    /// The gateway dies; what was not synced stays (`kill -9`) or is lost in any part (power).
    pub(crate) fn die(&mut self, now: i64, loses_power: bool) {
        self.asked = self.asked();
        self.region = None;
        self.archive = None;
        self.committing.clear();
        self.dies_after = None;
        self.is_connected = false;
        self.frozen_until = 0;
        self.coast.faults.crash_at(None);
        if loses_power {
            let random = &mut self.random;
            self.coast.directory.cut_power(|_| random.number());
        }
        self.start_at = now + self.random.within(50..5_000) as i64 * MS;
    }

    /// How often devices were asked for blocks that others refer to.
    pub(crate) fn asked(&self) -> u64 {
        self.asked + self.region.as_ref().map_or(0, |region| region.counters().asks)
    }

    pub(crate) fn handle_up(&mut self, now: i64, topic: &str, bytes: &[u8]) {
        let now = self.now(now);
        if let Some(region) = &mut self.region {
            region.handle_up(now, topic, bytes);
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.committing.is_empty()
    }

    pub(crate) fn deadline(&self) -> i64 {
        let Some(region) = &self.region else { return self.start_at };
        let core = self.since.saturating_add(region.poll_deadline().0.min(1 << 62) as i64);
        let commit = self.committing.values().map(|(at, _)| *at).min().unwrap_or(i64::MAX);
        core.min(commit).max(self.frozen_until)
    }

    /// One round of the shell's loop.
    pub(crate) fn turn(&mut self, now: i64) -> Said {
        let mut said = Said::default();
        if self.region.is_none() {
            if now < self.start_at {
                return said;
            }
            self.start(now);
        }
        if now < self.frozen_until {
            return said;
        }
        self.count_turn(now);
        self.commit(now, &mut said);
        self.begin(now);
        let at = self.now(now);
        while self.is_connected
            && let Some(region) = &mut self.region
            && let Some(down) = region.poll_down(at)
        {
            said.messages.push(down);
        }
        said
    }

    /// A gateway that has nothing to do sleeps.
    fn count_turn(&mut self, now: i64) {
        if now - self.turns.0 > 10 * SECOND {
            self.turns = (now, 0);
        }
        self.turns.1 += u32::from(self.deadline() <= now);
        if self.turns.1 > TURNS_MAX {
            violated(Sentence::Sleeps, "the gateway's deadline stays in the past");
        }
    }

    fn begin(&mut self, now: i64) {
        let at = self.now(now);
        let Some(region) = &mut self.region else { return };
        while let Some(batch) = region.poll_batch(at) {
            let took = self.random.within(self.commit_ms.0..self.commit_ms.1 + 1) as i64 * MS;
            self.committing.insert(batch.sink, (now + took, batch));
        }
    }

    fn commit(&mut self, now: i64, said: &mut Said) {
        let due = self.committing.iter().filter(|(_, (due, _))| *due <= now).min_by_key(|(_, (due, _))| *due);
        let Some(at) = due.map(|(at, _)| *at) else { return };
        let Some((_, batch)) = self.committing.remove(&at) else { return };
        let Some(sink) = self.sinks.get(batch.sink).copied() else { return };
        if let Some(steps) = self.dies_after {
            self.coast.faults.crash_at(Some(steps));
        }
        let before = self.coast.ledger.applied();
        let random = &mut self.random;
        let number = batch.number;
        let outcome = match (sink.kind, &mut self.archive) {
            (SinkKind::Archive, Some(archive)) => commit(archive, &mut self.coast.ledger, &batch),
            (SinkKind::Index, _) => {
                let delivered = self.coast.deliver(&batch, &mut self.documents, || random.number());
                delivered.map(|entries| {
                    said.durable.push((sink.kind, Batch { entries, ..batch.clone() }));
                })
            }
            _ => self.coast.commit(&batch, &mut self.documents),
        };
        if self.coast.ledger.applied() > before {
            said.durable.push((sink.kind, batch));
        }
        // Sometimes everything is durable and nobody has heard of it yet.
        if self.coast.faults.has_crashed() || self.dies_after.is_some() {
            let loses_power = self.random.one_in(2);
            return self.die(now, loses_power);
        }
        if let Err(CommitError::InDoubt(_)) = outcome {
            return self.die(now, false);
        }
        self.commits += u64::from(outcome.is_ok());
        let at = self.now(now);
        if let Some(region) = &mut self.region {
            region.handle_committed(at, number, &outcome);
        }
        self.upkeep(now);
        self.roll_over();
        self.measure(now);
    }

    /// Now and then the documents go to a new index.
    fn roll_over(&mut self) {
        let is_due = self.random.one_in(12);
        let Some(region) = self.region.as_mut().filter(|_| is_due) else { return };
        for at in 0..self.sinks.len() {
            if let Some(number) = region.index(at) {
                region.handle_index(at, number + 1);
            }
        }
    }

    fn upkeep(&mut self, now: i64) {
        let is_due = self.random.one_in(8);
        let Some(archive) = self.archive.as_mut().filter(|_| is_due) else { return };
        if let Err(CommitError::InDoubt(_)) = archive.upkeep(&mut self.coast.ledger, Unix(now)) {
            self.die(now, false);
        }
    }

    /// What of the budget is taken, as the gateway itself says.
    fn measure(&mut self, now: i64) {
        let at = self.now(now);
        let Some(region) = &self.region else { return };
        let mut text = String::new();
        region.metrics(&mut text, at).expect("a string takes everything");
        let line = text.lines().find(|line| line.starts_with("driftlog_gateway_items_memory_bytes "));
        let bytes = line.and_then(|line| line.split_once(' ')).and_then(|(_, bytes)| bytes.parse().ok());
        let bytes: u64 = bytes.expect("the metric is there");
        self.memory_bytes_seen = self.memory_bytes_seen.max(bytes);
        // The last item is taken whole, and each sink waits for its own.
        let most = region_budget(&self.config) + (ITEM_BYTES_MAX * self.sinks.len()) as u64;
        if bytes > most {
            violated(Sentence::Memory, &format!("{bytes} bytes of items in memory, and {most} are allowed"));
        }
    }
}
