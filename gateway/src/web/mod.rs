//! The page for operators and their tools: `/metrics`, `/healthz`, `/readyz` and `/status`.
//!
//! It only reads, and it asks the gateway's own loop for each answer: when that is stuck, the
//! answer says so. Connections, the size of a request and the time for everything are bounded,
//! so that nobody who can reach the port can hold the gateway up. It knows no users: it listens
//! on loopback unless told otherwise.

pub mod metrics;
mod process;
mod respond;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::status::Status;

/// Connections that are served at once.
pub const CONNECTIONS_MAX: usize = 32;
/// Bytes of a request's head.
pub const REQUEST_BYTES_MAX: usize = 8 * 1024;
/// Time for a request's head to arrive.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);
/// Time for a connection, with all its requests.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(60);
/// Pause after a connection could not be accepted, usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The section `[web]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebConfig {
    /// Where it is served.
    pub listen: SocketAddr,
}

impl Default for WebConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9464)) }
    }
}

/// What the page asks the gateway's loop.
#[derive(Debug)]
pub enum Question {
    /// Whether the loop turns.
    Health(oneshot::Sender<()>),
    /// Whether the gateway can do its work; if not, why not.
    Ready(oneshot::Sender<Result<(), String>>),
    /// How everything stands.
    Status(oneshot::Sender<Status>),
    /// What has been measured, in Prometheus' text format.
    Metrics(oneshot::Sender<String>),
}

/// The page cannot be served.
#[derive(Debug)]
pub struct BindError {
    listen: SocketAddr,
    error: std::io::Error,
}

impl std::fmt::Display for BindError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot serve the status page on {}: {}", self.listen, self.error)?;
        if self.error.kind() == std::io::ErrorKind::AddrInUse {
            write!(f, "\nhint: another program uses port {}; give another `web.listen`", self.listen.port())?;
        }
        Ok(())
    }
}

impl std::error::Error for BindError {}

/// The page, served until this is dropped.
#[derive(Debug)]
pub struct Web {
    address: SocketAddr,
    refused: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Web {
    /// Begins to serve; the questions come out of the receiver.
    ///
    /// # Errors
    /// [`BindError`] when the address cannot be listened on.
    pub async fn start(config: &WebConfig) -> Result<(Self, mpsc::Receiver<Question>), BindError> {
        let failed = |error| BindError { listen: config.listen, error };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (asking, questions) = mpsc::channel(CONNECTIONS_MAX);
        let refused = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn(accept(listener, asking, Arc::clone(&refused)));
        Ok((Self { address, refused, task }, questions))
    }

    /// Where it is served.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that were refused because too many were open.
    #[must_use]
    pub fn refused(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.refused)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, asking: mpsc::Sender<Question>, refused: Arc<AtomicU64>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                log::warn!("the status page cannot take a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            refused.fetch_add(1, Ordering::Relaxed);
            refuse(stream).await;
            continue;
        };
        let asking = asking.clone();
        tokio::spawn(async move {
            // What breaks a connection is the client's affair.
            let _ = timeout(CONNECTION_TIME_MAX, serve(stream, asking)).await;
            drop(place);
        });
    }
}

async fn refuse(mut stream: TcpStream) {
    let body = "too many connections\n";
    let head = "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\n\
                content-type: text/plain; charset=utf-8\r\n";
    let answer = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    // A socket that has just been made takes this much without waiting.
    let _ = timeout(ACCEPT_PAUSE, stream.write_all(answer.as_bytes())).await;
    let _ = timeout(ACCEPT_PAUSE, stream.shutdown()).await;
}

async fn serve(stream: TcpStream, asking: mpsc::Sender<Question>) -> hyper::Result<()> {
    let service = service_fn(move |request| {
        let asking = asking.clone();
        async move { Ok::<_, std::convert::Infallible>(respond::respond(&request, &asking).await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(REQUEST_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

#[cfg(test)]
mod tests;
