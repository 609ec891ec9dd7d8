//! What the agent says about itself, to stderr, one line an event.
//!
//! A line begins with the time only where nobody else writes it (not under journald), and with the
//! time since boot while the clock is unset. A cause that repeats is said `REPEATS_MAX` times in
//! `INTERVAL_MS`; the rest is counted and the count is said. Fixed memory.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use driftlog_proto::time::{ClockState, Mono, Now};
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::clock::Clock;

/// How often one cause is said in an interval.
const REPEATS_MAX: u32 = 5;
/// Milliseconds after which a cause may be said again.
const INTERVAL_MS: u64 = 10_000;
/// Causes that are told apart; the one that was silent longest makes room.
const CAUSES_MAX: usize = 32;

/// Starts logging at this level. A second call changes nothing.
pub fn start(level: LevelFilter, clock: Arc<Clock>) {
    let is_dated = std::env::var_os("JOURNAL_STREAM").is_none();
    let logger = Stderr { clock, is_dated, repeats: Mutex::default() };
    if log::set_boxed_logger(Box::new(logger)).is_ok() {
        log::set_max_level(level);
    }
}

struct Stderr {
    clock: Arc<Clock>,
    is_dated: bool,
    repeats: Mutex<Repeats>,
}

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Libraries are heard when something is wrong; their news is not ours.
        metadata.target().starts_with("driftlog") || metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let now = self.clock.now();
        let cause =
            Cause { file: record.file_static().unwrap_or_default(), line: record.line().unwrap_or(0) };
        let verdict = if record.level() <= Level::Info {
            self.repeats.lock().unwrap_or_else(PoisonError::into_inner).admit(cause, now.mono)
        } else {
            Verdict::Said { kept_back: 0 }
        };
        let Verdict::Said { kept_back } = verdict else { return };
        let stamp = if self.is_dated { stamp(now) } else { String::new() };
        let level = record.level();
        let mut line = format!("{stamp}{level:<5} {}", record.args());
        if kept_back > 0 {
            line.push_str(&format!(" (and {kept_back} more of this kind)"));
        }
        line.push('\n');
        // Nobody can be told when stderr is gone.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}

fn stamp(now: Now) -> String {
    if now.state == ClockState::Unset {
        let ms = now.mono.0 / 1_000_000;
        return format!("[{:>8}.{:03}] ", ms / 1_000, ms % 1_000);
    }
    format!("{} ", rfc3339(now.wall.0.div_euclid(1_000_000_000)))
}

/// Seconds since 1970 as RFC 3339 in UTC (civil calendar after Howard Hinnant, "chrono-compatible
/// low-level date algorithms").
#[must_use]
pub fn rfc3339(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Where in the code something is said: what is wrong, whatever the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cause {
    file: &'static str,
    line: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Said { kept_back: u32 },
    KeptBack,
}

#[derive(Debug)]
struct Repeat {
    cause: Cause,
    since: Mono,
    last: Mono,
    said: u32,
    kept_back: u32,
}

#[derive(Debug, Default)]
struct Repeats(Vec<Repeat>);

impl Repeats {
    fn admit(&mut self, cause: Cause, now: Mono) -> Verdict {
        let known = self.0.iter_mut().find(|repeat| repeat.cause == cause);
        let Some(repeat) = known else {
            if self.0.len() == CAUSES_MAX {
                let oldest = self.0.iter().enumerate().min_by_key(|(_, repeat)| repeat.last);
                if let Some((at, _)) = oldest {
                    self.0.swap_remove(at);
                }
            }
            self.0.push(Repeat { cause, since: now, last: now, said: 1, kept_back: 0 });
            return Verdict::Said { kept_back: 0 };
        };
        repeat.last = now;
        if now.ms_since(repeat.since) >= INTERVAL_MS {
            let kept_back = std::mem::take(&mut repeat.kept_back);
            (repeat.since, repeat.said) = (now, 1);
            return Verdict::Said { kept_back };
        }
        if repeat.said < REPEATS_MAX {
            repeat.said += 1;
            return Verdict::Said { kept_back: 0 };
        }
        repeat.kept_back += 1;
        Verdict::KeptBack
    }
}

#[cfg(test)]
mod tests {
    use driftlog_proto::time::Unix;

    use super::*;

    #[test]
    fn a_repeating_cause_is_said_five_times_and_then_counted() {
        let (mut repeats, now) = (Repeats::default(), Mono(0));
        let (one, other) = (Cause { file: "a.rs", line: 1 }, Cause { file: "a.rs", line: 2 });
        for _ in 0..REPEATS_MAX {
            assert_eq!(repeats.admit(one, now), Verdict::Said { kept_back: 0 });
        }
        for _ in 0..7 {
            assert_eq!(repeats.admit(one, now.plus_ms(INTERVAL_MS - 1)), Verdict::KeptBack);
        }
        assert_eq!(repeats.admit(other, now), Verdict::Said { kept_back: 0 }, "another cause is heard");
        assert_eq!(repeats.admit(one, now.plus_ms(INTERVAL_MS)), Verdict::Said { kept_back: 7 });
    }

    #[test]
    fn the_table_of_causes_keeps_its_bound_and_forgets_the_one_that_was_silent_longest() {
        let mut repeats = Repeats::default();
        let cause = |line| Cause { file: "a.rs", line };
        for line in 0..=u32::try_from(CAUSES_MAX).unwrap() {
            assert_eq!(repeats.admit(cause(line), Mono(u64::from(line))), Verdict::Said { kept_back: 0 });
        }
        assert_eq!(repeats.0.len(), CAUSES_MAX);
        assert!(repeats.0.iter().all(|repeat| repeat.cause != cause(0)));
    }

    #[test]
    fn a_line_is_dated_by_the_wall_clock_or_by_the_time_since_boot_while_that_is_unset() {
        let mut now = Now {
            mono: Mono(12_345_678_901),
            wall: Unix(1_795_468_743_999_999_999),
            state: ClockState::Unset,
        };
        assert_eq!(stamp(now), "[      12.345] ");
        now.state = ClockState::Unsynchronised;
        assert_eq!(stamp(now), "2026-11-23T21:19:03Z ");
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59Z");
    }
}
