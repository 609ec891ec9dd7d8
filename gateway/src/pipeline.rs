//! The loop that joins the core to the world: messages in, batches to the sinks, answers out.
//!
//! The core decides everything and waits for nothing; the loop waits for everything and decides
//! nothing. What it promises: a message is given to the core once and in the order of the
//! broker; at most one batch is on its way to each sink; answers are taken from the core only
//! when the broker has room for them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use driftlog_proto::ids::DeviceId;
use driftlog_proto::time::{Mono, Now};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use crate::broker::{Channel, Client, Event, Publish};
use crate::clock::Clock;
use crate::committer::{Committed, Committers, Report};
use crate::sink::{Batch, CommitError};
use crate::status::{BrokerStatus, RegionStatus, Status};
use crate::web::Question;
use crate::web::metrics::Meters;

/// Messages that are given to the core before commits, questions and deadlines have their turn.
const MESSAGES_AT_ONCE: usize = 64;
/// The longest sleep: a clock that is put wrong in a trial is noticed after this.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// Time for the batch that is being committed when the gateway is told to stop.
const LAST_COMMIT: Duration = Duration::from_secs(20);

/// The gateway's core: a state machine over messages, commits and time.
///
/// After any `handle_*`, `poll_*` is drained; early, late and repeated wake-ups are harmless.
pub trait Core {
    /// A message from a device. Whatever its bytes, nothing but counters and answers comes of a
    /// bad one.
    fn handle_up(&mut self, now: Now, topic: &str, payload: &[u8]);
    /// What is to be made durable next, in a sink that has no batch on its way. Asked until there is none.
    fn poll_batch(&mut self, now: Now) -> Option<Batch>;
    /// What became of the batch with this number.
    fn handle_committed(&mut self, now: Now, number: u64, outcome: Result<(), CommitError>);
    /// A sink has begun a new index, which has this number.
    fn handle_index(&mut self, sink: usize, number: u32);
    /// The next message to a device. Asked only when the broker has room for it.
    fn poll_down(&mut self, now: Now) -> Option<(DeviceId, Channel, Vec<u8>)>;
    /// When it wants to be asked again although nothing has happened.
    fn poll_deadline(&self) -> Mono;
    /// Why what arrives cannot be acknowledged now, if it cannot.
    fn hindrance(&self) -> Option<String>;
    /// How the region stands.
    fn status(&self, now: Now) -> RegionStatus;
    /// Its metrics in Prometheus' text format.
    ///
    /// # Errors
    /// When `out` cannot be written.
    fn metrics(&self, now: Now, out: &mut dyn fmt::Write) -> fmt::Result;
}

/// Why the loop ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// It was told to.
    Stopped,
    /// It is not known what the ledger holds: it must be loaded afresh.
    LedgerInDoubt(String),
    /// Another gateway has the ledger now.
    Superseded(String),
}

/// Resolves when the gateway is to stop.
pub type Stop = Pin<Box<dyn Future<Output = ()>>>;

/// What outlives a core: when the ledger is loaded afresh, the rest goes on.
#[derive(Debug)]
pub struct Shell {
    /// The clocks.
    pub clock: Clock,
    /// The MQTT client.
    pub broker: Client,
    /// What the page asks.
    pub questions: mpsc::Receiver<Question>,
    /// What has been counted.
    pub meters: Meters,
    /// How the broker stands.
    pub broker_status: BrokerStatus,
    /// Embedded brokers that were replaced.
    pub broker_restarts: Arc<AtomicU64>,
    /// Connections to the page that were refused.
    pub web_refused: Arc<AtomicU64>,
    /// When the gateway started.
    pub since: Mono,
}

/// A core at work.
#[derive(Debug)]
pub struct Pipeline<'a, C> {
    shell: &'a mut Shell,
    core: C,
    committers: Committers,
}

impl<'a, C: Core> Pipeline<'a, C> {
    /// Joins a core to the world.
    pub fn new(shell: &'a mut Shell, core: C, committers: Committers) -> Self {
        Self { shell, core, committers }
    }

    /// Works until it is told to stop or the ledger is in doubt.
    pub async fn run(mut self, stop: &mut Stop) -> End {
        loop {
            let now = self.shell.clock.now();
            self.give_batches(now);
            let is_full = self.publish(now);
            let pause = self.pause(now);
            let Shell { broker, questions, .. } = &mut *self.shell;
            tokio::select! {
                biased;
                () = &mut *stop => break,
                report = self.committers.report() => {
                    if let Some(end) = self.reported(report) {
                        return end;
                    }
                }
                Some(question) = questions.recv() => self.answer(question),
                event = broker.events.next() => self.events(event),
                () = broker.publisher.room(), if is_full => {}
                () = sleep(pause) => {}
            }
        }
        self.finish().await
    }

    fn give_batches(&mut self, now: Now) {
        while let Some(batch) = self.core.poll_batch(now) {
            self.committers.commit(batch);
        }
    }

    /// Gives the core's messages to the broker; whether it has no room for more.
    fn publish(&mut self, now: Now) -> bool {
        if !self.shell.meters.is_connected {
            return false;
        }
        loop {
            let Some(room) = self.shell.broker.publisher.try_room() else { return true };
            let Some((device, channel, payload)) = self.core.poll_down(now) else { return false };
            let bytes = payload.len() as u64;
            match Publish::new(channel.topic(&device), payload, channel.is_retained()) {
                Ok(publish) => {
                    room.send(publish);
                    self.shell.meters.messages_down += 1;
                    self.shell.meters.message_bytes_down += bytes;
                }
                Err(error) => log::error!("not sent to {device}: {error}"),
            }
        }
    }

    fn pause(&self, now: Now) -> Duration {
        let ns = self.core.poll_deadline().since(now.mono);
        // A timer fires at the end of a millisecond: one more spares a turn in vain.
        Duration::from_nanos(ns).saturating_add(Duration::from_millis(1)).min(SLEEP_MAX)
    }

    fn events(&mut self, first: Event) {
        self.event(first);
        for _ in 1..MESSAGES_AT_ONCE {
            match self.shell.broker.events.try_next() {
                Some(event) => self.event(event),
                None => return,
            }
        }
    }

    fn event(&mut self, event: Event) {
        let Shell { meters, broker_status, clock, .. } = &mut *self.shell;
        match event {
            Event::Message { topic, payload } => {
                meters.messages_up += 1;
                meters.message_bytes_up += payload.len() as u64;
                self.core.handle_up(clock.now(), &topic, &payload);
            }
            Event::Up => {
                log::info!("connected to the broker at {}", broker_status.address);
                meters.connects += 1;
                meters.is_connected = true;
                broker_status.is_connected = true;
                broker_status.last_error = None;
            }
            Event::Down { reason } => {
                log::warn!(
                    "no connection to the broker at {}: {reason}; trying again",
                    broker_status.address
                );
                meters.is_connected = false;
                broker_status.is_connected = false;
                broker_status.last_error = Some(reason);
            }
        }
    }

    fn reported(&mut self, report: Report) -> Option<End> {
        match report {
            Report::Committed(committed) => self.committed(committed),
            Report::Index { sink, number } => {
                self.core.handle_index(sink, number);
                None
            }
        }
    }

    fn committed(&mut self, committed: Committed) -> Option<End> {
        let Committed { number, outcome, took_ns } = committed;
        let meters = &mut self.shell.meters;
        meters.commit_ns += took_ns;
        match &outcome {
            Ok(()) => {
                meters.commits_done += 1;
            }
            Err(CommitError::Refused(reason)) => {
                meters.commits_refused += 1;
                log::error!("what has arrived cannot be made durable and is tried again: {reason}");
            }
            Err(CommitError::InDoubt(reason)) => {
                meters.commits_in_doubt += 1;
                return Some(End::LedgerInDoubt(reason.clone()));
            }
            Err(CommitError::Superseded(reason)) => return Some(End::Superseded(reason.clone())),
        }
        self.core.handle_committed(self.shell.clock.now(), number, outcome);
        None
    }

    fn answer(&mut self, question: Question) {
        // Who asked may have gone away in the meantime.
        match question {
            Question::Health(to) => drop(to.send(())),
            Question::Ready(to) => drop(to.send(self.ready())),
            Question::Status(to) => drop(to.send(self.status())),
            Question::Metrics(to) => drop(to.send(self.metrics())),
        }
    }

    fn ready(&self) -> Result<(), String> {
        if let Some(reason) = self.core.hindrance() {
            return Err(format!("what has arrived cannot be made durable: {reason}"));
        }
        let BrokerStatus { address, is_connected, last_error, .. } = &self.shell.broker_status;
        if !is_connected {
            let why = last_error.as_deref().unwrap_or("still connecting");
            return Err(format!("no connection to the broker at {address}: {why}"));
        }
        Ok(())
    }

    fn status(&mut self) -> Status {
        let now = self.shell.clock.now();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_ms: now.mono.ms_since(self.shell.since),
            broker: self.shell.broker_status.clone(),
            region: self.core.status(now),
        }
    }

    fn metrics(&mut self) -> String {
        let mut out = String::new();
        let now = self.shell.clock.now();
        self.shell.meters.restarts = self.shell.broker_restarts.load(Ordering::Relaxed);
        self.shell.meters.web_refused = self.shell.web_refused.load(Ordering::Relaxed);
        // Writing into a string cannot fail.
        let _ = self.shell.meters.write(&mut out).and_then(|()| self.core.metrics(now, &mut out));
        out
    }

    /// Waits for the batches that are on their way, so that what is durable is also acknowledged.
    async fn finish(mut self) -> End {
        let end = Instant::now() + LAST_COMMIT;
        while self.committers.is_busy() {
            let Ok(report) = timeout_at(end, self.committers.report()).await else {
                log::warn!("stopping although the last batch is not durable yet");
                break;
            };
            if let Some(end) = self.reported(report) {
                log::error!("stopping while the ledger is in doubt: {end:?}");
                break;
            }
        }
        let now = self.shell.clock.now();
        self.publish(now);
        End::Stopped
    }
}
