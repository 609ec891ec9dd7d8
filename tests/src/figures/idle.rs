//! An agent that is connected and has nothing to do.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::clock;
use crate::device::{AgentSettings, Device};
use crate::process::Programs;
use crate::shore::{GatewaySettings, Shore};
use crate::usage::Usage;

const CONNECT_WAIT: Duration = Duration::from_secs(60);
/// How long it is left alone.
const IDLE: Duration = Duration::from_secs(3);

/// Its memory, and its processor time in each second of idling.
pub(super) fn measure(programs: &Programs, folder: &Path) -> io::Result<(u64, Duration)> {
    let mut shore = Shore::new(programs, &folder.join("gateway"), &GatewaySettings::default())?;
    shore.start()?;
    shore.wait_ready()?;
    let place = folder.join("device");
    let mut device = Device::new(programs, "device", &place, shore.broker(), &AgentSettings::default())?;
    std::fs::write(device.logs().join("quiet.log"), "one line\n")?;
    device.start()?;
    let is_up = || device.status().is_some_and(|status| status.link.is_up && status.core.answered);
    if !clock::wait_until(CONNECT_WAIT, is_up) {
        return Err(io::Error::other(format!("an idle agent does not connect: {:?}", device.status())));
    }
    std::thread::sleep(IDLE);
    let before: Usage = device.usage();
    std::thread::sleep(IDLE);
    let after = device.usage();
    device.stop()?;
    shore.stop()?;
    std::fs::remove_dir_all(&place)?;
    std::fs::remove_dir_all(folder.join("gateway"))?;
    let cpu = after.cpu.saturating_sub(before.cpu) / u32::try_from(IDLE.as_secs()).unwrap_or(1);
    Ok((after.resident_bytes, cpu))
}
