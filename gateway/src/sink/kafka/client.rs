//! How librdkafka is set up, and what its errors mean to an operator.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::metadata::Metadata;
use rdkafka::producer::ProducerContext;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::{ClientContext, Message as _};

use super::config::{Compression, KafkaConfig, Sasl};

/// How long one question to the cluster may take.
pub(super) const ANSWER: Duration = Duration::from_secs(20);

/// Bytes of messages that librdkafka holds at most, KiB: a batch is given to it as it finds room.
const QUEUE_KIB: u32 = 32 * 1024;

/// What is the same for all clients.
///
/// # Errors
/// When the password cannot be read.
pub(super) fn base(config: &KafkaConfig) -> Result<ClientConfig, String> {
    let mut client = ClientConfig::new();
    let protocol = match (config.tls, config.sasl.is_some()) {
        (false, false) => "plaintext",
        (true, false) => "ssl",
        (false, true) => "sasl_plaintext",
        (true, true) => "sasl_ssl",
    };
    client
        .set("bootstrap.servers", config.brokers.join(","))
        .set("client.id", "driftlog-gateway")
        .set("security.protocol", protocol)
        .set("socket.timeout.ms", "10000")
        .set("reconnect.backoff.max.ms", "5000")
        .set_log_level(RDKafkaLogLevel::Info);
    let files = [
        ("ssl.ca.location", &config.ca_file),
        ("ssl.certificate.location", &config.cert_file),
        ("ssl.key.location", &config.key_file),
    ];
    for (name, file) in files {
        if let Some(path) = file {
            client.set(name, path.to_string_lossy());
        }
    }
    if config.tls && config.ca_file.is_none() {
        client.set("ssl.ca.location", "probe");
    }
    if let Some(sasl) = config.sasl {
        let mechanism = match sasl {
            Sasl::Plain => "PLAIN",
            Sasl::ScramSha256 => "SCRAM-SHA-256",
            Sasl::ScramSha512 => "SCRAM-SHA-512",
        };
        client.set("sasl.mechanism", mechanism);
        client.set("sasl.username", config.username.as_deref().unwrap_or_default());
        client.set("sasl.password", config.password()?.unwrap_or_default());
    }
    Ok(client)
}

/// What the producer needs besides. Its transactional id is that of the ledger: whoever writes to the same
/// ledger fences it.
pub(super) fn producer(config: &KafkaConfig) -> Result<ClientConfig, String> {
    let compression = match config.compression {
        Compression::None => "none",
        Compression::Gzip => "gzip",
        Compression::Snappy => "snappy",
        Compression::Lz4 => "lz4",
        Compression::Zstd => "zstd",
    };
    let timeout = config.transaction_timeout_ms.to_string();
    let mut client = base(config)?;
    client
        .set("transactional.id", format!("{}-0", config.ledger_topic))
        .set("transaction.timeout.ms", &timeout)
        .set("message.timeout.ms", &timeout)
        .set("compression.codec", compression)
        .set("linger.ms", config.linger_ms.to_string())
        .set("message.max.bytes", config.message_bytes_max.to_string())
        .set("queue.buffering.max.kbytes", QUEUE_KIB.to_string())
        // That a message was taken says the commit; only of one that was not is a report of its own wanted.
        .set("delivery.report.only.error", "true")
        // That of Java's clients, so that other streams of the same keys fall together with this one.
        .set("partitioner", "murmur2_random");
    if let Some(level) = config.compression.level() {
        client.set("compression.level", level.to_string());
    }
    Ok(client)
}

/// Listens to what a client says about itself; keeps the first reason for which a message was not taken, and
/// the last for which a connection failed.
#[derive(Debug, Default)]
pub(super) struct Told {
    refused: Mutex<Option<RDKafkaErrorCode>>,
    failed: Mutex<Option<String>>,
}

impl Told {
    /// Why a message was not taken, if one was not.
    pub(super) fn take(&self) -> Option<RDKafkaErrorCode> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Why a connection failed, if one did.
    fn failure(&self) -> Option<String> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Told {
    fn error(&self, error: KafkaError, reason: &str) {
        log::debug!("kafka: {error}: {reason}");
    }

    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        log::debug!("kafka: {facility}: {message}");
        if facility == "FAIL" {
            // [thread]: broker: reason
            let reason = message.split_once("]: ").and_then(|(_, rest)| rest.split_once(": "));
            let reason = reason.map_or(message, |(_, reason)| reason).to_owned();
            *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
        }
    }
}

impl ConsumerContext for Told {}

impl ProducerContext for Told {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let Err((error, _)) = result else { return };
        // What is purged follows from another error.
        let code = error
            .rdkafka_error_code()
            .filter(|code| !matches!(code, RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight));
        let mut first = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *first = first.or(code);
    }
}

/// How often it is asked within that time, unless a connection failed of what does not pass.
const QUESTIONS: u32 = 4;

/// What a client may have said about itself before it is asked why.
const EVENTS_MAX: usize = 100;

/// Errors after which librdkafka goes on by itself, before a reader gives up.
const PASSING_MAX: u32 = 20;

/// What is done with each message: its key, its value.
pub(super) type Each<'a> = &'a mut dyn FnMut(Option<&[u8]>, Option<&[u8]>) -> Result<(), String>;

/// Reads all that is committed in one partition, from its beginning to its end as it is now.
///
/// # Errors
/// When the cluster does not answer, or what `each` said.
pub(super) fn read_partition(
    config: &KafkaConfig,
    topic: &str,
    partition: i32,
    each: Each<'_>,
) -> Result<(), String> {
    let mut client = base(config)?;
    client
        // It wants a name, although it joins no group and commits nothing.
        .set("group.id", "driftlog-gateway")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .set("enable.auto.commit", "false")
        .set("allow.auto.create.topics", "false")
        .set("fetch.message.max.bytes", "4194304")
        .set("queued.max.messages.kbytes", "16384");
    let failed = |error: KafkaError| told(&format!("read the topic {topic}"), &error);
    let consumer: BaseConsumer<Told> = client.create_with_context(Told::default()).map_err(failed)?;
    let mut assigned = TopicPartitionList::new();
    assigned.add_partition_offset(topic, partition, Offset::Beginning).map_err(failed)?;
    // Where somebody else goes on writing there is no end but this one.
    let (_, end) = consumer.fetch_watermarks(topic, partition, ANSWER).map_err(failed)?;
    consumer.assign(&assigned).map_err(failed)?;
    let mut passing = 0;
    loop {
        match consumer.poll(ANSWER) {
            Some(Ok(message)) => {
                each(message.key(), message.payload())?;
                if message.offset() + 1 >= end {
                    return Ok(());
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(()),
            Some(Err(error)) => match error.rdkafka_error_code() {
                // It looks for another broker by itself, and needs no group.
                Some(
                    RDKafkaErrorCode::AllBrokersDown
                    | RDKafkaErrorCode::BrokerTransportFailure
                    | RDKafkaErrorCode::GroupAuthorizationFailed,
                ) if passing < PASSING_MAX => passing += 1,
                _ => return Err(failed(error)),
            },
            None => {
                return Err(format!("cannot read the topic {topic}: no answer in {} s", ANSWER.as_secs()));
            }
        }
    }
}

/// A sentence about what failed, with what to do about it where that is known.
pub(super) fn told(what: &str, error: &KafkaError) -> String {
    let code = match error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    };
    let reason = match (error, code) {
        (KafkaError::Transaction(error), _) => error.string(),
        (_, Some(code)) => code.to_string(),
        (other, None) => other.to_string(),
    };
    format!("cannot {what}: {reason}{}", code.map_or("", hint))
}

/// Who asks: it reads nothing yet.
///
/// # Errors
/// When librdkafka refuses the configuration.
pub(super) fn asker(config: &KafkaConfig) -> Result<BaseConsumer<Told>, String> {
    let mut client = base(config)?;
    // It wants a name, although it joins no group and commits nothing.
    client.set("group.id", "driftlog-gateway");
    client.create_with_context(Told::default()).map_err(|error| told("set up Kafka's client", &error))
}

/// Which topics there are, of all: to ask for one that is missing may make the brokers create it.
///
/// # Errors
/// When the cluster does not answer: what a connection failed of says more than that.
pub(super) fn metadata(config: &KafkaConfig, asker: &BaseConsumer<Told>) -> Result<Metadata, String> {
    let what = format!("reach Kafka at {}", config.brokers.join(","));
    let mut tries = 0;
    loop {
        tries += 1;
        let error = match asker.fetch_metadata(None, ANSWER / QUESTIONS) {
            Ok(metadata) => return Ok(metadata),
            Err(error) => error,
        };
        for _ in 0..EVENTS_MAX {
            asker.poll(Duration::ZERO);
        }
        let reason = asker.context().failure();
        let code = match reason.as_deref() {
            Some(reason) if reason.contains("SASL authentication") => RDKafkaErrorCode::Authentication,
            Some(reason) if reason.contains("SSL handshake") => RDKafkaErrorCode::SSL,
            _ if tries < QUESTIONS => continue,
            _ => RDKafkaErrorCode::AllBrokersDown,
        };
        return Err(match reason {
            Some(reason) => format!("cannot {what}: {reason}{}", hint(code)),
            None => told(&what, &error),
        });
    }
}

/// What an operator can do about it.
pub(super) fn hint(code: RDKafkaErrorCode) -> &'static str {
    use RDKafkaErrorCode as Code;
    match code {
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
            "\nhint: the topic is missing; `driftlog-gateway setup` makes it, or kafka.create_topics = true"
        }
        Code::TopicAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed => {
            "\nhint: docs/kafka.md lists what the user must be allowed to do"
        }
        Code::SaslAuthenticationFailed | Code::Authentication => {
            "\nhint: kafka.sasl, kafka.username and kafka.password_file say who the gateway is"
        }
        Code::MessageSizeTooLarge => {
            "\nhint: kafka.message_bytes_max is more than the topic's max.message.bytes"
        }
        Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend => {
            "\nhint: fewer brokers have the topic than its min.insync.replicas asks for"
        }
        Code::InvalidTransactionTimeout => {
            "\nhint: kafka.transaction_timeout_ms is more than the brokers' transaction.max.timeout.ms"
        }
        Code::BrokerTransportFailure | Code::AllBrokersDown | Code::OperationTimedOut | Code::Resolve => {
            "\nhint: is Kafka running, and are kafka.brokers and kafka.tls right?"
        }
        Code::SSL => "\nhint: kafka.ca_file names those who vouch for the brokers",
        _ => "",
    }
}

/// The number of the oldest message that a partition still has.
///
/// # Errors
/// When the cluster does not answer.
pub(super) fn oldest(config: &KafkaConfig, topic: &str, partition: i32) -> Result<i64, String> {
    let failed = |error: KafkaError| told(&format!("read the topic {topic}"), &error);
    asker(config)?.fetch_watermarks(topic, partition, ANSWER).map(|(low, _)| low).map_err(failed)
}
