//! What the agent tells about itself over a socket in its state directory: one line of JSON to
//! whoever connects.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use driftlog_proto::ids::{BootId, DeviceId};
use driftlog_proto::time::Mono;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::link::LinkEvent;
use crate::state_dir::{SOCKET_NAME, StateDir};

/// Who may be answered at once.
pub(crate) const ANSWERS_MAX: usize = 4;
/// Whoever does not take the answer within this is let go.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// How the agent is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Its process id.
    pub process: u32,
    /// This boot.
    pub boot: String,
    /// The connection.
    pub link: LinkStatus,
    /// Lanes, sources and clock.
    #[serde(flatten)]
    pub core: CoreStatus,
}

/// How the connection is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// Host and port of the broker.
    pub broker: String,
    /// Whether it is connected and subscribed.
    pub is_up: bool,
    /// When it went up or down, milliseconds after the agent's start.
    pub since_ms: u64,
    /// Connections made since the agent started.
    pub connections: u64,
    /// Why the last connection ended or failed.
    pub last_error: Option<String>,
}

/// The pipeline at one instant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CoreStatus {
    /// The device.
    pub device_id: String,
    /// The agent's version.
    pub agent: String,
    /// Milliseconds since the agent started.
    pub uptime_ms: u64,
    /// There is a connection to the broker.
    pub connected: bool,
    /// The gateway has answered in this connection.
    pub answered: bool,
    /// Why the gateway does not serve this device.
    pub refused: Option<String>,
    /// What is known of the wall clock: `unset`, `unsynchronised` or `synchronised`.
    pub clock: String,
    /// The wall clock, nanoseconds since 1970.
    pub wall_ns: i64,
    /// Lines and parts of lines read since the start.
    pub lines: u64,
    /// Lines cut since the start.
    pub lines_cut: u64,
    /// Its lanes.
    pub lanes: Vec<LaneStatus>,
    /// Its sources.
    pub sources: Vec<SourceStatus>,
}

/// A lane at one instant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LaneStatus {
    /// Its name.
    pub lane: String,
    /// The current run.
    pub run: String,
    /// The number after the newest record on flash.
    pub sealed: u64,
    /// The number below which everything is acknowledged.
    pub acknowledged: u64,
    /// Records on flash that are not acknowledged.
    pub waiting: u64,
    /// Records in the open block, not on flash yet.
    pub open: u64,
    /// Items on the air.
    pub in_flight: usize,
    /// Bytes of items on the air.
    pub in_flight_bytes: u64,
    /// Bytes that the gateway is willing to receive.
    pub credit: u32,
    /// Bytes of the spool's segments.
    pub spool_bytes: u64,
    /// Records declared lost since the spool was made, by cause.
    pub dropped: BTreeMap<String, u64>,
    /// Milliseconds since the oldest unacknowledged block was opened; none when that was before
    /// this boot.
    pub oldest_age_ms: Option<u64>,
    /// The sources wait because this lane cannot take more.
    pub paused: bool,
    /// Why the last write failed.
    pub last_error: Option<String>,
    /// What was sent several times and does not reach the gateway.
    pub unheard: Option<String>,
    /// Blocks sealed since the agent started, by how they were packed: `stored`, `zstd`, `strong`,
    /// `referring`.
    #[serde(default)]
    pub blocks: BTreeMap<String, u64>,
    /// Bytes of the lines in them.
    #[serde(default)]
    pub body_bytes: u64,
    /// Bytes that these became, on flash and on the wire, without each block's header.
    #[serde(default)]
    pub packed_bytes: u64,
}

/// A source at one instant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// Its path.
    pub path: String,
    /// How far it is read, bytes.
    pub offset: u64,
    /// Its length, bytes.
    pub length: u64,
    /// Bytes of its lines in blocks sealed since the agent started.
    #[serde(default)]
    pub body_bytes: u64,
    /// Bytes that these became, on flash and on the wire, without each block's header; its share of a block of
    /// several sources is that of its lines' bytes.
    #[serde(default)]
    pub packed_bytes: u64,
}

/// What the shell knows for the status: the process and the connection.
#[derive(Debug)]
pub struct Shown {
    device_id: DeviceId,
    boot: BootId,
    started: Mono,
    link: LinkStatus,
}

impl Shown {
    /// At the start of the agent.
    #[must_use]
    pub fn new(config: &Config, boot: BootId, now: Mono) -> Self {
        let broker = format!("{}:{}", config.broker.host, config.broker.port);
        let link = LinkStatus { broker, ..LinkStatus::default() };
        Self { device_id: config.device_id.clone(), boot, started: now, link }
    }

    /// Says to the log who runs here.
    pub fn say_started(&self) {
        let (version, boot) = (env!("CARGO_PKG_VERSION"), self.boot);
        log::info!("driftlog-agent {version} runs as device {}, boot {boot}", self.device_id);
    }

    /// Something happened on the link; says it to the log too.
    pub fn hear(&mut self, now: Mono, event: &LinkEvent) {
        let was_up = self.link.is_up;
        match event {
            LinkEvent::Up { .. } => {
                log::info!("connected to {}", self.link.broker);
                self.link.is_up = true;
                self.link.connections += 1;
            }
            LinkEvent::Down { reason } => {
                log::warn!("not connected: {reason}");
                self.link.is_up = false;
                self.link.last_error = Some(reason.clone());
            }
            LinkEvent::Message { .. } | LinkEvent::Ready => {}
        }
        if was_up != self.link.is_up {
            self.link.since_ms = now.ms_since(self.started);
        }
    }

    /// The whole status.
    #[must_use]
    pub fn status(&self, core: CoreStatus) -> Status {
        Status { process: std::process::id(), boot: self.boot.to_string(), link: self.link.clone(), core }
    }
}

/// Bytes of this process's resident memory; 0 where the kernel does not say.
#[must_use]
pub fn memory_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0u64);
    pages * rustix::param::page_size() as u64
}

/// The listening socket.
#[derive(Debug)]
pub struct StatusSocket {
    listener: Option<UnixListener>,
    answers: Arc<Semaphore>,
}

impl StatusSocket {
    /// Listens in the state directory, on the current runtime. Where that fails the agent works all
    /// the same, and says so.
    #[must_use]
    pub fn listen(state_dir: &StateDir) -> Self {
        let listener = bind(state_dir.path());
        if let Err(error) = &listener {
            log::warn!("no status socket in {}: {error}", state_dir.path().display());
        }
        Self { listener: listener.ok(), answers: Arc::new(Semaphore::new(ANSWERS_MAX)) }
    }

    /// Waits until somebody asks; answer with [`Question::answer`]. May be dropped at any time.
    pub async fn question(&mut self) -> Question {
        loop {
            let Some(listener) = &self.listener else { return std::future::pending().await };
            match listener.accept().await {
                Ok((stream, _)) => {
                    if let Ok(turn) = Arc::clone(&self.answers).try_acquire_owned() {
                        return Question { stream, turn };
                    }
                }
                Err(error) => {
                    log::warn!("the status socket fails: {error}");
                    self.listener = None;
                }
            }
        }
    }
}

/// Somebody who wants to know the agent's status.
#[derive(Debug)]
pub struct Question {
    stream: tokio::net::UnixStream,
    turn: tokio::sync::OwnedSemaphorePermit,
}

impl Question {
    /// Sends the status, in the background and within a named time.
    pub fn answer(self, status: &Status) {
        let Self { mut stream, turn } = self;
        let Ok(mut line) = serde_json::to_vec(status) else { return };
        line.push(b'\n');
        tokio::spawn(async move {
            // Whoever asked may have gone away.
            let _ = tokio::time::timeout(ANSWER_WAIT, stream.write_all(&line)).await;
            drop(turn);
        });
    }
}

fn bind(state_dir: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(state_dir.join(SOCKET_NAME)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        // What is left of an agent that was killed: the lock says that it is gone.
        _ => {}
    }
    through_descriptor(state_dir, |path| UnixListener::bind(path))
}

/// Asks a running agent.
///
/// # Errors
/// Nobody listens, or the answer is not one.
pub fn ask(state_dir: &Path) -> io::Result<Status> {
    let stream = through_descriptor(state_dir, |path| std::os::unix::net::UnixStream::connect(path))?;
    stream.set_read_timeout(Some(ANSWER_WAIT + ANSWER_WAIT))?;
    let mut line = String::new();
    io::BufRead::read_line(&mut io::BufReader::new(stream), &mut line)?;
    serde_json::from_str(&line).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// A socket's path may have 107 bytes; a path through the directory's descriptor always fits.
fn through_descriptor<T>(state_dir: &Path, then: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let directory = std::fs::File::open(state_dir)?;
    let short = format!("/proc/self/fd/{}/{SOCKET_NAME}", directory.as_raw_fd());
    then(Path::new(&short))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        let lane = LaneStatus { lane: "bulk".to_owned(), ..LaneStatus::default() };
        let core = CoreStatus { device_id: "pump-7".to_owned(), lanes: vec![lane], ..CoreStatus::default() };
        Status { process: 7, boot: "00".to_owned(), link: LinkStatus::default(), core }
    }

    #[test]
    fn a_process_has_some_memory() {
        assert!(memory_bytes() > 100_000);
    }

    #[tokio::test]
    async fn whoever_asks_is_answered_even_under_a_long_path_and_after_a_kill() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a".repeat(200));
        let state_dir = StateDir::take(&path).unwrap();
        drop(StatusSocket::listen(&state_dir));
        assert!(ask(&path).is_err(), "the socket is there and nobody listens");
        let mut socket = StatusSocket::listen(&state_dir);
        let asked = tokio::task::spawn_blocking(move || ask(&path));
        socket.question().await.answer(&status());
        assert_eq!(asked.await.unwrap().unwrap(), status());
    }

    #[tokio::test]
    async fn one_too_many_is_let_go_and_the_others_are_answered() {
        let dir = tempfile::tempdir().unwrap();
        let state_dir = StateDir::take(dir.path()).unwrap();
        let mut socket = StatusSocket::listen(&state_dir);
        let connect = || std::os::unix::net::UnixStream::connect(dir.path().join(SOCKET_NAME)).unwrap();
        let streams: Vec<_> = (0..=ANSWERS_MAX).map(|_| connect()).collect();
        let mut questions = Vec::new();
        for _ in 0..ANSWERS_MAX {
            questions.push(socket.question().await);
        }
        let more = tokio::time::timeout(Duration::from_millis(50), socket.question()).await;
        assert!(more.is_err(), "there are only so many answers at once");
        questions.pop().unwrap().answer(&status());
        drop((streams, questions));
    }
}
