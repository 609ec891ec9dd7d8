//! A device: its clocks, flash, log files and the agent that runs on it, or does not.

use std::collections::BTreeSet;

use driftlog_agent::pipeline::{Pipeline, PipelineConfig};
use driftlog_agent::source::{FileSource, Patterns, SimFiles, Sources, SourcesConfig};
use driftlog_agent::spool::disk::{PowerCut, SimDisk};
use driftlog_agent::spool::{Durability, Overflow, Spool, SpoolConfig};
use driftlog_proto::block::Severity;
use driftlog_proto::ids::{BootId, DeviceId, Lane, RunId, SessionId};
use driftlog_proto::message::Labels;
use driftlog_proto::time::{ClockState, Mono, Now, Unix};

use super::app::{App, Style};
use super::flash::{Flash, Fuse};
use super::random::Random;
use crate::sim::oracle::{Sentence, violated};

/// 2026-01-01: before it a clock was never set.
const SET_SINCE: i64 = 1_767_225_600_000_000_000;

/// Wake-ups in 10 seconds that an agent may ask for; one that spins has at least 5,000.
const TURNS_MAX: u32 = 4_000;

#[derive(Clone, Debug)]
pub(crate) struct MachineConfig {
    pub(crate) device: DeviceId,
    pub(crate) urgent_min: Option<Severity>,
    pub(crate) bulk: SpoolConfig,
    pub(crate) urgent: SpoolConfig,
    pub(crate) apps: usize,
    pub(crate) style: Style,
    pub(crate) hardware: u64,
    pub(crate) ppm: i64,
    /// The wall clock shows so much more than the true time.
    pub(crate) wall_offset: i64,
    /// How often the agent looks at its files unasked.
    pub(crate) poll_ms: u64,
    /// All devices of this name have one MQTT client id: each connection ends the other.
    pub(crate) has_fixed_client_id: bool,
}

impl Suffered {
    /// Whether one line may have been read and numbered more than once.
    pub(crate) const fn has_divided(self) -> bool {
        self.forgot || self.rot || self.wiped || self.cloned || self.lost_source
    }
}

/// What was done to a device that changes what may be asked of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Suffered {
    /// Its flash lost what it had said was synced, or was never asked to sync.
    pub(crate) forgot: bool,
    /// Bits of its flash changed.
    pub(crate) rot: bool,
    /// Its flash was replaced by an empty one.
    pub(crate) wiped: bool,
    /// It is an image of another device, or that other one.
    pub(crate) cloned: bool,
    /// Its spool may drop the oldest.
    pub(crate) may_overflow: bool,
    /// A file went away or was cut while something of it was not read.
    pub(crate) lost_source: bool,
}

impl MachineConfig {
    pub(crate) fn new(device: &str) -> Self {
        let spool = |lane| SpoolConfig { segment_bytes: 64 * 1024, ..SpoolConfig::new(lane, 1024 * 1024) };
        Self {
            device: DeviceId::new(device).unwrap(),
            urgent_min: Some(Severity::ERROR),
            bulk: SpoolConfig { bytes_max: 8 * 1024 * 1024, ..spool(Lane::Bulk) },
            urgent: SpoolConfig { bytes_max: 8 * 1024 * 1024, ..spool(Lane::Urgent) },
            apps: 2,
            style: Style::default(),
            hardware: 7,
            ppm: 0,
            wall_offset: 0,
            poll_ms: 1_000,
            has_fixed_client_id: false,
        }
    }

    fn may_overflow(&self) -> bool {
        [self.bulk, self.urgent].iter().any(|lane| lane.overflow == Overflow::DropOldest)
    }
}

/// One boot: the device's monotonic time is a function of the true time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Boot {
    pub(crate) id: BootId,
    at: i64,
    ppm: i64,
}

impl Boot {
    fn mono(&self, now: i64) -> Mono {
        let passed = i128::from(now - self.at);
        Mono((passed + passed * i128::from(self.ppm) / 1_000_000).max(0) as u64)
    }

    /// The true time at which the device's monotonic clock showed `mono`.
    pub(crate) fn time(&self, mono: u64) -> i64 {
        let passed = i128::from(mono) * 1_000_000 / i128::from(1_000_000 + self.ppm);
        self.at + passed as i64
    }
}

pub(crate) struct Machine {
    pub(crate) config: MachineConfig,
    pub(crate) files: SimFiles,
    pub(crate) apps: Vec<App>,
    pub(crate) fuse: Fuse,
    /// Of bulk and urgent.
    pub(crate) flash: [Flash; 2],
    pub(crate) pipeline: Option<Pipeline<Flash, SimFiles>>,
    pub(crate) boots: Vec<Boot>,
    /// Every run over this spool, also those of the spool that it was copied from.
    pub(crate) runs: BTreeSet<RunId>,
    pub(crate) is_online: bool,
    pub(crate) is_linked: bool,
    pub(crate) epoch: u64,
    pub(crate) connect_at: i64,
    /// When somebody starts the agent again.
    pub(crate) start_at: i64,
    /// What ends when the fuse blows: the power, or just the agent.
    pub(crate) loses_power: bool,
    /// What a power cut leaves of what was not synced.
    pub(crate) cut: PowerCut,
    /// Each change of the flash takes so long.
    pub(crate) slow_ms: u64,
    /// It does nothing before then: its flash is slow, or it is stopped.
    pub(crate) busy_until: i64,
    /// What arrived while it did nothing.
    pub(crate) inbox: Vec<Vec<u8>>,
    /// Until then its connection seems to be there and carries nothing.
    pub(crate) half_open_until: i64,
    /// The version byte of its messages.
    pub(crate) speaks: u8,
    pub(crate) suffered: Suffered,
    /// Wake-ups that the agent asked for since then.
    turns: (i64, u32),
    pub(crate) random: Random,
}

impl Machine {
    pub(crate) fn new(config: MachineConfig, now: i64, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let fuse = Fuse::default();
        let name = config.device.as_str();
        let boot = Boot { id: BootId(random.bytes()), at: now - 3_000_000_000, ppm: config.ppm };
        Self {
            apps: (0..config.apps).map(|at| App::new(name, at, config.style)).collect(),
            flash: [Flash::new(random.number(), fuse.clone()), Flash::new(random.number(), fuse.clone())],
            files: SimFiles::default(),
            fuse,
            pipeline: None,
            boots: vec![boot],
            runs: BTreeSet::new(),
            is_online: true,
            is_linked: false,
            epoch: 0,
            connect_at: now,
            start_at: now,
            loses_power: false,
            cut: PowerCut::Tear,
            slow_ms: 0,
            busy_until: 0,
            inbox: Vec::new(),
            half_open_until: 0,
            speaks: 1,
            suffered: Suffered { may_overflow: config.may_overflow(), ..Suffered::default() },
            turns: (0, 0),
            random,
            config,
        }
    }

    /// Another device that was made from an image of this one.
    pub(crate) fn image(&self, seed: u64) -> Self {
        let fuse = Fuse::default();
        let files = self.files.image();
        let copy = |app: &App| app.copy(&format!("copy{seed}"));
        Self {
            config: self.config.clone(),
            files,
            apps: self.apps.iter().map(copy).collect(),
            flash: [self.flash[0].image(fuse.clone()), self.flash[1].image(fuse.clone())],
            fuse,
            pipeline: None,
            boots: self.boots.clone(),
            runs: self.runs.clone(),
            is_online: true,
            is_linked: false,
            epoch: 0,
            connect_at: 0,
            start_at: 0,
            loses_power: false,
            cut: PowerCut::Tear,
            slow_ms: 0,
            busy_until: 0,
            inbox: Vec::new(),
            half_open_until: 0,
            speaks: 1,
            suffered: Suffered { cloned: true, ..self.suffered },
            turns: (0, 0),
            random: Random::new(seed),
        }
    }

    /// Whether lines ever took the urgent lane, as far as there is a spool of it.
    pub(crate) fn has_both_lanes(&self) -> bool {
        !self.flash[1].is_empty()
    }

    pub(crate) fn boot(&self) -> Boot {
        self.boots[self.boots.len() - 1]
    }

    pub(crate) fn now(&self, now: i64) -> Now {
        let wall = now.saturating_add(self.config.wall_offset);
        let state = if wall < SET_SINCE { ClockState::Unset } else { ClockState::Unsynchronised };
        Now { mono: self.boot().mono(now), wall: Unix(wall), state }
    }

    /// Starts the agent, as `Device::open` does; it stays down where the flash cannot be listed.
    pub(crate) fn start(&mut self, now: i64) {
        if self.pipeline.is_some() {
            return;
        }
        self.fuse.replace();
        self.suffered.may_overflow |= self.config.may_overflow();
        // A supervisor starts it again, as long as it takes.
        self.start_at = now + self.random.within(1_000_000_000..20_000_000_000) as i64;
        let run = RunId(self.random.number().max(1));
        let config = &self.config;
        let open = |at: usize, lane| Spool::open(self.flash[at].clone(), lane, run, config.hardware);
        let Ok(bulk) = open(0, config.bulk) else { return };
        let has_urgent = config.urgent_min.is_some() || !self.flash[1].is_empty();
        let urgent = if has_urgent {
            let Ok(urgent) = open(1, config.urgent) else { return };
            Some(urgent)
        } else {
            None
        };
        self.runs.insert(run);
        let cursors: Vec<(u64, Vec<u8>)> = bulk.cursors().map(|(key, bytes)| (key, bytes.to_vec())).collect();
        let patterns = Patterns::new(&["/log/*"], &[]).unwrap();
        let sources = SourcesConfig {
            files: vec![FileSource { patterns, idle_line_ms: 5_000 }],
            stdin_idle_line_ms: None,
            poll_ms: config.poll_ms,
            rescan_ms: 10_000,
        };
        let sources = Sources::new(sources, self.files.clone(), self.boot().id, cursors.into_iter());
        let pipeline = PipelineConfig {
            device: config.device.clone(),
            labels: Labels::default(),
            boot: self.boot().id,
            delay_ms_min: 1_000,
            delay_ms_max: 1_000,
            delay_offline_ms_max: 10_000,
            in_flight_bytes_max: 256 * 1024,
            urgent_min: config.urgent_min,
            cpu: driftlog_agent::pipeline::Cpu::Normal,
        };
        self.pipeline = Some(Pipeline::new(pipeline, sources, bulk, urgent, self.now(now)));
    }

    /// `kill -9`: the operating system keeps what was written.
    pub(crate) fn kill(&mut self) {
        self.die(PowerCut::KeepAll);
    }

    /// The power fails and comes back: a new boot, and what was not synced is torn.
    pub(crate) fn power_cut(&mut self, now: i64) {
        let durabilities = [self.config.bulk.durability, self.config.urgent.durability];
        self.suffered.forgot |= durabilities.contains(&Durability::None);
        self.die(self.cut);
        self.reboot(now);
    }

    /// A new boot after an orderly end.
    pub(crate) fn reboot(&mut self, now: i64) {
        self.pipeline = None;
        let id = BootId(self.random.bytes());
        self.boots.push(Boot { id, at: now, ppm: self.config.ppm });
    }

    pub(crate) fn die(&mut self, cut: PowerCut) {
        self.pipeline = None;
        self.is_linked = false;
        self.inbox.clear();
        self.busy_until = 0;
        self.epoch += 1;
        let seed = self.random.number();
        self.flash.iter().for_each(|flash| flash.cut(cut, seed));
        self.fuse.replace();
    }

    pub(crate) fn link_up(&mut self, now: i64) {
        let session = SessionId(self.random.number().max(1));
        let now = self.now(now);
        if let Some(pipeline) = &mut self.pipeline {
            self.is_linked = true;
            pipeline.handle_link_up(now, session);
        }
    }

    pub(crate) fn link_down(&mut self, now: i64) {
        self.epoch += 1;
        self.inbox.clear();
        self.connect_at = now + self.random.within(100_000_000..3_000_000_000) as i64;
        if std::mem::take(&mut self.is_linked)
            && let Some(pipeline) = &mut self.pipeline
        {
            pipeline.handle_link_down();
        }
    }

    /// A message from the gateway has come in.
    pub(crate) fn hear(&mut self, now: i64, bytes: &[u8]) {
        if now < self.busy_until {
            return self.inbox.push(bytes.to_vec());
        }
        let at = self.now(now);
        if let Some(pipeline) = &mut self.pipeline {
            pipeline.handle_down(at, bytes);
        }
    }

    /// One round of the shell's loop; answers with what is published.
    pub(crate) fn turn(&mut self, now: i64) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        if now < self.busy_until {
            return messages;
        }
        let at = self.now(now);
        let changes = self.flash_changes();
        let Some(pipeline) = &mut self.pipeline else { return messages };
        // All that has come is heard before anything is answered.
        self.inbox.drain(..).for_each(|bytes| pipeline.handle_down(at, &bytes));
        pipeline.poll(at);
        // The link takes some, and perhaps not all.
        for _ in 0..self.random.within(1..40) {
            let mut message = Vec::new();
            if self.fuse.is_blown() || !self.is_linked || !pipeline.poll_publish(at, &mut message) {
                break;
            }
            if let Some(version) = message.first_mut() {
                *version = self.speaks;
            }
            messages.push(message);
        }
        self.busy_until = now + ((self.flash_changes() - changes) * self.slow_ms) as i64 * 1_000_000;
        messages
    }

    pub(crate) fn each_flash(&self, change: impl Fn(&mut SimDisk)) {
        self.flash.iter().for_each(|flash| change(&mut flash.disk()));
    }

    fn flash_changes(&self) -> u64 {
        self.flash.iter().map(|flash| flash.disk().stats().operations).sum()
    }

    /// An agent that has nothing to do sleeps.
    pub(crate) fn count_turn(&mut self, now: i64, is_due: bool) {
        if now - self.turns.0 > 10_000_000_000 {
            self.turns = (now, 0);
        }
        self.turns.1 += u32::from(is_due);
        if self.turns.1 >= TURNS_MAX {
            violated(Sentence::Sleeps, "the agent's deadline stays in the past");
        }
    }

    /// When there is something to do, in true time.
    pub(crate) fn deadline(&self) -> i64 {
        let Some(pipeline) = &self.pipeline else { return i64::MAX };
        match pipeline.poll_deadline() {
            Mono::FOREVER => i64::MAX,
            mono => self.boot().time(mono.0.min(1 << 62)).max(self.busy_until),
        }
    }

    pub(crate) fn write(&mut self, lines: u64) {
        for _ in 0..lines {
            let at = self.random.below(self.apps.len() as u64) as usize;
            self.apps[at].write(&self.files, &mut self.random, 1);
        }
        self.changed();
    }

    /// inotify tells of changes, mostly.
    pub(crate) fn changed(&mut self) {
        if self.random.per_mille(800)
            && let Some(pipeline) = &mut self.pipeline
        {
            pipeline.handle_changed();
        }
    }
}
