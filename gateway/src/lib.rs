//! The shore of driftlog: receives a region's devices and puts every record into its sinks
//! exactly once and in order.
//!
//! ```text
//! MQTT -> decode -> receiver (per lane: dedup, reorder, credit) -> clock -> enrich -> sinks -> ledger -> ack
//! ```
//!
//! Read in this order: [`run`] (the whole on one screen), [`pipeline`] (the loop), [`broker`],
//! [`sink`] and [`ledger`], then [`web`] and [`cli`].

pub mod audit;
pub mod broker;
pub mod cat;
pub mod cli;
pub mod clock;
pub mod committer;
pub mod config;
pub mod decompress;
mod entropy;
pub mod ledger;
pub mod lock;
pub mod log;
mod open_files;
pub mod pipeline;
pub mod rebuild;
pub mod region;
pub mod sink;
pub mod status;
mod store;
pub mod web;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use broker::config::ClientConfig;
use broker::{Client, Keeper};
use clock::Clock;
use committer::{Committers, Durable};
use config::Config;
use driftlog_proto::time::Now;
use lock::Lock;
use pipeline::{Core, End, Pipeline, Shell, Stop};
use status::BrokerStatus;
use tokio::signal::unix::{SignalKind, signal};
use web::Web;
use web::metrics::Meters;

/// Pause before the ledger is loaded afresh; twice as long each time that it cannot be.
const LOAD_AGAIN: Duration = Duration::from_secs(1);
/// The longest pause.
const LOAD_AGAIN_MAX: Duration = Duration::from_secs(30);

/// Runs the gateway until SIGTERM or SIGINT.
///
/// # Errors
/// [`RunError`]: what kept it from starting, or from going on.
pub fn run(config: &Config) -> Result<(), RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| RunError::System("start", error))?;
    open_files::raise_limit();
    runtime.block_on(async {
        let mut stores = store::Stores::new().map_err(RunError::Storage)?;
        serve(config, told_to_stop()?, |config, now| stores.open(config, now)).await
    })
}

/// The whole pipeline: a broker and a client, the core with ledger and sinks, and the page.
///
/// # Errors
/// [`RunError`].
pub async fn serve<C: Core>(
    config: &Config,
    mut stop: Stop,
    mut open: impl FnMut(&Config, Now) -> Result<Opened<C>, NotOpened>,
) -> Result<(), RunError> {
    let _lock = Lock::take(&config.data_dir).map_err(RunError::Lock)?;
    let mut clock = Clock::new(&config.trial);
    let since = clock.now();
    let mut opened = open(config, since)?;
    let (web, questions) = Web::start(&config.web).await.map_err(RunError::Web)?;
    let (keeper, client) = broker(config)?;
    let broker_status =
        BrokerStatus { address: client.address(), is_embedded: keeper.is_some(), ..BrokerStatus::default() };
    let mut shell = Shell {
        clock,
        broker: Client::start(client),
        questions,
        meters: Meters::default(),
        broker_status,
        broker_restarts: keeper.as_ref().map_or_else(|| Arc::new(AtomicU64::new(0)), Keeper::restarts),
        web_refused: web.refused(),
        since: since.mono,
    };
    announce(config, keeper.as_ref(), &web);

    loop {
        let committers = Committers::start(opened.durables, || Clock::new(&config.trial));
        let committers = committers.map_err(|error| RunError::System("start a thread", error))?;
        match Pipeline::new(&mut shell, opened.core, committers).run(&mut stop).await {
            End::Stopped => break,
            End::LedgerInDoubt(reason) => {
                ::log::error!("the ledger is loaded afresh, since it may not hold the last batch: {reason}");
                match open_again(config, &mut shell.clock, &mut open, &mut stop).await? {
                    Some(again) => opened = again,
                    None => break,
                }
            }
            End::Superseded(reason) => return Err(RunError::Superseded(reason)),
        }
    }
    shell.broker.close().await;
    if let Some(keeper) = keeper {
        keeper.close().await;
    }
    ::log::info!("stopped");
    Ok(())
}

/// Opens ledger and archive afresh, again and again until it can be done: the disk that brought the
/// ledger into doubt because it was full is mostly still full a second later. Nothing if the gateway
/// is to stop first.
async fn open_again<C>(
    config: &Config,
    clock: &mut Clock,
    open: &mut impl FnMut(&Config, Now) -> Result<Opened<C>, NotOpened>,
    stop: &mut Stop,
) -> Result<Option<Opened<C>>, RunError> {
    let mut pause = LOAD_AGAIN;
    loop {
        tokio::select! {
            () = &mut *stop => return Ok(None),
            () = tokio::time::sleep(pause) => {}
        }
        match open(config, clock.now()) {
            Ok(opened) => return Ok(Some(opened)),
            Err(NotOpened::Superseded(reason)) => return Err(RunError::Superseded(reason)),
            Err(NotOpened::Failed(reason)) => {
                ::log::error!("the ledger cannot be loaded, and it is tried again: {reason}")
            }
        }
        pause = (pause * 2).min(LOAD_AGAIN_MAX);
    }
}

/// Why ledger and sinks are not open.
#[derive(Debug)]
pub enum NotOpened {
    /// They cannot be opened; this says what to do about it.
    Failed(String),
    /// Another gateway has the ledger now.
    Superseded(String),
}

impl From<String> for NotOpened {
    fn from(reason: String) -> Self {
        Self::Failed(reason)
    }
}

/// What is opened on the disk: the core as its ledger left it, and what makes its batches
/// durable.
pub struct Opened<C> {
    /// The core.
    pub core: C,
    /// Make batches durable, each those of one sink; behind them, where no sink shares the ledger's
    /// transaction, what makes the ledger's own durable.
    pub durables: Vec<Box<dyn Durable>>,
}

/// The embedded broker, unless another is named, and how the gateway connects.
fn broker(config: &Config) -> Result<(Option<Keeper>, ClientConfig), RunError> {
    match &config.broker.client {
        Some(client) => Ok((None, client.clone())),
        None => {
            let keeper = Keeper::start(config.broker.listen).map_err(RunError::Broker)?;
            let client = ClientConfig::local(keeper.local_address());
            Ok((Some(keeper), client))
        }
    }
}

fn announce(config: &Config, keeper: Option<&Keeper>, web: &Web) {
    ::log::info!(
        "driftlog-gateway {} keeps its data in {} and serves http://{}/status",
        env!("CARGO_PKG_VERSION"),
        config.data_dir.display(),
        web.address()
    );
    if let Some(keeper) = keeper {
        let address = keeper.address();
        ::log::info!("the embedded broker listens on mqtt://{address}");
        if !address.ip().is_loopback() {
            ::log::warn!(
                "the embedded broker knows no access rules: whoever reaches {address} can send in the name of \
                 any device and read every acknowledgement"
            );
        }
    }
    if !web.address().ip().is_loopback() {
        ::log::warn!("the status page knows no users: whoever reaches {} can read it", web.address());
    }
}

fn told_to_stop() -> Result<Stop, RunError> {
    let failed = |error| RunError::System("hear signals", error);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(Box::pin(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }))
}

/// What keeps the gateway from running.
#[derive(Debug)]
pub enum RunError {
    /// The data directory cannot be had.
    Lock(lock::LockError),
    /// Ledger or archive cannot be opened.
    Storage(String),
    /// Another gateway has the ledger now.
    Superseded(String),
    /// The embedded broker cannot listen.
    Broker(broker::StartError),
    /// The page cannot be served.
    Web(web::BindError),
    /// The system does not give what is needed.
    System(&'static str, std::io::Error),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lock(error) => error.fmt(f),
            Self::Storage(error) => error.fmt(f),
            Self::Superseded(reason) => {
                write!(f, "{reason}: this one ends\nhint: start it again only when the other one is to end")
            }
            Self::Broker(error) => error.fmt(f),
            Self::Web(error) => error.fmt(f),
            Self::System(what, error) => write!(f, "cannot {what}: {error}"),
        }
    }
}

impl From<NotOpened> for RunError {
    fn from(error: NotOpened) -> Self {
        match error {
            NotOpened::Failed(reason) => Self::Storage(reason),
            NotOpened::Superseded(reason) => Self::Superseded(reason),
        }
    }
}

impl std::error::Error for RunError {}
