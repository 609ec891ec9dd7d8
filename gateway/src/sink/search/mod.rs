//! Elasticsearch and OpenSearch: each document is created under its identity, in the index that the
//! ledger has put down for it.
//!
//! What is created again meets what is there. So nothing here needs a transaction: a batch that failed
//! in the middle, or of which nobody knows what became of it, is simply sent again.
//!
//! Promises:
//! - a batch is done when every document of it is there, each once, or a dead letter in its place;
//! - what the cluster cannot take at the moment is tried again, document by document, five times with growing pauses; then the
//!   whole batch waits, and the gateway goes on;
//! - memory: `in_flight` + 1 requests.

mod bulk;
mod client;
mod config;
mod index;
mod read;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use driftlog_proto::time::Unix;
use flate2::Compression;
use flate2::write::GzEncoder;

use self::bulk::{Fate, Piece, Pieces, fates};
use self::client::{Answer, Body, Client};
pub use self::config::{IN_FLIGHT_MAX, SearchConfig};
pub use self::index::{setup, standing};
pub use self::read::{Which, documents};
use super::ecs::Documents;
use super::{Batch, CommitError, letter};
use crate::committer::Durable;

/// The sink's name, under which its marks stand in the ledger.
pub const SEARCH: &str = "search";

/// How often a request is sent before its batch has to wait.
const TRIES: u32 = 5;
/// The pause before the second try; twice as long before each that follows.
const PAUSE: Duration = Duration::from_millis(200);
/// How often the size of the index is looked at.
const LOOK_MS: i64 = 10_000;

/// The sink.
pub struct Search {
    config: SearchConfig,
    client: Client,
    documents: Documents,
    /// Indexes that are known to be there.
    known: BTreeSet<u32>,
    /// The newest index, once there was one.
    newest: u32,
    looked: Unix,
}

impl std::fmt::Debug for Search {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Search").field("newest", &self.newest).finish_non_exhaustive()
    }
}

impl Search {
    /// A sink that has not been in touch with its cluster yet. `newest` is the index that the ledger
    /// names.
    ///
    /// # Errors
    /// When a file of the configuration cannot be read.
    pub fn new(config: SearchConfig, newest: u32) -> Result<Self, String> {
        let client = Client::new(&config)?;
        let documents = Documents::new();
        Ok(Self { config, client, documents, known: BTreeSet::new(), newest, looked: Unix(0) })
    }

    /// Makes sure that the indexes of a batch are there.
    fn prepare(&mut self, batch: &Batch) -> Result<(), String> {
        for number in batch.entries.iter().map(|entry| entry.index) {
            if !self.known.contains(&number) {
                index::ensure(&self.client, &self.config.alias, number)?;
                self.known.insert(number);
                self.newest = self.newest.max(number);
            }
        }
        Ok(())
    }

    fn deliver(&mut self, batch: &Batch) -> Result<(), String> {
        let Self { config, client, documents, .. } = self;
        let (pieces, waiting) = sync_channel::<Piece>(0);
        let waiting = Mutex::new(waiting);
        let has_failed = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let worker = || Worker { client, config, has_failed: &has_failed }.work(&waiting);
            let workers: Vec<_> = (0..config.in_flight).map(|_| scope.spawn(worker)).collect();
            let mut maker = Pieces::new(config.request_bytes_max);
            // Somebody takes it: workers end only when there is no more.
            let mut give = |piece| drop(pieces.send(piece));
            // After a failure no more is made: the whole batch comes again.
            for entry in batch.entries.iter().take_while(|_| !has_failed.load(Ordering::Relaxed)) {
                maker.add(entry, documents, &mut give);
            }
            maker.finish(&mut give);
            drop(pieces);
            let ended = workers.into_iter().map(|worker| {
                worker.join().unwrap_or_else(|_| Err("a thread ended unexpectedly".to_owned()))
            });
            let outcomes: Vec<Result<(), String>> = ended.collect();
            outcomes.into_iter().collect()
        })
    }
}

impl Durable for Search {
    fn commit(&mut self, batch: &Batch) -> Result<(), CommitError> {
        self.prepare(batch).and_then(|()| self.deliver(batch)).map_err(|reason| {
            // An index that was deleted is made again.
            self.known.clear();
            CommitError::Refused(format!("search: {reason}"))
        })
    }

    fn upkeep(&mut self, now: Unix) -> Result<bool, CommitError> {
        if now.0.saturating_sub(self.looked.0) < LOOK_MS * 1_000_000 || !self.known.contains(&self.newest) {
            return Ok(false);
        }
        self.looked = now;
        let refused = |reason| CommitError::Refused(format!("search: {reason}"));
        let is_full = index::is_full(&self.client, &self.config, self.newest, now);
        if is_full.map_err(refused)? {
            self.newest += 1;
        }
        if self.config.index_kept_ms > 0 {
            index::delete_old(&self.client, &self.config, self.newest, now).map_err(refused)?;
            // What comes again for one of them makes it again.
            self.known.retain(|number| *number == self.newest);
        }
        Ok(false)
    }

    fn index(&self) -> Option<u32> {
        Some(self.newest)
    }
}

/// Sends pieces until there are no more, or one cannot be sent.
struct Worker<'a> {
    client: &'a Client,
    config: &'a SearchConfig,
    /// One of the workers has given up.
    has_failed: &'a AtomicBool,
}

impl Worker<'_> {
    fn work(&self, waiting: &Mutex<Receiver<Piece>>) -> Result<(), String> {
        let mut outcome = Ok(());
        loop {
            let piece = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(piece) = piece else { return outcome };
            if !self.has_failed.load(Ordering::Relaxed) {
                outcome = self.send(piece);
                self.has_failed.fetch_or(outcome.is_err(), Ordering::Relaxed);
            }
        }
    }

    fn send(&self, mut piece: Piece) -> Result<(), String> {
        let mut reason = String::new();
        for attempt in 0..TRIES {
            if attempt > 0 {
                std::thread::sleep(jitter(PAUSE * 2_u32.pow(attempt - 1)));
            }
            match self.try_once(&piece) {
                Ok(Left::Nothing) => return Ok(()),
                Ok(Left::Some(left, why)) => (piece, reason) = (left, why),
                Ok(Left::TooLarge) => return self.send_halves(&piece),
                Err(why) => reason = why,
            }
        }
        Err(reason)
    }

    fn send_halves(&self, piece: &Piece) -> Result<(), String> {
        match piece.halves() {
            Some([first, second]) => self.send(first).and_then(|()| self.send(second)),
            None => self.send_letter(piece, 0, "the cluster takes no request of this size"),
        }
    }

    /// One request; what of the piece is still to be created.
    fn try_once(&self, piece: &Piece) -> Result<Left, String> {
        let answer = self.ask(piece)?;
        match answer.status {
            413 => return Ok(Left::TooLarge),
            401 | 403 => return Err(format!("the cluster does not let us in: {}", answer.text())),
            _ if !answer.is_success() => return Err(answer.text()),
            _ => {}
        }
        let fates = fates(&answer.json()?, piece.len())?;
        let mut later = Vec::new();
        let mut reason = String::new();
        for (at, fate) in fates.into_iter().enumerate() {
            match fate {
                Fate::Created => {}
                Fate::Later(why) => {
                    later.push(at);
                    reason = why;
                }
                Fate::Rejected(why) => self.send_letter(piece, at, &why)?,
            }
        }
        if later.is_empty() { Ok(Left::Nothing) } else { Ok(Left::Some(piece.only(&later), reason)) }
    }

    /// A document that the cluster will never take: in its place, under its identity, goes a letter that
    /// holds it as text.
    fn send_letter(&self, piece: &Piece, at: usize, why: &str) -> Result<(), String> {
        let letter = letter::of(piece.source(at), why);
        log::warn!("a document was rejected and becomes a dead letter: {why}");
        let letter = piece.replaced(at, &letter);
        let answer = self.ask(&letter)?;
        if !answer.is_success() {
            return Err(answer.text());
        }
        match fates(&answer.json()?, 1)?.pop() {
            Some(Fate::Created) => Ok(()),
            Some(Fate::Later(why) | Fate::Rejected(why)) => {
                Err(format!("a dead letter is not taken either: {why}"))
            }
            None => Err("no answer to a dead letter".to_owned()),
        }
    }

    fn ask(&self, piece: &Piece) -> Result<Answer, String> {
        let name = index::name(&self.config.alias, piece.index);
        let path = format!("/{name}/_bulk?filter_path=items.*.status,items.*.error");
        if !self.config.gzip {
            return self.client.call("POST", &path, Body::lines(piece.body(), false));
        }
        let mut packed = GzEncoder::new(Vec::with_capacity(piece.bytes() / 6), Compression::fast());
        let packed = packed.write_all(piece.body()).and_then(|()| packed.finish());
        let packed = packed.map_err(|error| format!("cannot compress: {error}"))?;
        self.client.call("POST", &path, Body::lines(&packed, true))
    }
}

enum Left {
    Nothing,
    Some(Piece, String),
    TooLarge,
}

/// Between half of a pause and all of it, so that many do not come back at once.
fn jitter(pause: Duration) -> Duration {
    let random = crate::entropy::bytes().map_or(0, |bytes| u32::from_le_bytes([bytes[0], bytes[1], 0, 0]));
    pause / 2 + pause * random / 0x2_0000
}
