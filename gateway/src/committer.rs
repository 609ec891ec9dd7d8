//! The thread in which batches become durable.
//!
//! Writing and syncing block, so they have a thread of their own, which owns the sink and the
//! ledger. At most one batch is with it: a batch behind one that fails must not be committed.
//! Meanwhile the core gathers the next.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use driftlog_proto::time::Unix;
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::sink::{Batch, CommitError};

/// Owns the sink and the ledger.
pub trait Durable: Send {
    /// Makes one batch durable.
    ///
    /// # Errors
    /// [`CommitError`]: whether it may be tried again.
    fn commit(&mut self, batch: &Batch) -> Result<(), CommitError>;

    /// Does one bounded step of what is not urgent, between batches; whether there is more to do.
    ///
    /// # Errors
    /// [`CommitError`]: whether it may be tried again.
    fn upkeep(&mut self, now: Unix) -> Result<bool, CommitError>;
}

/// How long the thread waits for a batch before it looks after what is not urgent.
const IDLE: Duration = Duration::from_millis(200);

/// The number under which upkeep that left the ledger in doubt reports; no batch has it.
const UPKEEP: u64 = 0;

/// What became of a batch.
#[derive(Debug)]
pub struct Committed {
    /// The batch's number.
    pub number: u64,
    /// Whether it is durable.
    pub outcome: Result<(), CommitError>,
    /// How long it took, nanoseconds.
    pub took_ns: u64,
}

/// The thread that commits.
#[derive(Debug)]
pub struct Committer {
    work: Option<SyncSender<Batch>>,
    done: mpsc::Receiver<Committed>,
    is_busy: bool,
    thread: Option<JoinHandle<()>>,
}

impl Committer {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(mut durable: Box<dyn Durable>, mut clock: Clock) -> std::io::Result<Self> {
        let (work, batches) = sync_channel::<Batch>(1);
        let (finished, done) = mpsc::channel(1);
        let thread = std::thread::Builder::new().name("commit".to_owned()).spawn(move || {
            loop {
                let begin = clock.now();
                let (number, outcome) = match batches.recv_timeout(IDLE) {
                    Ok(batch) => (batch.number, durable.commit(&batch)),
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => match durable.upkeep(begin.wall) {
                        Ok(_) => continue,
                        Err(CommitError::Refused(reason)) => {
                            log::warn!("the archive's upkeep is put off: {reason}");
                            continue;
                        }
                        Err(doubt) => (UPKEEP, Err(doubt)),
                    },
                };
                let took_ns = clock.now().mono.since(begin.mono);
                if finished.blocking_send(Committed { number, outcome, took_ns }).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { work: Some(work), done, is_busy: false, thread: Some(thread) })
    }

    /// Whether a batch is being made durable.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Gives a batch to the thread; only when it is not busy.
    pub fn commit(&mut self, batch: Batch) {
        debug_assert!(!self.is_busy, "one batch at a time");
        if let Some(work) = &self.work {
            // When the thread is gone, `done` says so.
            let _ = work.send(batch);
            self.is_busy = true;
        }
    }

    /// Waits for the outcome of the batch, or of upkeep that went wrong. Safe to cancel.
    pub async fn committed(&mut self) -> Committed {
        let committed = self.done.recv().await;
        self.is_busy = false;
        committed.unwrap_or_else(|| {
            let reason = "the commit thread has ended unexpectedly".to_owned();
            Committed { number: 0, outcome: Err(CommitError::InDoubt(reason)), took_ns: 0 }
        })
    }
}

impl Drop for Committer {
    /// Ends the thread, after the batch that is with it.
    fn drop(&mut self) {
        self.work = None;
        self.done.close();
        if let Some(thread) = self.thread.take() {
            // A panic in it has been reported by `committed`.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::TrialConfig;

    struct Planted<F>(F);

    impl<F: FnMut(&Batch) -> Result<(), CommitError> + Send> Durable for Planted<F> {
        fn commit(&mut self, batch: &Batch) -> Result<(), CommitError> {
            (self.0)(batch)
        }

        fn upkeep(&mut self, _: Unix) -> Result<bool, CommitError> {
            Ok(false)
        }
    }

    fn committer(commit: impl FnMut(&Batch) -> Result<(), CommitError> + Send + 'static) -> Committer {
        Committer::start(Box::new(Planted(commit)), Clock::new(&TrialConfig::default())).unwrap()
    }

    #[tokio::test]
    async fn each_batch_is_committed_once_and_its_outcome_comes_back() {
        let mut seen = 0;
        let mut committer = committer(move |batch: &Batch| {
            seen += 1;
            assert_eq!(batch.number, seen);
            if seen == 2 { Err(CommitError::Refused("full".to_owned())) } else { Ok(()) }
        });
        for number in 1..=3 {
            assert!(!committer.is_busy());
            committer.commit(Batch { number, ..Batch::default() });
            assert!(committer.is_busy());
            let committed = committer.committed().await;
            assert_eq!(committed.number, number);
            assert_eq!(committed.outcome.is_err(), number == 2);
        }
    }

    #[tokio::test]
    async fn a_commit_that_panics_leaves_the_ledger_in_doubt() {
        let mut committer = committer(|_: &Batch| panic!("planted"));
        committer.commit(Batch::default());
        let committed = committer.committed().await;
        assert!(matches!(committed.outcome, Err(CommitError::InDoubt(_))));
    }

    #[tokio::test]
    async fn dropping_the_committer_waits_for_the_batch_that_is_with_it() {
        let (finish, wait) = std::sync::mpsc::channel::<()>();
        let finished = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let flag = std::sync::Arc::clone(&finished);
        let mut committer = committer(move |_: &Batch| {
            wait.recv().unwrap();
            flag.store(true, std::sync::atomic::Ordering::SeqCst);
            Ok(())
        });
        committer.commit(Batch::default());
        finish.send(()).unwrap();
        drop(committer);
        assert!(finished.load(std::sync::atomic::Ordering::SeqCst));
    }
}
