//! What can be configured about Kafka.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::WITHOUT;
use crate::config::{ConfigError, Document};

/// How records are compressed on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// With gzip.
    Gzip,
    /// With Snappy.
    Snappy,
    /// With LZ4.
    Lz4,
    /// With Zstandard.
    Zstd,
}

impl Compression {
    /// The level that librdkafka is given. Documents repeat themselves so much that zstd's lowest makes them as small as
    /// its usual one, in a fifth less of a producer's time.
    #[must_use]
    pub const fn level(self) -> Option<u8> {
        match self {
            Self::Zstd => Some(1),
            Self::None | Self::Gzip | Self::Snappy | Self::Lz4 => None,
        }
    }
}

/// How the gateway says who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sasl {
    /// The password as it stands: with TLS only.
    #[serde(rename = "plain")]
    Plain,
    /// A salted challenge, RFC 5802 with SHA-256.
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    /// The same with SHA-512.
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
}

/// A Kafka cluster that takes the records and keeps the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaConfig {
    /// Some of its brokers; none: there is no such sink, and the ledger is in `data_dir`.
    pub brokers: Vec<String>,
    /// The topic that takes the records.
    pub topic: String,
    /// The compacted topic that keeps the ledger. One of its own for each region.
    pub ledger_topic: String,
    /// Whether topics that are missing are made.
    pub create_topics: bool,
    /// Partitions of a topic of records that is made.
    pub partitions: u16,
    /// Copies of each topic that is made; 0: as the brokers have it.
    pub replication: u16,
    /// How records are compressed.
    pub compression: Compression,
    /// How long a record may wait for others that travel with it.
    pub linger_ms: u64,
    /// Bytes of one message.
    pub message_bytes_max: u64,
    /// After this long Kafka gives up a transaction that was not ended.
    pub transaction_timeout_ms: u64,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Whom to trust, in place of the system's authorities.
    pub ca_file: Option<PathBuf>,
    /// The gateway's own certificate.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
    /// How the gateway says who it is.
    pub sasl: Option<Sasl>,
    /// The user.
    pub username: Option<String>,
    /// Holds the user's password.
    pub password_file: Option<PathBuf>,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            brokers: Vec::new(),
            topic: "driftlog.records".to_owned(),
            ledger_topic: "driftlog.ledger".to_owned(),
            create_topics: true,
            partitions: 12,
            replication: 0,
            compression: Compression::Zstd,
            linger_ms: 5,
            message_bytes_max: 1_000_000,
            transaction_timeout_ms: 60_000,
            tls: false,
            ca_file: None,
            cert_file: None,
            key_file: None,
            sasl: None,
            username: None,
            password_file: None,
        }
    }
}

impl KafkaConfig {
    /// Whether there is such a sink.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.brokers.is_empty()
    }

    /// The user's password.
    pub(crate) fn password(&self) -> Result<Option<String>, String> {
        let Some(path) = &self.password_file else { return Ok(None) };
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| format!("kafka.password_file: {}: {error}", path.display()))?;
        Ok(Some(text.trim_end_matches(['\n', '\r']).to_owned()))
    }

    pub(crate) fn check(&self, document: &Document) -> Result<(), ConfigError> {
        for broker in &self.brokers {
            let port = broker.rsplit_once(':').map(|(host, port)| (host.is_empty(), port.parse::<u16>()));
            if !matches!(port, Some((false, Ok(1..)))) || broker.contains("//") {
                return Err(document.wrong("kafka.brokers", format_args!("{broker:?}"), "is not HOST:PORT"));
            }
        }
        if self.is_on() && !cfg!(feature = "kafka") {
            let hint = "the releases have it; from source, build with `--features kafka`".to_owned();
            return Err(document.mistake("kafka.brokers", WITHOUT.to_owned(), Some(hint)));
        }
        for (key, topic) in [("kafka.topic", &self.topic), ("kafka.ledger_topic", &self.ledger_topic)] {
            let is_in = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            if topic.is_empty() || topic.len() > 200 || !topic.chars().all(is_in) {
                let problem = "is not the name of a topic (1 to 200 of A-Z a-z 0-9 . _ -)";
                return Err(document.wrong(key, format_args!("{topic:?}"), problem));
            }
        }
        if self.topic == self.ledger_topic {
            let problem = "is the topic of the records too: compaction would remove them";
            return Err(document.wrong(
                "kafka.ledger_topic",
                format_args!("{:?}", self.ledger_topic),
                problem,
            ));
        }
        self.check_numbers(document)?;
        self.check_who(document)
    }

    fn check_numbers(&self, document: &Document) -> Result<(), ConfigError> {
        if self.partitions == 0 {
            return Err(document.wrong("kafka.partitions", 0, "is not 1 or more"));
        }
        if self.replication > 64 {
            return Err(document.wrong("kafka.replication", self.replication, "is more than 64"));
        }
        let limits = [
            ("kafka.linger_ms", self.linger_ms, 0..=1_000, "is more than 1000"),
            (
                "kafka.message_bytes_max",
                self.message_bytes_max,
                65_536..=100_000_000,
                "is not between 65536 and 100000000",
            ),
            (
                "kafka.transaction_timeout_ms",
                self.transaction_timeout_ms,
                10_000..=900_000,
                "is not between 10000 and 900000",
            ),
        ];
        for (key, value, allowed, problem) in limits {
            if !allowed.contains(&value) {
                return Err(document.wrong(key, value, problem));
            }
        }
        Ok(())
    }

    fn check_who(&self, document: &Document) -> Result<(), ConfigError> {
        let mistake = |key: &str, problem: &str| Err(document.mistake(key, problem.to_owned(), None));
        let is_named = (self.sasl.is_some(), self.username.is_some(), self.password_file.is_some());
        if !matches!(is_named, (true, true, true) | (false, false, false)) {
            return mistake("kafka.sasl", "sasl, username and password_file go together");
        }
        if self.sasl == Some(Sasl::Plain) && !self.tls {
            return mistake("kafka.sasl", "plain sends the password as it stands: it needs tls = true");
        }
        if self.cert_file.is_some() != self.key_file.is_some() {
            return mistake("kafka.cert_file", "cert_file and key_file go together");
        }
        let files = [
            ("kafka.ca_file", &self.ca_file),
            ("kafka.cert_file", &self.cert_file),
            ("kafka.key_file", &self.key_file),
        ];
        for (key, file) in files {
            let Some(path) = file else { continue };
            if !self.tls {
                return mistake(key, "it is for tls = true");
            }
            if let Err(error) = std::fs::metadata(path) {
                return Err(document.mistake(key, format!("{}: {error}", path.display()), None));
            }
        }
        match self.password() {
            Ok(_) => Ok(()),
            Err(problem) => Err(document.mistake("kafka.password_file", problem, None)),
        }
    }
}
