//! The shore: a gateway with its embedded broker, its ledger and its archive, that can be killed.
//!
//! ```text
//! gateway.toml   its configuration
//! gateway.log    what it says
//! clock          the clock that it may be told to believe
//! data/          its ledger and archive
//! ```

mod page;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub use page::Page;
use serde::Deserialize;

use crate::access::Access;
use crate::clock;
use crate::process::{Process, ProcessError, Programs, run};
use crate::usage::Usage;

/// Time for a gateway to be ready.
const READY_WAIT: Duration = Duration::from_secs(30);
/// Time for a gateway to finish its commit and end.
const STOP_WAIT: Duration = Duration::from_secs(30);
/// The longest wait for a commit to kill it in.
const MID_COMMIT_WAIT: Duration = Duration::from_secs(2);

/// How a gateway is configured, where it is not as everywhere.
#[derive(Clone, Debug)]
pub struct GatewaySettings {
    /// A file of the archive that has reached this is closed.
    pub file_bytes_max: u64,
    /// Whether closed files are compressed.
    pub compress: bool,
    /// How much the gateway says.
    pub log_level: &'static str,
    /// Whether it has an archive.
    pub has_archive: bool,
    /// More of its configuration, section by section.
    pub more: String,
    /// Another broker than the embedded one.
    pub broker: Option<SocketAddr>,
    /// What that broker wants.
    pub access: Access,
    /// It believes a clock that can be set, as devices do.
    pub has_trial_clock: bool,
}

impl Default for GatewaySettings {
    fn default() -> Self {
        Self {
            file_bytes_max: 4 << 20,
            compress: true,
            log_level: "info",
            has_archive: true,
            more: String::new(),
            broker: None,
            access: Access::default(),
            has_trial_clock: false,
        }
    }
}

/// The shore.
#[derive(Debug)]
pub struct Shore {
    folder: PathBuf,
    programs: Programs,
    broker: SocketAddr,
    web: SocketAddr,
    gateway: Option<Process>,
    starts: u32,
    used_before: Usage,
}

impl Shore {
    /// Makes the folder of a gateway. Nothing runs yet.
    ///
    /// # Errors
    /// When the folder or its configuration cannot be made.
    pub fn new(programs: &Programs, folder: &Path, settings: &GatewaySettings) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let address = || io::Result::Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, crate::ports::free()?)));
        let shore = Self {
            folder: fs::canonicalize(folder)?,
            programs: programs.clone(),
            broker: settings.broker.map_or_else(address, Ok)?,
            web: address()?,
            gateway: None,
            starts: 0,
            used_before: Usage::default(),
        };
        shore.set_clock(0)?;
        fs::write(shore.config(), shore.config_text(settings))?;
        Ok(shore)
    }

    fn config_text(&self, settings: &GatewaySettings) -> String {
        let GatewaySettings {
            file_bytes_max,
            compress,
            log_level,
            has_archive,
            more,
            broker,
            access,
            has_trial_clock,
        } = settings;
        let (data, web) = (self.data(), self.web);
        let broker = match broker {
            Some(other) => format!("url = \"{}://{other}\"\n{}", access.scheme, access.keys),
            None => format!(r#"listen = "{}""#, self.broker),
        };
        let trial = match has_trial_clock {
            true => format!("\n[trial]\nclock_file = \"{}\"\n", self.clock().display()),
            false => String::new(),
        };
        format!(
            r#"data_dir = "{}"

[broker]
{broker}

[archive]
enabled = {has_archive}
file_bytes_max = {file_bytes_max}
compress = {compress}

[web]
listen = "{web}"

[log]
level = "{log_level}"
{trial}
{more}"#,
            data.display()
        )
    }

    fn clock(&self) -> PathBuf {
        self.folder.join("clock")
    }

    /// Sets the gateway's wall clock so far from the true one, if it believes a trial clock.
    ///
    /// # Errors
    /// When the file cannot be replaced.
    pub fn set_clock(&self, wall_offset_ms: i64) -> io::Result<()> {
        let new = self.folder.join("clock.new");
        fs::write(&new, format!("wall_offset_ms={wall_offset_ms}\n"))?;
        fs::rename(new, self.clock())
    }

    /// Where its broker listens.
    #[must_use]
    pub fn broker(&self) -> SocketAddr {
        self.broker
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.join("gateway.toml")
    }

    /// What it says.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join("gateway.log")
    }

    /// Its ledger and its archive.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Its archive.
    #[must_use]
    pub fn archive(&self) -> PathBuf {
        self.data().join("archive")
    }

    /// How often it was started.
    #[must_use]
    pub fn starts(&self) -> u32 {
        self.starts
    }

    /// Starts the gateway and does not wait for it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&mut self) -> Result<(), ProcessError> {
        let mut command = self.programs.gateway();
        command.arg("run").arg("--config").arg(self.config());
        self.gateway = Some(Process::start("the gateway", command, &self.log())?);
        self.starts += 1;
        Ok(())
    }

    /// Waits until the gateway is ready for devices.
    ///
    /// # Errors
    /// When it is not within a named time, or has ended.
    pub fn wait_ready(&mut self) -> Result<(), ProcessError> {
        let page = self.page();
        let Some(gateway) = self.gateway.as_mut() else { return Ok(()) };
        let mut ended = None;
        let is_ready = clock::wait_until(READY_WAIT, || {
            ended = gateway.ended();
            ended.is_some() || page.is_ready()
        });
        match ended {
            Some(status) => Err(gateway.error(format!("ended by itself with {status}"))),
            None if is_ready => Ok(()),
            None => Err(gateway.error(format!("is not ready after {READY_WAIT:?}"))),
        }
    }

    /// Kills the gateway, and its broker with it, where it stands.
    pub fn kill(&mut self) {
        self.used_before = self.usage();
        if let Some(mut gateway) = self.gateway.take() {
            gateway.kill();
        }
    }

    /// Kills the gateway, and its broker with it, in the middle of a commit: the archive has grown
    /// and the ledger does not know it yet.
    pub fn kill_in_mid_commit(&mut self) {
        self.used_before = self.usage();
        let archive = self.archive();
        if let Some(mut gateway) = self.gateway.take() {
            let before = archive_length(&archive);
            gateway.kill_when(MID_COMMIT_WAIT, || archive_length(&archive) > before);
        }
    }

    /// Asks the gateway to stop and waits until it has ended well.
    ///
    /// # Errors
    /// When it does not.
    pub fn stop(&mut self) -> Result<(), ProcessError> {
        self.used_before = self.usage();
        match self.gateway.take() {
            Some(mut gateway) => gateway.stop(STOP_WAIT),
            None => Ok(()),
        }
    }

    /// An error if the gateway should run and does not.
    ///
    /// # Errors
    /// The gateway ended by itself.
    pub fn check(&mut self) -> Result<(), ProcessError> {
        match self.gateway.as_mut().map(|gateway| (gateway.ended(), gateway)) {
            Some((Some(status), gateway)) => Err(gateway.error(format!("ended by itself with {status}"))),
            _ => Ok(()),
        }
    }

    /// The gateway's process, while it runs or is not yet missed.
    pub fn gateway(&mut self) -> Option<&mut Process> {
        self.gateway.as_mut()
    }

    /// What all gateways have used so far.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let now = self.gateway.as_ref().and_then(|gateway| gateway.usage().ok());
        now.map_or(self.used_before, |now| self.used_before.and(now))
    }

    /// Its page for operators.
    #[must_use]
    pub fn page(&self) -> Page {
        Page(self.web)
    }

    /// The gateway's program, for its other commands.
    #[must_use]
    pub fn program(&self) -> Command {
        self.programs.gateway()
    }

    /// Runs `gateway audit` over the archive, which trusts no counter, and over what the spools of
    /// devices say (`spool inspect --json`, in files).
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn audit(&self, spools: &[PathBuf]) -> io::Result<Audit> {
        let mut command = self.programs.gateway();
        command.arg("audit").arg("--archive").arg(self.archive());
        for spool in spools {
            command.arg("--spool").arg(spool);
        }
        Audit::run(command)
    }

    /// The same over the content of each of these sinks, and of all against each other.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn audit_sinks(&self, sinks: &[&str]) -> io::Result<Audit> {
        let mut command = self.programs.gateway();
        command.arg("audit").arg("--config").arg(self.config());
        sinks.iter().for_each(|sink| {
            command.args(["--sink", sink]);
        });
        Audit::run(command)
    }

    /// What `gateway audit --json` says about each lane.
    ///
    /// # Errors
    /// When it cannot be run, or its answer cannot be read.
    pub fn audit_lanes(&self) -> io::Result<Vec<LaneAudit>> {
        #[derive(Deserialize)]
        struct Report {
            lanes: Vec<LaneAudit>,
        }
        let mut command = self.programs.gateway();
        command.args(["audit", "--json", "--archive"]).arg(self.archive());
        let report: Report = serde_json::from_slice(&run(command)?.stdout)?;
        Ok(report.lanes)
    }
}

/// The newest file of an archive and its length.
fn archive_length(archive: &Path) -> Option<(PathBuf, u64)> {
    let newest = |folder: &Path| {
        let entries = fs::read_dir(folder).ok()?;
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir() || is_plain(path)).max()
    };
    // Numbers count over all days, so the newest day has the newest file.
    let file = newest(&newest(archive).filter(|path| path.is_dir())?)?;
    let length = fs::metadata(&file).ok()?.len();
    Some((file, length))
}

fn is_plain(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "ndjson")
}

/// What an audit said.
#[derive(Clone, Debug)]
pub struct Audit {
    /// The promise is kept: nothing lost, doubled or out of order (exit code 0).
    pub is_kept: bool,
    /// What it printed.
    pub report: String,
}

impl Audit {
    fn run(command: Command) -> io::Result<Self> {
        let output = run(command)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let report = text(&output.stdout) + &text(&output.stderr);
        Ok(Self { is_kept: output.status.success(), report })
    }
}

/// What an audit says about one lane, as far as more than its verdict is asked for.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct LaneAudit {
    /// The device.
    pub device: String,
    /// Records that are there although they were declared gone.
    pub declared_but_present: u64,
    /// Notices by name, and how many.
    pub notices: Vec<(String, u64)>,
}
