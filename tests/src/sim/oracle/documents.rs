//! What a sink holds, read from its documents alone.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use driftlog_gateway::audit::{Report, Tally, audit};
#[cfg(test)]
use driftlog_gateway::sink::Notice;
use driftlog_gateway::sink::archive::read::{Lines, files};
use driftlog_gateway::sink::archive::simulated::SimDirectory;
use driftlog_gateway::sink::ecs::document::{Fact, Outline};
use driftlog_gateway::sink::ecs::json::base64_decode;
use driftlog_proto::ids::{DeviceId, Lane, RunId};
use serde::Deserialize;

use super::{Sentence, violated};

/// A line or a part of one, as the archive has it.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) device: String,
    pub(crate) lane: String,
    pub(crate) run: u64,
    pub(crate) path: String,
    pub(crate) file: String,
    pub(crate) offset: u64,
    /// With the newline, where one followed.
    pub(crate) bytes: Vec<u8>,
    pub(crate) boot: String,
    pub(crate) mono: u64,
    pub(crate) time: i64,
    pub(crate) bound: u64,
    pub(crate) basis: String,
}

pub(crate) struct Archived {
    pub(crate) records: Vec<Record>,
    /// How far the documents of each run reach.
    pub(crate) extents: BTreeMap<(DeviceId, Lane, RunId), u64>,
    pub(crate) report: Report,
}

/// What is needed of a document, as JSON has it.
#[derive(Deserialize)]
struct Document<'a> {
    #[serde(rename = "@timestamp", borrow)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    message: Cow<'a, str>,
    event: Event,
    #[serde(borrow)]
    host: Host<'a>,
    #[serde(borrow, default)]
    log: Log<'a>,
    #[serde(borrow)]
    driftlog: Own<'a>,
}

#[derive(Deserialize)]
struct Event {
    sequence: u64,
}

#[derive(Deserialize)]
struct Host<'a> {
    id: &'a str,
}

#[derive(Default, Deserialize)]
struct Log<'a> {
    #[serde(borrow, default)]
    file: LogFile<'a>,
    #[serde(default)]
    offset: u64,
}

#[derive(Default, Deserialize)]
struct LogFile<'a> {
    #[serde(borrow)]
    path: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Own<'a> {
    lane: &'a str,
    run: &'a str,
    kind: &'a str,
    #[serde(default)]
    notice: &'a str,
    #[serde(default)]
    file: &'a str,
    #[serde(default)]
    body: Option<&'a str>,
    #[serde(default)]
    ending: &'a str,
    #[serde(default)]
    boot: &'a str,
    #[serde(default)]
    mono_ns: u64,
    #[serde(borrow, default)]
    clock: Clock<'a>,
}

#[derive(Default, Deserialize)]
struct Clock<'a> {
    bound_ns: u64,
    basis: &'a str,
}

#[derive(Default)]
struct Reader {
    records: Vec<Record>,
    extents: BTreeMap<(DeviceId, Lane, RunId), u64>,
    /// Hashes of identities: device, lane, run, kind and notice, and the number.
    identities: BTreeSet<(u64, u64)>,
}

impl Reader {
    fn line(&mut self, line: &[u8]) {
        let document: Document<'_> =
            serde_json::from_slice(line).expect("a document is JSON with its fields");
        let own = &document.driftlog;
        let seq = document.event.sequence;
        let mut hasher = DefaultHasher::new();
        (document.host.id, own.lane, own.run, own.kind, own.notice).hash(&mut hasher);
        // One identity stands for one document; a notice is stated once for each run.
        let number = if own.notice.is_empty() { seq } else { 0 };
        if !self.identities.insert((hasher.finish(), number)) {
            violated(Sentence::Once, &String::from_utf8_lossy(line));
        }
        let outline = Outline::parse(line).expect("a document can be read back");
        let end = match outline.fact {
            Fact::Record => seq + 1,
            Fact::Gap { to, .. } | Fact::DeadLetter { to } => to.0,
            Fact::Start { .. } | Fact::Notice(_) => seq,
        };
        let reached = self.extents.entry((outline.device, outline.lane, outline.run)).or_default();
        *reached = (*reached).max(end);
        if own.kind == "record" {
            self.records.push(Record::new(&document));
        }
    }
}

impl Archived {
    /// The documents of an archive.
    pub(crate) fn read(directory: &SimDirectory) -> Self {
        let report = audit(directory, &[], &mut |_| {}).expect("a simulated directory can be read");
        let mut reader = Reader::default();
        for file in files(directory).expect("a simulated directory can be read") {
            let lines = Lines::open(directory, &file).expect("a simulated file can be read");
            let mut lines = lines.expect("a file that is listed is there");
            while let Some(line) = lines.next_line().expect("a simulated file can be read") {
                reader.line(line.bytes);
            }
        }
        Self { records: reader.records, extents: reader.extents, report }
    }

    /// The documents of a stand-in, as if an archive had them.
    pub(crate) fn of_lines(lines: &[u8]) -> Self {
        let directory = SimDirectory::default();
        if !lines.is_empty() {
            directory.put("2026-11-23/000001.ndjson", lines);
        }
        Self::read(&directory)
    }

    pub(crate) fn tally(&self, device: &str, lane: &str) -> Tally {
        let found = self.report.lanes.iter().find(|row| row.device == device && row.lane == lane);
        found.map_or_else(Tally::default, |row| row.tally.clone())
    }

    /// Records of a device that are declared gone, over its lanes.
    pub(crate) fn declared(&self, device: &str) -> u64 {
        ["bulk", "urgent"].iter().map(|lane| self.tally(device, lane).declared()).sum()
    }

    #[cfg(test)]
    pub(crate) fn noticed(&self, notice: Notice) -> u64 {
        self.report.lanes.iter().map(|row| row.tally.noticed(notice)).sum()
    }

    /// The agent's own sentences.
    pub(crate) fn said(&self, device: &str) -> Vec<String> {
        let own = |record: &&Record| record.device == device && record.path == "driftlog:agent";
        let text = |record: &Record| String::from_utf8_lossy(&record.bytes).into_owned();
        self.records.iter().filter(own).map(text).collect()
    }
}

impl Record {
    fn new(document: &Document<'_>) -> Self {
        let own = &document.driftlog;
        let mut bytes = match own.body {
            Some(body) => base64_decode(body).unwrap(),
            None => document.message.as_bytes().to_vec(),
        };
        if own.ending != "none" {
            bytes.push(b'\n');
        }
        Self {
            device: document.host.id.to_owned(),
            lane: own.lane.to_owned(),
            run: u64::from_str_radix(own.run, 16).unwrap(),
            path: document.log.file.path.clone().into_owned(),
            file: own.file.to_owned(),
            offset: document.log.offset,
            bytes,
            boot: own.boot.to_owned(),
            mono: own.mono_ns,
            time: nanoseconds(&document.time),
            bound: own.clock.bound_ns,
            basis: own.clock.basis.to_owned(),
        }
    }
}

/// RFC 3339 in UTC, with nanoseconds. (Days since 1970: Howard Hinnant, days_from_civil.)
fn nanoseconds(time: &str) -> i64 {
    let number = |range: std::ops::Range<usize>| time[range].parse::<i64>().unwrap();
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days =
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    let seconds = days * 86_400 + number(11..13) * 3_600 + number(14..16) * 60 + number(17..19);
    seconds * 1_000_000_000 + number(20..29)
}
