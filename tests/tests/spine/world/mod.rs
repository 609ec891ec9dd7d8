//! A region in a box: devices, broker, gateway, and the true time that none of them knows.

pub(crate) mod app;
pub(crate) mod broker;
pub(crate) mod flash;
pub(crate) mod machine;
pub(crate) mod oracle;
pub(crate) mod random;
pub(crate) mod shore;

use std::io::Write as _;

use driftlog_gateway::broker::Channel;
use driftlog_proto::ids::DeviceId;

use broker::{Broker, MS, Packet, SECOND, To, Weather};
use machine::{Machine, MachineConfig};
use random::Random;
use shore::Shore;

/// 2026-11-23T12:00:00Z.
pub(crate) const NOON: i64 = 1_795_435_200 * SECOND;
/// Everything must be through after this long without faults.
const SETTLED_S: i64 = 3_600;

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) now: i64,
    pub(crate) random: Random,
    pub(crate) machines: Vec<Machine>,
    pub(crate) broker: Broker,
    pub(crate) shore: Shore,
    pub(crate) steps: u64,
    /// What was done to it, told when it fails.
    events: Vec<String>,
    /// The gateway's connection comes back then.
    reconnect_at: i64,
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let passed = (self.now - NOON) / MS;
            let _ = writeln!(std::io::stderr(), "seed {} after {passed} ms, {} steps", self.seed, self.steps);
            if std::env::var_os("DRIFTLOG_SPINE_TRACE").is_some() {
                let _ = writeln!(std::io::stderr(), "{}", self.events.join("\n"));
            }
        }
    }
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        Self {
            seed,
            now: NOON,
            machines: Vec::new(),
            broker: Broker::new(random.number()),
            shore: Shore::new(NOON, random.number()),
            steps: 0,
            events: Vec::new(),
            reconnect_at: 0,
            random,
        }
    }

    /// A world with one device.
    pub(crate) fn with_device(seed: u64, change: impl FnOnce(&mut MachineConfig)) -> Self {
        let mut world = Self::new(seed);
        let mut config = MachineConfig::new("pump-7");
        change(&mut config);
        world.add(config);
        world
    }

    pub(crate) fn add(&mut self, config: MachineConfig) -> usize {
        let seed = self.random.number();
        self.machines.push(Machine::new(config, self.now, seed));
        self.machines.len() - 1
    }

    /// A second device with the first one's flash.
    pub(crate) fn add_image(&mut self, of: usize) -> usize {
        let seed = self.random.number();
        let image = self.machines[of].image(seed);
        self.machines.push(image);
        self.machines.len() - 1
    }

    /// Writes down what is done to it.
    pub(crate) fn note(&mut self, text: impl FnOnce() -> String) {
        let passed = (self.now - NOON) / MS;
        self.events.push(format!("{passed} ms: {}", text()));
    }

    pub(crate) fn run_ms(&mut self, ms: u64) {
        let until = self.now + ms as i64 * MS;
        while self.now < until {
            self.step(until);
        }
    }

    /// Time goes on to whatever is due next, and everything that is due happens.
    pub(crate) fn step(&mut self, until: i64) {
        self.steps += 1;
        let late = self.random.below(2_000_000) as i64;
        let next = self.next().max(self.now) + 100_000 + late;
        self.now = next.min(until.max(self.now + 1));
        self.connect();
        let touched = self.deliver();
        for at in 0..self.machines.len() {
            let is_early = self.random.one_in(8);
            let is_due = self.machines[at].deadline() <= self.now;
            if is_early || touched.contains(&at) || is_due {
                self.turn(at);
            }
            self.machines[at].count_turn(self.now, is_due);
        }
        for (device, channel, bytes) in self.shore.turn(self.now) {
            self.tell(&device, channel, &bytes);
        }
    }

    fn next(&self) -> i64 {
        let machines = self.machines.iter().map(|machine| match &machine.pipeline {
            None => machine.start_at,
            Some(_) if !machine.is_linked && machine.is_online && self.broker.is_up => {
                machine.deadline().min(machine.connect_at)
            }
            Some(_) => machine.deadline(),
        });
        machines.min().unwrap_or(i64::MAX).min(self.broker.next()).min(self.shore.deadline())
    }

    fn turn(&mut self, at: usize) {
        let machine = &mut self.machines[at];
        let messages = machine.turn(self.now);
        let topic = format!("driftlog/v1/{:02x}/{}/up", machine.config.device.shard(), machine.config.device);
        for bytes in messages {
            let to = To::Gateway { topic: topic.clone() };
            self.broker.send(self.now, Packet { to, bytes });
        }
        if machine.fuse.is_blown() {
            if machine.loses_power {
                machine.power_cut(self.now);
            } else {
                machine.kill();
            }
            machine.start_at = self.now + self.random.within(10..20_000) as i64 * MS;
            let passed = (self.now - NOON) / MS;
            self.events.push(format!("{passed} ms: {at} dies, with its power: {}", machine.loses_power));
        }
    }

    fn connect(&mut self) {
        if !self.shore.is_connected
            && self.broker.is_up
            && self.shore.region.is_some()
            && self.now >= self.reconnect_at
        {
            self.shore.is_connected = true;
        }
        for at in 0..self.machines.len() {
            let machine = &mut self.machines[at];
            if machine.pipeline.is_none() && machine.start_at <= self.now {
                machine.start(self.now);
                let passed = (self.now - NOON) / MS;
                let (min, run) = (machine.config.urgent_min, machine.runs.len());
                self.events.push(format!("{passed} ms: {at} starts run {run}, urgent from {min:?}"));
            }
            let may = machine.is_online && self.broker.is_up && machine.pipeline.is_some();
            if machine.is_linked && !may {
                machine.link_down(self.now);
            } else if !machine.is_linked && may && machine.connect_at <= self.now {
                machine.link_up(self.now);
                let epoch = Some(machine.epoch);
                if let Some(bytes) = self.broker.retained.get(&machine.config.device).cloned() {
                    let to = To::Machine { at, epoch };
                    self.broker.send(self.now, Packet { to, bytes });
                }
            }
        }
    }

    /// What has arrived; answers with the machines that heard something.
    fn deliver(&mut self) -> Vec<usize> {
        let mut touched = Vec::new();
        while let Some(Packet { to, bytes }) = self.broker.arrived(self.now) {
            match to {
                To::Gateway { topic } if self.shore.is_connected => {
                    self.shore.handle_up(self.now, &topic, &bytes);
                }
                To::Gateway { .. } => {}
                To::Machine { at, epoch } => {
                    let machine = &mut self.machines[at];
                    let now = machine.now(self.now);
                    let is_there = machine.is_linked && epoch.is_none_or(|epoch| epoch == machine.epoch);
                    if let Some(pipeline) = machine.pipeline.as_mut().filter(|_| is_there) {
                        pipeline.handle_down(now, &bytes);
                        touched.push(at);
                    }
                }
            }
        }
        touched
    }

    fn tell(&mut self, device: &DeviceId, channel: Channel, bytes: &[u8]) {
        if channel.is_retained() {
            self.broker.retained.insert(device.clone(), bytes.to_vec());
        }
        for at in 0..self.machines.len() {
            let machine = &self.machines[at];
            if machine.is_linked && machine.config.device == *device {
                let to = To::Machine { at, epoch: Some(machine.epoch) };
                self.broker.send(self.now, Packet { to, bytes: bytes.to_vec() });
            }
        }
    }

    /// The broker dies with all it had, for so long.
    pub(crate) fn kill_broker(&mut self) {
        self.broker.is_up = false;
        self.broker.wipe();
        self.shore.is_connected = false;
        self.connect();
    }

    pub(crate) fn start_broker(&mut self) {
        self.broker.is_up = true;
        self.reconnect_at = self.now + self.random.within(10..3_000) as i64 * MS;
    }

    pub(crate) fn kill_gateway(&mut self, loses_power: bool) {
        self.shore.die(self.now, loses_power);
    }

    pub(crate) fn write(&mut self, at: usize, lines: u64) {
        self.machines[at].write(lines);
    }

    /// The faults are over.
    pub(crate) fn heal(&mut self) {
        self.broker.weather = Weather::FAIR;
        self.broker.forget_late(self.now);
        if !self.broker.is_up {
            self.start_broker();
        }
        self.shore.faults.space(None);
        self.shore.faults.sync_fails(false);
        self.shore.dies_after = None;
        self.shore.commit_ms = (2, 30);
        self.shore.start_at = self.shore.start_at.min(self.now);
        for machine in &mut self.machines {
            machine.is_online = true;
            machine.fuse.replace();
            machine.start_at = machine.start_at.min(self.now);
            machine.files.fail_reads(false);
            for flash in &machine.flash {
                let mut disk = flash.disk();
                disk.heal();
                disk.set_capacity(u64::MAX);
                disk.set_read_only(false);
                disk.set_lying(false);
            }
        }
    }

    /// The quiet phase: no faults, every agent started, until everything has come through.
    pub(crate) fn settle(&mut self) {
        self.heal();
        for machine in &mut self.machines {
            machine.apps.iter_mut().for_each(|app| app.end_line(&machine.files));
        }
        let until = self.now + SETTLED_S * SECOND;
        loop {
            // Longer than a search of the directories and than an idle line.
            self.run_ms(15_000);
            if self.is_drained() {
                self.run_ms(15_000);
                if self.is_drained() {
                    return;
                }
            }
            assert!(self.now < until, "not everything came through: {}", self.standing());
        }
    }

    fn is_drained(&self) -> bool {
        let is_drained = |machine: &Machine| machine.pipeline.as_ref().is_some_and(|p| p.is_drained());
        self.machines.iter().all(is_drained) && self.shore.is_idle()
    }

    pub(crate) fn standing(&mut self) -> String {
        let now = self.now;
        let mut text = String::new();
        for machine in &mut self.machines {
            let at = machine.now(now);
            let status = machine.pipeline.as_mut().map(|pipeline| pipeline.status(at));
            text.push_str(&format!("\n{}: {status:#?}", machine.config.device));
        }
        let at = self.shore.now(now);
        let region = self.shore.region.as_ref().map(|region| (region.status(at), region.counters().clone()));
        format!("{text}\n{region:#?}")
    }
}
