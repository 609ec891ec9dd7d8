//! Bulk requests: entries as documents under their identities, in pieces of bounded size.
//!
//! An identity is `DEVICE:LANE:RUN:` and, for a record, its number; for all else its kind and what
//! tells it from others of the kind. The end of a gap is part of its identity: one that was created
//! and not counted may come again, longer.

use std::io::Write as _;
use std::ops::Range;

use driftlog_proto::ids::Seq;

use crate::sink::ecs::Documents;
use crate::sink::{Entry, What};

/// Documents for one index.
#[derive(Clone, Debug, Default)]
pub(super) struct Piece {
    pub(super) index: u32,
    /// For each document the line that says what to do with it, and the document's own.
    body: Vec<u8>,
    documents: Vec<Document>,
}

#[derive(Clone, Debug)]
struct Document {
    action: Range<usize>,
    source: Range<usize>,
}

impl Piece {
    pub(super) fn new(index: u32) -> Self {
        Self { index, ..Self::default() }
    }

    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    pub(super) fn bytes(&self) -> usize {
        self.body.len()
    }

    pub(super) fn len(&self) -> usize {
        self.documents.len()
    }

    /// A document without its newline.
    pub(super) fn source(&self, at: usize) -> &[u8] {
        self.documents.get(at).and_then(|document| self.body.get(document.source.clone())).unwrap_or_default()
    }

    fn action(&self, at: usize) -> &[u8] {
        self.documents.get(at).and_then(|document| self.body.get(document.action.clone())).unwrap_or_default()
    }

    fn push(&mut self, action: &[u8], source: &[u8]) {
        let begin = self.body.len();
        self.body.extend_from_slice(action);
        let action = begin..self.body.len();
        self.body.push(b'\n');
        let begin = self.body.len();
        self.body.extend_from_slice(source);
        let source = begin..self.body.len();
        self.body.push(b'\n');
        self.documents.push(Document { action, source });
    }

    /// Only these documents.
    pub(super) fn only(&self, which: &[usize]) -> Self {
        let mut only = Self::new(self.index);
        which.iter().for_each(|at| only.push(self.action(*at), self.source(*at)));
        only
    }

    /// Its two halves; nothing when it is one document.
    pub(super) fn halves(&self) -> Option<[Self; 2]> {
        let middle = self.len() / 2;
        let all: Vec<usize> = (0..self.len()).collect();
        let (first, second) = all.split_at_checked(middle).filter(|(first, _)| !first.is_empty())?;
        Some([self.only(first), self.only(second)])
    }

    /// Another document in the place of this one, under the same identity.
    pub(super) fn replaced(&self, at: usize, source: &[u8]) -> Self {
        let mut one = Self::new(self.index);
        one.push(self.action(at), source);
        one
    }
}

/// Makes pieces of entries.
pub(super) struct Pieces {
    bytes_max: usize,
    lines: Vec<u8>,
    action: Vec<u8>,
    piece: Piece,
}

impl Pieces {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self {
            bytes_max: usize::try_from(bytes_max).unwrap_or(usize::MAX),
            lines: Vec::new(),
            action: Vec::new(),
            piece: Piece::default(),
        }
    }

    /// Adds an entry; what is full, or for another index, goes to `full`.
    pub(super) fn add(&mut self, entry: &Entry, documents: &mut Documents, full: &mut dyn FnMut(Piece)) {
        if entry.index != self.piece.index {
            self.finish(full);
            self.piece.index = entry.index;
        }
        let letters = documents.dead_letters();
        self.lines.clear();
        documents.write(entry, &mut self.lines);
        let is_letter = documents.dead_letters() > letters;
        let lines = std::mem::take(&mut self.lines);
        for (at, line) in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).enumerate() {
            self.action.clear();
            action(entry, at as u64, is_letter, &mut self.action);
            let bytes = self.action.len() + line.len() + 2;
            if self.piece.len() > 0 && self.piece.bytes() + bytes > self.bytes_max {
                self.finish(full);
            }
            self.piece.push(&self.action, line);
        }
        self.lines = lines;
    }

    /// The last piece.
    pub(super) fn finish(&mut self, full: &mut dyn FnMut(Piece)) {
        if self.piece.len() > 0 {
            let next = Piece::new(self.piece.index);
            full(std::mem::replace(&mut self.piece, next));
        }
    }
}

fn action(entry: &Entry, at: u64, is_letter: bool, out: &mut Vec<u8>) {
    let (device, lane, run) = (&entry.device, entry.lane.name(), entry.run);
    // Nothing in an identity is escaped in JSON. Writing to a vector cannot fail.
    let _ = write!(out, "{{\"create\":{{\"_id\":\"{device}:{lane}:{run}:");
    let _ = match &entry.what {
        What::Start { .. } => write!(out, "start"),
        What::Gap { from, to, .. } => write!(out, "gap:{from}:{to}"),
        What::Notice(notice) => write!(out, "notice:{}", notice.name()),
        What::Block { header, .. } if is_letter => {
            write!(out, "deadletter:{}:{}", header.first, header.end())
        }
        What::Block { header, .. } => write!(out, "{}", Seq(header.first.0 + at)),
    };
    out.extend_from_slice(b"\"}}");
}

/// What became of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is there, now or since an earlier try.
    Created,
    /// Not now; this says why.
    Later(String),
    /// Never, for what is in it.
    Rejected(String),
}

/// The fates of a piece's documents, from the answer to its request.
///
/// # Errors
/// When the answer is none to such a request.
pub(super) fn fates(answer: &serde_json::Value, count: usize) -> Result<Vec<Fate>, String> {
    let items = answer.get("items").and_then(|items| items.as_array()).map(Vec::as_slice).unwrap_or_default();
    if items.len() != count {
        return Err(format!("an answer of {} items to a request of {count}", items.len()));
    }
    Ok(items.iter().map(fate).collect())
}

fn fate(item: &serde_json::Value) -> Fate {
    let item = item.get("create").unwrap_or(item);
    let status = item.get("status").and_then(serde_json::Value::as_u64).unwrap_or(0);
    let part = |name: &str| {
        let part = item.get("error").and_then(|error| error.get(name)).and_then(|part| part.as_str());
        part.unwrap_or_default().to_owned()
    };
    let said = || {
        let cause = item.pointer("/error/caused_by/reason").and_then(|reason| reason.as_str());
        let cause = cause.map(|cause| format!(" ({cause})")).unwrap_or_default();
        format!("{}: {}{cause}", part("type"), part("reason"))
    };
    match status {
        200 | 201 | 409 => Fate::Created,
        400 | 413 | 422 => Fate::Rejected(said()),
        _ => Fate::Later(format!("status {status}, {}", said())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_conflict_is_success_and_only_what_is_wrong_with_the_document_rejects_it() {
        let item = |status: u16, kind: &str| json!({"create": {"status": status, "error": {"type": kind, "reason": "r"}}});
        let answer = json!({"errors": true, "items": [
            json!({"create": {"status": 201}}),
            item(409, "version_conflict_engine_exception"),
            item(400, "mapper_parsing_exception"),
            item(429, "es_rejected_execution_exception"),
            item(403, "cluster_block_exception"),
            item(404, "index_not_found_exception"),
            item(503, "unavailable_shards_exception"),
        ]});
        let fates = fates(&answer, 7).unwrap();
        assert_eq!(fates[..2], [Fate::Created, Fate::Created]);
        assert_eq!(fates[2], Fate::Rejected("mapper_parsing_exception: r".to_owned()));
        assert!(fates[3..].iter().all(|fate| matches!(fate, Fate::Later(_))), "{fates:?}");
        assert!(super::fates(&answer, 8).is_err());
        assert!(super::fates(&json!({"took": 3}), 1).is_err());
    }

    #[test]
    fn a_piece_is_halved_down_to_one_document_and_keeps_identities() {
        let mut piece = Piece::new(3);
        for n in 0..5 {
            piece.push(format!("a{n}").as_bytes(), format!("s{n}").as_bytes());
        }
        let [first, second] = piece.halves().unwrap();
        assert_eq!(
            (first.body(), second.body()),
            (&b"a0\ns0\na1\ns1\n"[..], &b"a2\ns2\na3\ns3\na4\ns4\n"[..])
        );
        assert_eq!(second.only(&[0, 2]).body(), b"a2\ns2\na4\ns4\n");
        assert_eq!(second.replaced(1, b"letter").body(), b"a3\nletter\n");
        assert!(piece.only(&[4]).halves().is_none());
        assert_eq!((second.index, second.source(2)), (3, &b"s4"[..]));
    }
}
