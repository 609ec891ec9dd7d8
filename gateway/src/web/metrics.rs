//! What the gateway measures, for Prometheus.
//!
//! Every metric stands in a table of [`MetricDoc`]s: the exposition takes name, type and help
//! from there, and `docs/metrics.md` is compared with it.

use std::fmt::{self, Display, Write};

/// A metric as it is documented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricDoc {
    /// Its name.
    pub name: &'static str,
    /// What kind of number it is.
    pub kind: Kind,
    /// The labels of each of its samples.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

/// What kind of number a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only ever grows while the process lives.
    Counter,
    /// Goes up and down.
    Gauge,
}

impl Kind {
    /// The kind's name in the exposition.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

impl MetricDoc {
    /// Writes the lines that come before a metric's samples.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn describe(&self, out: &mut impl Write) -> fmt::Result {
        writeln!(out, "# HELP {} {}", self.name, self.help)?;
        writeln!(out, "# TYPE {} {}", self.name, self.kind.name())
    }

    /// Writes one sample; `labels` are the values of this metric's labels, in their order.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn sample(&self, out: &mut impl Write, labels: &[&str], value: impl Display) -> fmt::Result {
        debug_assert_eq!(labels.len(), self.labels.len(), "{} takes other labels", self.name);
        out.write_str(self.name)?;
        for (at, (name, value)) in self.labels.iter().zip(labels).enumerate() {
            write!(out, "{}{name}=\"", if at == 0 { '{' } else { ',' })?;
            escape(out, value)?;
            out.write_char('"')?;
        }
        if !labels.is_empty() {
            out.write_char('}')?;
        }
        writeln!(out, " {value}")
    }

    /// Writes a metric that has no labels, whole.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write(&self, out: &mut impl Write, value: impl Display) -> fmt::Result {
        self.describe(out)?;
        self.sample(out, &[], value)
    }
}

fn escape(out: &mut impl Write, value: &str) -> fmt::Result {
    for c in value.chars() {
        match c {
            '\\' => out.write_str("\\\\")?,
            '"' => out.write_str("\\\"")?,
            '\n' => out.write_str("\\n")?,
            c => out.write_char(c)?,
        }
    }
    Ok(())
}

pub(crate) const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> MetricDoc {
    MetricDoc { name, kind: Kind::Counter, labels, help }
}

pub(crate) const fn gauge(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> MetricDoc {
    MetricDoc { name, kind: Kind::Gauge, labels, help }
}

const BUILD_INFO: MetricDoc =
    gauge("driftlog_gateway_build_info", &["version"], "Always 1; the label says which gateway this is.");
const CONNECTED: MetricDoc = gauge(
    "driftlog_gateway_broker_connected",
    &[],
    "1 while the gateway is connected to its broker and subscribed, else 0.",
);
const CONNECTS: MetricDoc =
    counter("driftlog_gateway_broker_connects_total", &[], "Connections to the broker that came about.");
const RESTARTS: MetricDoc = counter(
    "driftlog_gateway_broker_restarts_total",
    &[],
    "How often the embedded broker stopped answering and was started afresh.",
);
const MESSAGES: MetricDoc = counter(
    "driftlog_gateway_broker_messages_total",
    &["direction"],
    "Messages from devices (up) and to devices (down).",
);
const MESSAGE_BYTES: MetricDoc = counter(
    "driftlog_gateway_broker_message_bytes_total",
    &["direction"],
    "Bytes of those messages' payloads.",
);
const COMMITS: MetricDoc = counter(
    "driftlog_gateway_commits_total",
    &["outcome"],
    "Batches given to the sinks: done, refused (tried again) or in_doubt (the ledger is loaded afresh).",
);
const COMMIT_SECONDS: MetricDoc =
    counter("driftlog_gateway_commit_seconds_total", &[], "Time that the sinks took for those batches.");
const WEB_REFUSED: MetricDoc = counter(
    "driftlog_gateway_web_connections_refused_total",
    &[],
    "Connections to this page that were refused because too many were open.",
);
const MEMORY: MetricDoc = gauge("process_resident_memory_bytes", &[], "Resident memory.");
const CPU: MetricDoc = counter("process_cpu_seconds_total", &[], "Time on the processors, user and system.");
const OPEN_FILES: MetricDoc = gauge("process_open_fds", &[], "Open files and sockets.");
const START: MetricDoc =
    gauge("process_start_time_seconds", &[], "When the process started, in seconds since 1970.");

/// The metrics of everything round the core: broker, commits, web, process.
pub const SHELL_METRICS: &[MetricDoc] = &[
    BUILD_INFO,
    CONNECTED,
    CONNECTS,
    RESTARTS,
    MESSAGES,
    MESSAGE_BYTES,
    COMMITS,
    COMMIT_SECONDS,
    WEB_REFUSED,
    MEMORY,
    CPU,
    OPEN_FILES,
    START,
];

/// The tables of every metric that the gateway exposes, in the order of the exposition. A part
/// of the gateway that measures something adds its table here and to `docs/metrics.md`.
pub const ALL: &[&[MetricDoc]] = &[SHELL_METRICS, crate::region::REGION_METRICS];

/// What the shell round the core has counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meters {
    /// Whether the broker is connected and subscribed.
    pub is_connected: bool,
    /// Connections that came about.
    pub connects: u64,
    /// Embedded brokers that were replaced.
    pub restarts: u64,
    /// Messages from devices.
    pub messages_up: u64,
    /// Bytes of them.
    pub message_bytes_up: u64,
    /// Messages to devices.
    pub messages_down: u64,
    /// Bytes of them.
    pub message_bytes_down: u64,
    /// Batches that are durable.
    pub commits_done: u64,
    /// Batches that were refused.
    pub commits_refused: u64,
    /// Batches in doubt.
    pub commits_in_doubt: u64,
    /// Nanoseconds that commits took.
    pub commit_ns: u64,
    /// Connections to the page that were refused.
    pub web_refused: u64,
}

impl Meters {
    /// Writes the shell's metrics in Prometheus' text format 0.0.4.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write(&self, out: &mut impl Write) -> fmt::Result {
        BUILD_INFO.describe(out)?;
        BUILD_INFO.sample(out, &[env!("CARGO_PKG_VERSION")], 1)?;
        CONNECTED.write(out, u8::from(self.is_connected))?;
        CONNECTS.write(out, self.connects)?;
        RESTARTS.write(out, self.restarts)?;
        MESSAGES.describe(out)?;
        MESSAGES.sample(out, &["up"], self.messages_up)?;
        MESSAGES.sample(out, &["down"], self.messages_down)?;
        MESSAGE_BYTES.describe(out)?;
        MESSAGE_BYTES.sample(out, &["up"], self.message_bytes_up)?;
        MESSAGE_BYTES.sample(out, &["down"], self.message_bytes_down)?;
        COMMITS.describe(out)?;
        COMMITS.sample(out, &["done"], self.commits_done)?;
        COMMITS.sample(out, &["refused"], self.commits_refused)?;
        COMMITS.sample(out, &["in_doubt"], self.commits_in_doubt)?;
        COMMIT_SECONDS.write(out, self.commit_ns as f64 / 1e9)?;
        WEB_REFUSED.write(out, self.web_refused)?;
        if let Some(process) = super::process::read() {
            MEMORY.write(out, process.resident_bytes)?;
            CPU.write(out, process.cpu_seconds)?;
            OPEN_FILES.write(out, process.open_files)?;
            START.write(out, process.start_seconds)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_exposes_exactly_the_metrics_of_its_table() {
        let mut out = String::new();
        Meters::default().write(&mut out).unwrap();
        let mut described = Vec::new();
        let mut current: Option<&MetricDoc> = None;
        for line in out.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                let doc = SHELL_METRICS.iter().find(|doc| doc.name == name).expect(name);
                assert_eq!(kind, doc.kind.name());
                described.push(name);
                current = Some(doc);
            } else if let Some(rest) = line.strip_prefix("# HELP ") {
                assert!(!rest.split_once(' ').unwrap().1.is_empty());
            } else {
                let doc = current.expect("a sample after its description");
                assert!(line.starts_with(doc.name), "{line}");
                let value = line.rsplit_once(' ').unwrap().1;
                value.parse::<f64>().expect(line);
            }
        }
        let expected: Vec<_> = SHELL_METRICS.iter().map(|doc| doc.name).collect();
        assert_eq!(described, expected);
    }

    #[test]
    fn the_documentation_lists_every_metric_as_the_code_does() {
        let mut table = String::from("| name | type | labels | what it says |\n| --- | --- | --- | --- |\n");
        for MetricDoc { name, kind, labels, help } in ALL.iter().copied().flatten() {
            let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
            table.push_str(&format!("| `{name}` | {} | {} | {help} |\n", kind.name(), labels.join(", ")));
        }
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains(&table), "docs/metrics.md must hold this table:\n{table}");
    }

    #[test]
    fn counters_end_in_total_and_nothing_else_does() {
        for doc in ALL.iter().copied().flatten() {
            assert_eq!(doc.kind == Kind::Counter, doc.name.ends_with("_total"), "{}", doc.name);
        }
    }

    #[test]
    fn a_label_s_value_cannot_break_out_of_its_quotes() {
        let doc = MetricDoc { name: "m", kind: Kind::Gauge, labels: &["device", "lane"], help: "h" };
        let mut out = String::new();
        doc.sample(&mut out, &["a\"b\\c\nd", "bulk"], 1.5).unwrap();
        assert_eq!(out, "m{device=\"a\\\"b\\\\c\\nd\",lane=\"bulk\"} 1.5\n");
    }
}
