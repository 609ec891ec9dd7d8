//! A device: a folder with logs and a spool, an agent that can be killed, and its own bad line to
//! the broker.
//!
//! ```text
//! logs/        what the agent tails
//! state/       its spool
//! agent.toml   its configuration
//! agent.log    what it says
//! clock        the clock that it is told to believe (see `[trial]` in docs/configure-agent.md)
//! ```

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use driftlog_agent::status::{self, Status};

use crate::access::Access;
use crate::process::{Process, ProcessError, Programs, run};
use crate::proxy::{Line, Proxy};
use crate::usage::Usage;

/// Time for an agent to seal, send what it can and end.
const STOP_WAIT: Duration = Duration::from_secs(30);
/// The longest wait for a write to kill it in.
const MID_WRITE_WAIT: Duration = Duration::from_secs(2);

/// How an agent is configured, where it is not as everywhere.
#[derive(Clone, Debug)]
pub struct AgentSettings {
    /// Milliseconds until an open block is sealed, connected or not.
    pub delay_ms_max: u64,
    /// `block`, `interval` or `none`.
    pub durability: &'static str,
    /// Bytes of the bulk lane's spool.
    pub bulk_bytes_max: u64,
    /// `drop-oldest` or `pause-sources`, for both lanes.
    pub overflow: &'static str,
    /// From which severity a line is urgent; `off` for one lane.
    pub urgent: &'static str,
    /// Milliseconds after which a last line without an end is taken as it stands.
    pub idle_line_ms: u64,
    /// Milliseconds of the longest wait before connecting again.
    pub backoff_ms_max: u64,
    /// How much the agent says.
    pub log_level: &'static str,
    /// What its broker wants.
    pub access: Access,
}

impl Default for AgentSettings {
    fn default() -> Self {
        Self {
            delay_ms_max: 200,
            durability: "block",
            bulk_bytes_max: 256 << 20,
            overflow: "drop-oldest",
            urgent: "error",
            idle_line_ms: 5_000,
            backoff_ms_max: 1_000,
            log_level: "info",
            access: Access::default(),
        }
    }
}

/// A device.
#[derive(Debug)]
pub struct Device {
    name: String,
    folder: PathBuf,
    programs: Programs,
    proxy: Proxy,
    agent: Option<Process>,
    starts: u32,
    used_before: Usage,
}

impl Device {
    /// Makes the folder of a device and the line from it to the broker. Nothing runs yet.
    ///
    /// # Errors
    /// When a folder or file cannot be made.
    pub fn new(
        programs: &Programs,
        name: &str,
        folder: &Path,
        broker: SocketAddr,
        settings: &AgentSettings,
    ) -> io::Result<Self> {
        let proxy = Proxy::start(broker)?;
        fs::create_dir_all(folder.join("logs"))?;
        let device = Self {
            name: name.to_owned(),
            folder: fs::canonicalize(folder)?,
            programs: programs.clone(),
            proxy,
            agent: None,
            starts: 0,
            used_before: Usage::default(),
        };
        device.configure(settings)?;
        device.set_clock(0, 0, None)?;
        Ok(device)
    }

    /// Configures its agent, from its next start on.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn configure(&self, settings: &AgentSettings) -> io::Result<()> {
        fs::write(self.config(), self.config_text(settings))
    }

    fn config_text(&self, settings: &AgentSettings) -> String {
        let AgentSettings { delay_ms_max, durability, bulk_bytes_max, overflow, urgent, .. } = settings;
        let folder = self.folder.display();
        let (name, broker) = (&self.name, self.proxy.address());
        let Access { scheme, keys } = &settings.access;
        format!(
            r#"device_id = "{name}"
state_dir = "{folder}/state"

[broker]
url = "{scheme}://{broker}"
{keys}backoff_ms_min = 50
backoff_ms_max = {}

[spool]
durability = "{durability}"
delay_ms_min = {delay_ms_max}
delay_ms_max = {delay_ms_max}
delay_offline_ms_max = {delay_ms_max}
bulk.bytes_max = {bulk_bytes_max}
bulk.overflow = "{overflow}"
urgent.overflow = "{overflow}"
urgent.severity_min = "{urgent}"

[[source]]
type = "file"
paths = ["{folder}/logs/**"]
idle_line_ms = {}

[log]
level = "{}"

[trial]
clock_file = "{folder}/clock"
"#,
            settings.backoff_ms_max, settings.idle_line_ms, settings.log_level
        )
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its logs are.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// Where its agent keeps its spool.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Its agent's configuration.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.join("agent.toml")
    }

    /// What its agent says.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join("agent.log")
    }

    /// Its line to the broker.
    #[must_use]
    pub fn line(&self) -> &Arc<Line> {
        self.proxy.line()
    }

    /// How often its agent was started.
    #[must_use]
    pub fn starts(&self) -> u32 {
        self.starts
    }

    /// Sets the clock that the agent believes: so far from the true wall clock, running fast by so
    /// much, and in another boot from its next start on.
    ///
    /// # Errors
    /// When the file cannot be replaced.
    pub fn set_clock(&self, wall_offset_ms: i64, drift_ppm: i64, boot: Option<u128>) -> io::Result<()> {
        let boot = boot.map(|boot| format!("boot_id={boot:032x}\n")).unwrap_or_default();
        let text = format!("wall_offset_ms={wall_offset_ms}\ndrift_ppm={drift_ppm}\n{boot}");
        let (new, file) = (self.folder.join("clock.new"), self.folder.join("clock"));
        fs::write(&new, text)?;
        fs::rename(new, file)
    }

    /// Starts its agent.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&mut self) -> Result<(), ProcessError> {
        let mut command = self.programs.agent();
        command.arg("run").arg("--config").arg(self.config());
        self.agent = Some(Process::start(&format!("the agent of {}", self.name), command, &self.log())?);
        self.starts += 1;
        Ok(())
    }

    /// Kills its agent where it stands.
    pub fn kill(&mut self) {
        self.used_before = self.usage();
        if let Some(mut agent) = self.agent.take() {
            agent.kill();
        }
    }

    /// Kills its agent just after it wrote something and before that is synced.
    pub fn kill_in_mid_write(&mut self) {
        self.used_before = self.usage();
        if let Some(mut agent) = self.agent.take() {
            let process = agent.id();
            let written = || Usage::of(process).map_or(0, |usage| usage.written_bytes);
            let before = written();
            agent.kill_when(MID_WRITE_WAIT, || written() != before);
        }
    }

    /// Asks its agent to stop and waits until it has ended well.
    ///
    /// # Errors
    /// When it does not.
    pub fn stop(&mut self) -> Result<(), ProcessError> {
        self.used_before = self.usage();
        match self.agent.take() {
            Some(mut agent) => agent.stop(STOP_WAIT),
            None => Ok(()),
        }
    }

    /// Whether its agent was killed or stopped and not started again.
    #[must_use]
    pub fn is_killed(&self) -> bool {
        self.agent.is_none()
    }

    /// Its agent, while it runs or is not yet missed.
    pub fn agent(&mut self) -> Option<&mut Process> {
        self.agent.as_mut()
    }

    /// An error if its agent should run and does not.
    ///
    /// # Errors
    /// The agent ended by itself.
    pub fn check(&mut self) -> Result<(), ProcessError> {
        match self.agent.as_mut().map(|agent| (agent.ended(), agent)) {
            Some((Some(status), agent)) => Err(agent.error(format!("ended by itself with {status}"))),
            _ => Ok(()),
        }
    }

    /// What all its agents have used so far.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let now = self.agent.as_ref().and_then(|agent| agent.usage().ok());
        now.map_or(self.used_before, |now| self.used_before.and(now))
    }

    /// What its agent says about itself; nothing while it does not answer.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        self.agent.as_ref()?;
        status::ask(&self.state()).ok()
    }

    /// What `spool inspect --json` prints.
    ///
    /// # Errors
    /// When it fails.
    pub fn inspect(&self) -> io::Result<String> {
        let mut command = self.programs.agent();
        command.args(["spool", "inspect", "--json", "--config"]).arg(self.config());
        let output = run(command)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(io::Error::other(format!("cannot inspect the spool of {}: {said}", self.name)))
    }
}

/// Whether an agent has read all of its files and everything is acknowledged, as it says itself:
/// at least as many records as lines were written.
#[must_use]
pub fn is_done(status: &Status, lines: u64) -> bool {
    let core = &status.core;
    let is_read = core.sources.iter().all(|source| source.offset == source.length);
    let is_empty = core.lanes.iter().all(|lane| lane.open == 0 && lane.waiting == 0);
    let acknowledged: u64 = core.lanes.iter().map(|lane| lane.acknowledged).sum();
    is_read && is_empty && acknowledged >= lines
}
