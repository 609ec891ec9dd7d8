//! The shore, the devices and what writes their logs; here the acts of the script are done.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::options::Options;
use super::script::{Act, Cast};
use super::servers::Servers;
use crate::clock;
use crate::corpus::{Corpus, Feed, Style};
use crate::device::{AgentSettings, Device};
use crate::process::Programs;
use crate::shore::{GatewaySettings, Shore};
use crate::writer::{Journal, Writer, WriterConfig};

/// Lines that a device usually writes in a second.
const LINES_PER_SECOND: u64 = 300;
/// Lines that a flooding device writes in a second.
const FLOOD_LINES_PER_SECOND: u64 = 15_000;
/// A file of this size is rotated away.
const ROTATE_BYTES: u64 = 256 * 1024;
const YEAR_MS: i64 = 365 * 86_400_000;
/// What devices are called, with a number behind it.
const NAMES: [&str; 5] = ["pump", "valve", "meter", "camera", "buoy"];

/// Everything that the demo runs.
pub(super) struct World {
    pub(super) shore: Shore,
    pub(super) units: Vec<Unit>,
    pub(super) done: Done,
    pub(super) servers: Servers,
}

/// A device and what writes its logs.
pub(super) struct Unit {
    pub(super) device: Device,
    pub(super) writer: Option<Writer>,
    pub(super) journal: Journal,
    pub(super) rotations: u64,
    pub(super) is_flooding: bool,
    pub(super) clock: Option<&'static str>,
}

/// What was done to them, for the summary.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Done {
    pub(super) agent_kills: u32,
    pub(super) gateway_kills: u32,
    pub(super) cut_since: Option<std::time::Instant>,
    pub(super) cut_time: Duration,
}

impl World {
    /// Makes everything, starts the gateway and waits for it, then starts agents and writers.
    pub(super) fn start(folder: &Path, options: &Options, input: Option<&Arc<[u8]>>) -> io::Result<Self> {
        let programs = Programs::in_myself()?;
        let servers = Servers::start(options.with, &folder.join("servers"))?;
        let settings = GatewaySettings {
            broker: servers.broker_address(),
            more: servers.sections()?,
            ..GatewaySettings::default()
        };
        let mut shore = Shore::new(&programs, &folder.join("gateway"), &settings)?;
        shore.start()?;
        let mut units = Vec::new();
        for number in 0..options.devices {
            let kind = NAMES.get(number % NAMES.len()).copied().unwrap_or("device");
            let name = format!("{kind}-{}", number + 1);
            let folder = folder.join("devices").join(&name);
            let settings = AgentSettings { delay_ms_max: 1_000, ..AgentSettings::default() };
            let device = Device::new(&programs, &name, &folder, shore.broker(), &settings)?;
            let writer = Writer::start(writing(&device, &folder, number, options, input))?;
            units.push(Unit {
                device,
                writer: Some(writer),
                journal: Journal::default(),
                rotations: 0,
                is_flooding: false,
                clock: None,
            });
        }
        let mut world = Self { shore, units, done: Done::default(), servers };
        world.unset_clock(Cast::of(options.devices).wrong_clock)?;
        world.shore.wait_ready()?;
        for unit in &mut world.units {
            unit.device.start()?;
        }
        Ok(world)
    }

    /// A device wakes up without a battery behind its clock.
    fn unset_clock(&mut self, number: usize) -> io::Result<()> {
        let Some(unit) = self.units.get_mut(number) else { return Ok(()) };
        unit.clock = Some("clock at 1970");
        // Its crystal runs 200 ppm fast, too.
        unit.device.set_clock(-(clock::wall_ns() / 1_000_000), 200, None)
    }

    /// Does what the script says; returns what happened, in words.
    pub(super) fn act(&mut self, act: Act) -> io::Result<String> {
        match act {
            Act::KillGateway => {
                self.kill_gateway();
                let broker = if self.servers.broker.is_some() { "" } else { ", with its broker," };
                Ok(format!("the gateway{broker} is killed in mid-commit (kill -9)"))
            }
            Act::StartGateway => {
                self.shore.start()?;
                Ok("the gateway starts again and goes on where its ledger stands".to_owned())
            }
            Act::KillBoth(number) => {
                self.kill_gateway();
                self.act_on(number, Act::KillAgent(number))?;
                let name = self.units.get(number).map_or("", |unit| unit.device.name());
                Ok(format!("the gateway and {name}'s agent are killed together (kill -9)"))
            }
            Act::Cut(number)
            | Act::Mend(number)
            | Act::KillAgent(number)
            | Act::StartAgent(number)
            | Act::Flood(number)
            | Act::Calm(number)
            | Act::JumpClock(number)
            | Act::Corrupt(number) => self.act_on(number, act),
        }
    }

    fn kill_gateway(&mut self) {
        self.shore.kill_in_mid_commit();
        self.done.gateway_kills += 1;
    }

    fn act_on(&mut self, number: usize, act: Act) -> io::Result<String> {
        let Self { units, done, .. } = self;
        let Some(unit) = units.get_mut(number) else { return Ok(String::new()) };
        let name = unit.device.name().to_owned();
        Ok(match act {
            Act::Cut(_) => {
                unit.device.line().cut();
                done.cut_since = Some(clock::now());
                format!("{name}'s network is cut; it goes on logging into its spool")
            }
            Act::Mend(_) => {
                unit.device.line().mend();
                done.cut_time += done.cut_since.take().map_or(Duration::ZERO, |since| clock::now() - since);
                format!("{name}'s network is back; its backlog comes, urgent lines first")
            }
            Act::KillAgent(_) => {
                unit.device.kill_in_mid_write();
                done.agent_kills += 1;
                format!("{name}'s agent is killed in mid-write (kill -9)")
            }
            Act::StartAgent(_) => {
                unit.device.start()?;
                format!("{name}'s agent starts again and goes on where its spool ends")
            }
            Act::Flood(_) => {
                unit.set_flooding(true);
                format!("{name} floods: {} times its usual lines", FLOOD_LINES_PER_SECOND / LINES_PER_SECOND)
            }
            Act::Calm(_) => {
                unit.set_flooding(false);
                format!("{name} is calm again")
            }
            Act::JumpClock(_) => {
                unit.device.set_clock(YEAR_MS, 200, None)?;
                unit.clock = Some("clock a year ahead");
                format!("{name}'s clock jumps from 1970 to a year ahead")
            }
            Act::Corrupt(_) => {
                unit.device.line().corrupt_next();
                format!("one byte of {name}'s next message is changed on the wire")
            }
            Act::KillGateway | Act::StartGateway | Act::KillBoth(_) => String::new(),
        })
    }

    /// Whether everything that should run runs.
    pub(super) fn check(&mut self) -> io::Result<()> {
        self.shore.check()?;
        self.servers.check()?;
        for unit in &mut self.units {
            unit.device.check()?;
            if let Some(writer) = unit.writer.take_if(|writer| writer.has_ended()) {
                unit.journal = writer.stop()?;
            }
        }
        Ok(())
    }

    /// Nothing is written any more.
    pub(super) fn stop_writing(&mut self) -> io::Result<()> {
        for unit in &mut self.units {
            if let Some(writer) = unit.writer.take() {
                unit.rotations = writer.rotations();
                unit.journal = writer.stop()?;
            }
        }
        Ok(())
    }

    /// Asks all agents and then the gateway to stop.
    pub(super) fn stop(&mut self) -> io::Result<()> {
        for unit in &mut self.units {
            unit.device.stop()?;
        }
        Ok(self.shore.stop()?)
    }
}

impl Unit {
    fn set_flooding(&mut self, is_flooding: bool) {
        self.is_flooding = is_flooding;
        let rate = if is_flooding { FLOOD_LINES_PER_SECOND } else { LINES_PER_SECOND };
        if let Some(writer) = &self.writer {
            writer.set_rate(rate);
        }
    }

    /// Lines written so far.
    pub(super) fn lines(&self) -> u64 {
        self.writer.as_ref().map_or_else(|| self.journal.lines(), Writer::lines)
    }

    /// What is being done to the device.
    pub(super) fn state(&self) -> (&'static str, bool) {
        if self.device.is_killed() {
            ("agent killed", true)
        } else if self.device.line().is_cut() {
            ("network cut", true)
        } else if self.is_flooding {
            ("floods", true)
        } else {
            (self.clock.unwrap_or("runs"), false)
        }
    }
}

/// What is written on a device: two files, each in a style of its own, or the user's own lines.
fn writing(
    device: &Device,
    folder: &Path,
    number: usize,
    options: &Options,
    input: Option<&Arc<[u8]>>,
) -> WriterConfig {
    let seed = options.seed.wrapping_mul(1_000).wrapping_add(number as u64);
    let generated = |nth: usize| {
        let style = Style::ALL.get((2 * number + nth) % Style::ALL.len()).copied().unwrap_or(Style::Syslog);
        (style.file_name().to_owned(), Feed::Generated(Corpus::new(style, seed, true)))
    };
    let files = match input {
        None => (0..2).map(generated).collect(),
        Some(text) => {
            let at = text.len() / options.devices * number;
            // On to the beginning of the next line.
            let rest = text.get(at..).unwrap_or_default();
            let next = rest.iter().position(|byte| *byte == b'\n').map_or(0, |end| at + end + 1);
            let at = if number == 0 || next >= text.len() { 0 } else { next };
            vec![("input.log".to_owned(), Feed::Repeated { text: Arc::clone(text), at })]
        }
    };
    WriterConfig {
        logs: device.logs(),
        journal: folder.join("journal"),
        files,
        lines_per_second: LINES_PER_SECOND,
        rotate_bytes: ROTATE_BYTES,
        seed,
    }
}
