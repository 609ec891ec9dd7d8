//! The device side of driftlog: reads log lines, seals them into a spool on flash, and carries them
//! to the gateway over MQTT whenever there is a network.
//!
//! Everything that decides is a synchronous state machine behind [`Core`]; this crate's shell gives
//! it time, bytes and wake-ups. [`run()`] shows how the data flows.

pub mod cli;
pub mod clock;
pub mod compress;
pub mod config;
pub mod decompress;
pub mod identity;
pub mod link;
pub mod log;
pub mod pipeline;
pub mod source;
pub mod spool;
pub mod state_dir;
pub mod status;
pub mod stdin;

use std::sync::Arc;
use std::time::Duration;

use driftlog_proto::ids::{BootId, Lane, RunId, SessionId};
use driftlog_proto::time::{Mono, Now};
use tokio::signal::unix::{Signal, SignalKind, signal};

use clock::Clock;
use config::{Config, SourceConfig};
use link::mqtt::Mqtt;
use link::{Link, LinkEvent};
use source::watch::Watch;
use state_dir::StateDir;
use status::{CoreStatus, Shown, StatusSocket};
use stdin::{Arrived, Stdin};

/// Descriptors that a running agent has open at once, at most: standard input and output, the lock, the
/// runtime's and the signals', inotify, the status socket and its connection being let in, the connection to the
/// broker and the look-up of its name, and what is opened for an instant (a directory, a file of `/proc`, a
/// certificate, a new segment, a file being compared): all that is not counted by name.
pub const DESCRIPTORS_MAX: usize =
    source::FILES_MAX + Lane::ALL.len() * spool::disk::OPEN_FILES_MAX + status::ANSWERS_MAX + 24;
/// How long a stopping agent goes on sending.
pub const STOP_WAIT_MS: u64 = 3_000;
/// How often the process's memory is measured, while the agent is awake.
const MEASURE_MS: u64 = 10_000;

/// What decides: sources, packing, spool and senders as one state machine without a clock, a
/// network or a thread. After any `handle_*`, [`poll`](Self::poll) does the work, then
/// [`poll_publish`](Self::poll_publish) gives what may go on the air, then the shell sleeps until
/// [`poll_deadline`](Self::poll_deadline). Early, late and repeated wake-ups are harmless.
pub trait Core: Sized {
    /// Why it cannot start.
    type Error: std::error::Error + 'static;

    /// Opens the spool, recovers what it holds and goes on where the cursors stand.
    ///
    /// # Errors
    /// The file system refuses. Damaged content is no error: it is declared.
    fn open(start: Start<'_>) -> Result<Self, Self::Error>;
    /// The link is up, in a new session.
    fn handle_link_up(&mut self, now: Now, session: SessionId);
    /// The link is down; what was on the air may be lost.
    fn handle_link_down(&mut self);
    /// The gateway said something.
    fn handle_down(&mut self, now: Now, message: &[u8]);
    /// Some file may have changed.
    fn handle_changed(&mut self);
    /// Whether every change of a file is told, as far as the kernel can. Before the first call it is not.
    fn handle_watched(&mut self, is_watched: bool);
    /// Bytes came from standard input; returns how many were taken. The rest comes again.
    fn handle_stdin(&mut self, bytes: &[u8]) -> usize;
    /// Standard input has ended.
    fn handle_stdin_closed(&mut self);
    /// Resident memory, as it was just measured.
    fn handle_memory(&mut self, bytes: u64);
    /// Does what is to do: a bounded piece of it, with a deadline that has passed if there is more.
    fn poll(&mut self, now: Now);
    /// Writes the next message to be sent into `message`, which is empty; false if there is none.
    fn poll_publish(&mut self, now: Now, message: &mut Vec<u8>) -> bool;
    /// When to poll again at the latest.
    fn poll_deadline(&self) -> Mono;
    /// How things are.
    fn status(&mut self, now: Now) -> CoreStatus;
    /// Seals what is open: the process is about to end.
    fn stop(&mut self, now: Now);
    /// Whether everything that is sealed is acknowledged, and nothing is open.
    fn is_drained(&self) -> bool;
}

/// With what a core starts.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// The whole configuration; the state directory exists and is ours.
    pub config: &'a Config,
    /// This run.
    pub run: RunId,
    /// This boot.
    pub boot: BootId,
    /// Fingerprint of the hardware; 0 if nothing is known of it.
    pub hardware: u64,
    /// The clocks at the start.
    pub now: Now,
}

/// Why an agent ended, other than by being asked to.
#[derive(Debug)]
pub enum RunError<E> {
    /// The state directory cannot be had.
    StateDir(state_dir::StateDirError),
    /// The trial's clock file is not usable.
    TrialClock(String),
    /// The core cannot start.
    Core(E),
    /// The system gives no runtime, signal or thread.
    System(std::io::Error),
}

impl<E: std::fmt::Display> std::fmt::Display for RunError<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::StateDir(error) => error.fmt(f),
            Self::TrialClock(error) => error.fmt(f),
            Self::Core(error) => error.fmt(f),
            Self::System(error) => write!(f, "the system refuses what every agent needs: {error}"),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for RunError<E> {}

/// Runs the agent until it is asked to stop (SIGTERM, SIGINT), or until standard input has ended, is
/// its only source, and everything is acknowledged.
///
/// # Errors
/// [`RunError`]: why it could not start.
pub fn run<C: Core>(config: &Config) -> Result<(), RunError<C::Error>> {
    let clock = Arc::new(Clock::new(config.trial_clock.as_deref()).map_err(RunError::TrialClock)?);
    log::start(config.log_level, Arc::clone(&clock));
    let state_dir = StateDir::take(&config.state_dir).map_err(RunError::StateDir)?;
    let (run, boot, now) = (identity::new_run(), clock.boot(), clock.now());
    let start = Start { config, run, boot, hardware: identity::hardware(), now };
    let core = C::open(start).map_err(RunError::Core)?;
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().max_blocking_threads(1).build().map_err(RunError::System)?;
    let ended = runtime.block_on(async {
        let shell = Shell {
            link: Mqtt::start(config.broker.clone(), &config.device_id, run, Arc::clone(&clock)),
            watch: Watch::new(config.file_patterns()),
            stdin: if config.reads_stdin() { Stdin::start(std::io::stdin())? } else { Stdin::absent() },
            stdin_is_all: config.sources.iter().all(SourceConfig::is_stdin),
            socket: StatusSocket::listen(&state_dir),
            shown: Shown::new(config, boot, now.mono),
            signals: Signals::new()?,
            clock,
            measure_at: now.mono,
        };
        shell.drive(core).await;
        Ok(())
    });
    // A look-up of the broker's name may hang for long; nobody waits for it.
    runtime.shutdown_background();
    ended.map_err(RunError::System)
}

/// Everything that has a clock, a network or a thread.
struct Shell<L> {
    link: L,
    watch: Watch,
    stdin: Stdin,
    stdin_is_all: bool,
    socket: StatusSocket,
    shown: Shown,
    signals: Signals,
    clock: Arc<Clock>,
    /// When to measure the process's memory.
    measure_at: Mono,
}

impl<L: Link> Shell<L> {
    /// The pipeline: source -> parse -> pack -> seal -> spool -> link, and acknowledgements back.
    async fn drive<C: Core>(mut self, mut core: C) {
        let mut stop = Stop::No;
        self.shown.say_started();
        loop {
            let now = self.clock.now();
            self.feed(&mut core, now);
            core.poll(now);
            let is_blocked = self.publish(&mut core);
            if stop.is_reached(now.mono, core.is_drained(), self.link.is_up()) {
                core.stop(now);
                return self.link.close().await;
            }
            let deadline = core.poll_deadline().min(stop.deadline());
            let wait = self.clock.until(deadline);
            tokio::select! {
                event = self.link.event(is_blocked) => self.hear(&mut core, event),
                () = self.watch.changed() => core.handle_changed(),
                arrived = self.stdin.arrived() => if arrived == Arrived::End {
                    core.handle_stdin_closed();
                    if self.stdin_is_all {
                        stop = Stop::WhenDrained;
                    }
                },
                question = self.socket.question() => {
                    let now = self.clock.now();
                    question.answer(&self.shown.status(core.status(now)));
                }
                () = sleep(wait) => {}
                () = self.signals.asked_to_stop() => {
                    let now = self.clock.now();
                    core.stop(now);
                    stop = stop.asked(now.mono);
                }
            }
        }
    }

    /// Gives the core what the shell has for it: standard input, how well files are watched, and the size of the
    /// process.
    fn feed<C: Core>(&mut self, core: &mut C, now: Now) {
        core.handle_watched(self.watch.is_complete());
        if !self.stdin.waiting().is_empty() {
            let taken = core.handle_stdin(self.stdin.waiting());
            self.stdin.take(taken);
        }
        if now.mono >= self.measure_at {
            self.measure_at = now.mono.plus_ms(MEASURE_MS);
            core.handle_memory(status::memory_bytes());
        }
    }

    /// Gives the link what it takes. Returns whether there may be more than that.
    fn publish<C: Core>(&mut self, core: &mut C) -> bool {
        while self.link.is_ready() {
            let mut message = Vec::new();
            if !core.poll_publish(self.clock.now(), &mut message) {
                return false;
            }
            if let Err(error) = self.link.publish(message) {
                ::log::error!("{error}");
            }
        }
        true
    }

    fn hear<C: Core>(&mut self, core: &mut C, event: LinkEvent) {
        let now = self.clock.now();
        self.shown.hear(now.mono, &event);
        match event {
            LinkEvent::Up { session } => core.handle_link_up(now, session),
            LinkEvent::Down { .. } => core.handle_link_down(),
            LinkEvent::Message { payload } => core.handle_down(now, &payload),
            LinkEvent::Ready => {}
        }
    }
}

/// Whether the agent is to end, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    No,
    /// The only source has ended: when everything is acknowledged.
    WhenDrained,
    /// It was asked to stop: when everything is acknowledged, but then at the latest.
    By(Mono),
}

impl Stop {
    /// Asked once, it waits for a while; asked twice, it does not.
    fn asked(self, now: Mono) -> Self {
        let wait_ms = if matches!(self, Self::By(_)) { 0 } else { STOP_WAIT_MS };
        ::log::info!("asked to stop: sending what is sealed for at most {wait_ms} ms");
        Self::By(now.plus_ms(wait_ms))
    }

    fn deadline(self) -> Mono {
        if let Self::By(at) = self { at } else { Mono::FOREVER }
    }

    /// Without a link nothing more can be acknowledged, and what is sealed is safe.
    fn is_reached(self, now: Mono, is_drained: bool, is_up: bool) -> bool {
        match self {
            Self::No => false,
            Self::WhenDrained => is_drained,
            Self::By(at) => is_drained || !is_up || now >= at,
        }
    }
}

struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    async fn asked_to_stop(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

async fn sleep(wait: Option<Duration>) {
    match wait {
        // A timer would round up to a millisecond.
        Some(Duration::ZERO) => tokio::task::yield_now().await,
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
