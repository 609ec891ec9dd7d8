//! What must be true of the archive, read from its documents alone and held against what the
//! world knows: every byte that was written, and the true time.

use std::collections::{BTreeMap, BTreeSet};

use driftlog_agent::spool::Overflow;
use driftlog_gateway::audit::{Report, Tally, audit};
use driftlog_gateway::sink::Notice;
use driftlog_gateway::sink::archive::read::{Lines, files};
use driftlog_gateway::sink::archive::simulated::SimDirectory;
use driftlog_gateway::sink::ecs::json::base64_decode;
use serde_json::Value;

use super::World;
use super::machine::Machine;

/// A line or a part of one, as the archive has it.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) device: String,
    pub(crate) lane: String,
    pub(crate) run: u64,
    pub(crate) path: String,
    file: String,
    offset: u64,
    /// With the newline, where one followed.
    pub(crate) bytes: Vec<u8>,
    boot: String,
    mono: u64,
    time: i64,
    pub(crate) bound: u64,
    pub(crate) basis: String,
}

pub(crate) struct Archived {
    pub(crate) records: Vec<Record>,
    pub(crate) report: Report,
}

/// What a device's lines came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Lines that are in the archive.
    pub(crate) lines: u64,
    /// Lines that are not.
    pub(crate) lost: u64,
    /// Bytes that are there more than once.
    pub(crate) repeated: u64,
    /// The beginning of the first line that is not there.
    pub(crate) first_lost: Option<String>,
}

impl Archived {
    pub(crate) fn read(directory: &SimDirectory) -> Self {
        let report = audit(directory, &[], &mut |_| {}).unwrap();
        let mut identities = BTreeSet::new();
        let mut records = Vec::new();
        for file in files(directory).unwrap() {
            let mut lines = Lines::open(directory, &file).unwrap().unwrap();
            while let Some(line) = lines.next_line().unwrap() {
                let value: Value = serde_json::from_slice(line.bytes).unwrap();
                let own = &value["driftlog"];
                let identity =
                    [&value["host"]["id"], &own["lane"], &own["run"], &own["kind"], &own["notice"]].map(text);
                let seq = value["event"]["sequence"].as_u64().unwrap();
                // One identity stands for one document; a notice is stated once for each run.
                let number = if own["notice"].is_null() { seq } else { 0 };
                assert!(identities.insert((identity, number)), "twice in the archive: {value}");
                if own["kind"] == "record" {
                    records.push(Record::new(&value));
                }
            }
        }
        Self { records, report }
    }

    pub(crate) fn tally(&self, device: &str, lane: &str) -> Tally {
        let found = self.report.lanes.iter().find(|row| row.device == device && row.lane == lane);
        found.map_or_else(Tally::default, |row| row.tally.clone())
    }

    /// Records of a device that are declared gone, over its lanes.
    pub(crate) fn declared(&self, device: &str) -> u64 {
        ["bulk", "urgent"].iter().map(|lane| self.tally(device, lane).declared()).sum()
    }

    pub(crate) fn noticed(&self, notice: Notice) -> u64 {
        self.report.lanes.iter().map(|row| row.tally.noticed(notice)).sum()
    }

    /// The agent's own sentences.
    pub(crate) fn said(&self, device: &str) -> Vec<String> {
        let own = |record: &&Record| record.device == device && record.path == "driftlog:agent";
        let text = |record: &Record| String::from_utf8_lossy(&record.bytes).into_owned();
        self.records.iter().filter(own).map(text).collect()
    }

    /// Holds what there is of a machine's lines against what its programs wrote.
    pub(crate) fn compare(&self, machine: &Machine) -> Outcome {
        let device = machine.config.device.as_str();
        let mut found: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
        for record in &self.records {
            let is_its = machine.runs.iter().any(|run| run.0 == record.run);
            if record.device == device && is_its && record.path != "driftlog:agent" {
                found.entry(&record.file).or_default().push(record);
            }
        }
        let mut covered: Vec<(&[u8], Vec<u64>)> = Vec::new();
        for app in &machine.apps {
            covered.extend(app.files.iter().map(|file| (file.bytes.as_slice(), vec![0; file.bytes.len()])));
        }
        let mut outcome = Outcome::default();
        for (file, records) in found {
            let is_it = |written: &[u8]| records.iter().all(|record| record.is_of(written));
            let Some((_, counts)) = covered.iter_mut().find(|(written, _)| is_it(written)) else {
                panic!("{device}: no file was written as {file} came to the archive: {:?}", records[0]);
            };
            for record in records {
                let from = record.offset as usize;
                counts[from..from + record.bytes.len()].iter_mut().for_each(|count| *count += 1);
            }
        }
        for (written, counts) in covered {
            if let Some(at) = counts.iter().position(|count| *count == 0) {
                let line = String::from_utf8_lossy(&written[at..written.len().min(at + 40)]);
                outcome.first_lost.get_or_insert_with(|| format!("{line} at {at} of {}", written.len()));
            }
            for (byte, count) in written.iter().zip(counts) {
                outcome.repeated += count.saturating_sub(1);
                if *byte == b'\n' {
                    outcome.lines += u64::from(count > 0);
                    outcome.lost += u64::from(count == 0);
                }
            }
        }
        outcome
    }

    /// Within a lane and a file what was written first stands first.
    pub(crate) fn assert_in_order(&self) {
        let mut reached: BTreeMap<(&str, &str, &str), u64> = BTreeMap::new();
        for record in self.records.iter().filter(|record| record.path != "driftlog:agent") {
            let end = reached.entry((&record.device, &record.lane, &record.file)).or_default();
            assert!(record.offset >= *end, "out of order: {record:?} after {end}");
            *end = record.offset + record.bytes.len() as u64;
        }
    }

    /// Corrected times lie within their bound of the true time; answers with the records whose
    /// time rests on an exchange.
    pub(crate) fn assert_times(&self, machine: &Machine) -> u64 {
        let device = machine.config.device.as_str();
        let mut measured = 0;
        for record in self.records.iter().filter(|record| record.device == device) {
            let Some(boot) = machine.boots.iter().find(|boot| boot.id.to_string() == record.boot) else {
                continue;
            };
            let off = boot.time(record.mono).abs_diff(record.time);
            // Monotonic time is kept in whole microseconds.
            let bound = record.bound.saturating_add(2_000);
            assert!(off <= bound, "{off} ns off, and at most {bound} stated: {record:?}");
            measured += u64::from(record.basis == "measured");
        }
        measured
    }
}

impl Record {
    fn new(value: &Value) -> Self {
        let own = &value["driftlog"];
        let mut bytes = match own["body"].as_str() {
            Some(body) => base64_decode(body).unwrap(),
            None => text(&value["message"]).into_bytes(),
        };
        if own["ending"] != "none" {
            bytes.push(b'\n');
        }
        Self {
            device: text(&value["host"]["id"]),
            lane: text(&own["lane"]),
            run: u64::from_str_radix(&text(&own["run"]), 16).unwrap(),
            path: text(&value["log"]["file"]["path"]),
            file: text(&own["file"]),
            offset: value["log"]["offset"].as_u64().unwrap(),
            bytes,
            boot: text(&own["boot"]),
            mono: own["mono_ns"].as_u64().unwrap(),
            time: nanoseconds(&text(&value["@timestamp"])),
            bound: own["clock"]["bound_ns"].as_u64().unwrap(),
            basis: text(&own["clock"]["basis"]),
        }
    }

    fn is_of(&self, written: &[u8]) -> bool {
        let from = self.offset as usize;
        written.get(from..from + self.bytes.len()) == Some(&self.bytes)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
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

impl World {
    pub(crate) fn archived(&self) -> Archived {
        Archived::read(&self.shore.directory)
    }

    /// Every line of every device is there once, in order, byte for byte, and at its time.
    pub(crate) fn assert_complete(&mut self) -> Archived {
        let archived = self.archived();
        self.assert_promise(&archived);
        archived.assert_in_order();
        let standing = self.standing();
        for machine in &self.machines {
            let outcome = archived.compare(machine);
            let device = machine.config.device.as_str();
            let declared = archived.declared(device);
            assert_eq!(
                (outcome.lost, outcome.repeated, declared),
                (0, 0, 0),
                "{device}: {outcome:?}, {declared} declared lost; {:#?}\n{standing}",
                archived.said(device)
            );
        }
        archived
    }

    /// As [`assert_complete`](Self::assert_complete), but where a full disk may make the agent drop
    /// the oldest, what is missing is declared: each line, and nothing beside them but parts of
    /// lines and the agent's own sentences.
    pub(crate) fn assert_complete_or_declared(&mut self) -> Archived {
        let archived = self.archived();
        self.assert_promise(&archived);
        archived.assert_in_order();
        let standing = self.standing();
        for machine in &self.machines {
            let outcome = archived.compare(machine);
            let device = machine.config.device.as_str();
            let declared = archived.declared(device);
            let may_drop = [machine.config.bulk, machine.config.urgent]
                .iter()
                .any(|lane| lane.overflow == Overflow::DropOldest);
            let is_declared = declared >= outcome.lost && (declared == 0 || outcome.lost > 0 && may_drop);
            assert!(
                outcome.repeated == 0 && is_declared,
                "{device}: {outcome:?}, {declared} declared lost; {:#?}\n{standing}",
                archived.said(device)
            );
        }
        archived
    }

    /// What holds whatever happened: no identity twice, no hole without a word, honest times.
    pub(crate) fn assert_promise(&self, archived: &Archived) {
        assert!(!archived.report.is_broken(), "{:#?}", archived.report);
        for machine in &self.machines {
            archived.assert_times(machine);
        }
    }
}
