//! The gateway's MQTT client: rumqttc, used as the lossy pipe that it is.
//!
//! Each connection is a new client and a new event loop with a clean session: rumqttc otherwise
//! loses what was queued without saying so, or collides with packet ids of a session that the
//! broker has forgotten. The event loop is polled by one task and never cancelled, since
//! dropping its future in the middle of a packet is not safe.
//!
//! What it promises: after [`Event::Up`] the subscription is in force; messages come in the order
//! in which the broker sends them. What it costs: up to [`EVENTS_MAX`] messages in memory. When
//! the gateway does not take them, nothing is read from the socket and the broker waits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use driftlog_proto::limits::MESSAGE_BYTES_MAX;
use rumqttc::{AsyncClient, EventLoop, Incoming, MqttOptions, Outgoing, QoS, SubscribeReasonCode};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::UP_FILTER;
use super::config::{ClientConfig, Credentials};

/// Messages from the broker that wait for the gateway.
pub const EVENTS_MAX: usize = 64;
/// Messages to devices that wait for the broker.
pub const PUBLISHES_MAX: usize = 64;
/// Bytes of a packet that is still read: a device that says more than it may is then refused by
/// the gateway and does not cost everybody the connection.
const PACKET_BYTES_MAX: usize = 1024 * 1024;
/// Publishes that the broker has not confirmed; the least that every broker takes.
const IN_FLIGHT_MAX: u16 = 100;
/// A connection that held this long was a good one: the next attempt does not wait.
const GOOD_CONNECTION: Duration = Duration::from_secs(20);
/// Time for the last messages and the farewell when the gateway stops.
const FAREWELL: Duration = Duration::from_secs(1);

/// What the broker's side of the gateway has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Connected, and the subscription is in force.
    Up,
    /// Not connected any more, or not yet again.
    Down {
        /// Why.
        reason: String,
    },
    /// A message from a device.
    Message {
        /// Its topic.
        topic: String,
        /// Its payload.
        payload: Bytes,
    },
}

/// A message to a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    topic: String,
    payload: Bytes,
    is_retained: bool,
}

/// A message is over [`MESSAGE_BYTES_MAX`]; given to rumqttc it would end the connection for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge {
    /// Bytes of its payload.
    pub bytes: usize,
}

impl std::fmt::Display for TooLarge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a message of {} bytes is over the limit of {MESSAGE_BYTES_MAX}", self.bytes)
    }
}

impl std::error::Error for TooLarge {}

impl Publish {
    /// A message to a topic, checked against the limit.
    ///
    /// # Errors
    /// [`TooLarge`].
    pub fn new(topic: String, payload: impl Into<Bytes>, is_retained: bool) -> Result<Self, TooLarge> {
        let payload = payload.into();
        if payload.len() > MESSAGE_BYTES_MAX {
            return Err(TooLarge { bytes: payload.len() });
        }
        Ok(Self { topic, payload, is_retained })
    }
}

/// A client that connects, and connects again, until it is [`close`](Self::close)d or dropped.
#[derive(Debug)]
pub struct Client {
    /// What comes from the broker.
    pub events: Events,
    /// What goes to the broker.
    pub publisher: Publisher,
    task: JoinHandle<()>,
}

/// What comes from the broker.
#[derive(Debug)]
pub struct Events(mpsc::Receiver<Event>);

/// What goes to the broker.
#[derive(Debug)]
pub struct Publisher(mpsc::Sender<Publish>);

impl Events {
    /// The next event; safe to cancel.
    pub async fn next(&mut self) -> Event {
        match self.0.recv().await {
            Some(event) => event,
            // The client's task ends only after the publisher has been dropped.
            None => std::future::pending().await,
        }
    }

    /// The next event if there is one already.
    pub fn try_next(&mut self) -> Option<Event> {
        self.0.try_recv().ok()
    }
}

impl Publisher {
    /// Room for one message to a device, if there is any now.
    #[must_use]
    pub fn try_room(&self) -> Option<mpsc::Permit<'_, Publish>> {
        self.0.try_reserve().ok()
    }

    /// Waits until there is room for a message; safe to cancel.
    pub async fn room(&self) {
        drop(self.0.reserve().await);
    }
}

impl Client {
    /// Starts to connect.
    #[must_use]
    pub fn start(config: ClientConfig) -> Self {
        let (to_gateway, events) = mpsc::channel(EVENTS_MAX);
        let (publishes, to_broker) = mpsc::channel(PUBLISHES_MAX);
        let task = tokio::spawn(connect_again_and_again(config, to_gateway, to_broker));
        Self { events: Events(events), publisher: Publisher(publishes), task }
    }

    /// Lets what is queued go out, says farewell and ends.
    pub async fn close(self) {
        let Self { events: Events(mut events), publisher, mut task } = self;
        drop(publisher);
        let ended = async {
            loop {
                tokio::select! {
                    _ = &mut task => return,
                    event = events.recv() => if event.is_none() { return },
                }
            }
        };
        if timeout(FAREWELL, ended).await.is_err() {
            task.abort();
        }
    }
}

async fn connect_again_and_again(
    config: ClientConfig,
    events: mpsc::Sender<Event>,
    mut publishes: mpsc::Receiver<Publish>,
) {
    let mut failures = 0u32;
    while !publishes.is_closed() {
        let begin = Instant::now();
        let reason = connection(&config, &events, &mut publishes).await;
        let Some(reason) = reason else { return };
        if events.send(Event::Down { reason }).await.is_err() {
            return;
        }
        failures = if begin.elapsed() >= GOOD_CONNECTION { 0 } else { failures.saturating_add(1) };
        let pause = config.backoff(failures, std::hash::BuildHasher::hash_one(&config.jitter, failures));
        tokio::time::sleep(pause).await;
    }
}

/// One connection, from its beginning to its end: why it ended, or nothing if the gateway let go.
async fn connection(
    config: &ClientConfig,
    events: &mpsc::Sender<Event>,
    publishes: &mut mpsc::Receiver<Publish>,
) -> Option<String> {
    let (client, mut eventloop) = AsyncClient::new(config.options(), 1);
    eventloop.network_options.set_connection_timeout(config.connect_timeout.as_secs());
    if let Err(reason) = subscribe(&client, &mut eventloop, events).await {
        return Some(reason);
    }
    // Messages of the connection before this one are out of date.
    while publishes.try_recv().is_ok() {}
    let _ = events.send(Event::Up).await;

    let (given, answered) = (AtomicU64::new(0), AtomicU64::new(0));
    let confirmed = Notify::new();
    let reading = async {
        loop {
            match eventloop.poll().await {
                Ok(rumqttc::Event::Outgoing(Outgoing::Disconnect)) => return None,
                Ok(rumqttc::Event::Incoming(Incoming::PubAck(_))) => {
                    answered.fetch_add(1, Ordering::Relaxed);
                    confirmed.notify_one();
                }
                Ok(event) => forward(event, events).await,
                Err(error) => return Some(error.to_string()),
            }
        }
    };
    let writing = async {
        while let Some(Publish { topic, payload, is_retained }) = publishes.recv().await {
            given.fetch_add(1, Ordering::Relaxed);
            if client.publish_bytes(topic, QoS::AtLeastOnce, is_retained, payload).await.is_err() {
                break;
            }
        }
        // Closing a socket that has unread answers in it throws away what the broker has not
        // read yet, too.
        while answered.load(Ordering::Relaxed) < given.load(Ordering::Relaxed) {
            confirmed.notified().await;
        }
        let _ = client.disconnect().await;
        // The other half sees the farewell go out, or the connection end.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        reason = reading => reason,
        () = writing => None,
    }
}

/// Connects, subscribes and waits until the broker has confirmed it.
async fn subscribe(
    client: &AsyncClient,
    eventloop: &mut EventLoop,
    events: &mpsc::Sender<Event>,
) -> Result<(), String> {
    loop {
        let event = eventloop.poll().await.map_err(|error| error.to_string())?;
        match event {
            rumqttc::Event::Incoming(Incoming::ConnAck(_)) => {
                client.try_subscribe(UP_FILTER, QoS::AtLeastOnce).map_err(|error| error.to_string())?;
            }
            rumqttc::Event::Incoming(Incoming::SubAck(answer)) => {
                return match answer.return_codes.first() {
                    Some(SubscribeReasonCode::Success(_)) => Ok(()),
                    _ => Err(format!("the broker refuses the subscription to {UP_FILTER}")),
                };
            }
            other => forward(other, events).await,
        }
    }
}

async fn forward(event: rumqttc::Event, events: &mpsc::Sender<Event>) {
    if let rumqttc::Event::Incoming(Incoming::Publish(message)) = event {
        let rumqttc::Publish { topic, payload, .. } = message;
        // Nobody listens any more only when the gateway stops.
        let _ = events.send(Event::Message { topic, payload }).await;
    }
}

impl ClientConfig {
    fn options(&self) -> MqttOptions {
        let mut options = MqttOptions::new(self.client_id.clone(), self.host.clone(), self.port);
        options
            .set_clean_session(true)
            .set_keep_alive(self.keep_alive)
            .set_inflight(IN_FLIGHT_MAX)
            .set_max_packet_size(PACKET_BYTES_MAX, PACKET_BYTES_MAX);
        if let Some(Credentials { username, password }) = &self.credentials {
            options.set_credentials(username.clone(), password.clone());
        }
        if let Some(tls) = &self.tls {
            options.set_transport(rumqttc::Transport::tls_with_config(rumqttc::TlsConfiguration::Rustls(
                tls.clone(),
            )));
        }
        options
    }

    /// Whether the broker takes a connection now: connects under another client id and leaves.
    pub(super) async fn probe(&self) -> Result<(), String> {
        let mut config = self.clone();
        config.client_id.push_str("-probe");
        let (client, mut eventloop) = AsyncClient::new(config.options(), 1);
        let answer = timeout(config.connect_timeout, eventloop.poll()).await;
        answer.map_err(|_| "no answer".to_owned())?.map_err(|error| error.to_string())?;
        // A farewell, so that the broker does not count it as a broken connection.
        let _ = client.try_disconnect();
        let _ = timeout(config.connect_timeout, eventloop.poll()).await;
        Ok(())
    }
}
