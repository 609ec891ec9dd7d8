//! The documents of a block's records: the gateway's hot path.

use driftlog_proto::block::{Block, Ending, Format, Part, Record};
use driftlog_proto::clock::Line;
use driftlog_proto::item::BlockHeader;
use driftlog_proto::time::Unix;

use super::time::Stamp;
use super::{basis_name, device, json};
use crate::sink::Entry;

/// What the documents of a block share, written once for each block.
#[derive(Debug, Default)]
pub(super) struct Shared {
    corrected: Stamp,
    created: Stamp,
    /// From behind `event.created` to the end of `event`.
    event: Vec<u8>,
    /// For each source, from behind `log.offset` to behind `driftlog.file`.
    sources: Vec<u8>,
    source_ends: Vec<usize>,
    /// From `driftlog.kind` to the end of the line.
    tail: Vec<u8>,
}

impl Shared {
    pub(super) fn write(
        &mut self,
        entry: &Entry,
        header: &BlockHeader,
        block: &Block<'_>,
        clock: &Line,
        received: &mut Stamp,
        out: &mut Vec<u8>,
    ) {
        self.prepare(entry, header, block, clock, received);
        let last = header.end().0.saturating_sub(1);
        for (seq, record) in (header.first.0..).zip(block.records()) {
            out.extend_from_slice(br#"{"@timestamp":""#);
            self.corrected.write(clock.time(record.mono), out);
            out.extend_from_slice(br#"","message":"#);
            let is_exact = json::lossy(record.body, out);
            self.event(seq, &record, header, out);
            out.extend_from_slice(br#","mono_ns":"#);
            json::number(record.mono.0, out);
            rare(&record, is_exact, out);
            if seq == last {
                out.extend_from_slice(br#","chain":"#);
                json::hex(entry.end.chain.0, out);
            }
            out.extend_from_slice(&self.tail);
        }
    }

    fn event(&mut self, seq: u64, record: &Record<'_>, header: &BlockHeader, out: &mut Vec<u8>) {
        out.extend_from_slice(br#","event":{"sequence":"#);
        json::number(seq, out);
        let level = record.severity.name();
        if level.is_some() {
            out.extend_from_slice(br#","severity":"#);
            json::number(record.severity.number(), out);
        }
        out.extend_from_slice(br#","created":""#);
        self.created.write(device_time(record, header), out);
        out.extend_from_slice(&self.event);
        if let Some(level) = level {
            out.extend_from_slice(br#""level":""#);
            out.extend_from_slice(level.as_bytes());
            out.extend_from_slice(br#"","#);
        }
        out.extend_from_slice(br#""offset":"#);
        json::number(record.offset, out);
        out.extend_from_slice(self.source(record.source));
    }

    fn source(&self, index: u16) -> &[u8] {
        let at = usize::from(index);
        let from = at.checked_sub(1).and_then(|before| self.source_ends.get(before)).copied().unwrap_or(0);
        let end = self.source_ends.get(at).copied().unwrap_or(from);
        self.sources.get(from..end).unwrap_or_default()
    }

    fn prepare(
        &mut self,
        entry: &Entry,
        header: &BlockHeader,
        block: &Block<'_>,
        clock: &Line,
        received: &mut Stamp,
    ) {
        self.event.clear();
        self.event.extend_from_slice(br#"","ingested":""#);
        received.write(entry.received, &mut self.event);
        self.event.extend_from_slice(br#"","kind":"event","dataset":"driftlog.record"},"log":{"#);
        self.sources.clear();
        self.source_ends.clear();
        for source in block.sources() {
            let out = &mut self.sources;
            out.extend_from_slice(br#","file":{"path":"#);
            let is_exact = json::lossy(source.path, out);
            out.extend_from_slice(br#"}},"driftlog":{"file":"#);
            json::hex(source.file, out);
            if !is_exact {
                out.extend_from_slice(br#","path":"#);
                json::base64(source.path, out);
            }
            self.source_ends.push(out.len());
        }
        let out = &mut self.tail;
        out.clear();
        out.extend_from_slice(br#","kind":"record","lane":""#);
        out.extend_from_slice(entry.lane.name().as_bytes());
        out.extend_from_slice(br#"","run":"#);
        json::hex(entry.run.0, out);
        out.extend_from_slice(br#","boot":""#);
        out.extend_from_slice(header.boot.to_string().as_bytes());
        out.extend_from_slice(br#"","clock":{"bound_ns":"#);
        json::number(clock.bound_ns, out);
        out.extend_from_slice(br#","basis":""#);
        out.extend_from_slice(basis_name(clock.basis).as_bytes());
        out.extend_from_slice(br#""}}"#);
        device(entry, out);
    }
}

/// What the device's wall clock said when the record was read.
fn device_time(record: &Record<'_>, header: &BlockHeader) -> Unix {
    let since = i128::from(record.mono.0) - i128::from(header.mono.0);
    let time = i128::from(header.wall.0) + since;
    Unix(i64::try_from(time).unwrap_or(if time < 0 { i64::MIN } else { i64::MAX }))
}

/// What most records do not have.
fn rare(record: &Record<'_>, is_exact: bool, out: &mut Vec<u8>) {
    match record.part {
        Part::Whole => {}
        Part::First => out.extend_from_slice(br#","part":"first""#),
        Part::Middle => out.extend_from_slice(br#","part":"middle""#),
        Part::Last => out.extend_from_slice(br#","part":"last""#),
    }
    if record.ending == Ending::None {
        out.extend_from_slice(br#","ending":"none""#);
    }
    if record.cut {
        out.extend_from_slice(br#","cut":true"#);
    }
    if record.format == Format::Json {
        out.extend_from_slice(br#","format":"json""#);
    }
    if !is_exact {
        out.extend_from_slice(br#","body":"#);
        json::base64(record.body, out);
    }
}
