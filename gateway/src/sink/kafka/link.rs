//! The one way to Kafka: a producer whose transactions hold records and the ledger's writes together.
//!
//! ```text
//! connect: topics -> whose ledger? -> init_transactions (fences, ends what was open) -> read the ledger
//! commit:  begin -> records -> the ledger's writes -> the owner's entry -> commit
//! ```
//!
//! Whatever goes wrong, the transaction is aborted and the producer given up; the next commit connects
//! anew. Where it is not known whether a transaction was committed, the ledger tells: each one writes its
//! own number into the owner's entry, and what is read after the fence is final.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, PurgeConfig};

use super::client::{self, ANSWER, Told, hint, told};
use super::config::KafkaConfig;
use super::topics::{self, Topics};
use crate::ledger::Write;

/// The key of the entry that says who wrote last, and which transaction that was.
const OWNER_KEY: &[u8] = b"gateway/owner";
/// The key of the version of the keys and values.
const VERSION_KEY: &[u8] = b"ledger/version";
/// The version that this build reads and writes.
const VERSION: u8 = 1;

/// How long Kafka is waited for when a transaction is to be committed, and how often, before its producer
/// is given up.
const COMMIT: (Duration, u32) = (Duration::from_secs(10), 3);
/// A gateway that was fenced waits this long before it looks who did it: the other one names itself in the
/// ledger within it.
const FENCED: Duration = Duration::from_secs(10);
/// How often a gateway that takes over begins, should the earlier one come between.
const TAKE_OVER: u32 = 3;
/// How long librdkafka is waited for when it has no room, and how often for one batch. It does not say when it has.
const ROOM: (Duration, u32) = (Duration::from_millis(2), 15_000);

/// What the ledger holds, for those who read it.
type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// The ledger's entries as they are committed; clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared(Arc<RwLock<Entries>>);

impl Shared {
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Entries> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(&self, writes: &[Write]) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for Write { key, value } in writes {
            match value {
                Some(value) => entries.insert(key.clone(), value.clone()),
                None => entries.remove(key),
            };
        }
    }

    fn replace(&self, entries: Entries) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = entries;
    }
}

/// Why nothing was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It may be tried again.
    Refused(String),
    /// Another gateway writes to this ledger now.
    Superseded(String),
}

impl Trouble {
    pub(crate) fn reason(self) -> String {
        match self {
            Self::Refused(reason) | Self::Superseded(reason) => reason,
        }
    }
}

/// This process, among all that ever wrote to the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instance(pub(crate) [u8; 16]);

/// The last transaction, as the ledger names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owner {
    instance: Instance,
    number: u64,
}

impl Owner {
    fn of(entries: &Entries) -> Result<Option<Self>, Trouble> {
        let Some(value) = entries.get(OWNER_KEY) else { return Ok(None) };
        let parts = value.split_at_checked(16).and_then(|(instance, number)| {
            Some(Self {
                instance: Instance(instance.try_into().ok()?),
                number: u64::from_le_bytes(number.try_into().ok()?),
            })
        });
        parts.map(Some).ok_or_else(|| Trouble::Refused("kafka: the ledger's owner cannot be read".to_owned()))
    }

    fn write(self) -> Write {
        let value = [&self.instance.0[..], &self.number.to_le_bytes()].concat();
        Write { key: OWNER_KEY.to_vec(), value: Some(value) }
    }
}

/// A message of the topic of records.
pub(super) struct Record<'a> {
    pub(super) key: &'a str,
    pub(super) headers: OwnedHeaders,
    pub(super) value: &'a [u8],
}

/// What a commit puts into the topic of records.
pub(super) type Produce<'a> = &'a mut dyn FnMut(&mut Sending<'_>) -> Result<(), String>;

/// The way to Kafka.
pub(crate) struct Link {
    config: KafkaConfig,
    instance: Instance,
    /// Takes the ledger over from whoever had it.
    takes_over: bool,
    /// A ledger is to be made where there is none, although there are records: it counts once it is whole.
    makes_ledger: bool,
    entries: Shared,
    session: Option<Session>,
    /// The number of the last transaction that is known to be committed.
    number: u64,
    /// A commit by the number its caller gave it, and its transaction's, that may have been committed.
    doubt: Option<(u64, u64)>,
    /// The last session was fenced: by another gateway, or since Kafka gave up its transaction.
    is_fenced: bool,
}

struct Session {
    producer: BaseProducer<Told>,
    topics: Topics,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("number", &self.number)
            .field("doubt", &self.doubt)
            .finish_non_exhaustive()
    }
}

impl Link {
    /// A way that is not open yet.
    pub(crate) fn new(config: KafkaConfig, instance: Instance, takes_over: bool, makes_ledger: bool) -> Self {
        Self {
            config,
            instance,
            takes_over,
            makes_ledger,
            entries: Shared::default(),
            session: None,
            number: 0,
            doubt: None,
            is_fenced: false,
        }
    }

    pub(crate) fn entries(&self) -> Shared {
        self.entries.clone()
    }

    /// Commits records and writes together. `commit` is the caller's number for it, under which it may come
    /// again: then what became of the first one is looked at.
    pub(super) fn commit(
        &mut self,
        commit: Option<u64>,
        writes: &[Write],
        produce: Produce<'_>,
    ) -> Result<(), Trouble> {
        self.connect()?;
        let doubt = self.doubt.take();
        if doubt.is_some_and(|(of, number)| commit == Some(of) && number == self.number) {
            log::info!("kafka: the last transaction was committed after all");
            return Ok(());
        }
        let owner = Owner { instance: self.instance, number: self.number + 1 };
        let writes: Vec<Write> = writes.iter().cloned().chain([owner.write()]).collect();
        let Some(session) = &self.session else {
            return Err(Trouble::Refused("kafka: not connected".to_owned()));
        };
        match session.transact(&self.config, &writes, produce) {
            Ok(()) => {
                self.entries.apply(&writes);
                self.number = owner.number;
                Ok(())
            }
            Err(failed) => {
                self.session = None;
                self.is_fenced = failed.is_fenced;
                self.doubt = commit.filter(|_| failed.is_in_doubt).map(|commit| (commit, owner.number));
                Err(Trouble::Refused(format!("kafka: {}", failed.reason)))
            }
        }
    }

    /// Makes the ledger, which until now had only an owner, hold just these writes.
    pub(crate) fn make_ledger(&mut self, writes: Vec<Write>) -> Result<(), Trouble> {
        let writes: Vec<Write> = writes.into_iter().chain([version()]).collect();
        self.write(&writes)
    }

    /// Commits writes alone.
    pub(crate) fn write(&mut self, writes: &[Write]) -> Result<(), Trouble> {
        self.commit(None, writes, &mut |_| Ok(()))
    }

    /// Sees to it that there is a session, and that the ledger is as it stands in Kafka.
    pub(crate) fn connect(&mut self) -> Result<(), Trouble> {
        if self.session.is_some() {
            return Ok(());
        }
        let topics = topics::ensure(&self.config, self.config.create_topics).map_err(refused)?;
        topics.sentences.iter().for_each(|sentence| log::info!("{sentence}"));
        if self.takes_over {
            return self.take_over(topics);
        }
        // Before it fences whoever is there it looks who that is.
        if std::mem::take(&mut self.is_fenced) {
            std::thread::sleep(FENCED);
        }
        self.own(&read(&self.config).map_err(refused)?)?;
        let session = Session::begin(&self.config, topics)?;
        let entries = read(&self.config).map_err(refused)?;
        self.number = self.own(&entries)?;
        self.entries.replace(entries);
        self.session = Some(session);
        Ok(())
    }

    /// The number of the last transaction in a ledger that is this gateway's.
    fn own(&self, entries: &Entries) -> Result<u64, Trouble> {
        let topic = &self.config.ledger_topic;
        match Owner::of(entries)? {
            Some(owner) if owner.instance == self.instance => Ok(owner.number),
            Some(_) => Err(Trouble::Superseded(format!(
                "another gateway has taken over the ledger in the topic {topic}"
            ))),
            None => Err(refused(format!(
                "the ledger in the topic {topic} is gone\nhint: stop the gateway; `driftlog-gateway rebuild` makes it from \
                 the records"
            ))),
        }
    }

    /// Takes the ledger from whoever had it, who may not have noticed and come between.
    fn take_over(&mut self, topics: Topics) -> Result<(), Trouble> {
        let mut tries = TAKE_OVER;
        loop {
            tries -= 1;
            let session = Session::begin(&self.config, topics.clone())?;
            let entries = read(&self.config).map_err(refused)?;
            self.check(&entries, &session).map_err(refused)?;
            // From here on whoever had the ledger knows that it was taken over.
            let number = Owner::of(&entries)?.map_or(0, |owner| owner.number) + 1;
            let owner = Owner { instance: self.instance, number };
            let version = (!self.makes_ledger).then(version);
            let writes: Vec<Write> = version.into_iter().chain([owner.write()]).collect();
            match session.transact(&self.config, &writes, &mut |_| Ok(())) {
                Ok(()) => {
                    self.entries.replace(entries);
                    self.entries.apply(&writes);
                    (self.number, self.takes_over, self.session) = (number, false, Some(session));
                    return Ok(());
                }
                Err(failed) if failed.is_fenced && tries > 0 => {
                    log::info!("kafka: the gateway that had the ledger came between; once more");
                }
                Err(failed) => return Err(refused(failed.reason)),
            }
        }
    }

    /// Whether the ledger is one that this build can go on with.
    fn check(&self, entries: &Entries, session: &Session) -> Result<(), String> {
        match entries.get(VERSION_KEY).map(Vec::as_slice) {
            Some([VERSION]) => return Ok(()),
            // A rebuild that was cut short has left its owner alone.
            None if entries.keys().all(|key| key == OWNER_KEY) => {}
            other => {
                return Err(format!(
                    "the ledger in the topic {} is of layout version {other:?}, this build knows {VERSION}\nhint: run the \
                     driftlog-gateway that wrote it, or a newer one",
                    self.config.ledger_topic
                ));
            }
        }
        if self.makes_ledger {
            return Ok(());
        }
        for partition in 0..session.topics.partitions {
            let marks = session.producer.client().fetch_watermarks(&self.config.topic, partition, ANSWER);
            let (low, high) = marks.map_err(|error| told("see how much there is", &error))?;
            if high > low {
                let (ledger, topic) = (&self.config.ledger_topic, &self.config.topic);
                return Err(format!(
                    "the topic {topic} has records and the ledger in {ledger} is empty: is it lost?\nhint: `driftlog-gateway \
                     rebuild` makes it from the records; `rebuild --without-marks` begins at the devices' bases"
                ));
            }
        }
        Ok(())
    }
}

fn version() -> Write {
    Write { key: VERSION_KEY.to_vec(), value: Some(vec![VERSION]) }
}

fn refused(reason: String) -> Trouble {
    Trouble::Refused(format!("kafka: {reason}"))
}

/// The ledger as it is committed.
///
/// # Errors
/// When it cannot be read to its end.
pub(super) fn read(config: &KafkaConfig) -> Result<Entries, String> {
    let mut entries = Entries::new();
    client::read_partition(config, &config.ledger_topic, 0, &mut |key, value| {
        let key = key.unwrap_or_default().to_vec();
        match value {
            Some(value) => entries.insert(key, value.to_vec()),
            None => entries.remove(&key),
        };
        Ok(())
    })?;
    Ok(entries)
}

struct Failed {
    reason: String,
    /// It may have been committed.
    is_in_doubt: bool,
    /// Another producer has this one's transactional id, or Kafka gave up its transaction.
    is_fenced: bool,
}

fn is_fenced(error: &KafkaError) -> bool {
    let fenced =
        [RDKafkaErrorCode::Fenced, RDKafkaErrorCode::ProducerFenced, RDKafkaErrorCode::InvalidProducerEpoch];
    error.rdkafka_error_code().is_some_and(|code| fenced.contains(&code))
}

impl Session {
    /// A producer that has fenced all others of its transactional id and ended what they left open.
    fn begin(config: &KafkaConfig, topics: Topics) -> Result<Self, Trouble> {
        let client = client::producer(config).map_err(refused)?;
        let producer = BaseProducer::from_config_and_context(&client, Told::default());
        let producer = producer.map_err(|error| refused(told("set up Kafka's client", &error)))?;
        let fenced = producer.init_transactions(ANSWER);
        fenced.map_err(|error| refused(told("begin with transactions", &error)))?;
        Ok(Self { producer, topics })
    }

    fn transact(&self, config: &KafkaConfig, writes: &[Write], produce: Produce<'_>) -> Result<(), Failed> {
        let begun = self.producer.begin_transaction();
        begun.map_err(|error| Failed {
            is_fenced: is_fenced(&error),
            ..self.give_up(told("begin a transaction", &error), false)
        })?;
        let mut sending = Sending { session: self, topic: &config.topic, waits: ROOM.1 };
        let sent = produce(&mut sending).and_then(|()| {
            writes.iter().try_for_each(|write| {
                let value = write.value.as_deref();
                sending.send(&config.ledger_topic, &write.key, None, value)
            })
        });
        sent.map_err(|reason| self.give_up(reason, false))?;
        self.end()
    }

    /// Commits what was sent.
    fn end(&self) -> Result<(), Failed> {
        let mut tries = COMMIT.1;
        // Nothing is in doubt before Kafka was asked to commit.
        let mut is_asked = false;
        loop {
            tries -= 1;
            let error = match self.producer.commit_transaction(COMMIT.0) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            is_asked |= !matches!(error, KafkaError::Flush(_));
            let may_retry = match &error {
                KafkaError::Transaction(error) => error.is_retriable(),
                KafkaError::Flush(code) => *code == RDKafkaErrorCode::OperationTimedOut,
                _ => false,
            };
            if may_retry && tries > 0 {
                continue;
            }
            let failed = self.give_up(told("commit a transaction", &error), is_asked);
            return Err(Failed { is_fenced: is_fenced(&error), ..failed });
        }
    }

    /// Aborts; if that cannot be done either, the next session's fence does it.
    fn give_up(&self, reason: String, may_be_committed: bool) -> Failed {
        let first = self.producer.context().take();
        self.producer.purge(PurgeConfig::default().queue().inflight());
        let is_aborted = self
            .producer
            .flush(Duration::from_secs(1))
            .and_then(|()| self.producer.abort_transaction(Duration::from_secs(5)));
        let cause = first.map_or_else(String::new, |code| format!("{code}{}; ", hint(code)));
        // What is sent by one that was fenced is not taken either.
        let is_fenced = is_aborted.as_ref().err().is_some_and(is_fenced);
        let is_in_doubt = may_be_committed && is_aborted.is_err();
        Failed { reason: format!("{cause}{reason}"), is_in_doubt, is_fenced }
    }
}

/// A transaction into which messages are put.
pub(super) struct Sending<'a> {
    session: &'a Session,
    topic: &'a str,
    waits: u32,
}

impl Sending<'_> {
    /// Bytes that a document may have.
    pub(super) fn document_bytes_max(&self) -> usize {
        self.session.topics.document_bytes_max
    }

    /// Puts a record behind those before it.
    ///
    /// # Errors
    /// When Kafka takes nothing.
    pub(super) fn record(&mut self, record: Record<'_>) -> Result<(), String> {
        let Record { key, headers, value } = record;
        self.send(self.topic, key.as_bytes(), Some(headers), Some(value))
    }

    fn send(
        &mut self,
        topic: &str,
        key: &[u8],
        headers: Option<OwnedHeaders>,
        value: Option<&[u8]>,
    ) -> Result<(), String> {
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).key(key);
        if let Some(value) = value {
            record = record.payload(value);
        }
        if let Some(headers) = headers {
            record = record.headers(headers);
        }
        loop {
            match self.session.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) if self.waits > 0 => {
                    record = back;
                    self.waits -= 1;
                    self.session.producer.poll(ROOM.0);
                }
                Err((error, _)) => return Err(told(&format!("write to the topic {topic}"), &error)),
            }
        }
    }
}
