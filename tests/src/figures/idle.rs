//! An agent that has nothing to do: what it takes, and how often it wakes up.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::clock;
use crate::device::{AgentSettings, Device, is_done};
use crate::process::Programs;
use crate::shore::{GatewaySettings, Shore};
use crate::usage::Usage;

const CONNECT_WAIT: Duration = Duration::from_secs(60);
/// How long it is left alone.
const IDLE: Duration = Duration::from_secs(3);
/// How long its waking up is counted: several times whatever it does now and then.
const WAKEUPS: Duration = Duration::from_secs(120);
/// After which it waits as long as it ever does before it connects again.
const OFFLINE: Duration = Duration::from_secs(120);

/// An agent and its gateway, which are connected and have nothing to do.
struct Quiet {
    shore: Shore,
    device: Device,
    /// From the agent's start until its first line was acknowledged.
    first_after: Duration,
}

/// What an agent takes that has nothing to do.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Idle {
    /// Its resident memory.
    pub(super) resident_bytes: u64,
    /// Its processor time in a second.
    pub(super) cpu: Duration,
    /// From its start until its first line was acknowledged.
    pub(super) first_after: Duration,
}

impl Quiet {
    fn start(programs: &Programs, folder: &Path, settings: &AgentSettings) -> io::Result<Self> {
        let mut shore = Shore::new(programs, &folder.join("gateway"), &GatewaySettings::default())?;
        shore.start()?;
        shore.wait_ready()?;
        let mut device = Device::new(programs, "device", &folder.join("device"), shore.broker(), settings)?;
        std::fs::write(device.logs().join("quiet.log"), "one line\n")?;
        let began = clock::now();
        device.start()?;
        if !clock::wait_until(CONNECT_WAIT, || device.status().is_some_and(|status| is_done(&status, 1))) {
            let what = format!("an idle agent's line does not arrive: {:?}", device.status());
            return Err(io::Error::other(what));
        }
        let first_after = clock::now() - began;
        std::thread::sleep(IDLE);
        Ok(Self { shore, device, first_after })
    }

    fn stop(mut self, folder: &Path) -> io::Result<()> {
        self.device.stop()?;
        self.shore.stop()?;
        std::fs::remove_dir_all(folder.join("device"))?;
        std::fs::remove_dir_all(folder.join("gateway"))
    }
}

/// One agent, for some seconds.
pub(super) fn measure(programs: &Programs, folder: &Path) -> io::Result<Idle> {
    let quiet = Quiet::start(programs, folder, &AgentSettings::default())?;
    let before: Usage = quiet.device.usage();
    std::thread::sleep(IDLE);
    let (after, first_after) = (quiet.device.usage(), quiet.first_after);
    quiet.stop(folder)?;
    let cpu = after.cpu.saturating_sub(before.cpu) / u32::try_from(IDLE.as_secs()).unwrap_or(1);
    Ok(Idle { resident_bytes: after.resident_bytes, cpu, first_after })
}

/// How often it wakes up in a minute, connected and not, with the waits that are configured by default.
pub(super) fn wakeups(programs: &Programs, folder: &Path) -> io::Result<[f64; 2]> {
    let settings = AgentSettings { delay_ms_max: 1_000, backoff_ms_max: 60_000, ..AgentSettings::default() };
    let quiet = Quiet::start(programs, folder, &settings)?;
    let in_a_minute = || {
        let before = quiet.device.usage().wakeups;
        std::thread::sleep(WAKEUPS);
        let woken = quiet.device.usage().wakeups.saturating_sub(before);
        woken as f64 * 60.0 / WAKEUPS.as_secs_f64()
    };
    let connected = in_a_minute();
    quiet.device.line().cut();
    std::thread::sleep(OFFLINE);
    let offline = in_a_minute();
    quiet.stop(folder)?;
    Ok([connected, offline])
}
