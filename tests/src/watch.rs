//! Asks agents and gateway how they stand, beside everything else, so that one that does not
//! answer holds nobody up.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use driftlog_agent::status::{self as agent, Status as AgentStatus};
use driftlog_gateway::status::Status as GatewayStatus;

use crate::clock;
use crate::device::is_done;
use crate::shore::Page;

const EVERY: Duration = Duration::from_millis(200);
/// All agents say that they are done for this long: longer than an agent takes to look for files.
const DONE_FOR: Duration = Duration::from_millis(1_500);

/// What everyone said last.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// For each device; nothing while its agent does not answer.
    pub agents: Vec<Option<AgentStatus>>,
    /// Nothing while it does not answer.
    pub gateway: Option<GatewayStatus>,
    /// How often all were asked.
    pub rounds: u64,
}

/// Whether every agent has been done for a while: all is read, sent and acknowledged.
#[derive(Debug, Default)]
pub struct Drained {
    since: Option<(Instant, u64)>,
}

impl Drained {
    /// Hears what everyone said, where each device wrote so many lines; says since when all is
    /// done, once that has held for long enough.
    pub fn hear(&mut self, said: &Said, lines: &[u64]) -> Option<Instant> {
        let are_done = said.agents.len() == lines.len()
            && said
                .agents
                .iter()
                .zip(lines)
                .all(|(agent, lines)| agent.as_ref().is_some_and(|status| is_done(status, *lines)));
        if !are_done {
            self.since = None;
            return None;
        }
        let (since, round) = *self.since.get_or_insert((clock::now(), said.rounds));
        (clock::now() >= since + DONE_FOR && said.rounds > round).then_some(since)
    }
}

/// The thread that asks.
#[derive(Debug)]
pub struct Watch {
    said: Arc<Mutex<Said>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins to ask the agents with these state directories, and the gateway with this page.
    #[must_use]
    pub fn start(states: Vec<PathBuf>, page: Page) -> Self {
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
    #[must_use]
    pub fn said(&self) -> Said {
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
