//! A machine with its gateway, from cut to cut.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use driftlog_agent::status::Status;

use super::judge::{Said, Verdict};
use super::plan::{Plan, Plans};
use crate::clock;
use crate::machine::{Console, Flash, Image, Machine};
use crate::process::Programs;
use crate::shore::{GatewaySettings, Shore};

/// Time for a kernel to come up.
const UP_WAIT: Duration = Duration::from_secs(180);
/// Time for everything to come in once the power stays.
const REST_WAIT: Duration = Duration::from_secs(300);
const FLASH_MB: u64 = 96;

/// Sets the agent going, then says that the device is up.
const BOOT: &str =
    "mkdir -p /data/logs /data/driftlog\ndriftlog-agent run --config /etc/driftlog/agent.toml &\necho UP\n";
/// Says each second how the agent is.
const TELL: &str =
    "while sleep 1; do echo \"S $(driftlog-agent status --json --config /etc/driftlog/agent.toml)\"; done\n";

/// A device in the making, and what it said so far.
pub(super) struct Unit {
    machine: Machine,
    shore: Shore,
    plans: Plans,
    overflow: &'static str,
    /// Whether its writer syncs in every boot.
    is_synced: bool,
    said: Said,
    folder: PathBuf,
}

impl Unit {
    /// A device that is off.
    pub(super) fn new(number: u64, seed: u64, image: &Image, folder: &Path) -> io::Result<Self> {
        let shore =
            Shore::new(&Programs::in_myself()?, &folder.join("gateway"), &GatewaySettings::default())?;
        Ok(Self {
            machine: Machine::new(&format!("machine {number}"), folder, image, Flash::new(FLASH_MB))?,
            shore,
            plans: Plans::new(seed.wrapping_mul(1_000).wrapping_add(number)),
            overflow: if number.is_multiple_of(2) { "pause-sources" } else { "drop-oldest" },
            is_synced: matches!(number % 4, 0 | 3),
            said: Said::default(),
            folder: folder.to_owned(),
        })
    }

    /// One boot, and the cut that ends it. Returns what kind it was.
    pub(super) fn cut(&mut self) -> io::Result<String> {
        let mut plan = self.plans.draw();
        plan.is_synced |= self.is_synced;
        if plan.has_shore {
            self.shore.start()?;
            self.shore.wait_ready()?;
        }
        let console = self.boot(&(BOOT.to_owned() + &self.writer(&plan)))?;
        let up = clock::now();
        if plan.has_shore && plan.is_shore_killed {
            std::thread::sleep(plan.after / 2);
            self.shore.kill();
            self.shore.start()?;
        }
        std::thread::sleep((up + plan.after).saturating_duration_since(clock::now()));
        self.machine.check()?;
        self.machine.cut();
        self.shore.kill();
        let durable = self.said.hear(&console);
        Ok(format!("{plan}; {durable} lines durable"))
    }

    /// Copies the flash as the next boot will find it.
    pub(super) fn keep_flash(&self) -> io::Result<()> {
        self.machine.keep_flash()
    }

    /// Leaves the device alone until everything is on shore.
    pub(super) fn rest(&mut self) -> io::Result<()> {
        self.shore.start()?;
        self.shore.wait_ready()?;
        let console = self.boot(&(BOOT.to_owned() + TELL))?;
        let is_over = clock::wait_until(REST_WAIT, || {
            let status = console.newest("S ").and_then(|line| serde_json::from_str::<Status>(&line).ok());
            status.is_some_and(|status| is_at_rest(&status))
        });
        self.machine.check()?;
        self.machine.cut();
        self.shore.stop()?;
        if is_over {
            return Ok(());
        }
        let (said, file) = (console.newest("S ").unwrap_or_default(), console.file().display());
        Err(io::Error::other(format!("not all is on shore after {REST_WAIT:?}: {said}\nits console: {file}")))
    }

    /// Counts.
    pub(super) fn judge(&self) -> io::Result<Verdict> {
        let cuts = self.machine.boots().saturating_sub(1);
        let writer = if self.is_synced { "synced" } else { "not always synced" };
        let name = format!("{}, {writer}", self.overflow);
        Verdict::reach(&self.shore, &self.said, cuts, (name, self.overflow == "drop-oldest"), &self.folder)
    }

    /// Switches it on and waits until it is up.
    fn boot(&mut self, script: &str) -> io::Result<Console> {
        let config = self.config();
        let brought = [("etc/driftlog/boot", script), ("etc/driftlog/agent.toml", config.as_str())];
        let console = self.machine.switch_on(&brought)?;
        if console.wait_for("UP", UP_WAIT) {
            return Ok(console);
        }
        self.machine.check()?;
        let file = console.file().display();
        Err(io::Error::other(format!("the device is not up after {UP_WAIT:?}; its console: {file}")))
    }

    fn writer(&self, plan: &Plan) -> String {
        let (mark, no_sync) = (self.machine.boots() + 1, if plan.is_synced { "" } else { "--no-sync" });
        // What is kept of rotated files is more than what can wait there to be read.
        let (rate, filling, rotate_bytes) =
            if plan.is_flood { (200, 2_000, 400_000) } else { (100, 60, 20_000) };
        format!(
            "driftlog-writer --mark {mark} --rate {rate} --filling {filling} --urgent-every 17 \
             --rotate-bytes {rotate_bytes} --kept 60 {no_sync}\n"
        )
    }

    fn config(&self) -> String {
        let (port, overflow) = (self.shore.broker().port(), self.overflow);
        format!(
            r#"device_id = "virtual"
state_dir = "/data/driftlog"
[broker]
url = "mqtt://10.0.2.2:{port}"
backoff_ms_min = 50
backoff_ms_max = 500
[spool]
delay_ms_max = 200
delay_offline_ms_max = 400
bulk.bytes_max = 1048576
bulk.overflow = "{overflow}"
urgent.bytes_max = 1048576
urgent.overflow = "{overflow}"
[[source]]
type = "file"
paths = ["/data/logs/*"]
"#
        )
    }
}

/// Whether all that there is of its files is read and acknowledged. What the power took of a file that was
/// read is less than nothing to be read.
fn is_at_rest(status: &Status) -> bool {
    let core = &status.core;
    let is_read = core.sources.iter().all(|source| source.offset >= source.length);
    core.answered && is_read && core.lanes.iter().all(|lane| lane.open == 0 && lane.waiting == 0)
}
