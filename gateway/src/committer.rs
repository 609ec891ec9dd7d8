//! The threads in which batches become durable.
//!
//! Writing and syncing block, so each sink has a thread of its own, which owns it, and one of them the
//! ledger. At most one batch is with each: a batch behind one that fails must not be committed.
//! Meanwhile the core gathers the next.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use driftlog_proto::time::Unix;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::sink::{Batch, CommitError};

/// Owns a sink, the ledger, or both.
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

    /// The number of the newest index, for a sink that has such.
    fn index(&self) -> Option<u32> {
        None
    }
}

/// How long the thread waits for a batch before it looks after what is not urgent.
const IDLE: Duration = Duration::from_millis(200);

/// How often it looks after that at least, when there is always a batch.
const UPKEEP_MS: u64 = 1_000;

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

/// What the threads tell.
#[derive(Debug)]
pub enum Report {
    /// A batch is durable, or is not.
    Committed(Committed),
    /// A sink has begun a new index.
    Index {
        /// Which sink.
        sink: usize,
        /// The number of the index.
        number: u32,
    },
}

/// The threads that commit.
#[derive(Debug)]
pub struct Committers {
    threads: Vec<Committer>,
    done: mpsc::Receiver<(usize, Report)>,
}

/// One of them.
#[derive(Debug)]
struct Committer {
    work: Option<SyncSender<Batch>>,
    is_busy: bool,
    thread: Option<JoinHandle<()>>,
}

impl Committers {
    /// Starts a thread for each sink, in the order of the batches' numbers of sinks.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(durables: Vec<Box<dyn Durable>>, mut clock: impl FnMut() -> Clock) -> std::io::Result<Self> {
        let (finished, done) = mpsc::channel(2 * durables.len().max(1));
        let mut committers = Self { threads: Vec::new(), done };
        for (at, durable) in durables.into_iter().enumerate() {
            committers.threads.push(Committer::start(at, durable, clock(), finished.clone())?);
        }
        Ok(committers)
    }

    /// Whether any batch is being made durable.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.threads.iter().any(|thread| thread.is_busy)
    }

    /// Gives a batch to its sink's thread; only when that has none.
    pub fn commit(&mut self, batch: Batch) {
        let Some(thread) = self.threads.get_mut(batch.sink) else { return };
        debug_assert!(!thread.is_busy, "one batch of a sink at a time");
        if let Some(work) = &thread.work {
            // When the thread is gone, `report` says so.
            let _ = work.send(batch);
            thread.is_busy = true;
        }
    }

    /// Waits for the outcome of a batch, for a new index, or for upkeep that went wrong. Safe to cancel.
    pub async fn report(&mut self) -> Report {
        let ended = || {
            let reason = "a commit thread has ended unexpectedly".to_owned();
            let outcome = Err(CommitError::InDoubt(reason));
            Report::Committed(Committed { number: 0, outcome, took_ns: 0 })
        };
        loop {
            // A thread that panics does not close the channel as long as others have it.
            match timeout(IDLE, self.done.recv()).await {
                Ok(Some((at, report))) => {
                    let thread = self.threads.get_mut(at);
                    if let (Some(thread), Report::Committed(_)) = (thread, &report) {
                        thread.is_busy = false;
                    }
                    return report;
                }
                Ok(None) => return ended(),
                Err(_) if self.threads.iter().any(Committer::has_ended) => return ended(),
                Err(_) => {}
            }
        }
    }
}

impl Committer {
    fn start(
        at: usize,
        mut durable: Box<dyn Durable>,
        mut clock: Clock,
        finished: mpsc::Sender<(usize, Report)>,
    ) -> std::io::Result<Self> {
        let (work, batches) = sync_channel::<Batch>(1);
        let thread = std::thread::Builder::new().name(format!("commit-{at}")).spawn(move || {
            let mut told = durable.index();
            let mut looked = clock.now().mono;
            let tell = |report| finished.blocking_send((at, report)).is_ok();
            loop {
                let index = durable.index().filter(|index| told != Some(*index));
                if let Some(number) = index {
                    told = index;
                    if !tell(Report::Index { sink: at, number }) {
                        return;
                    }
                }
                let batch = batches.recv_timeout(IDLE);
                if matches!(batch, Err(RecvTimeoutError::Disconnected)) {
                    return;
                }
                if let Ok(batch) = &batch {
                    let begin = clock.now();
                    let outcome = durable.commit(batch);
                    let took_ns = clock.now().mono.since(begin.mono);
                    if !tell(Report::Committed(Committed { number: batch.number, outcome, took_ns })) {
                        return;
                    }
                }
                // Where batches never end it has its turn too.
                let now = clock.now();
                if batch.is_ok() && now.mono.ms_since(looked) < UPKEEP_MS {
                    continue;
                }
                looked = now.mono;
                match durable.upkeep(now.wall) {
                    Ok(_) => {}
                    Err(CommitError::Refused(reason)) => log::warn!("a sink's upkeep is put off: {reason}"),
                    Err(doubt) => {
                        let doubt = Committed { number: UPKEEP, outcome: Err(doubt), took_ns: 0 };
                        if !tell(Report::Committed(doubt)) {
                            return;
                        }
                    }
                }
            }
        })?;
        Ok(Self { work: Some(work), is_busy: false, thread: Some(thread) })
    }

    fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Committers {
    /// Ends the threads, each after the batch that is with it.
    fn drop(&mut self) {
        self.done.close();
        self.threads.iter_mut().for_each(|thread| thread.work = None);
        for thread in self.threads.iter_mut().filter_map(|thread| thread.thread.take()) {
            // A panic in it has been reported by `report`.
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

    async fn committed(committers: &mut Committers) -> Committed {
        match committers.report().await {
            Report::Committed(committed) => committed,
            Report::Index { .. } => panic!("no sink here has an index"),
        }
    }

    fn committer(commit: impl FnMut(&Batch) -> Result<(), CommitError> + Send + 'static) -> Committers {
        Committers::start(vec![Box::new(Planted(commit))], || Clock::new(&TrialConfig::default())).unwrap()
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
            let committed = committed(&mut committer).await;
            assert_eq!(committed.number, number);
            assert_eq!(committed.outcome.is_err(), number == 2);
        }
    }

    #[tokio::test]
    async fn a_sink_that_is_slow_does_not_hold_back_another() {
        let (finish, wait) = std::sync::mpsc::channel::<()>();
        let slow = Planted(move |_: &Batch| {
            wait.recv().unwrap();
            Ok(())
        });
        let durables: Vec<Box<dyn Durable>> = vec![Box::new(slow), Box::new(Planted(|_: &Batch| Ok(())))];
        let mut committers = Committers::start(durables, || Clock::new(&TrialConfig::default())).unwrap();
        committers.commit(Batch { number: 1, sink: 0, ..Batch::default() });
        for number in 2..5 {
            committers.commit(Batch { number, sink: 1, ..Batch::default() });
            assert_eq!(committed(&mut committers).await.number, number);
        }
        assert!(committers.is_busy());
        finish.send(()).unwrap();
        assert_eq!(committed(&mut committers).await.number, 1);
        assert!(!committers.is_busy());
    }

    #[tokio::test]
    async fn a_commit_that_panics_leaves_the_ledger_in_doubt() {
        let mut committer = committer(|_: &Batch| panic!("planted"));
        committer.commit(Batch::default());
        let committed = committed(&mut committer).await;
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

    #[tokio::test]
    async fn a_new_index_is_told_once_and_before_the_next_batch() {
        struct Rolling(u32);
        impl Durable for Rolling {
            fn commit(&mut self, _: &Batch) -> Result<(), CommitError> {
                self.0 += 1;
                Ok(())
            }
            fn upkeep(&mut self, _: Unix) -> Result<bool, CommitError> {
                Ok(false)
            }
            fn index(&self) -> Option<u32> {
                Some(self.0)
            }
        }
        let mut committers =
            Committers::start(vec![Box::new(Rolling(4))], || Clock::new(&TrialConfig::default())).unwrap();
        committers.commit(Batch { number: 1, ..Batch::default() });
        assert_eq!(committed(&mut committers).await.number, 1);
        assert!(matches!(committers.report().await, Report::Index { sink: 0, number: 5 }));
    }
}
