//! Batches as transactions.

use std::sync::{Arc, Mutex, PoisonError};

use driftlog_proto::ids::Seq;
use driftlog_proto::time::Unix;
use rdkafka::message::{Header, OwnedHeaders};

use super::link::{Link, Record, Trouble};
use crate::committer::Durable;
use crate::sink::ecs::Documents;
use crate::sink::{Batch, CommitError, Entry, What, letter};

/// The sink and its ledger.
pub struct Kafka {
    link: Arc<Mutex<Link>>,
    documents: Documents,
    lines: Vec<u8>,
}

impl std::fmt::Debug for Kafka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kafka").finish_non_exhaustive()
    }
}

impl Kafka {
    pub(crate) fn new(link: Arc<Mutex<Link>>) -> Self {
        Self { link, documents: Documents::new(), lines: Vec::new() }
    }
}

impl Durable for Kafka {
    fn commit(&mut self, batch: &Batch) -> Result<(), CommitError> {
        let Self { link, documents, lines } = self;
        let mut link = link.lock().unwrap_or_else(PoisonError::into_inner);
        let committed = link.commit(Some(batch.number), &batch.writes, &mut |sending| {
            let bytes_max = sending.document_bytes_max();
            for entry in &batch.entries {
                let letters = documents.dead_letters();
                lines.clear();
                documents.write(entry, lines);
                let is_letter = documents.dead_letters() > letters;
                let run = entry.run.to_string();
                for (at, line) in each_line(lines).enumerate() {
                    let (mut value, mut kind) = (line, kind(entry, is_letter));
                    let replaced;
                    if line.len() > bytes_max {
                        let why = format!("{} bytes, and the topic takes {bytes_max}", line.len());
                        log::warn!(
                            "{}: a document is too large and becomes a dead letter: {why}",
                            entry.device
                        );
                        replaced = letter::cut(line, &why, bytes_max);
                        (value, kind) = (replaced.as_slice(), "deadletter");
                    }
                    let headers = headers(entry, &run, kind, at as u64);
                    sending.record(Record { key: entry.device.as_str(), headers, value })?;
                }
            }
            Ok(())
        });
        committed.map_err(|trouble| match trouble {
            Trouble::Refused(reason) => CommitError::Refused(reason),
            Trouble::Superseded(reason) => CommitError::Superseded(reason),
        })
    }

    fn upkeep(&mut self, _: Unix) -> Result<bool, CommitError> {
        Ok(false)
    }
}

fn kind(entry: &Entry, is_letter: bool) -> &'static str {
    match &entry.what {
        What::Start { .. } => "start",
        What::Gap { .. } => "gap",
        What::Notice(_) => "notice",
        What::Block { .. } if is_letter => "deadletter",
        What::Block { .. } => "record",
    }
}

/// The documents, each without its newline.
fn each_line(documents: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut from = 0;
    memchr::memchr_iter(b'\n', documents).map(move |end| {
        let line = documents.get(from..end).unwrap_or_default();
        from = end + 1;
        line
    })
}

fn headers(entry: &Entry, run: &str, kind: &str, at: u64) -> OwnedHeaders {
    let sequence = match &entry.what {
        What::Start { .. } | What::Notice(_) => entry.end.seq,
        What::Gap { from, .. } => *from,
        What::Block { header, .. } => Seq(header.first.0 + at),
    };
    let mut digits = itoa::Buffer::new();
    let named = [
        ("device", entry.device.as_str()),
        ("lane", entry.lane.name()),
        ("run", run),
        ("sequence", digits.format(sequence.0)),
        ("kind", kind),
    ];
    let headers = OwnedHeaders::new_with_capacity(named.len());
    named
        .into_iter()
        .fold(headers, |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
}
