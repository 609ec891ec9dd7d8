//! The gateway: region, archive and ledger, with a commit that takes its time and may be cut.

use driftlog_gateway::config::DevicesConfig;
use driftlog_gateway::ledger::memory::MemoryLedger;
use driftlog_gateway::region::{Region, RegionConfig, SinkRole};
use driftlog_gateway::sink::archive::simulated::{Faults, SimDirectory};
use driftlog_gateway::sink::archive::state::{ARCHIVE, ArchiveId};
use driftlog_gateway::sink::archive::{Archive, ArchiveConfig, OpenError};
use driftlog_gateway::sink::commit::commit;
use driftlog_gateway::sink::{Batch, CommitError};
use driftlog_proto::ids::DeviceId;
use driftlog_proto::time::{ClockState, Mono, Now, Unix};

use driftlog_gateway::broker::Channel;

use super::broker::{MS, SECOND};
use super::random::Random;

pub(crate) struct Shore {
    pub(crate) config: RegionConfig,
    pub(crate) faults: Faults,
    pub(crate) ledger: MemoryLedger,
    pub(crate) directory: SimDirectory,
    pub(crate) region: Option<Region<MemoryLedger>>,
    archive: Option<Archive>,
    committing: Option<(i64, Batch)>,
    /// Changes of anything durable that still come about before it dies.
    pub(crate) dies_after: Option<u64>,
    pub(crate) commit_ms: (u64, u64),
    pub(crate) start_at: i64,
    pub(crate) is_connected: bool,
    pub(crate) commits: u64,
    pub(crate) memory_bytes_seen: u64,
    since: i64,
    random: Random,
}

impl Shore {
    pub(crate) fn new(now: i64, seed: u64) -> Self {
        let faults = Faults::default();
        let config = RegionConfig {
            sinks: vec![SinkRole { name: ARCHIVE.to_owned(), is_required: true }],
            memory_bytes_max: 4 << 20,
            credit_bytes_max: 1 << 18,
            message_rate_max: 2_000,
            devices: DevicesConfig::default(),
        };
        Self {
            config,
            ledger: MemoryLedger::with_faults(faults.clone()),
            directory: SimDirectory::with_faults(faults.clone()),
            faults,
            region: None,
            archive: None,
            committing: None,
            dies_after: None,
            commit_ms: (2, 30),
            start_at: now,
            is_connected: false,
            commits: 0,
            memory_bytes_seen: 0,
            since: now - 5 * SECOND,
            random: Random::new(seed),
        }
    }

    pub(crate) fn now(&self, now: i64) -> Now {
        let mono = Mono((now - self.since) as u64);
        Now { mono, wall: Unix(now), state: ClockState::Synchronised }
    }

    /// Opens archive and region, as `store::open` does.
    pub(crate) fn start(&mut self, now: i64) {
        let config = ArchiveConfig { file_bytes_max: 256 * 1024, compress: true, ..ArchiveConfig::default() };
        let directory = Box::new(self.directory.clone());
        let fresh = ArchiveId(self.random.bytes());
        let archive = match Archive::open(directory, config, &mut self.ledger, fresh) {
            // A supervisor starts it again, as long as it takes.
            Err(OpenError::Disk(_)) => return self.start_at = now + SECOND,
            archive => archive.expect("archive and ledger belong together, whatever happened"),
        };
        self.archive = Some(archive);
        let region = Region::open(self.config.clone(), self.ledger.clone(), self.now(now));
        self.region = Some(region.expect("the ledger works"));
        self.is_connected = true;
    }

    /// The gateway dies; what was not synced stays (`kill -9`) or is lost in any part (power).
    pub(crate) fn die(&mut self, now: i64, loses_power: bool) {
        self.region = None;
        self.archive = None;
        self.committing = None;
        self.dies_after = None;
        self.is_connected = false;
        self.faults.crash_at(None);
        if loses_power {
            let random = &mut self.random;
            self.directory.cut_power(|_| random.number());
        }
        self.start_at = now + self.random.within(50..5_000) as i64 * MS;
    }

    pub(crate) fn handle_up(&mut self, now: i64, topic: &str, bytes: &[u8]) {
        let now = self.now(now);
        if let Some(region) = &mut self.region {
            region.handle_up(now, topic, bytes);
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.committing.is_none()
    }

    pub(crate) fn deadline(&self) -> i64 {
        let Some(region) = &self.region else { return self.start_at };
        let core = self.since.saturating_add(region.poll_deadline().0.min(1 << 62) as i64);
        self.committing.as_ref().map_or(core, |(at, _)| core.min(*at))
    }

    /// One round of the shell's loop; answers with what is published.
    pub(crate) fn turn(&mut self, now: i64) -> Vec<(DeviceId, Channel, Vec<u8>)> {
        if self.region.is_none() {
            if now < self.start_at {
                return Vec::new();
            }
            self.start(now);
        }
        self.commit(now);
        self.begin(now);
        let at = self.now(now);
        let mut said = Vec::new();
        while self.is_connected
            && let Some(region) = &mut self.region
            && let Some(down) = region.poll_down(at)
        {
            said.push(down);
        }
        said
    }

    fn begin(&mut self, now: i64) {
        let at = self.now(now);
        let Some(region) = &mut self.region else { return };
        if self.committing.is_none()
            && let Some(batch) = region.poll_batch(at)
        {
            let took = self.random.within(self.commit_ms.0..self.commit_ms.1 + 1) as i64 * MS;
            self.committing = Some((now + took, batch));
        }
    }

    fn commit(&mut self, now: i64) {
        let Some((_, batch)) = self.committing.take_if(|(due, _)| *due <= now) else { return };
        let (Some(region), Some(archive)) = (&mut self.region, &mut self.archive) else { return };
        let at = Now { mono: Mono((now - self.since) as u64), wall: Unix(now), ..Now::default() };
        if let Some(steps) = self.dies_after {
            self.faults.crash_at(Some(steps));
        }
        let outcome = commit(archive, &mut self.ledger, &batch);
        // Sometimes everything is durable and nobody has heard of it yet.
        if self.faults.has_crashed() || self.dies_after.is_some() {
            let loses_power = self.random.one_in(2);
            return self.die(now, loses_power);
        }
        if let Err(CommitError::InDoubt(_)) = outcome {
            return self.die(now, false);
        }
        self.commits += u64::from(outcome.is_ok());
        region.handle_committed(at, batch.number, &outcome);
        if self.random.one_in(8)
            && let Err(CommitError::InDoubt(_)) = archive.upkeep(&mut self.ledger, at.wall)
        {
            return self.die(now, false);
        }
        self.measure(now);
    }

    /// What of the budget is taken, as the gateway itself says.
    fn measure(&mut self, now: i64) {
        let at = self.now(now);
        let Some(region) = &self.region else { return };
        let mut text = String::new();
        region.metrics(&mut text, at).unwrap();
        let line = text.lines().find(|line| line.starts_with("driftlog_gateway_items_memory_bytes "));
        let bytes = line.and_then(|line| line.split_once(' ')).unwrap().1.parse().unwrap();
        self.memory_bytes_seen = self.memory_bytes_seen.max(bytes);
    }
}
