//! Asks agents and gateway how they stand, beside everything else, so that one that does not
//! answer holds nobody up.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use driftlog_agent::status::{self as agent, Status as AgentStatus};
use driftlog_gateway::status::Status as GatewayStatus;

use super::world::World;
use crate::shore::Page;

const EVERY: Duration = Duration::from_millis(200);

/// What everyone said last.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    /// For each device; nothing while its agent does not answer.
    pub(super) agents: Vec<Option<AgentStatus>>,
    /// Nothing while it does not answer.
    pub(super) gateway: Option<GatewayStatus>,
    /// How often all were asked.
    pub(super) rounds: u64,
}

/// The thread that asks.
pub(super) struct Watch {
    said: Arc<Mutex<Said>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins to ask.
    pub(super) fn start(world: &World) -> Self {
        let states: Vec<PathBuf> = world.units.iter().map(|unit| unit.device.state()).collect();
        let page = world.shore.page();
        let (said, is_over) = (Arc::new(Mutex::new(Said::default())), Arc::new(AtomicBool::new(false)));
        let (to, over) = (Arc::clone(&said), Arc::clone(&is_over));
        let thread = std::thread::spawn(move || {
            while !over.load(SeqCst) {
                let round = ask(&states, page);
                {
                    let mut said = to.lock().unwrap_or_else(PoisonError::into_inner);
                    *said = Said { rounds: said.rounds + 1, ..round };
                }
                std::thread::sleep(EVERY);
            }
        });
        Self { said, is_over, thread: Some(thread) }
    }

    /// What everyone said last.
    pub(super) fn said(&self) -> Said {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.is_over.store(true, SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn ask(states: &[PathBuf], page: Page) -> Said {
    let agents = states.iter().map(|state| agent::ask(state).ok()).collect();
    Said { agents, gateway: page.status(), rounds: 0 }
}
