//! Resident memory of the agent, its code included, with TLS and a backlog.

use std::io;
use std::path::Path;
use std::time::Duration;

use driftlog_agent::status::Status;

use crate::access::Access;
use crate::clock;
use crate::corpus::{Corpus, Style};
use crate::device::is_done;
use crate::machine::{Console, Flash, Image, Machine};
use crate::process::Programs;
use crate::servers::{Broker, Kind, Setup};
use crate::shore::{GatewaySettings, Shore};
use crate::table::Table;

/// A user that the broker's rules know.
const DEVICE: &str = "pump-1";
/// Bytes that a line of the backlog takes in the spool: letters of six bits.
const SPOOL_BYTES_PER_LINE: u64 = 1_520;
const TAIL_LINES: u64 = 18_000;
const CORPUS_LINES: usize = 20_000;
/// How long steady states are watched.
const WATCHED: Duration = Duration::from_secs(30);
const LONG: Duration = Duration::from_secs(3_600);

/// Measures, phase by phase.
pub(super) fn measure(image: &Image, folder: &Path, backlog_mb: u64) -> io::Result<Table> {
    let setup = Setup { is_secure: true, ..Setup::default() };
    let broker = Broker::start(Kind::Mosquitto, &folder.join("broker"), &setup)?;
    let broker = broker.ok_or_else(|| io::Error::other("mosquitto is a broker of its own"))?;
    let access = Access::user(broker.folder(), "gateway", "gateway-secret")?;
    let settings = GatewaySettings { broker: Some(broker.address()), access, ..GatewaySettings::default() };
    let mut shore = Shore::new(&Programs::in_myself()?, &folder.join("gateway"), &settings)?;
    let mut machine = Machine::new("the device", folder, image, Flash::new(backlog_mb * 3 + 64))?;
    let mut watched =
        Watched { console: switch_on(&mut machine, &broker, backlog_mb)?, seen: 0, rows: Vec::new() };
    watched.until(&mut machine, "filling the spool", |console| console.newest("FULL").is_some())?;
    watched.until(&mut machine, "reading what is left", |console| {
        status(console).is_some_and(|status| {
            status.core.sources.iter().all(|source| source.length - source.offset < 1_000_000)
        })
    })?;
    let full = status(&watched.console)
        .map_or(0, |status| status.core.lanes.iter().map(|lane| lane.spool_bytes).sum());
    watched.for_a_while("full spool, 100 lines/s, no gateway");
    shore.start()?;
    shore.wait_ready()?;
    watched.until(&mut machine, "the backlog goes out, 100 lines/s", |console| {
        status(console).is_some_and(|status| status.core.lanes.iter().all(|lane| lane.waiting < 1_000))
    })?;
    watched.until(&mut machine, "100 lines/s, all sent", |console| {
        console.newest("QUIET").is_some() && status(console).is_some_and(|status| is_done(&status, 0))
    })?;
    watched.for_a_while("idle, connected");
    machine.cut();
    shore.stop()?;
    let mut table =
        Table::new(&["phase", "resident at its end", "of it data", "most in it", "process's peak so far"]);
    for (phase, [end, data, most, peak]) in watched.rows {
        table.row(vec![phase.to_owned(), kib(end), kib(data), kib(most), kib(peak)]);
    }
    table.rule();
    table.row(vec![
        format!("the spool held {}", crate::table::bytes(full)),
        String::new(),
        String::new(),
        String::new(),
        String::new(),
    ]);
    Ok(table)
}

fn kib(kib: u64) -> String {
    format!("{kib} KiB")
}

fn switch_on(machine: &mut Machine, broker: &Broker, backlog_mb: u64) -> io::Result<Console> {
    let port = broker.address().port();
    let config = format!(
        "device_id = \"{DEVICE}\"\nstate_dir = \"/data/driftlog\"\n[broker]\nurl = \"mqtts://127.0.0.1:{port}\"\n\
         ca_file = \"/etc/driftlog/ca.pem\"\nusername = \"{DEVICE}\"\npassword_file = \"/etc/driftlog/password\"\n\
         [spool]\nbulk.bytes_max = {}\n\
         [[source]]\ntype = \"file\"\npaths = [\"/run/logs/*\", \"/data/logs/*\"]\n",
        (backlog_mb + 64) << 20,
    );
    let lines = (backlog_mb << 20) / SPOOL_BYTES_PER_LINE;
    let script = include_str!("memory.sh").replace("PORT", &port.to_string());
    let script =
        script.replace("BACKLOG_LINES", &lines.to_string()).replace("TAIL_LINES", &TAIL_LINES.to_string());
    let mut corpus = Corpus::new(Style::Syslog, 1, false);
    let mut log = Vec::new();
    (0..CORPUS_LINES).for_each(|_| corpus.line(&mut log));
    let authority = std::fs::read_to_string(broker.folder().join("ca.pem"))?;
    machine.switch_on(&[
        ("etc/driftlog/boot", &script),
        ("etc/driftlog/agent.toml", &config),
        ("etc/driftlog/ca.pem", &authority),
        ("etc/driftlog/password", &format!("{DEVICE}-secret")),
        ("etc/driftlog/corpus.log", &String::from_utf8_lossy(&log)),
    ])
}

fn status(console: &Console) -> Option<Status> {
    serde_json::from_str(&console.newest("S ")?).ok()
}

/// What the device says about its agent, phase by phase.
struct Watched {
    console: Console,
    /// Samples that belong to earlier phases.
    seen: usize,
    /// Of each phase: resident at its end, of it without pages of the program's file, the most in it, the
    /// process's peak, in KiB.
    rows: Vec<(&'static str, [u64; 4])>,
}

impl Watched {
    /// A phase that ends when something is so.
    fn until(
        &mut self,
        machine: &mut Machine,
        phase: &'static str,
        is_over: impl Fn(&Console) -> bool,
    ) -> io::Result<()> {
        let has_ended = clock::wait_until(LONG, || {
            std::thread::sleep(Duration::from_secs(1));
            is_over(&self.console) || machine.check().is_err()
        });
        machine.check()?;
        self.end(phase);
        if has_ended {
            return Ok(());
        }
        let file = self.console.file().display();
        Err(io::Error::other(format!("{phase}: not over after {LONG:?}; the device's console: {file}")))
    }

    /// A phase that is watched for a named time.
    fn for_a_while(&mut self, phase: &'static str) {
        std::thread::sleep(WATCHED);
        self.end(phase);
    }

    fn end(&mut self, phase: &'static str) {
        let samples: Vec<[u64; 3]> = self.console.lines().iter().filter_map(|line| sample(line)).collect();
        let new = samples.get(self.seen..).unwrap_or_default();
        let [end, data, peak] = samples.last().copied().unwrap_or_default();
        let most = new.iter().map(|[resident, ..]| *resident).max().unwrap_or(end);
        self.rows.push((phase, [end, data, most, peak]));
        self.seen = samples.len();
    }
}

/// Resident, of it data, and peak, in KiB, of a line `M RESIDENT DATA PEAK`.
fn sample(line: &str) -> Option<[u64; 3]> {
    let mut words = line.strip_prefix("M ")?.split(' ');
    let mut number = || words.next()?.parse().ok();
    Some([number()?, number()?, number()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_three_numbers() {
        assert_eq!(sample("M 2036 900 2100"), Some([2036, 900, 2100]));
        assert_eq!(sample("M 2036 900"), None);
    }
}
