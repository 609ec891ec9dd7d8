//! The link over MQTT 3.1.1, on rumqttc.
//!
//! rumqttc forgets on a reconnect what it had queued and what it had subscribed to, has no back-off
//! and can be wedged by a packet id of a lost session. So every connection here is a new client with
//! a clean session; both topics are subscribed before the link counts as up; what was queued dies
//! with its connection; the wait between connections is ours.
//!
//! Memory: one message waiting, one in rumqttc's channel, and at most `in_flight_bytes_max` that the
//! broker has not acknowledged.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use driftlog_proto::ids::{DeviceId, RunId};
use driftlog_proto::limits::MESSAGE_BYTES_MAX;
use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, Outgoing, Packet, QoS, SubscribeFilter,
    SubscribeReasonCode,
};
use tokio::net::lookup_host;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::backoff::Backoff;
use super::closings::{self, Closings};
use super::explain::{Explained, Unopened};
use super::in_flight::{IN_FLIGHT_MAX, InFlight};
use super::{Link, LinkEvent, Oversize, tls};
use crate::clock::Clock;
use crate::config::BrokerConfig;
use crate::identity;

/// Bytes that MQTT may add to a payload: the topic and a fixed header.
const PACKET_OVERHEAD_BYTES_MAX: usize = 1024;
/// Events that wait for the agent.
const EVENTS_MAX: usize = 4;
/// Messages that a broker may send before it confirms the subscriptions.
const EARLY_MAX: usize = 4;
/// Bytes of the kernel's send buffer. Small, so that on a slow line the wait is ours and a keep-alive
/// does not queue behind minutes of data.
const SEND_BUFFER_BYTES: u32 = 64 * 1024;
/// A message must have left within this.
pub(super) const FLUSH_WAIT: Duration = Duration::from_secs(120);
/// A connection that lives this long ends the back-off.
pub(super) const STEADY: Duration = Duration::from_secs(30);
/// How long a good-bye may take.
const CLOSE_WAIT: Duration = Duration::from_millis(500);

/// The topics of one device.
#[derive(Clone, Debug)]
struct Topics {
    up: String,
    ack: String,
    down: String,
}

impl Topics {
    fn new(device: &DeviceId) -> Self {
        let topic = |name: &str| format!("driftlog/v1/{:02x}/{device}/{name}", device.shard());
        Self { up: topic("up"), ack: topic("ack"), down: topic("down") }
    }
}

/// The MQTT client id where none is configured: twins must not take over each other's connection.
fn client_id(device: &DeviceId, run: RunId) -> String {
    format!("{device}-{:06x}", run.0 & 0xff_ffff)
}

/// The link over MQTT; lives on the runtime that it was started on.
#[derive(Debug)]
pub struct Mqtt {
    events: mpsc::Receiver<Heard>,
    outgoing: Option<Outbox>,
    task: tokio::task::JoinHandle<()>,
}

/// What the task tells: an event, and the way in for a connection's messages.
#[derive(Debug)]
struct Heard {
    event: LinkEvent,
    outgoing: Option<Outbox>,
}

/// The way in for the messages of one connection.
type Outbox = mpsc::Sender<Vec<u8>>;

impl Mqtt {
    /// Starts connecting, on the current tokio runtime.
    #[must_use]
    pub fn start(config: BrokerConfig, device: &DeviceId, run: RunId, clock: Arc<Clock>) -> Self {
        let (connector, events) = Connector::new(config, device, run, clock);
        Self { events, outgoing: None, task: tokio::spawn(connector.keep_up()) }
    }
}

/// A broker that does not take this device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What failed, and at which broker.
    pub reason: String,
    /// What to do.
    pub hint: String,
}

/// Connects once, as the link does it, and leaves again: name, TCP, TLS, MQTT with user and password,
/// subscriptions. Nothing is published. Returns the broker's address.
///
/// A broker closes the older of two connections with one client id: a link that is up under the configured one, or
/// under that of `run`, is cut.
///
/// # Errors
/// [`Refusal`].
pub async fn try_once(
    config: BrokerConfig,
    device: &DeviceId,
    run: RunId,
    clock: Arc<Clock>,
) -> Result<SocketAddr, Refusal> {
    let (connector, _events) = Connector::new(config, device, run, clock);
    let tried = async {
        let address = connector.resolve().await?;
        connector.leave(connector.open().await?).await;
        Ok::<_, Unopened>(address)
    };
    tried.await.map_err(|why| Refusal {
        reason: connector.reason(connector.say(&why)),
        hint: why.hint(&connector.config, &connector.topics.up),
    })
}

impl Drop for Mqtt {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Link for Mqtt {
    async fn event(&mut self, is_blocked: bool) -> LinkEvent {
        let heard = match &self.outgoing {
            Some(messages) if is_blocked => tokio::select! {
                heard = self.events.recv() => heard,
                // An error means that the connection is gone, and an event is about to say so.
                Ok(_) = messages.reserve() => return LinkEvent::Ready,
            },
            _ => self.events.recv().await,
        };
        // The task ends only when this side has closed; see `keep_up`.
        let Some(heard) = heard else { return std::future::pending().await };
        match heard.event {
            LinkEvent::Up { .. } => self.outgoing = heard.outgoing,
            LinkEvent::Down { .. } => self.outgoing = None,
            LinkEvent::Message { .. } | LinkEvent::Ready => {}
        }
        heard.event
    }

    fn is_up(&self) -> bool {
        self.outgoing.is_some()
    }

    fn is_ready(&self) -> bool {
        self.outgoing.as_ref().is_some_and(|messages| messages.capacity() > 0 && !messages.is_closed())
    }

    fn publish(&mut self, message: Vec<u8>) -> Result<(), Oversize> {
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(Oversize { bytes: message.len() });
        }
        if let Some(messages) = &self.outgoing {
            // Refused when the connection has just gone or is not ready: lost, as anything may be.
            let _ = messages.try_send(message);
        }
        Ok(())
    }

    async fn close(&mut self) {
        self.events.close();
        self.outgoing = None;
        let _ = timeout(CLOSE_WAIT, &mut self.task).await;
    }
}

struct Connector {
    config: BrokerConfig,
    client_id: String,
    topics: Topics,
    clock: Arc<Clock>,
    events: mpsc::Sender<Heard>,
}

/// Why a connection ended: for the operator.
type Reason = String;

impl Connector {
    fn new(
        config: BrokerConfig,
        device: &DeviceId,
        run: RunId,
        clock: Arc<Clock>,
    ) -> (Self, mpsc::Receiver<Heard>) {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let client_id = config.client_id.clone().unwrap_or_else(|| client_id(device, run));
        (Self { config, client_id, topics: Topics::new(device), clock, events: sender }, events)
    }

    /// Connects, again and again, until the other side is gone.
    async fn keep_up(self) {
        let mut backoff = Backoff::new(self.config.backoff_ms_min, self.config.backoff_ms_max);
        let mut closings = Closings::default();
        while !self.events.is_closed() {
            let Err(reason) = self.connection(&mut backoff, &mut closings).await else { return };
            let event = LinkEvent::Down { reason };
            if self.events.send(Heard { event, outgoing: None }).await.is_err() {
                return;
            }
            let wait = backoff.after_failure(identity::random_number());
            tokio::select! {
                () = sleep(wait) => {}
                () = self.events.closed() => return,
            }
        }
    }

    /// One connection, from the first packet to the last. `Ok` when the other side wants no more.
    async fn connection(&self, backoff: &mut Backoff, closings: &mut Closings) -> Result<(), Reason> {
        let Opened { client, mut eventloop, early } = tokio::select! {
            opened = self.open() => opened.map_err(|why| self.reason(self.say(&why)))?,
            () = self.events.closed() => return Ok(()),
        };
        // From here on this wait bounds how long a message may take to leave.
        eventloop.network_options.set_connection_timeout(FLUSH_WAIT.as_secs());
        let in_flight = InFlight::new(self.config.in_flight_bytes_max);
        let (messages, waiting) = mpsc::channel(1);
        self.tell(LinkEvent::Up { session: identity::new_session() }, Some(messages)).await;
        for payload in early {
            self.tell(LinkEvent::Message { payload }, None).await;
        }
        let begin = Instant::now();
        let ended = tokio::select! {
            ended = self.drive(&mut eventloop, &in_flight) => ended,
            overdue = in_flight.overdue() => return Err(self.reason(overdue)),
            never = async { tokio::join!(self.pump(&client, waiting, &in_flight), steady(backoff)).1 } => match never {},
        };
        let (taken_max, pending_max) = in_flight.largest();
        closings.handle_end(begin.elapsed(), taken_max, pending_max, ended.as_ref().err());
        ended.map_err(|error| {
            let hint = closings.hint(&self.client_id, &self.topics.up);
            self.reason(format_args!("{}{hint}", Explained { error: &error, config: &self.config }))
        })
    }

    /// The broker's address, by itself: a name that cannot be resolved is told apart from a broker that cannot
    /// be reached.
    async fn resolve(&self) -> Result<SocketAddr, Unopened> {
        let wait = Duration::from_secs(self.config.connect_timeout_s.into());
        let name = format!("{}:{}", self.config.host, self.config.port);
        let found = timeout(wait, lookup_host(name)).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()));
        let mut found = found.map_err(Unopened::Name)?;
        found.next().ok_or_else(|| Unopened::Name(io::ErrorKind::NotFound.into()))
    }

    /// Connects and subscribes, within the named time.
    async fn open(&self) -> Result<Opened, Unopened> {
        let (client, mut eventloop) = AsyncClient::new(self.options().map_err(Unopened::File)?, 1);
        eventloop.network_options.set_tcp_send_buffer_size(SEND_BUFFER_BYTES);
        let wait = Duration::from_secs(self.config.connect_timeout_s.into());
        eventloop.network_options.set_connection_timeout(wait.as_secs());
        let subscribed = timeout(wait, self.subscribe(&client, &mut eventloop)).await;
        let early = subscribed.unwrap_or(Err(Unopened::Connection(ConnectionError::NetworkTimeout)))?;
        Ok(Opened { client, eventloop, early })
    }

    /// Waits for CONNACK, subscribes, waits for SUBACK. Returns what came before that.
    async fn subscribe(
        &self,
        client: &AsyncClient,
        eventloop: &mut EventLoop,
    ) -> Result<Vec<Vec<u8>>, Unopened> {
        let mut early = Vec::new();
        let mut is_asked = false;
        loop {
            let event =
                eventloop.poll().await.map_err(|error| match closings::is_closed(&error) && is_asked {
                    // RabbitMQ hangs up where mosquitto answers.
                    true => Unopened::Forbidden,
                    false => Unopened::Connection(error),
                })?;
            match event {
                Event::Incoming(Packet::ConnAck(_)) => {
                    let filter = |topic: &String| SubscribeFilter::new(topic.clone(), QoS::AtLeastOnce);
                    let filters = [filter(&self.topics.ack), filter(&self.topics.down)];
                    let asked = client.try_subscribe_many(filters);
                    asked.map_err(|_| Unopened::Connection(ConnectionError::RequestsDone))?;
                    is_asked = true;
                }
                Event::Incoming(Packet::SubAck(ack)) => {
                    if ack.return_codes.contains(&SubscribeReasonCode::Failure) {
                        return Err(Unopened::Forbidden);
                    }
                    return Ok(early);
                }
                Event::Incoming(Packet::Publish(publish)) if early.len() < EARLY_MAX => {
                    early.push(publish.payload.to_vec());
                }
                _ => {}
            }
        }
    }

    /// Keeps rumqttc going; ends with the connection.
    async fn drive(&self, eventloop: &mut EventLoop, in_flight: &InFlight) -> Result<(), ConnectionError> {
        loop {
            match eventloop.poll().await {
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    if publish.topic == self.topics.ack || publish.topic == self.topics.down {
                        self.tell(LinkEvent::Message { payload: publish.payload.to_vec() }, None).await;
                    }
                }
                Ok(Event::Outgoing(Outgoing::Publish(id))) => in_flight.handle_sent(id),
                Ok(Event::Incoming(Packet::PubAck(ack))) => in_flight.handle_acknowledged(ack.pkid),
                Ok(Event::Outgoing(Outgoing::Disconnect)) => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Carries messages to rumqttc as the budget allows, then says good-bye.
    async fn pump(&self, client: &AsyncClient, mut waiting: mpsc::Receiver<Vec<u8>>, in_flight: &InFlight) {
        while let Some(message) = waiting.recv().await {
            in_flight.take(message.len()).await;
            if client.publish(self.topics.up.clone(), QoS::AtLeastOnce, false, message).await.is_err() {
                return;
            }
        }
        // An error means that the connection is gone already.
        let _ = client.disconnect().await;
    }

    async fn tell(&self, event: LinkEvent, outgoing: Option<Outbox>) {
        // An error means that the other side is closing; the message queue closes with it.
        let _ = self.events.send(Heard { event, outgoing }).await;
    }

    fn options(&self) -> Result<MqttOptions, String> {
        let config = &self.config;
        let mut options = MqttOptions::new(&self.client_id, &config.host, config.port);
        let bytes = MESSAGE_BYTES_MAX + PACKET_OVERHEAD_BYTES_MAX;
        options.set_keep_alive(Duration::from_secs(config.keep_alive_s.into()));
        options.set_clean_session(true).set_inflight(IN_FLIGHT_MAX).set_max_packet_size(bytes, bytes);
        if let Some(username) = &config.username {
            options.set_credentials(username, self.password()?);
        }
        if let Some(files) = &config.tls {
            let transport = tls::transport(files, &self.clock);
            options.set_transport(transport.map_err(|error| error.to_string())?);
        }
        Ok(options)
    }

    fn password(&self) -> Result<String, String> {
        let Some(file) = &self.config.password_file else { return Ok(String::new()) };
        let text = std::fs::read_to_string(file)
            .map_err(|error| format!("password_file {}: {error}", file.display()))?;
        Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    }

    fn reason(&self, what: impl std::fmt::Display) -> Reason {
        format!("{}:{}: {what}", self.config.host, self.config.port)
    }

    /// Says good-bye.
    async fn leave(&self, mut opened: Opened) {
        let goodbye = async {
            // An error means that the connection is gone already.
            let _ = opened.client.disconnect().await;
            while !matches!(opened.eventloop.poll().await, Err(_) | Ok(Event::Outgoing(Outgoing::Disconnect)))
            {
            }
        };
        let _ = timeout(CLOSE_WAIT, goodbye).await;
    }

    fn say(&self, why: &Unopened) -> String {
        match why {
            Unopened::Name(error) => format!("the name cannot be resolved: {error}"),
            Unopened::File(what) => what.clone(),
            Unopened::Connection(error) => Explained { error, config: &self.config }.to_string(),
            Unopened::Forbidden => {
                format!("the broker does not allow to subscribe to {} and …/down", self.topics.ack)
            }
        }
    }
}

/// A connection that is up, and what came before it was.
struct Opened {
    client: AsyncClient,
    eventloop: EventLoop,
    early: Vec<Vec<u8>>,
}

/// Ends the back-off when the connection has proven itself; never ends itself.
async fn steady(backoff: &mut Backoff) -> std::convert::Infallible {
    sleep(STEADY).await;
    backoff.reset();
    std::future::pending().await
}
