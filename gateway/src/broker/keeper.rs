//! Keeps the embedded broker alive.
//!
//! rumqttd can be brought down by one message: a topic that begins with a character of several
//! bytes ends its router thread, and a connection that breaks before it is answered can leave it
//! refusing everybody. So the gateway connects to its own broker from time to time, as a device
//! would, and puts a fresh one in its place when that fails twice. Devices notice a broken
//! connection and nothing else: what was in the broker's memory is sent again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::config::ClientConfig;
use super::embedded::{Embedded, StartError};

/// Time between two probes while all is well.
const PROBE_EVERY: Duration = Duration::from_secs(5);
/// Time between a failed probe and the next.
const PROBE_AGAIN: Duration = Duration::from_millis(500);
/// Failed probes in a row after which the broker is replaced.
const FAILURES_MAX: u32 = 2;

/// An embedded broker that is replaced when it no longer answers.
#[derive(Debug)]
pub struct Keeper {
    address: SocketAddr,
    local_address: SocketAddr,
    restarts: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Starts a broker and watches over it.
    ///
    /// # Errors
    /// [`StartError`] when the address cannot be listened on.
    pub fn start(listen: SocketAddr) -> Result<Self, StartError> {
        let embedded = Embedded::start(listen)?;
        let (address, local_address) = (embedded.address(), embedded.local_address());
        let restarts = Arc::new(AtomicU64::new(0));
        let probe = ClientConfig::local(local_address);
        let task = tokio::spawn(keep(embedded, probe, Arc::clone(&restarts)));
        Ok(Self { address, local_address, restarts, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the gateway itself reaches it.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// How often it was replaced.
    #[must_use]
    pub fn restarts(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.restarts)
    }

    /// Closes the port and every connection.
    pub async fn close(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

async fn keep(embedded: Embedded, probe: ClientConfig, restarts: Arc<AtomicU64>) {
    let address = embedded.address();
    let mut broker = Some(embedded);
    let mut failures = 0;
    loop {
        sleep(if failures == 0 { PROBE_EVERY } else { PROBE_AGAIN }).await;
        let Err(reason) = probe.probe().await else {
            failures = 0;
            continue;
        };
        failures += 1;
        if failures < FAILURES_MAX {
            continue;
        }
        log::error!("the embedded broker on {address} does not answer ({reason}); starting it afresh");
        drop(broker.take());
        match Embedded::start(address) {
            Ok(fresh) => {
                broker = Some(fresh);
                failures = 0;
                restarts.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => log::error!("{error}"),
        }
    }
}
