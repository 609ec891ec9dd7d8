//! What the agent tells about itself over a socket in its state directory: one line of JSON to
//! whoever connects.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use driftlog_proto::ids::{BootId, Place};
use driftlog_proto::time::{ClockState, Mono, Now};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::link::LinkEvent;
use crate::state_dir::{SOCKET_NAME, StateDir};

/// Who may be answered at once.
const ANSWERS_MAX: usize = 4;
/// Whoever does not take the answer within this is let go.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// How the agent is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The agent's version.
    pub version: String,
    /// Its process id.
    pub process: u32,
    /// The device.
    pub device_id: String,
    /// Milliseconds since the agent started.
    pub uptime_ms: u64,
    /// The clocks.
    pub clock: ClockStatus,
    /// The connection.
    pub link: LinkStatus,
    /// Lanes and sources.
    #[serde(flatten)]
    pub core: CoreStatus,
}

/// What the clocks show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockStatus {
    /// `unset`, `unsynchronised` or `synchronised`.
    pub state: String,
    /// The wall clock, in milliseconds since 1970.
    pub wall_ms: i64,
    /// Milliseconds since boot.
    pub mono_ms: u64,
    /// This boot.
    pub boot: String,
}

/// How the connection is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// Host and port of the broker.
    pub broker: String,
    /// Whether it is connected and subscribed.
    pub is_up: bool,
    /// Milliseconds since it went up or down.
    pub since_ms: u64,
    /// Connections made since the agent started.
    pub connections: u64,
    /// Why the last connection ended or failed.
    pub last_error: Option<String>,
}

/// What the pipeline tells about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoreStatus {
    /// Each lane.
    pub lanes: Vec<LaneStatus>,
    /// Each file that is followed, and stdin.
    pub sources: Vec<SourceStatus>,
    /// Lines that were longer than a line may be, and were cut.
    pub lines_cut: u64,
    /// Why the gateway does not serve this device, if it said so.
    pub refused: Option<String>,
}

/// How a lane is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneStatus {
    /// Its name.
    pub lane: String,
    /// The place below which everything is acknowledged.
    pub base: PlaceStatus,
    /// The place after the newest durable item.
    pub next: PlaceStatus,
    /// The number of the first record that was not yet sent in this session.
    pub sent_seq: u64,
    /// Bytes of items on the air: sent and not acknowledged.
    pub in_flight_bytes: u64,
    /// Records sealed and not acknowledged.
    pub records_waiting: u64,
    /// Bytes on flash.
    pub bytes: u64,
    /// Bytes that it may take.
    pub bytes_max: u64,
    /// Milliseconds since the oldest unacknowledged block was opened, as far as it is known.
    pub oldest_age_ms: Option<u64>,
    /// Records declared lost, by cause; causes without one are left out.
    pub dropped: BTreeMap<String, u64>,
    /// Whether the sources wait for room.
    pub is_paused: bool,
    /// What the disk said last, while it refuses.
    pub last_error: Option<String>,
}

/// A place, in numbers and digits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceStatus {
    /// The run.
    pub run: String,
    /// The number of the record that comes next.
    pub seq: u64,
    /// The chain before it.
    pub chain: String,
}

impl From<&Place> for PlaceStatus {
    fn from(place: &Place) -> Self {
        Self { run: place.run.to_string(), seq: place.seq.0, chain: place.chain.to_string() }
    }
}

/// How far a source is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// Its path, or `stdin`.
    pub path: String,
    /// Bytes read.
    pub offset: u64,
    /// Bytes that there are, as far as it is known.
    pub length: Option<u64>,
}

/// What the shell knows for the status: the device, the clocks, the connection.
#[derive(Debug)]
pub struct Shown {
    device_id: String,
    boot: BootId,
    started: Mono,
    link: LinkStatus,
    link_since: Mono,
}

impl Shown {
    /// At the start of the agent.
    #[must_use]
    pub fn new(config: &Config, boot: BootId, now: Mono) -> Self {
        let broker = format!("{}:{}", config.broker.host, config.broker.port);
        let link = LinkStatus { broker, ..LinkStatus::default() };
        Self { device_id: config.device_id.to_string(), boot, started: now, link, link_since: now }
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
            self.link_since = now;
        }
    }

    /// The whole status.
    #[must_use]
    pub fn status(&self, now: Now, core: CoreStatus) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            process: std::process::id(),
            device_id: self.device_id.clone(),
            uptime_ms: now.mono.ms_since(self.started),
            clock: ClockStatus {
                state: clock_state_name(now.state).to_owned(),
                wall_ms: now.wall.0.div_euclid(1_000_000),
                mono_ms: now.mono.0 / 1_000_000,
                boot: self.boot.to_string(),
            },
            link: LinkStatus { since_ms: now.mono.ms_since(self.link_since), ..self.link.clone() },
            core,
        }
    }
}

/// The word for a clock state, the same everywhere.
#[must_use]
pub fn clock_state_name(state: ClockState) -> &'static str {
    match state {
        ClockState::Unset => "unset",
        ClockState::Unsynchronised => "unsynchronised",
        ClockState::Synchronised => "synchronised",
    }
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
        Status {
            version: "0.1.0".to_owned(),
            process: 7,
            device_id: "pump-7".to_owned(),
            uptime_ms: 1,
            clock: ClockStatus { state: "unset".to_owned(), wall_ms: 0, mono_ms: 5, boot: "00".to_owned() },
            link: LinkStatus::default(),
            core: CoreStatus {
                lanes: vec![LaneStatus { lane: "bulk".to_owned(), ..LaneStatus::default() }],
                ..CoreStatus::default()
            },
        }
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
