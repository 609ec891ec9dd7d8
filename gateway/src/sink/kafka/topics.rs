//! The two topics: made where that is allowed, and checked.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;

use super::client::{self, ANSWER, Told, told};
use super::config::KafkaConfig;

/// What a message takes up beside its value: its key, its headers, and a batch's head around it.
const MESSAGE_OVERHEAD: u64 = 1024;

/// How long a topic that was just made is waited for, and how often.
const MADE: (Duration, u32) = (Duration::from_millis(100), 100);

/// The topics as they stand.
#[derive(Clone, Debug)]
pub(super) struct Topics {
    /// Partitions of the topic of records.
    pub(super) partitions: i32,
    /// Bytes that a document may have.
    pub(super) document_bytes_max: usize,
    /// What was found and done, in sentences.
    pub(super) sentences: Vec<String>,
}

/// Makes the topics that are missing; what was found and done, in sentences.
///
/// # Errors
/// What is wrong with them and what to do about it.
pub fn setup(config: &KafkaConfig) -> Result<Vec<String>, String> {
    ensure(config, true).map(|topics| topics.sentences)
}

/// How the topics stand, in sentences.
///
/// # Errors
/// What is wrong with them and what to do about it.
pub fn standing(config: &KafkaConfig) -> Result<Vec<String>, String> {
    ensure(config, false).map(|topics| topics.sentences)
}

/// Makes the topics that are missing, where that is allowed, and checks them.
///
/// # Errors
/// What is wrong with them and what to do about it.
pub(super) fn ensure(config: &KafkaConfig, may_create: bool) -> Result<Topics, String> {
    let admin: AdminClient<Told> = client::base(config)?
        .create_with_context(Told::default())
        .map_err(|error| told("set up Kafka's client", &error))?;
    let asker = client::asker(config)?;
    let metadata = || client::metadata(config, &asker);
    let mut sentences = Vec::new();
    let mut found = metadata()?;
    let wanted = [(config.topic.as_str(), i32::from(config.partitions)), (config.ledger_topic.as_str(), 1)];
    for (topic, partitions) in wanted {
        let is_there = partitions_of(&found, topic).is_some();
        if !is_there && !may_create {
            return Err(format!(
                "the topic {topic} is missing\nhint: `driftlog-gateway setup` makes it, or kafka.create_topics = true"
            ));
        }
        if !is_there && create(&admin, config, topic, partitions)? {
            sentences.push(format!("kafka: the topic {topic} was made with {partitions} partitions"));
            found = metadata_with(&metadata, topic)?;
        }
    }
    let partitions = partitions_of(&found, &config.topic).unwrap_or(0);
    match partitions_of(&found, &config.ledger_topic) {
        Some(1) => {}
        other => {
            let count = other.unwrap_or(0);
            return Err(format!(
                "the topic {} has {count} partitions, and a ledger has one\nhint: name another with kafka.ledger_topic",
                config.ledger_topic
            ));
        }
    }
    let settings = settings(&admin, config);
    let mut bytes_max = config.message_bytes_max;
    match &settings {
        Ok(settings) => {
            check_ledger(config, settings)?;
            let limit = settings.get(&(config.topic.clone(), "max.message.bytes".to_owned()));
            if let Some(limit) = limit.and_then(|text| text.parse::<u64>().ok()) {
                bytes_max = bytes_max.min(limit);
            }
            for topic in [&config.topic, &config.ledger_topic] {
                let replicas = replicas_of(&found, topic);
                let min = settings.get(&(topic.clone(), "min.insync.replicas".to_owned()));
                let min = min.and_then(|text| text.parse::<usize>().ok()).unwrap_or(1);
                if min > replicas {
                    return Err(format!(
                        "the topic {topic} has {replicas} copies and its min.insync.replicas is {min}: nothing can be written"
                    ));
                }
                sentences.push(format!(
                    "kafka: the topic {topic} is there, {replicas} copies, {min} of them must be in sync"
                ));
            }
        }
        // Whoever may write need not be allowed to see settings.
        Err(reason) => sentences.push(format!("kafka: the topics' settings were not checked: {reason}")),
    }
    let document_bytes_max =
        usize::try_from(bytes_max.saturating_sub(MESSAGE_OVERHEAD)).unwrap_or(usize::MAX);
    Ok(Topics { partitions, document_bytes_max, sentences })
}

/// A topic that was just made is not known to every broker at once.
fn metadata_with(metadata: &dyn Fn() -> Result<Metadata, String>, topic: &str) -> Result<Metadata, String> {
    let mut found = metadata()?;
    for _ in 0..MADE.1 {
        if partitions_of(&found, topic).is_some() {
            break;
        }
        std::thread::sleep(MADE.0);
        found = metadata()?;
    }
    Ok(found)
}

/// Whether the topic was made now; false when it was there.
fn create(
    admin: &AdminClient<Told>,
    config: &KafkaConfig,
    topic: &str,
    partitions: i32,
) -> Result<bool, String> {
    let copies = if config.replication == 0 { -1 } else { i32::from(config.replication) };
    let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(copies));
    if topic == config.ledger_topic {
        new = new.set("cleanup.policy", "compact");
    }
    let options = AdminOptions::new().request_timeout(Some(ANSWER)).operation_timeout(Some(ANSWER));
    let what = format!("make the topic {topic}");
    let made = wait(admin.create_topics([&new], &options))?.map_err(|error| told(&what, &error))?;
    match made.into_iter().next() {
        Some(Ok(_)) => Ok(true),
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) | None => Ok(false),
        Some(Err((_, code))) => Err(told(&what, &KafkaError::AdminOp(code))),
    }
}

type Settings = BTreeMap<(String, String), String>;

fn settings(admin: &AdminClient<Told>, config: &KafkaConfig) -> Result<Settings, String> {
    let topics = [ResourceSpecifier::Topic(&config.topic), ResourceSpecifier::Topic(&config.ledger_topic)];
    let options = AdminOptions::new().request_timeout(Some(ANSWER));
    let what = "see the topics' settings";
    let described = wait(admin.describe_configs(&topics, &options))?.map_err(|error| told(what, &error))?;
    let mut settings = Settings::new();
    for resource in described {
        let ConfigResource { specifier, entries } =
            resource.map_err(|code| told(what, &KafkaError::AdminOp(code)))?;
        let rdkafka::admin::OwnedResourceSpecifier::Topic(topic) = specifier else { continue };
        let values = entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?)));
        settings.extend(values.map(|(name, value)| ((topic.clone(), name), value)));
    }
    Ok(settings)
}

fn check_ledger(config: &KafkaConfig, settings: &Settings) -> Result<(), String> {
    let topic = &config.ledger_topic;
    match settings.get(&(topic.clone(), "cleanup.policy".to_owned())).map(String::as_str) {
        Some("compact") | None => Ok(()),
        Some(other) => Err(format!(
            "the topic {topic} has cleanup.policy={other}, under which Kafka removes the ledger\nhint: set it to compact"
        )),
    }
}

fn partitions_of(metadata: &Metadata, topic: &str) -> Option<i32> {
    let topic = metadata.topics().iter().find(|known| known.name() == topic && known.error().is_none())?;
    i32::try_from(topic.partitions().len()).ok().filter(|partitions| *partitions > 0)
}

fn replicas_of(metadata: &Metadata, topic: &str) -> usize {
    let topic = metadata.topics().iter().find(|known| known.name() == topic);
    let partitions = topic.into_iter().flat_map(|topic| topic.partitions());
    partitions.map(|partition| partition.replicas().len()).min().unwrap_or(0)
}

/// Waits for an answer to the administrator's client, which comes from a thread of its own. In a thread of
/// our own: this one may be a runtime's.
fn wait<T: Send>(answer: impl Future<Output = T> + Send) -> Result<T, String> {
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            runtime.map(|runtime| runtime.block_on(answer))
        });
        match waiting.join() {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(format!("cannot wait for Kafka: {error}")),
            Err(_) => Err("the thread that waits for Kafka ended unexpectedly".to_owned()),
        }
    })
}
