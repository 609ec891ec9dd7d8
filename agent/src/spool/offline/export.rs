//! The logs of a spool, back out as text or NDJSON.

use std::fmt;
use std::io::{self, Write};

use driftlog_proto::block::{Decompress, Ending, Format, Part, Record, Reference, Scratch, Source, unpack};
use driftlog_proto::ids::Place;
use driftlog_proto::item::{self, BlockHeader, ItemHeader};
use driftlog_proto::sender::Kind;
use serde::Serialize;

use super::base64;
use super::inspect::GapSummary;
use super::{Offline, Progress, Step};
use crate::spool::disk::Disk;

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// The lines as they were, and nothing else.
    Text,
    /// One JSON object for each record and each gap.
    Ndjson,
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Records written.
    pub records: u64,
    /// Records that a gap says are gone.
    pub gone: u64,
    /// Records that are damaged, which no gap says.
    pub damaged: u64,
    /// Records of blocks that are whole and cannot be unpacked.
    pub not_unpacked: u64,
}

/// The output could not be written.
#[derive(Debug)]
pub struct ExportError(io::Error);

impl ExportError {
    /// Whether the reader went away, as `head` does: no reason to complain.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot write the exported records: {}", self.0)
    }
}

impl std::error::Error for ExportError {}

impl From<io::Error> for ExportError {
    fn from(error: io::Error) -> Self {
        Self(error)
    }
}

#[derive(Serialize)]
struct RecordLine<'a> {
    lane: &'static str,
    run: &'a str,
    seq: u64,
    path: &'a str,
    file: u64,
    offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<&'static str>,
    boot: &'a str,
    mono_ns: u64,
    /// The device's own wall clock, right or wrong.
    wall_ns: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<&'static str>,
    #[serde(skip_serializing_if = "is_false")]
    cut: bool,
    #[serde(skip_serializing_if = "is_false")]
    unterminated: bool,
    #[serde(skip_serializing_if = "is_false")]
    json: bool,
    body: &'a str,
    /// The exact bytes, where `body` could not hold them.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

#[derive(Serialize)]
struct GapLine<'a> {
    gap: &'a GapSummary,
}

/// Writes records one after another.
struct Writer<'w> {
    format: ExportFormat,
    out: &'w mut dyn Write,
    /// Text: the file whose line has not ended yet.
    open: Option<u64>,
}

impl Writer<'_> {
    fn text(&mut self, record: &Record<'_>, file: u64) -> io::Result<()> {
        let goes_on = matches!(record.part, Part::Middle | Part::Last) && self.open == Some(file);
        if self.open.is_some() && !goes_on {
            self.out.write_all(b"\n")?;
        }
        self.out.write_all(record.body)?;
        let is_open = matches!(record.part, Part::First | Part::Middle) && record.ending == Ending::None;
        self.open = is_open.then_some(file);
        if is_open { Ok(()) } else { self.out.write_all(b"\n") }
    }

    fn ndjson(
        &mut self,
        block: &BlockHeader,
        seq: u64,
        record: &Record<'_>,
        source: &Source<'_>,
    ) -> io::Result<()> {
        let body = String::from_utf8_lossy(record.body);
        let is_exact = body.as_bytes() == record.body;
        let since = i64::try_from(record.mono.since(block.mono)).unwrap_or(i64::MAX);
        let line = RecordLine {
            lane: block.lane.name(),
            run: &block.run.to_string(),
            seq,
            path: &String::from_utf8_lossy(source.path),
            file: source.file,
            offset: record.offset,
            severity: record.severity.name(),
            boot: &block.boot.to_string(),
            mono_ns: record.mono.0,
            wall_ns: block.wall.0.saturating_add(since),
            part: match record.part {
                Part::Whole => None,
                Part::First => Some("first"),
                Part::Middle => Some("middle"),
                Part::Last => Some("last"),
            },
            cut: record.cut,
            unterminated: record.ending == Ending::None,
            json: record.format == Format::Json,
            body: &body,
            body_base64: (!is_exact).then(|| base64::encode(record.body)),
        };
        self.line(&line)
    }

    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut *self.out, line)?;
        self.out.write_all(b"\n")
    }

    fn finish(&mut self) -> io::Result<()> {
        if self.open.take().is_some() {
            self.out.write_all(b"\n")?;
        }
        self.out.flush()
    }
}

impl<D: Disk> Offline<D> {
    /// Writes every record from base to end. Gaps are lines of their own in NDJSON; in text they
    /// are only counted.
    ///
    /// # Errors
    /// When the output cannot be written. Damage is counted, and never stops the rest.
    pub fn export(
        &mut self,
        format: ExportFormat,
        decompress: &mut dyn Decompress,
        out: &mut dyn Write,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Exported, ExportError> {
        let mut writer = Writer { format, out, open: None };
        let mut exported = Exported::default();
        let mut scratch = Scratch::new();
        let (mut place, total) = (self.base(), self.total());
        let first = place.seq;
        while place != self.end() {
            let step = self.step(&place);
            let records = step.end().seq.since(place.seq);
            match &step {
                Step::Item(item) if item.kind == Kind::Block => {
                    match self.write_block(&place, &mut writer, decompress, &mut scratch)? {
                        true => exported.records += records,
                        false => exported.not_unpacked += records,
                    }
                }
                Step::Item(_) => {}
                Step::Gap(hole) => {
                    exported.gone += records;
                    if format == ExportFormat::Ndjson {
                        writer.line(&GapLine { gap: &GapSummary::of(hole) })?;
                    }
                }
                Step::Damaged(_) => exported.damaged += records,
            }
            place = step.end();
            progress(Progress { done: place.seq.since(first), total });
        }
        writer.finish()?;
        Ok(exported)
    }

    fn write_block(
        &mut self,
        place: &Place,
        writer: &mut Writer<'_>,
        decompress: &mut dyn Decompress,
        scratch: &mut Scratch,
    ) -> Result<bool, ExportError> {
        let Ok((ItemHeader::Block(header), payload)) = item::open(&self.buf) else { return Ok(false) };
        let Ok(reference) = Reference::of(&header, payload) else { return Ok(false) };
        let referred = reference.map(|reference| {
            self.recovered
                .log
                .referred(&mut self.disk, header.run, &reference)
                .ok()
                .flatten()
                .unwrap_or_default()
        });
        let blocks: Vec<&[u8]> = referred.iter().flatten().map(Vec::as_slice).collect();
        let Ok(block) = unpack(&header, payload, &blocks, decompress, scratch) else { return Ok(false) };
        let sources: Vec<_> = block.sources().collect();
        for (seq, record) in (place.seq.0..).zip(block.records()) {
            let Some(source) = sources.get(usize::from(record.source)) else { return Ok(false) };
            match writer.format {
                ExportFormat::Text => writer.text(&record, source.file)?,
                ExportFormat::Ndjson => writer.ndjson(&header, seq, &record, source)?,
            }
        }
        Ok(true)
    }
}
