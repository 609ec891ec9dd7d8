//! The broker inside the gateway: for a small region, a bench or a demo nothing else is installed.
//!
//! It is rumqttd in threads of its own. Everything that it keeps is in memory; a restart forgets
//! sessions, queued messages and retained ones, which costs repeats and never a record, since a
//! device frees a block only on the gateway's own acknowledgement.
//!
//! What it promises: it listens when [`Embedded::start`] returns; every queue in it has a bound.
//! What it costs: about 60 KB for each connected client, and for each filter that was ever
//! subscribed up to [`FILTER_BYTES_MAX`].
//!
//! It knows no users and no access rules, so it listens on loopback unless told otherwise.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::pin::pin;
use std::task::Poll;
use std::thread::JoinHandle;

use driftlog_proto::limits::MESSAGE_BYTES_MAX;
use rumqttd::protocol::v4::V4;
use rumqttd::{ConnectionSettings, LinkType, Router, RouterConfig, SegmentConfig, Server, ServerSettings};
use tokio::sync::oneshot;

use super::UP_FILTER;

/// Clients that may be connected at once.
pub const CONNECTIONS_MAX: usize = 4096;
/// Bytes that the broker keeps of messages from devices which the gateway has not read yet.
pub const UP_BYTES_MAX: usize = UP_SEGMENT_BYTES * UP_SEGMENTS;
/// Bytes that the broker keeps for each other filter: a device's `ack` and `down`.
pub const FILTER_BYTES_MAX: usize = FILTER_SEGMENT_BYTES * FILTER_SEGMENTS;

const UP_SEGMENT_BYTES: usize = 2 * 1024 * 1024;
const UP_SEGMENTS: usize = 16;
const FILTER_SEGMENT_BYTES: usize = 2 * 1024;
const FILTER_SEGMENTS: usize = 2;
/// Bytes of a packet around its payload: topic, packet id, fixed header.
const PACKET_OVERHEAD_BYTES: usize = 1024;
/// A client that has connected must say so within this time.
const CONNECT_MS_MAX: u16 = 5_000;
/// Packets that are read from one client before its neighbours have their turn.
const READ_PACKETS_MAX: usize = 100;
/// Tries to find a free port when none is asked for: another process may take it in between.
const FREE_PORT_TRIES: usize = 16;

/// A broker that listens.
#[derive(Debug)]
pub struct Embedded {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Why the broker does not listen.
#[derive(Debug)]
pub struct StartError {
    /// Where it should.
    pub listen: SocketAddr,
    /// What the system said.
    pub reason: String,
    /// The port is in use.
    pub is_taken: bool,
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { listen, reason, is_taken } = self;
        write!(f, "the embedded broker cannot listen on {listen}: {reason}")?;
        if *is_taken {
            write!(
                f,
                "\nhint: another broker or gateway uses port {}; give another `broker.listen`, or use that \
                 broker with `broker.url`",
                listen.port()
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for StartError {}

impl Embedded {
    /// Starts a broker; port 0 takes any free one. It listens when this returns.
    ///
    /// # Errors
    /// [`StartError`] when the address cannot be listened on.
    pub fn start(listen: SocketAddr) -> Result<Self, StartError> {
        if listen.port() != 0 {
            return Self::start_on(listen);
        }
        let mut tries = 1;
        loop {
            let free = TcpListener::bind(listen).and_then(|probe| probe.local_addr());
            let free = free.map_err(|error| failed(listen, &error))?;
            match Self::start_on(free) {
                Err(error) if error.is_taken && tries < FREE_PORT_TRIES => tries += 1,
                outcome => return outcome,
            }
        }
    }

    fn start_on(listen: SocketAddr) -> Result<Self, StartError> {
        let (stop, stopped) = oneshot::channel();
        let (started, outcome) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("mqtt-broker".to_owned())
            .spawn(move || serve(listen, &started, stopped))
            .map_err(|error| failed(listen, &error))?;
        match outcome.recv() {
            Ok(Ok(())) => Ok(Self { address: listen, stop: Some(stop), thread: Some(thread) }),
            Ok(Err(error)) => Err(error),
            Err(_) => {
                Err(StartError { listen, reason: "its thread ended at once".to_owned(), is_taken: false })
            }
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the gateway itself reaches it.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        let ip = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        SocketAddr::new(ip, self.address.port())
    }
}

impl Drop for Embedded {
    /// Closes the port and every connection. rumqttd has no way to end its router: that thread
    /// stays, asleep, with what it remembers.
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It can only have panicked in code that is not ours; it is over in any case.
            let _ = thread.join();
        }
    }
}

fn failed(listen: SocketAddr, error: &std::io::Error) -> StartError {
    let is_taken = error.kind() == std::io::ErrorKind::AddrInUse;
    StartError { listen, reason: error.to_string(), is_taken }
}

/// The broker's thread: the listener and every connection. The router has a thread of its own.
fn serve(
    listen: SocketAddr,
    started: &std::sync::mpsc::SyncSender<Result<(), StartError>>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = started.send(Err(failed(listen, &error)));
            return;
        }
    };
    runtime.block_on(async {
        let router = Router::new(0, router_config()).spawn();
        let mut server = Server::new(server_settings(listen), router, V4);
        let mut serving = pin!(server.start(LinkType::Remote));
        // rumqttd does not say when it listens. Binding to an address that needs no look-up is
        // done in the first poll: after it, the outcome is an error or the port is open.
        let first = poll_fn(|context| Poll::Ready(serving.as_mut().poll(context))).await;
        if let Poll::Ready(outcome) = first {
            let error = match outcome {
                Err(rumqttd_error) => start_error(listen, &rumqttd_error),
                Ok(()) => StartError { listen, reason: "it ended at once".to_owned(), is_taken: false },
            };
            let _ = started.send(Err(error));
            return;
        }
        let _ = started.send(Ok(()));
        tokio::select! {
            _ = serving => log::error!("the embedded broker has stopped"),
            _ = stopped => {}
        }
    });
}

fn start_error(listen: SocketAddr, error: &dyn std::error::Error) -> StartError {
    let io = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    match io {
        Some(io) => failed(listen, io),
        None => StartError { listen, reason: error.to_string(), is_taken: false },
    }
}

fn router_config() -> RouterConfig {
    let up = SegmentConfig { max_segment_size: UP_SEGMENT_BYTES, max_segment_count: UP_SEGMENTS };
    RouterConfig {
        max_connections: CONNECTIONS_MAX,
        max_outgoing_packet_count: 100,
        max_segment_size: FILTER_SEGMENT_BYTES,
        max_segment_count: FILTER_SEGMENTS,
        custom_segment: Some(HashMap::from([(UP_FILTER.to_owned(), up)])),
        ..RouterConfig::default()
    }
}

fn server_settings(listen: SocketAddr) -> ServerSettings {
    ServerSettings {
        name: "mqtt-broker".to_owned(),
        listen,
        tls: None,
        next_connection_delay_ms: 0,
        connections: ConnectionSettings {
            connection_timeout_ms: CONNECT_MS_MAX,
            max_payload_size: MESSAGE_BYTES_MAX + PACKET_OVERHEAD_BYTES,
            max_inflight_count: READ_PACKETS_MAX,
            auth: None,
            external_auth: None,
            dynamic_filters: false,
        },
    }
}
