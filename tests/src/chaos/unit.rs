//! A device in chaos: its agent, what writes its logs, its disk and its clock.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fault::Fault;
use super::plan::{DevicePlan, Strike, clock_offset_ms};
use super::small_disk::SmallDisk;
use crate::clock;
use crate::corpus::{Corpus, Feed, Random, Style};
use crate::device::{AgentSettings, Device};
use crate::process::Programs;
use crate::writer::{Journal, Writer, WriterConfig};

/// A file of this size is rotated away.
const ROTATE_BYTES: u64 = 256 * 1024;
/// By how much a device writes more when it floods.
const FLOOD: u64 = 8;
/// Bytes of the small disk under a spool.
const DISK_BYTES: u64 = 16 << 20;
/// Bytes of the text that hardly compresses.
const DENSE_BYTES: usize = 2 << 20;
/// After so long whatever ended by itself is started again, as a service manager does.
const AGAIN: Duration = Duration::from_millis(500);

/// What devices are called, with a number behind it.
const NAMES: [&str; 4] = ["pump", "valve", "meter", "buoy"];

/// A device and all that is around it.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) device: Device,
    pub(super) plan: DevicePlan,
    writer: Option<Writer>,
    pub(super) journal: Journal,
    pub(super) life: Life,
    wall_offset_ms: i64,
    boot: u128,
    /// Unmounted after the agent is dead.
    pub(super) disk: Option<SmallDisk>,
}

/// Whether a process is down on purpose, and when it is to be started if it went down by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    pub(super) is_killed: bool,
    /// When it was last started.
    pub(super) started: Instant,
    again_at: Option<Instant>,
    /// How often it ended by itself.
    pub(super) ends: u64,
}

impl Life {
    /// It is started now.
    pub(super) fn new() -> Self {
        Self { is_killed: false, started: clock::now(), again_at: None, ends: 0 }
    }

    /// It is started again now.
    pub(super) fn start(&mut self) {
        (self.is_killed, self.started, self.again_at) = (false, clock::now(), None);
    }

    /// It ended by itself.
    pub(super) fn end(&mut self) {
        self.ends += 1;
        self.again_at = Some(clock::now() + AGAIN);
    }

    /// Whether to start it again now, after it ended by itself.
    pub(super) fn is_due(&mut self) -> bool {
        self.again_at.take_if(|at| clock::now() >= *at).is_some() && !self.is_killed
    }
}

impl Unit {
    /// Makes a device; nothing runs yet. Its disk is for the caller to give.
    pub(super) fn new(
        programs: &Programs,
        number: usize,
        folder: &Path,
        broker: std::net::SocketAddr,
        plan: &DevicePlan,
    ) -> io::Result<Self> {
        let kind = NAMES.get(number % NAMES.len()).copied().unwrap_or("device");
        let name = format!("{kind}-{}", number + 1);
        let settings = AgentSettings {
            delay_ms_max: plan.delay_ms_max,
            durability: plan.durability,
            bulk_bytes_max: plan.bulk_bytes_max,
            overflow: plan.overflow,
            ..AgentSettings::default()
        };
        let device = Device::new(programs, &name, &folder.join(&name), broker, &settings)?;
        let unit = Self {
            device,
            plan: plan.clone(),
            writer: None,
            journal: Journal::default(),
            life: Life::new(),
            wall_offset_ms: plan.wall_offset_ms,
            boot: number as u128 + 1,
            disk: None,
        };
        unit.set_clock()?;
        Ok(unit)
    }

    /// Gives it a small disk for its spool; its agent does not run yet.
    pub(super) fn mount(&mut self) -> io::Result<()> {
        self.disk = Some(SmallDisk::mount(&self.device.state(), DISK_BYTES)?);
        Ok(())
    }

    /// Begins to write its logs and starts its agent.
    pub(super) fn start(&mut self, folder: &Path, seed: u64) -> io::Result<()> {
        let config = WriterConfig {
            logs: self.device.logs(),
            journal: folder.join(self.device.name()).join("journal"),
            files: files(&self.plan, seed),
            lines_per_second: self.plan.lines_per_second,
            rotate_bytes: ROTATE_BYTES,
            seed,
        };
        self.writer = Some(Writer::start(config)?);
        self.life.start();
        Ok(self.device.start()?)
    }

    fn set_clock(&self) -> io::Result<()> {
        self.device.set_clock(self.wall_offset_ms, self.plan.drift_ppm, Some(self.boot))
    }

    /// A strike begins; whether there was anything to strike.
    pub(super) fn begin(&mut self, Strike { fault, how, .. }: Strike) -> io::Result<bool> {
        let line = self.device.line();
        match fault {
            Fault::KillAgent | Fault::Reboot => return self.kill(fault, how),
            Fault::StopAgent => {
                let agent = self.device.agent();
                agent.iter().for_each(|agent| agent.pause());
                return Ok(agent.is_some());
            }
            Fault::Clock => {
                self.wall_offset_ms = clock_offset_ms(how);
                self.set_clock()?;
            }
            Fault::Cut | Fault::Overflow => line.cut(),
            Fault::Delay => line.delay(Duration::from_millis(50 + how % 1_500)),
            Fault::Throttle => line.throttle(4_000 + how % 60_000),
            Fault::Corrupt => line.corrupt_next(),
            Fault::Flood => self.set_rate(FLOOD * self.plan.lines_per_second),
            Fault::FullSpool => {
                return self.disk.as_mut().map_or(Ok(false), |disk| disk.fill().map(|()| true));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn kill(&mut self, fault: Fault, how: u64) -> io::Result<bool> {
        let was_there = !self.device.is_killed();
        self.life.is_killed = true;
        if how.is_multiple_of(2) {
            self.device.kill()
        } else {
            self.device.kill_in_mid_write()
        }
        if fault == Fault::Reboot {
            self.boot = u128::from(how) << 64 | u128::from(how.rotate_left(17));
            self.set_clock()?;
        }
        Ok(was_there)
    }

    /// And ends.
    pub(super) fn end(&mut self, fault: Fault) -> io::Result<()> {
        match fault {
            Fault::KillAgent | Fault::Reboot => {
                self.life.start();
                self.device.start()?;
            }
            Fault::StopAgent => self.device.agent().iter().for_each(|agent| agent.resume()),
            Fault::Cut | Fault::Overflow => self.device.line().mend(),
            Fault::Delay => self.device.line().delay(Duration::ZERO),
            Fault::Throttle => self.device.line().throttle(0),
            Fault::Flood => self.set_rate(self.plan.lines_per_second),
            Fault::FullSpool => self.disk.as_mut().map_or(Ok(()), SmallDisk::free)?,
            _ => {}
        }
        Ok(())
    }

    /// Whether its agent and its writer do what they should. An agent that ended because its disk was
    /// full is started again.
    pub(super) fn tend(&mut self) -> io::Result<()> {
        if let Err(error) = self.device.check() {
            if !self.disk.as_ref().is_some_and(|disk| disk.explains(self.life.started)) {
                return Err(error.into());
            }
            self.device.kill();
            self.life.end();
        }
        if self.life.is_due() {
            self.life.start();
            self.device.start()?;
        }
        match self.writer.take_if(|writer| writer.has_ended()) {
            Some(writer) => writer.stop().map(|journal| self.journal = journal),
            None => Ok(()),
        }
    }

    /// Nothing is written any more.
    pub(super) fn stop_writing(&mut self) -> io::Result<()> {
        if let Some(writer) = self.writer.take() {
            self.journal = writer.stop()?;
        }
        Ok(())
    }

    fn set_rate(&self, lines_per_second: u64) {
        if let Some(writer) = &self.writer {
            writer.set_rate(lines_per_second);
        }
    }
}

/// What is written: two files, or one that hardly compresses in place of one or of both.
fn files(plan: &DevicePlan, seed: u64) -> Vec<(String, Feed)> {
    let style = |nth: u64| {
        let at = usize::try_from((seed + nth) % Style::ALL.len() as u64).unwrap_or(0);
        Style::ALL.get(at).copied().unwrap_or(Style::Syslog)
    };
    let generated = |nth: u64| {
        // Where lines are counted against records, each is to be one.
        let corpus = Corpus::new(style(nth), seed, !plan.may_drop());
        (style(nth).file_name().to_owned(), Feed::Generated(corpus))
    };
    let dense = || ("dense.log".to_owned(), Feed::Repeated { text: dense_text(seed), at: 0 });
    match (plan.is_overflowing, plan.is_dense) {
        (true, _) => vec![dense()],
        (false, true) => vec![dense(), generated(0)],
        (false, false) => vec![generated(0), generated(1)],
    }
}

/// Lines of random digits.
fn dense_text(seed: u64) -> Arc<[u8]> {
    let mut random = Random::new(seed);
    let mut text = String::with_capacity(DENSE_BYTES + 128);
    while text.len() < DENSE_BYTES {
        for _ in 0..5 {
            text.push_str(&format!("{:016x}", random.number()));
        }
        text.push('\n');
    }
    text.into_bytes().into()
}
