//! The gateway's configuration: one TOML file, or none.
//!
//! Without a file the gateway runs on embedded defaults under `./driftlog-data`. A file is
//! checked whole, with everything that it points to, before anything else is touched. Each
//! mistake names file, line, key and what to write instead.

mod document;
mod error;
pub mod keys;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use document::Document;
pub use error::ConfigError;

use crate::broker::BrokerConfig;
use crate::clock::TrialConfig;
use crate::log::LogConfig;
use crate::sink::archive::ArchiveConfig;
use crate::sink::kafka::KafkaConfig;
use crate::sink::search::SearchConfig;
use crate::web::WebConfig;
use driftlog_proto::ids::DeviceId;
use driftlog_proto::limits::MESSAGE_BYTES_MAX;
use driftlog_proto::message::Refusal;

/// Everything that can be configured.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Holds the ledger, the archive and the lock.
    pub data_dir: PathBuf,
    /// The broker: embedded, or another.
    pub broker: BrokerConfig,
    /// The archive's files.
    pub archive: ArchiveConfig,
    /// A Kafka cluster, which then has the ledger too.
    pub kafka: KafkaConfig,
    /// A search cluster.
    pub search: SearchConfig,
    /// What the gateway takes on at once.
    pub receive: ReceiveConfig,
    /// Who is served.
    pub devices: DevicesConfig,
    /// The page for operators and their tools.
    pub web: WebConfig,
    /// What is written to stderr.
    pub log: LogConfig,
    /// For trials and tests only.
    pub trial: TrialConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("driftlog-data"),
            broker: BrokerConfig::default(),
            archive: ArchiveConfig::default(),
            kafka: KafkaConfig::default(),
            search: SearchConfig::default(),
            receive: ReceiveConfig::default(),
            devices: DevicesConfig::default(),
            web: WebConfig::default(),
            log: LogConfig::default(),
            trial: TrialConfig::default(),
        }
    }
}

const MIB: u64 = 1024 * 1024;

/// What the gateway takes on at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReceiveConfig {
    /// Bytes of items that are held above holes or wait for a commit, all devices together.
    pub memory_bytes_max: u64,
    /// Bytes of items that one lane may have on the air.
    pub credit_bytes_max: u32,
    /// Messages that one device may send in a second.
    pub message_rate_max: u32,
}

impl Default for ReceiveConfig {
    fn default() -> Self {
        Self { memory_bytes_max: 64 * MIB, credit_bytes_max: 1024 * 1024, message_rate_max: 2000 }
    }
}

impl ReceiveConfig {
    fn check(&self, document: &Document) -> Result<(), ConfigError> {
        if self.memory_bytes_max < MIB {
            return Err(document.wrong(
                "receive.memory_bytes_max",
                self.memory_bytes_max,
                "is less than 1 MiB",
            ));
        }
        if (self.credit_bytes_max as usize) < MESSAGE_BYTES_MAX {
            let problem = format!("is less than one message of {MESSAGE_BYTES_MAX} bytes");
            return Err(document.wrong("receive.credit_bytes_max", self.credit_bytes_max, problem));
        }
        if u64::from(self.credit_bytes_max) > self.memory_bytes_max {
            let problem = "is more than all memory (receive.memory_bytes_max)";
            return Err(document.wrong("receive.credit_bytes_max", self.credit_bytes_max, problem));
        }
        if self.message_rate_max == 0 {
            return Err(document.wrong("receive.message_rate_max", 0, "would refuse every message"));
        }
        Ok(())
    }
}

/// Who is served: names of devices, `*` stands for any characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DevicesConfig {
    /// Served.
    pub allow: Vec<String>,
    /// Set aside: refused although it is allowed.
    pub quarantine: Vec<String>,
}

impl Default for DevicesConfig {
    fn default() -> Self {
        Self { allow: vec!["*".to_owned()], quarantine: Vec::new() }
    }
}

impl DevicesConfig {
    /// Why this device is not served, if it is not.
    #[must_use]
    pub fn refusal(&self, device: &DeviceId) -> Option<Refusal> {
        let named = |list: &[String]| {
            list.iter().any(|pattern| matches(pattern.as_bytes(), device.as_str().as_bytes()))
        };
        if named(&self.quarantine) {
            return Some(Refusal::Quarantined);
        }
        (!named(&self.allow)).then_some(Refusal::DeviceNotAllowed)
    }

    fn check(&self, document: &Document) -> Result<(), ConfigError> {
        for (key, list) in [("devices.allow", &self.allow), ("devices.quarantine", &self.quarantine)] {
            for pattern in list {
                if DeviceId::new(&pattern.replace('*', "x")).is_err() {
                    let problem = "is not the name of a device (1 to 64 of A-Z a-z 0-9 . _ - and *)";
                    return Err(document.wrong(key, format_args!("{pattern:?}"), problem));
                }
            }
        }
        Ok(())
    }
}

/// Whether a name fits a pattern in which `*` stands for any characters. Takes time in
/// proportion to the product of the two lengths, both of them bounded.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut in_name) = (0, 0);
    let mut star = None;
    while in_name < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, in_name));
                at += 1;
            }
            Some(byte) if Some(byte) == name.get(in_name) => {
                at += 1;
                in_name += 1;
            }
            _ => match star {
                // Let the last star stand for one character more.
                Some((star_at, begun)) => {
                    star = Some((star_at, begun + 1));
                    at = star_at + 1;
                    in_name = begun + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(at).all(|byte| *byte == b'*')
}

impl Config {
    /// Reads and checks a configuration; without a file, the embedded defaults.
    ///
    /// # Errors
    /// [`ConfigError`]: the first mistake.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::unreadable(path, &error))?;
        Self::parse(path, &text)
    }

    /// Checks the text of a configuration. `path` is what mistakes name; relative paths in the
    /// text are relative to the working directory.
    ///
    /// # Errors
    /// [`ConfigError`]: the first mistake.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let document = Document::parse(path, text)?;
        let mut config: Self = document.read()?;
        config.check(&document)?;
        Ok(config)
    }

    fn check(&mut self, document: &Document) -> Result<(), ConfigError> {
        if self.data_dir.as_os_str().is_empty() {
            return Err(document.wrong("data_dir", "\"\"", "names no directory"));
        }
        self.broker.check(document)?;
        check_archive(&self.archive, document)?;
        self.kafka.check(document)?;
        self.search.check(document)?;
        let is_required = self.archive.enabled && self.archive.required
            || self.search.is_on() && self.search.required
            || self.kafka.is_on();
        if !is_required {
            let problem = "no sink is required: what is acknowledged would be nowhere".to_owned();
            let hint = "one of archive.required and search.required must be true, for a sink that is there, or kafka.brokers be given";
            return Err(document.mistake("archive.enabled", problem, Some(hint.to_owned())));
        }
        self.receive.check(document)?;
        self.devices.check(document)?;
        self.trial.check(document)
    }
}

fn check_archive(archive: &ArchiveConfig, document: &Document) -> Result<(), ConfigError> {
    let ArchiveConfig { file_bytes_max, retention_bytes_max, .. } = *archive;
    if file_bytes_max < MIB {
        return Err(document.wrong("archive.file_bytes_max", file_bytes_max, "is less than 1 MiB"));
    }
    if retention_bytes_max != 0 && retention_bytes_max < file_bytes_max {
        let problem = "is less than one file (archive.file_bytes_max)";
        return Err(document.wrong("archive.retention_bytes_max", retention_bytes_max, problem));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
