//! The link: the lossy, doubling, reordering pipe to the gateway, over an MQTT broker.
//!
//! It promises little: a message given to it may arrive, once, twice or never. What it does promise
//! is bounded: one message waiting, a named number of bytes that the broker has not taken, and that
//! nothing given in one session is sent in the next.

mod backoff;
mod closings;
mod explain;
mod in_flight;
pub mod mqtt;
#[cfg(feature = "tls")]
pub(crate) mod tls;
#[cfg(not(feature = "tls"))]
#[path = "without_tls.rs"]
pub(crate) mod tls;

use std::fmt;
use std::future::Future;

use driftlog_proto::ids::SessionId;

/// What happens on the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// Connected and subscribed, in a new session.
    Up {
        /// Random at each connection.
        session: SessionId,
    },
    /// Not connected any more, or a try to connect failed.
    Down {
        /// For the operator: what failed, and at which broker.
        reason: String,
    },
    /// A message of the gateway arrived, on the topic `ack` or `down`.
    Message {
        /// Its bytes.
        payload: Vec<u8>,
    },
    /// There is room for a message.
    Ready,
}

/// The link gave a message back: it can never be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oversize {
    /// Bytes of the message.
    pub bytes: usize,
}

impl fmt::Display for Oversize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = driftlog_proto::limits::MESSAGE_BYTES_MAX;
        write!(f, "a message of {} bytes is over the limit of {most} and was not sent", self.bytes)
    }
}

impl std::error::Error for Oversize {}

/// A connection to the gateway that keeps itself up.
pub trait Link {
    /// Waits for the next event; [`LinkEvent::Ready`] is one only for who says that it is blocked.
    /// The future may be dropped before it is done; nothing is lost by that.
    fn event(&mut self, is_blocked: bool) -> impl Future<Output = LinkEvent>;
    /// Whether the last event about it was that it is up.
    fn is_up(&self) -> bool;
    /// Whether [`publish`](Self::publish) would take a message now; never while the link is down.
    fn is_ready(&self) -> bool;
    /// Gives a message to be sent. One that is given while the link is not ready is dropped, as any
    /// message may be.
    ///
    /// # Errors
    /// [`Oversize`]: the message is over the protocol's limit; nothing was sent.
    fn publish(&mut self, message: Vec<u8>) -> Result<(), Oversize>;
    /// Says good-bye to the broker, within a moment.
    fn close(&mut self) -> impl Future<Output = ()>;
}
