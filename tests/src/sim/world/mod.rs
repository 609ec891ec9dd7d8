//! A region in a box: devices, broker, gateway, and the true time that none of them knows.

pub(super) mod agenda;
pub(super) mod app;
pub(super) mod broker;
pub(super) mod coast;
pub(super) mod flash;
pub(super) mod machine;
pub(crate) mod random;
pub(super) mod shore;

use driftlog_gateway::broker::Channel;
use driftlog_proto::ids::DeviceId;

use agenda::Agenda;
use broker::{Broker, MS, Packet, SECOND, To, Weather};
use coast::{Coast, SinkKind};
use machine::{Machine, MachineConfig};
use random::Random;
use shore::{Said, Shore, ShoreConfig};

use super::oracle::watch::Watch;
use super::oracle::{Sentence, violated};

/// 2026-11-23T12:00:00Z.
pub(crate) const NOON: i64 = 1_795_435_200 * SECOND;
/// Everything must be through after this long without faults.
const SETTLED_S: i64 = 3_600;

/// What was done to the region that changes what may be asked of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Was {
    /// Somebody spoke who is no device.
    pub(crate) hostile: bool,
    /// The ledger was lost and made again from the archive.
    pub(crate) rebuilt: bool,
    /// A sink rejected records for their content.
    pub(crate) rejecting: bool,
    /// Sinks that were not there from the beginning.
    pub(crate) added: Vec<SinkKind>,
}

pub(crate) struct World {
    pub(crate) now: i64,
    pub(crate) random: Random,
    pub(crate) machines: Vec<Machine>,
    pub(crate) broker: Broker,
    pub(crate) shore: Shore,
    /// A second gateway over the same ledger and sinks.
    pub(crate) rival: Option<Shore>,
    pub(crate) watch: Watch,
    pub(crate) agenda: Agenda,
    pub(crate) was: Was,
    pub(crate) steps: u64,
    /// How late a wake-up may come, milliseconds.
    pub(crate) late_ms: u64,
    /// What was done to it, in order.
    pub(crate) events: Vec<String>,
    /// The gateway's connection comes back then.
    reconnect_at: i64,
}

impl World {
    #[cfg(test)]
    pub(crate) fn new(seed: u64) -> Self {
        Self::with_shore(seed, ShoreConfig::default())
    }

    pub(crate) fn with_shore(seed: u64, config: ShoreConfig) -> Self {
        let mut random = Random::new(seed);
        Self {
            now: NOON,
            machines: Vec::new(),
            broker: Broker::new(random.number()),
            shore: Shore::new(NOON, config, Coast::new(), random.number()),
            rival: None,
            watch: Watch::default(),
            agenda: Agenda::default(),
            was: Was::default(),
            steps: 0,
            late_ms: 2,
            events: Vec::new(),
            reconnect_at: 0,
            random,
        }
    }

    /// A world with one device.
    #[cfg(test)]
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
        self.run_until(self.now + ms as i64 * MS);
    }

    pub(crate) fn run_until(&mut self, until: i64) {
        while self.now < until {
            self.step(until);
        }
    }

    pub(crate) fn each_shore(&mut self, change: impl Fn(&mut Shore)) {
        change(&mut self.shore);
        self.rival.iter_mut().for_each(change);
    }

    /// Time goes on to whatever is due next, and everything that is due happens.
    pub(crate) fn step(&mut self, until: i64) {
        self.steps += 1;
        let late = self.random.below(self.late_ms * 1_000_000) as i64;
        let next = self.next().max(self.now) + 100_000 + late;
        self.now = next.min(until.max(self.now + 1));
        self.cure();
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
        let said = self.shore.turn(self.now);
        self.hear_shore(said, false);
        if let Some(mut rival) = self.rival.take() {
            let said = rival.turn(self.now);
            self.rival = Some(rival);
            self.hear_shore(said, true);
        }
        self.succeed();
    }

    /// What a gateway made durable and said.
    fn hear_shore(&mut self, said: Said, is_rival: bool) {
        if let Some((kind, batch)) = &said.durable {
            self.watch.durable(*kind, batch);
        }
        let Some(shore) = (if is_rival { self.rival.as_ref() } else { Some(&self.shore) }) else { return };
        for (device, _, bytes) in &said.messages {
            self.watch.told(device, bytes, &shore.sinks, shore.config.credit_bytes_max);
        }
        for (device, channel, bytes) in said.messages {
            self.tell(&device, channel, &bytes);
        }
    }

    /// A gateway that was fenced steps down for its rival.
    fn succeed(&mut self) {
        if self.rival.is_none() {
            return;
        }
        let steps_down = |shore: &Shore| shore.region.is_none() && shore.coast.ledger.is_fenced();
        if steps_down(&self.shore)
            && let Some(rival) = self.rival.take()
        {
            self.shore = rival;
        } else if self.rival.as_ref().is_some_and(|rival| rival.starts > 0 && steps_down(rival)) {
            self.rival = None;
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
        let shores =
            [Some(&self.shore), self.rival.as_ref()].into_iter().flatten().map(Shore::deadline).min();
        let shores = shores.unwrap_or(i64::MAX);
        machines.min().unwrap_or(i64::MAX).min(self.broker.next()).min(shores).min(self.agenda.next())
    }

    fn turn(&mut self, at: usize) {
        let machine = &mut self.machines[at];
        let messages = machine.turn(self.now);
        let topic = format!("driftlog/v1/{:02x}/{}/up", machine.config.device.shard(), machine.config.device);
        let is_heard = machine.half_open_until <= self.now;
        for bytes in messages {
            self.watch.said(&machine.config.device, &bytes);
            let to = To::Gateway { topic: topic.clone() };
            if is_heard {
                self.broker.send(self.now, Packet { to, bytes });
            }
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
        let is_up = self.broker.is_up && self.now >= self.reconnect_at;
        self.each_shore(|shore| shore.is_connected |= is_up && shore.region.is_some());
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
                let config = machine.config.clone();
                if config.has_fixed_client_id {
                    self.take_over(at, &config.device);
                }
                let machine = &self.machines[at];
                if let Some(bytes) = self.broker.retained.get(&machine.config.device).cloned() {
                    let to = To::Machine { at, epoch };
                    self.broker.send(self.now, Packet { to, bytes });
                }
            }
        }
    }

    /// A broker ends the older connection of a client id.
    fn take_over(&mut self, newer: usize, device: &DeviceId) {
        let now = self.now;
        for (at, machine) in self.machines.iter_mut().enumerate() {
            if at != newer && machine.is_linked && machine.config.device == *device {
                machine.link_down(now);
            }
        }
    }

    /// What has arrived; answers with the machines that heard something.
    fn deliver(&mut self) -> Vec<usize> {
        let mut touched = Vec::new();
        while let Some(Packet { to, bytes }) = self.broker.arrived(self.now) {
            match to {
                To::Gateway { topic } => {
                    let now = self.now;
                    self.each_shore(|shore| {
                        if shore.is_connected {
                            shore.handle_up(now, &topic, &bytes);
                        }
                    });
                }
                To::Machine { at, epoch } => {
                    let machine = &mut self.machines[at];
                    let is_same = epoch.is_none_or(|epoch| epoch == machine.epoch);
                    if machine.is_linked && is_same && machine.half_open_until <= self.now {
                        machine.hear(self.now, &bytes);
                        touched.push(at);
                    }
                }
            }
        }
        touched
    }

    fn tell(&mut self, device: &DeviceId, channel: Channel, bytes: &[u8]) {
        if channel.is_retained() {
            self.broker.retain(device, bytes);
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
        self.each_shore(|shore| shore.is_connected = false);
        self.connect();
    }

    /// The broker goes away and comes back with what it had.
    pub(crate) fn stop_broker(&mut self) {
        self.broker.is_up = false;
        self.each_shore(|shore| shore.is_connected = false);
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
        self.cure_all();
        self.broker.weather = Weather::FAIR;
        self.broker.forget_late(self.now);
        if !self.broker.is_up {
            self.start_broker();
        }
        self.late_ms = 2;
        self.shore.coast.faults.space(None);
        self.shore.coast.faults.sync_fails(false);
        self.shore.coast.sink_faults.borrow_mut().clear();
        let now = self.now;
        self.each_shore(|shore| {
            shore.dies_after = None;
            shore.commit_ms = (2, 30);
            shore.frozen_until = 0;
        });
        self.shore.start_at = self.shore.start_at.min(now);
        for machine in &mut self.machines {
            machine.is_online = true;
            machine.fuse.replace();
            machine.start_at = machine.start_at.min(now);
            machine.busy_until = 0;
            machine.half_open_until = 0;
            machine.slow_ms = 0;
            machine.speaks = 1;
            machine.files.fail_reads(false);
            machine.apps.iter().for_each(|app| machine.files.deny(app.path(), false));
            machine.each_flash(|disk| {
                disk.heal();
                disk.set_capacity(u64::MAX);
                disk.set_read_only(false);
                disk.set_lying(false);
            });
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
            if self.now >= until {
                violated(Sentence::Drains, &self.standing());
            }
        }
    }

    fn is_drained(&self) -> bool {
        let is_drained = |machine: &Machine| machine.pipeline.as_ref().is_some_and(|p| p.is_drained());
        self.machines.iter().all(is_drained)
            && [Some(&self.shore), self.rival.as_ref()].into_iter().flatten().all(Shore::is_idle)
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
