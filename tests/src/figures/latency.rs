//! How long a line takes from the moment it is written until a consumer of Kafka that reads committed messages has it,
//! at a modest rate.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use super::mqtt::broker;
use crate::clock;
use crate::device::{AgentSettings, Device};
use crate::process::Programs;
use crate::servers::{Kafka, Sink as _};
use crate::shore::{GatewaySettings, Shore};

/// Lines that are written in a second.
pub(super) const LINES_PER_SECOND: u32 = 200;
/// Lines whose way is measured.
const LINES: usize = 4_000;
/// Lines before them, which find everything cold.
const WARM: usize = 400;
/// Stands before the number of nanoseconds at which a line was written.
const MARK: &str = "written at ";

/// How long it took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Latency {
    pub(super) median: Duration,
    /// Ninety-nine of a hundred lines took no longer.
    pub(super) p99: Duration,
}

/// Measures with an agent that seals a block after so many milliseconds.
pub(super) fn measure(
    programs: &Programs,
    folder: &Path,
    kafka: &Kafka,
    delay_ms_max: u64,
) -> io::Result<Latency> {
    let folder = &folder.join(format!("latency-{delay_ms_max}"));
    fs::create_dir_all(folder)?;
    let (address, _broker) = broker(programs, folder)?;
    let settings = GatewaySettings {
        has_archive: false,
        more: kafka.section("")?,
        broker: Some(address),
        ..GatewaySettings::default()
    };
    let mut shore = Shore::new(programs, &folder.join("gateway"), &settings)?;
    let agent = AgentSettings { delay_ms_max, ..AgentSettings::default() };
    let name = format!("latency-{delay_ms_max}");
    let mut device = Device::new(programs, &name, &folder.join("device"), address, &agent)?;
    shore.start()?;
    shore.wait_ready()?;
    device.start()?;
    let log = device.logs().join("all.log");
    let writer = std::thread::spawn(move || write(&log));
    let mut times = consume(&kafka.brokers(), &format!("\"{name}\""))?;
    writer.join().map_err(|_| io::Error::other("the writer has panicked"))??;
    device.stop()?;
    shore.stop()?;
    fs::remove_dir_all(folder)?;
    times.drain(..WARM.min(times.len()));
    times.sort_unstable();
    let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
    Ok(Latency { median: at(50), p99: at(99) })
}

fn write(log: &Path) -> io::Result<()> {
    let mut file = fs::File::create(log)?;
    let began = clock::now();
    for number in 0..WARM + LINES {
        let due = began + Duration::from_secs(1) * u32::try_from(number).unwrap_or(0) / LINES_PER_SECOND;
        std::thread::sleep(due.saturating_duration_since(clock::now()));
        let line = format!(
            "line {number:06} of a modest rate, some ninety bytes long, {MARK}{}\n",
            clock::wall_ns()
        );
        file.write_all(line.as_bytes())?;
    }
    Ok(())
}

/// How long each line took, in the order in which they arrive.
#[cfg(feature = "kafka")]
fn consume(brokers: &str, device: &str) -> io::Result<Vec<Duration>> {
    use rdkafka::Message as _;
    use rdkafka::config::ClientConfig;
    use rdkafka::consumer::{BaseConsumer, Consumer as _};

    /// Time for the next line to arrive.
    const LAST_WAIT: Duration = Duration::from_secs(30);
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "latency")
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .create()
        .map_err(io::Error::other)?;
    consumer.subscribe(&["driftlog.records"]).map_err(io::Error::other)?;
    let mut times = Vec::new();
    let mut heard = clock::now();
    while times.len() < WARM + LINES {
        if clock::now() > heard + LAST_WAIT {
            return Err(io::Error::other(format!("only {} lines have arrived", times.len())));
        }
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let message = message.map_err(io::Error::other)?;
        let now = clock::wall_ns();
        let document = String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned();
        if !document.contains(device) {
            continue;
        }
        if let Some(written) = written(&document) {
            heard = clock::now();
            times.push(Duration::from_nanos(u64::try_from(now - written).unwrap_or(0)));
        }
    }
    Ok(times)
}

#[cfg(not(feature = "kafka"))]
fn consume(_: &str, _: &str) -> io::Result<Vec<Duration>> {
    Err(io::Error::other("this build has no Kafka"))
}

/// When the line of a document was written.
#[cfg(feature = "kafka")]
fn written(document: &str) -> Option<i64> {
    let digits = document.split_once(MARK)?.1;
    let end = digits.find(|c: char| !c.is_ascii_digit())?;
    digits.get(..end)?.parse().ok()
}
