//! The way from the MQTT broker to each sink: what the gateway costs, broker and servers excluded, beside a bare
//! client that writes the same documents to the same server.

use std::fs;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::Log;
use super::crowd::{self, Crowd};
use super::latency::{self, Latency};
use super::mqtt::broker;
use crate::clock;
use crate::device::{AgentSettings, Device, is_done};
use crate::process::{Process, Programs, run};
use crate::servers::{Kafka, Search, Sink, Wants, With};
use crate::shore::{GatewaySettings, Shore};
use crate::table::{Table, grouped, span};

/// Time for one haul, and for a server to be installed and answer.
const WAIT: Duration = Duration::from_secs(900);
/// The agent's default delay before a block is sealed, and a short one.
const LATENCY_DELAYS_MS: [u64; 2] = [1_000, 50];
/// Bytes of documents in one request of the bare client.
const REQUEST_BYTES: usize = 4 << 20;

/// What a haul cost the gateway.
#[derive(Clone, Copy, Debug, Default)]
struct Haul {
    cpu: Duration,
    /// From the device's start until everything was acknowledged.
    time: Duration,
    resident_bytes_peak: u64,
    /// Batches that were committed.
    commits: u64,
}

/// Adds the rows of the archive and of these servers.
pub(super) fn measure(
    table: &mut Table,
    programs: &Programs,
    log: &Log,
    folder: &Path,
    with: With,
) -> io::Result<()> {
    let documents = folder.join("documents");
    let archive = GatewaySettings { compress: false, file_bytes_max: 1 << 40, ..GatewaySettings::default() };
    let (to_archive, shore) = haul(programs, log, folder, archive)?;
    gather(&shore.archive(), &documents)?;
    rows(table, "archive", log, to_archive);
    crowd_rows(table, "its own ledger", crowd::measure(programs, folder, GatewaySettings::default())?);
    if with.has_kafka {
        let wants = Wants { makes_topics: true, ..Wants::default() };
        let mut kafka = Kafka::start(&folder.join("kafka"), wants)?;
        let latencies =
            LATENCY_DELAYS_MS.map(|delay_ms| latency::measure(programs, folder, &kafka, delay_ms));
        let (haul, _) = haul(programs, log, folder, settings(&kafka)?)?;
        rows(table, "kafka", log, haul);
        let address = kafka.server().address();
        let (bare, cpu) = produce(programs, log, &documents, folder, address, haul.commits)?;
        bare_row(table, "  a bare producer, same documents, as large transactions", log, bare);
        let measured = format!("{:.2} s", cpu.as_secs_f64() * 1e6 / log.lines.max(1) as f64);
        let how = "librdkafka, its compression included";
        table.row(vec!["  its CPU per million records".into(), measured, String::new(), how.into()]);
        ratio_row(table, haul, bare, "0.7");
        for (delay_ms, latency) in LATENCY_DELAYS_MS.into_iter().zip(latencies) {
            latency_row(table, delay_ms, latency?);
        }
        crowd_rows(table, "Kafka", crowd::measure(programs, folder, settings(&kafka)?)?);
    }
    if let Some(family) = with.search {
        let mut search = Search::start(family, &folder.join("search"), "driftlog", None)?;
        let (haul, _) = haul(programs, log, folder, settings(&search)?)?;
        rows(table, family.name(), log, haul);
        let bare = bulk(&documents, folder, search.server().address())?;
        bare_row(table, "  curl, same documents, one _bulk after another", log, bare);
        ratio_row(table, haul, bare, "");
    }
    Ok(())
}

/// A gateway with this sink alone.
fn settings(sink: &impl Sink) -> io::Result<GatewaySettings> {
    Ok(GatewaySettings { has_archive: false, more: sink.section("")?, ..GatewaySettings::default() })
}

fn rows(table: &mut Table, name: &str, log: &Log, haul: Haul) {
    let per_million = haul.cpu.as_secs_f64() * 1e6 / log.lines.max(1) as f64;
    let budget = if name == "kafka" { "2 s" } else { "" };
    let how = format!("gateway alone, {} commits", grouped(haul.commits));
    table.row(vec![
        format!("{name}: CPU per million records"),
        format!("{per_million:.2} s"),
        budget.into(),
        how,
    ]);
    let rate = format!("{} /s", grouped(rate(log, haul.time)));
    let memory = crate::table::bytes(haul.resident_bytes_peak);
    table.row(vec![format!("{name}: records"), rate, String::new(), format!("peak {memory} resident")]);
}

fn bare_row(table: &mut Table, what: &str, log: &Log, bare: Duration) {
    let measured = format!("{} /s", grouped(rate(log, bare)));
    table.row(vec![what.into(), measured, String::new(), "the server's own speed here".into()]);
}

fn ratio_row(table: &mut Table, haul: Haul, bare: Duration, budget: &str) {
    let ratio = format!("{:.2}", bare.as_secs_f64() / haul.time.as_secs_f64().max(1e-9));
    let how = "agent and MQTT on this machine too";
    table.row(vec!["  records, of its records".into(), ratio, budget.into(), how.into()]);
}

fn latency_row(table: &mut Table, delay_ms: u64, latency: Latency) {
    let shown = |time: Duration| span(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    let figure = format!("line to Kafka, a block each {delay_ms} ms: median");
    let how =
        format!("{} lines/s by one agent, to a consumer that reads committed", latency::LINES_PER_SECOND);
    table.row(vec![figure, shown(latency.median), String::new(), how]);
    table.row(vec!["  99 of 100 lines, at most".into(), shown(latency.p99), String::new(), String::new()]);
}

fn crowd_rows(table: &mut Table, ledger: &str, crowd: Crowd) {
    let [few, many] = crowd.resident_bytes.map(crate::table::bytes);
    let [count_few, count_many] = crowd::DEVICES.map(|count| grouped(count as u64));
    let figure = format!("gateway memory, {count_few} and {count_many} devices");
    let how = format!("resident, idle, the ledger in {ledger}");
    table.row(vec![figure, format!("{few}, {many}"), String::new(), how]);
    let each = format!("{} B", grouped(crowd.bytes_per_device()));
    table.row(vec!["  each idle device".into(), each, "2,048 B".into(), "connected once, one lane".into()]);
    let again = crate::table::bytes(crowd.resident_bytes_again);
    table.row(vec![
        "  started again".into(),
        again,
        String::new(),
        "it knows all, and has heard none".into(),
    ]);
}

fn rate(log: &Log, time: Duration) -> u64 {
    (log.lines as f64 / time.as_secs_f64().max(1e-9)) as u64
}

/// Hauls a log to a gateway with these settings, behind a broker of its own.
fn haul(
    programs: &Programs,
    log: &Log,
    folder: &Path,
    settings: GatewaySettings,
) -> io::Result<(Haul, Shore)> {
    for name in ["gateway", "device"] {
        match fs::remove_dir_all(folder.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let (address, _broker) = broker(programs, folder)?;
    let settings = GatewaySettings { broker: Some(address), ..settings };
    let mut shore = Shore::new(programs, &folder.join("gateway"), &settings)?;
    let agent = AgentSettings { delay_ms_max: 1_000, ..AgentSettings::default() };
    let mut device = Device::new(programs, "device", &folder.join("device"), shore.broker(), &agent)?;
    fs::hard_link(&log.path, device.logs().join("all.log"))?;
    shore.start()?;
    shore.wait_ready()?;
    let (before, began) = (shore.usage().cpu, clock::now());
    device.start()?;
    let is_hauled =
        clock::wait_until(WAIT, || device.status().is_some_and(|status| is_done(&status, log.lines)));
    let (time, usage) = (clock::now() - began, shore.usage());
    if !is_hauled {
        device.check()?;
        return Err(io::Error::other(format!("the log has not arrived: {:?}", device.status())));
    }
    let commits = shore.page().metric("driftlog_gateway_commits_total{outcome=\"done\"}").unwrap_or(0.0);
    device.stop()?;
    shore.stop()?;
    let haul = Haul {
        cpu: usage.cpu - before,
        time,
        resident_bytes_peak: usage.resident_bytes_peak,
        commits: commits as u64,
    };
    Ok((haul, shore))
}

/// Every document of an archive in one file.
fn gather(archive: &Path, into: &Path) -> io::Result<()> {
    let mut out = io::BufWriter::new(fs::File::create(into)?);
    for day in fs::read_dir(archive)?.collect::<io::Result<Vec<_>>>()? {
        if day.path().is_dir() {
            let files = fs::read_dir(day.path())?.map(|file| file.map(|file| file.path()));
            let mut files: Vec<PathBuf> = files.collect::<io::Result<_>>()?;
            files.sort_unstable();
            for file in files.iter().filter(|file| file.extension().is_some_and(|end| end == "ndjson")) {
                io::copy(&mut fs::File::open(file)?, &mut out)?;
            }
        }
    }
    out.flush()
}

/// How long a bare producer takes for the documents, and its processor time.
fn produce(
    programs: &Programs,
    log: &Log,
    documents: &Path,
    folder: &Path,
    address: SocketAddr,
    commits: u64,
) -> io::Result<(Duration, Duration)> {
    let mut command = programs.producer();
    let count = log.lines / commits.max(1);
    command.arg(address.to_string()).arg("bare").arg(documents).arg(count.to_string());
    let said_in = folder.join("producer.log");
    let mut process = Process::start("the bare producer", command, &said_in)?;
    let status = process.wait(WAIT)?;
    let said = fs::read_to_string(&said_in)?;
    let numbers = said.lines().last().and_then(|line| line.split_once(' '));
    let numbers = numbers.and_then(|(time, cpu)| Some((time.parse().ok()?, cpu.parse().ok()?)));
    match (status.success(), numbers) {
        (true, Some((time, cpu))) => Ok((Duration::from_nanos(time), Duration::from_nanos(cpu))),
        _ => Err(process.error(format!("failed with {status}")).into()),
    }
}

/// How long curl takes for the documents.
fn bulk(documents: &Path, folder: &Path, address: SocketAddr) -> io::Result<Duration> {
    let text = fs::read_to_string(documents)?;
    let mut requests = Vec::new();
    let mut request = String::new();
    for (number, document) in text.lines().enumerate() {
        request.push_str(&format!("{{\"create\":{{\"_id\":\"{number}\"}}}}\n{document}\n"));
        if request.len() >= REQUEST_BYTES {
            requests.push(std::mem::take(&mut request));
        }
    }
    requests.push(request);
    let file = folder.join("request");
    let mut time = Duration::ZERO;
    // Under the same template as the gateway's own indexes.
    let url = format!("http://{address}/driftlog-bare/_bulk?filter_path=errors");
    for request in &requests {
        fs::write(&file, request)?;
        let mut command = Command::new("curl");
        command.args(["-sS", "-H", "content-type: application/x-ndjson", "--data-binary"]);
        command.arg(format!("@{}", file.display())).arg(&url);
        let began = clock::now();
        let output = run(command)?;
        time += clock::now() - began;
        let said = String::from_utf8_lossy(&output.stdout);
        if !said.contains("\"errors\":false") {
            return Err(io::Error::other(format!("curl: {said}{}", String::from_utf8_lossy(&output.stderr))));
        }
    }
    Ok(time)
}
