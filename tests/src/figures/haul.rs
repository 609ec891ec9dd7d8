//! A haul: an agent finds a log, and everything in it goes to the archive of a gateway. What agent
//! and gateway used for it is read off their processes.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::machine;
use crate::clock;
use crate::device::{AgentSettings, Device, is_done};
use crate::process::Programs;
use crate::shore::{GatewaySettings, Shore};

/// Time for one haul.
const HAUL_WAIT: Duration = Duration::from_secs(900);

/// What a haul cost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Haul {
    /// Processor time of the agent.
    pub(super) agent_cpu: Duration,
    /// The most resident memory of the agent.
    pub(super) agent_bytes_peak: u64,
    /// Bytes that the agent caused to be written, as the kernel counts them for its process; or of
    /// the whole block device.
    pub(super) flash_bytes: u64,
    /// Bytes from agent to broker, MQTT included.
    pub(super) wire_bytes_up: u64,
    /// Bytes from broker to agent.
    pub(super) wire_bytes_down: u64,
    /// Processor time of gateway and broker.
    pub(super) gateway_cpu: Duration,
    /// From the agent's start until everything was acknowledged.
    pub(super) time: Duration,
}

/// Hauls one log of so many lines; `flash` is where the device has its folder if that lies on a
/// block device of its own.
pub(super) fn measure(
    programs: &Programs,
    log: &Path,
    lines: u64,
    folder: &Path,
    flash: Option<&Path>,
) -> io::Result<Haul> {
    let mut shore = Shore::new(programs, &folder.join("gateway"), &GatewaySettings::default())?;
    let place = flash.unwrap_or(folder).join("driftlog-device");
    let settings = AgentSettings { delay_ms_max: 1_000, ..AgentSettings::default() };
    let mut device = Device::new(programs, "device", &place, shore.broker(), &settings)?;
    fs::hard_link(log, device.logs().join("all.log")).or_else(|_| {
        // On another file system.
        fs::copy(log, device.logs().join("all.log")).map(drop)
    })?;
    shore.start()?;
    shore.wait_ready()?;
    let written = || flash.map_or(Ok(0), |_| machine::device_bytes_written(&place));
    if flash.is_some() {
        rustix::fs::sync();
    }
    let (before, began) = (written()?, clock::now());
    device.start()?;
    let is_hauled =
        clock::wait_until(HAUL_WAIT, || device.status().is_some_and(|status| is_done(&status, lines)));
    let (time, agent, gateway) = (clock::now() - began, device.usage(), shore.usage());
    if !is_hauled {
        device.check()?;
        let what = format!("the log has not arrived after {HAUL_WAIT:?}: {:?}", device.status());
        return Err(io::Error::other(what));
    }
    device.stop()?;
    let flash_bytes = if flash.is_some() {
        rustix::fs::sync();
        written()?.saturating_sub(before)
    } else {
        agent.flash_bytes
    };
    shore.stop()?;
    let haul = Haul {
        agent_cpu: agent.cpu,
        agent_bytes_peak: agent.resident_bytes_peak,
        flash_bytes,
        wire_bytes_up: device.line().bytes_up(),
        wire_bytes_down: device.line().bytes_down(),
        gateway_cpu: gateway.cpu,
        time,
    };
    fs::remove_dir_all(&place)?;
    fs::remove_dir_all(folder.join("gateway"))?;
    Ok(haul)
}
