//! The agent's configuration: one TOML file, validated whole before anything is touched.
//!
//! Every key, its default and its range stands in `docs/configure-agent.md`; a test compares that
//! table with the keys that this module reads.

mod broker;
mod draft;
mod error;
mod reader;
mod source;
mod spool;

use std::path::{Path, PathBuf};

use driftlog_proto::ids::DeviceId;
use driftlog_proto::limits::{LABEL_KEY_BYTES_MAX, LABEL_VALUE_BYTES_MAX, LABELS_MAX};
use driftlog_proto::message::Labels;
use log::LevelFilter;

pub use broker::{BrokerConfig, TlsFiles};
pub use error::ConfigError;
pub use source::{FileSource, SourceConfig};
pub use spool::{Durability, LaneConfig, Overflow, SpoolSettings};

pub(crate) use draft::{BROKER_TO_SET, Setting, draft};
pub(crate) use error::nearest;

use error::Fault;
use reader::{Document, Section};

/// Where the agent keeps its spool when the file does not say.
pub const STATE_DIR_DEFAULT: &str = "/var/lib/driftlog";

/// A whole, valid configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The name of this node.
    pub device_id: DeviceId,
    /// Holds the lock, the status socket and the spool.
    pub state_dir: PathBuf,
    /// What the operator calls this device; told to the gateway at each connection.
    pub labels: Labels,
    /// The MQTT broker.
    pub broker: BrokerConfig,
    /// The lanes on flash.
    pub spool: SpoolSettings,
    /// Where lines come from; never empty.
    pub sources: Vec<SourceConfig>,
    /// How much the agent says about itself.
    pub log_level: LevelFilter,
    /// An injected clock, for trials and tests.
    pub trial_clock: Option<PathBuf>,
}

impl Config {
    /// Reads and validates a file, and the certificates and secrets that it names.
    ///
    /// # Errors
    /// [`ConfigError`]: everything that is wrong with it, by line.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file).map_err(|error| {
            let what = format!("cannot read the configuration: {error}");
            let hint = Some("driftlog-agent init writes one for this machine".to_owned());
            ConfigError::new(file, vec![Fault { line: 0, what, hint }])
        })?;
        Self::parse_here(file, &text)
    }

    /// Validates the text of a file for this machine.
    ///
    /// # Errors
    /// [`ConfigError`]: everything that is wrong with it, by line.
    pub(crate) fn parse_here(file: &Path, text: &str) -> Result<Self, ConfigError> {
        let machine_id = std::fs::read_to_string("/etc/machine-id").ok();
        Self::parse(file, text, machine_id.as_deref())
    }

    /// Validates the text of a file; `machine_id` is what stands in `/etc/machine-id`.
    ///
    /// # Errors
    /// [`ConfigError`]: everything that is wrong with it, by line.
    pub fn parse(file: &Path, text: &str, machine_id: Option<&str>) -> Result<Self, ConfigError> {
        let document = Document::new(text);
        let config = document.parse().and_then(|table| read(document.root(table.get_ref()), machine_id));
        let faults = document.into_faults();
        match config {
            Some(config) if faults.is_empty() => Ok(config),
            _ => Err(ConfigError::new(file, faults)),
        }
    }

    /// The patterns of all file sources.
    pub fn file_patterns(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().flat_map(|source| {
            match source {
                SourceConfig::File(file) => file.paths.as_slice(),
                SourceConfig::Stdin { .. } => &[],
            }
            .iter()
            .map(String::as_str)
        })
    }

    /// Whether standard input is a source.
    #[must_use]
    pub fn reads_stdin(&self) -> bool {
        self.sources.iter().any(SourceConfig::is_stdin)
    }
}

fn read(mut root: Section<'_, '_>, machine_id: Option<&str>) -> Option<Config> {
    let device_id = read_device_id(&mut root, machine_id);
    let state_dir = read_path(&mut root, "state_dir").unwrap_or_else(|| STATE_DIR_DEFAULT.into());
    let labels = read_labels(&mut root);
    let broker = broker::read(root.section("broker"));
    let spool = spool::read(root.section("spool"));
    let sources = source::read(&mut root);
    let mut log = root.section("log");
    let log_level = log.word("level", &LEVELS, LevelFilter::Info);
    log.finish();
    let mut trial = root.section("trial");
    let trial_clock = read_path(&mut trial, "clock_file");
    trial.finish();
    root.finish();
    Some(Config {
        device_id: device_id?,
        state_dir,
        labels,
        broker: broker?,
        spool,
        sources,
        log_level,
        trial_clock,
    })
}

const LEVELS: [(&str, LevelFilter); 6] = [
    ("off", LevelFilter::Off),
    ("error", LevelFilter::Error),
    ("warn", LevelFilter::Warn),
    ("info", LevelFilter::Info),
    ("debug", LevelFilter::Debug),
    ("trace", LevelFilter::Trace),
];

fn read_device_id(root: &mut Section<'_, '_>, machine_id: Option<&str>) -> Option<DeviceId> {
    let Some(given) = root.text("device_id") else {
        let id = machine_id.map(str::trim).and_then(|id| DeviceId::new(id).ok());
        if id.is_none() || machine_id.is_some_and(|id| id.trim() == "uninitialized") {
            root.document().fault_without_line(
                "`device_id` is not set, and /etc/machine-id holds none".to_owned(),
                Some("name this node, for example device_id = \"pump-7\"".to_owned()),
            );
            return None;
        }
        return id;
    };
    let id = DeviceId::new(&given.value).ok();
    if id.is_none() {
        root.document().fault(
            &given.at,
            format!("`device_id` is \"{}\"", given.value),
            Some("a device id has 1 to 64 of A-Z a-z 0-9 . _ -".to_owned()),
        );
    }
    id
}

fn read_path(section: &mut Section<'_, '_>, key: &'static str) -> Option<PathBuf> {
    let given = section.text(key)?;
    if !given.value.starts_with('/') {
        section.document().fault(
            &given.at,
            format!(
                "`{}` is \"{}\", which depends on where the agent is started",
                section.full(key),
                given.value
            ),
            Some("give the path from the root, beginning with /".to_owned()),
        );
        return None;
    }
    Some(given.value.into())
}

fn read_labels(root: &mut Section<'_, '_>) -> Labels {
    let mut labels = Labels::new();
    for (key, value) in root.pairs("labels") {
        let over = |what: &str, bytes: usize, most: usize| {
            format!("the {what} of label `{}` has {bytes} bytes; at most {most} are carried", key.value)
        };
        let (Ok(name), Ok(text)) = (key.value.as_str().try_into(), value.value.as_str().try_into()) else {
            let what = if key.value.len() > LABEL_KEY_BYTES_MAX {
                over("key", key.value.len(), LABEL_KEY_BYTES_MAX)
            } else {
                over("value", value.value.len(), LABEL_VALUE_BYTES_MAX)
            };
            root.document().fault(&key.at, what, None);
            continue;
        };
        if labels.push((name, text)).is_err() {
            root.document().fault(&key.at, format!("more than {LABELS_MAX} labels"), None);
            break;
        }
    }
    labels
}

#[cfg(test)]
mod tests;
