//! What goes into a sink, as documents of the Elastic Common Schema: one line of JSON each.
//!
//! A record becomes one document, and so do a start, a gap and a notice. A block that has a good
//! checksum and cannot be unpacked becomes one document that holds it whole. Bodies come back bit
//! for bit: `message` is the body where that is UTF-8, else `driftlog.body` holds it as base64.
//!
//! Writing a record allocates nothing: the parts that a block's documents share are written once
//! and copied. Every field is listed in [`fields`] and in `docs/archive-format.md`.

pub mod document;
pub mod fields;
pub mod json;
mod record;
pub mod time;

use driftlog_proto::block::{Scratch, unpack};
use driftlog_proto::clock::Basis;
use driftlog_proto::error::Malformed;
use driftlog_proto::ids::{Place, Seq};
use driftlog_proto::item::{self, BlockHeader, Cause};

use self::record::Shared;
use self::time::Stamp;
use super::{Entry, Notice, What};
use crate::decompress::Zstd;

/// The version of the Elastic Common Schema that the documents follow.
pub const ECS_VERSION: &str = "8.17.0";

/// Writes entries as documents.
pub struct Documents {
    zstd: Zstd,
    scratch: Scratch,
    shared: Shared,
    received: Stamp,
    dead_letters: u64,
}

impl std::fmt::Debug for Documents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Documents").field("dead_letters", &self.dead_letters).finish_non_exhaustive()
    }
}

impl Default for Documents {
    fn default() -> Self {
        Self::new()
    }
}

impl Documents {
    /// Takes the memory for one block at a time: about 700 KiB.
    #[must_use]
    pub fn new() -> Self {
        Self {
            zstd: Zstd::new(),
            scratch: Scratch::new(),
            shared: Shared::default(),
            received: Stamp::default(),
            dead_letters: 0,
        }
    }

    /// Blocks that could not be unpacked.
    #[must_use]
    pub fn dead_letters(&self) -> u64 {
        self.dead_letters
    }

    /// Writes an entry's documents, each followed by a newline.
    pub fn write(&mut self, entry: &Entry, out: &mut Vec<u8>) {
        match &entry.what {
            What::Start { parent } => self.start(entry, parent, out),
            What::Gap { from, to, cause } => self.gap(entry, *from, *to, *cause, out),
            What::Notice(notice) => self.notice(entry, *notice, out),
            What::Block { header, sealed, refers_to, clock } => {
                let blocks: Vec<&[u8]> = refers_to.iter().map(AsRef::as_ref).collect();
                let block = item::open(sealed).and_then(|(_, payload)| {
                    unpack(header, payload, &blocks, &mut self.zstd, &mut self.scratch)
                });
                match block {
                    Ok(block) => self.shared.write(entry, header, &block, clock, &mut self.received, out),
                    Err(reason) => self.dead_letter(entry, header, sealed, reason, out),
                }
            }
        }
    }

    fn start(&mut self, entry: &Entry, parent: &Place, out: &mut Vec<u8>) {
        let message = if *parent == Place::ORIGIN {
            format!("run {} begins: the first of this log", entry.run)
        } else {
            format!("run {} begins at record {} after run {}", entry.run, parent.seq, parent.run)
        };
        self.head(entry, &message, entry.end.seq, out);
        out.extend_from_slice(br#""kind":"event","dataset":"driftlog.start"},"driftlog":{"parent":{"run":"#);
        json::hex(parent.run.0, out);
        out.extend_from_slice(br#","seq":"#);
        json::number(parent.seq.0, out);
        out.extend_from_slice(br#","chain":"#);
        json::hex(parent.chain.0, out);
        out.extend_from_slice(b"},");
        tail(entry, "start", out);
    }

    fn gap(&mut self, entry: &Entry, from: Seq, to: Seq, cause: Cause, out: &mut Vec<u8>) {
        let records = to.since(from);
        let message = format!("{records} records from {from} to below {to} are gone: {}", cause.name());
        self.head(entry, &message, from, out);
        out.extend_from_slice(
            br#""kind":"pipeline_error","dataset":"driftlog.gap"},"driftlog":{"gap":{"from":"#,
        );
        range(from, to, out);
        out.extend_from_slice(br#","cause":""#);
        out.extend_from_slice(cause.name().as_bytes());
        out.extend_from_slice(br#""},"#);
        tail(entry, "gap", out);
    }

    fn notice(&mut self, entry: &Entry, notice: Notice, out: &mut Vec<u8>) {
        self.head(entry, notice_text(notice), entry.end.seq, out);
        out.extend_from_slice(br#""kind":"event","dataset":"driftlog.notice"},"driftlog":{"notice":""#);
        out.extend_from_slice(notice.name().as_bytes());
        out.extend_from_slice(br#"","#);
        tail(entry, "notice", out);
    }

    fn dead_letter(
        &mut self,
        entry: &Entry,
        header: &BlockHeader,
        sealed: &[u8],
        reason: Malformed,
        out: &mut Vec<u8>,
    ) {
        self.dead_letters += 1;
        let message = format!("a block of {} records could not be unpacked: {reason}", header.count);
        self.head(entry, &message, header.first, out);
        out.extend_from_slice(
            br#""kind":"pipeline_error","dataset":"driftlog.deadletter"},"driftlog":{"deadletter":{"from":"#,
        );
        range(header.first, header.end(), out);
        out.extend_from_slice(br#","reason":"#);
        json::string(&reason.to_string(), out);
        out.extend_from_slice(br#","item":"#);
        json::base64(sealed, out);
        out.extend_from_slice(b"},");
        tail(entry, "deadletter", out);
    }

    /// Everything up to the middle of `event`: what happened, in words, when it arrived.
    fn head(&mut self, entry: &Entry, message: &str, seq: Seq, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"@timestamp":""#);
        self.received.write(entry.received, out);
        out.extend_from_slice(br#"","message":"#);
        json::string(message, out);
        out.extend_from_slice(br#","event":{"sequence":"#);
        json::number(seq.0, out);
        out.extend_from_slice(br#","ingested":""#);
        self.received.write(entry.received, out);
        out.extend_from_slice(br#"","#);
    }
}

/// The rest of a range whose `"from":` is written.
fn range(from: Seq, to: Seq, out: &mut Vec<u8>) {
    json::number(from.0, out);
    out.extend_from_slice(br#","to":"#);
    json::number(to.0, out);
    out.extend_from_slice(br#","records":"#);
    json::number(to.since(from), out);
}

/// The end of a document that says of itself what place comes after it.
fn tail(entry: &Entry, kind: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(br#""chain":"#);
    json::hex(entry.end.chain.0, out);
    out.extend_from_slice(br#","kind":""#);
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(br#"","lane":""#);
    out.extend_from_slice(entry.lane.name().as_bytes());
    out.extend_from_slice(br#"","run":"#);
    json::hex(entry.run.0, out);
    out.push(b'}');
    device(entry, out);
}

/// The device, its labels, and the end of the line.
fn device(entry: &Entry, out: &mut Vec<u8>) {
    // A device id has no character that JSON escapes.
    out.extend_from_slice(br#","host":{"id":""#);
    out.extend_from_slice(entry.device.as_str().as_bytes());
    out.extend_from_slice(br#"","name":""#);
    out.extend_from_slice(entry.device.as_str().as_bytes());
    out.extend_from_slice(br#""}"#);
    for (at, (key, value)) in entry.labels.iter().enumerate() {
        out.extend_from_slice(if at == 0 { br#","labels":{"# } else { b"," });
        json::string(key, out);
        out.push(b':');
        json::string(value, out);
    }
    if !entry.labels.is_empty() {
        out.push(b'}');
    }
    out.extend_from_slice(br#","ecs":{"version":""#);
    out.extend_from_slice(ECS_VERSION.as_bytes());
    out.extend_from_slice(b"\"}}\n");
}

/// The name of what a time rests on.
#[must_use]
pub const fn basis_name(basis: Basis) -> &'static str {
    match basis {
        Basis::Measured => "measured",
        Basis::Bounded => "bounded",
        Basis::Device => "device",
    }
}

const fn notice_text(notice: Notice) -> &'static str {
    match notice {
        Notice::Fork => "fork: the device's flash forgot records that it had sent",
        Notice::Clone => "clone: two copies of this device's spool are running",
        Notice::LedgerLost => "ledger lost: what came before was acknowledged by a ledger that is gone",
        Notice::MayRepeat => "may repeat: records before may be in the archive already",
        Notice::RunTwice => "run twice: one run has two different histories",
        Notice::HardwareChanged => "hardware changed: the spool was written on another device",
    }
}
