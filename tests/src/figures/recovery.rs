//! How long an agent takes to be at work with a spool of 256 MB, and what it holds in memory then.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use crate::clock;
use crate::corpus::Random;
use crate::device::{AgentSettings, Device};
use crate::process::Programs;

const SPOOL_BYTES: u64 = 256 * 1024 * 1024;
const FILL_WAIT: Duration = Duration::from_secs(900);
const START_WAIT: Duration = Duration::from_secs(60);

/// What was measured.
#[derive(Clone, Debug, Default)]
pub(super) struct Recovery {
    /// Bytes of the spool.
    pub(super) spool_bytes: u64,
    /// From the start of the process until it answers, with that spool; for each run.
    pub(super) full: Vec<Duration>,
    /// The same with an empty one.
    pub(super) empty: Vec<Duration>,
    /// The most resident memory while the spool was filled.
    pub(super) bytes_peak: u64,
}

/// Fills a spool with what does not compress, then starts an agent on it again and again.
pub(super) fn measure(programs: &Programs, folder: &Path, runs: usize) -> io::Result<Recovery> {
    let place = folder.join("device");
    // Nobody listens there: the device is offline.
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, crate::ports::free()?));
    let settings = AgentSettings {
        delay_ms_max: 1_000,
        durability: "none",
        bulk_bytes_max: SPOOL_BYTES + SPOOL_BYTES / 8,
        ..AgentSettings::default()
    };
    let mut device = Device::new(programs, "device", &place, nowhere, &settings)?;
    device.line().cut();
    let mut recovery = Recovery::default();
    for _ in 0..runs {
        recovery.empty.push(start(&mut device)?);
    }
    write_noise(&device.logs().join("noise.log"))?;
    device.start()?;
    let used = |device: &Device| {
        let status = device.status();
        status.map_or(0, |status| status.core.lanes.iter().map(|lane| lane.spool_bytes).sum())
    };
    let is_read = |device: &Device| {
        device.status().is_some_and(|status| {
            let is_read = status.core.sources.iter().all(|source| source.offset == source.length);
            is_read && !status.core.sources.is_empty() && status.core.lanes.iter().all(|lane| lane.open == 0)
        })
    };
    if !clock::wait_until(FILL_WAIT, || is_read(&device)) {
        return Err(io::Error::other(format!("the spool does not fill: {:?}", device.status())));
    }
    recovery.spool_bytes = used(&device);
    recovery.bytes_peak = device.usage().resident_bytes_peak;
    device.kill();
    for _ in 0..runs {
        recovery.full.push(start(&mut device)?);
    }
    drop(device);
    fs::remove_dir_all(&place)?;
    Ok(recovery)
}

/// Starts the agent, waits until it answers, and kills it.
fn start(device: &mut Device) -> io::Result<Duration> {
    let began = clock::now();
    device.start()?;
    while device.status().is_none() {
        if clock::now() > began + START_WAIT {
            device.check()?;
            return Err(io::Error::other("an agent does not answer after its start"));
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    let took = clock::now() - began;
    device.kill();
    Ok(took)
}

/// Lines of 120 random digits out of 64: packed they take about three quarters.
fn write_noise(path: &Path) -> io::Result<()> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut random = Random::new(1);
    let mut file = BufWriter::new(File::create(path)?);
    let lines = SPOOL_BYTES * 4 / 3 / 121;
    let mut line = Vec::with_capacity(128);
    for _ in 0..lines {
        line.clear();
        for _ in 0..12 {
            let bits = random.number();
            let digit = |at: u64| DIGITS.get((bits >> (6 * at) & 63) as usize).copied().unwrap_or(b'A');
            line.extend((0..10).map(digit));
        }
        line.push(b'\n');
        file.write_all(&line)?;
    }
    file.flush()
}
