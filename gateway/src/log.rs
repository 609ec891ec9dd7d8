//! What the gateway writes to stderr: one line a message, for people or as JSON.
//!
//! What it promises: a cause that repeats cannot flood the log. Of the messages from one place
//! in the code, [`BURST`] are written in [`INTERVAL_MS`]; the next one that is written says how
//! many were not. So a device that sends garbage costs a few lines, however much it sends.
//! What it costs: a lock and a look-up for each message that is written.
//!
//! The libraries below have a louder idea of an error than operators have (each device that goes
//! out of range is one): they are heard only at level debug.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};
use serde::{Deserialize, Serialize};

use driftlog_proto::time::{Mono, Unix};

use crate::clock::{Clock, TrialConfig};

/// Messages from one place that are written in one interval.
pub const BURST: u32 = 5;
/// The interval, in milliseconds.
pub const INTERVAL_MS: u64 = 10_000;
/// Places that are told apart; there are fewer in the code.
const PLACES_MAX: usize = 1024;

/// The section `[log]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// What is written.
    pub level: LogLevel,
    /// How a line looks.
    pub format: LogFormat,
}

/// What is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What an operator must act upon.
    Error,
    /// And what may come to that.
    Warn,
    /// And what happens.
    #[default]
    Info,
    /// And what the libraries say.
    Debug,
    /// And each packet.
    Trace,
}

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, with the names of the Elastic Common Schema.
    Json,
}

impl LogLevel {
    const fn filter(self) -> LevelFilter {
        match self {
            Self::Error => LevelFilter::Error,
            Self::Warn => LevelFilter::Warn,
            Self::Info => LevelFilter::Info,
            Self::Debug => LevelFilter::Debug,
            Self::Trace => LevelFilter::Trace,
        }
    }
}

/// Begins to write messages. The first call in a process decides; later ones change nothing.
pub fn start(config: LogConfig) {
    let logger = Logger { config, inner: Mutex::new(Inner::new()) };
    if log::set_boxed_logger(Box::new(logger)).is_ok() {
        log::set_max_level(config.level.filter());
    }
}

struct Logger {
    config: LogConfig,
    inner: Mutex<Inner>,
}

struct Inner {
    clock: Clock,
    repeats: Repeats,
    line: String,
}

impl Inner {
    fn new() -> Self {
        let clock = Clock::new(&TrialConfig::default());
        Self { clock, repeats: Repeats::default(), line: String::new() }
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_ours(metadata.target()) || self.config.level.filter() >= LevelFilter::Debug
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        // A panic while a line was made leaves at worst half of it in the buffer.
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Inner { clock, repeats, line } = &mut *inner;
        let now = clock.now();
        let Some(unwritten) = repeats.admit(now.mono, record) else { return };
        line.clear();
        match self.config.format {
            LogFormat::Text => text(line, now.wall, record, unwritten),
            LogFormat::Json => json(line, now.wall, record, unwritten),
        }
        // There is nobody left to tell when stderr is closed.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}

fn is_ours(target: &str) -> bool {
    target.starts_with("driftlog")
}

/// Counts what each place in the code has to say.
#[derive(Debug, Default)]
struct Repeats {
    places: HashMap<(String, u32), Place>,
}

#[derive(Debug)]
struct Place {
    begin: Mono,
    written: u32,
    unwritten: u64,
}

impl Repeats {
    /// Whether this message is written; then how many from its place were not since the last.
    fn admit(&mut self, now: Mono, record: &Record<'_>) -> Option<u64> {
        let key = (record.target().to_owned(), record.line().unwrap_or_default());
        if self.places.len() >= PLACES_MAX && !self.places.contains_key(&key) {
            self.places.clear();
        }
        let place = self.places.entry(key).or_insert(Place { begin: now, written: 0, unwritten: 0 });
        if now.ms_since(place.begin) >= INTERVAL_MS {
            place.begin = now;
            place.written = 0;
        }
        if place.written >= BURST {
            place.unwritten += 1;
            return None;
        }
        place.written += 1;
        Some(std::mem::take(&mut place.unwritten))
    }
}

fn text(line: &mut String, wall: Unix, record: &Record<'_>, unwritten: u64) {
    timestamp(line, wall);
    let _ = write!(line, " {:<5} ", record.level());
    if !is_ours(record.target()) {
        let _ = write!(line, "{}: ", record.target());
    }
    let begin = line.len();
    let _ = write!(line, "{}", record.args());
    one_line(line, begin);
    if unwritten > 0 {
        let _ = write!(line, " ({unwritten} more like this were not written)");
    }
    line.push('\n');
}

/// Keeps a message that quotes hostile bytes on one line and free of terminal commands.
fn one_line(line: &mut String, begin: usize) {
    if line.get(begin..).is_some_and(|message| message.chars().any(char::is_control)) {
        let message: String = line.split_off(begin);
        for c in message.chars() {
            match c {
                '\n' => line.push_str(" | "),
                c if c.is_control() => line.extend(c.escape_default()),
                c => line.push(c),
            }
        }
    }
}

fn json(line: &mut String, wall: Unix, record: &Record<'_>, unwritten: u64) {
    let mut at = String::new();
    timestamp(&mut at, wall);
    let level = match record.level() {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    };
    let object = serde_json::json!({
        "@timestamp": at,
        "log.level": level,
        "log.logger": record.target(),
        "message": record.args().to_string(),
        "driftlog.unwritten": unwritten,
    });
    let _ = writeln!(line, "{object}");
}

/// RFC 3339 in UTC with milliseconds.
fn timestamp(line: &mut String, wall: Unix) {
    let ms = wall.0.div_euclid(1_000_000);
    let (days, of_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60);
    let _ =
        write!(line, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", of_day % 1000);
}

/// The date of a day counted from 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date
/// algorithms", `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record<'a>(target: &'a str, line: u32, message: std::fmt::Arguments<'a>) -> Record<'a> {
        Record::builder().level(Level::Warn).target(target).line(Some(line)).args(message).build()
    }

    #[test]
    fn a_cause_that_repeats_is_written_a_few_times_and_then_counted() {
        let mut repeats = Repeats::default();
        let flood = record("driftlog_gateway::region", 7, format_args!("bad checksum"));
        let written = (0..1000).filter(|_| repeats.admit(Mono(0), &flood).is_some()).count();
        assert_eq!(written, BURST as usize);
        let other = record("driftlog_gateway::region", 8, format_args!("bad topic"));
        assert_eq!(repeats.admit(Mono(0), &other), Some(0), "another cause is not held back by it");
        let later = Mono(0).plus_ms(INTERVAL_MS);
        assert_eq!(repeats.admit(later, &flood), Some(1000 - u64::from(BURST)));
        assert_eq!(repeats.admit(later, &flood), Some(0));
    }

    #[test]
    fn a_line_for_people_shows_time_level_and_message_on_one_line() {
        let mut line = String::new();
        let wall = Unix(1_795_467_600_123_000_000);
        let message = "topic \"a\u{1b}[2J\"\nhint: none";
        text(&mut line, wall, &record("driftlog_gateway::web", 1, format_args!("{message}")), 3);
        assert_eq!(
            line,
            "2026-11-23T21:00:00.123Z WARN  topic \"a\\u{1b}[2J\" | hint: none (3 more like this were not \
             written)\n"
        );
    }

    #[test]
    fn a_line_as_json_has_the_names_of_the_common_schema() {
        let mut line = String::new();
        json(&mut line, Unix(-1_000_000), &record("driftlog_gateway", 1, format_args!("a \"b\"")), 0);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["@timestamp"], "1969-12-31T23:59:59.999Z");
        assert_eq!(value["log.level"], "warn");
        assert_eq!(value["message"], "a \"b\"");
    }

    #[test]
    fn libraries_are_heard_only_at_debug() {
        let at = |level| Logger {
            config: LogConfig { level, format: LogFormat::Text },
            inner: Mutex::new(Inner::new()),
        };
        let theirs = Metadata::builder().target("rumqttd::server::broker").level(Level::Error).build();
        assert!(!at(LogLevel::Info).enabled(&theirs));
        assert!(at(LogLevel::Debug).enabled(&theirs));
    }

    #[test]
    fn the_date_of_any_day_is_found() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(19_782), (2024, 2, 29));
        assert_eq!(civil(-1), (1969, 12, 31));
        assert_eq!(civil(20_780), (2026, 11, 23));
    }
}
