//! The only room in which the gateway reads a clock.

use std::path::{Path, PathBuf};

use driftlog_proto::time::{ClockState, Mono, Now, Unix};
use rustix::time::{ClockId, Timespec, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, Document};

/// 2026-01-01T00:00:00Z: a wall clock that shows less has never been set.
const UNSET_BEFORE: Unix = Unix(1_767_225_600_000_000_000);
/// systemd keeps this file while a time service holds the clock right.
const SYNCHRONISED_MARK: &str = "/run/systemd/timesync/synchronized";
/// How long what a file said about the clock is believed.
const LOOK_AGAIN_MS: u64 = 200;

/// The section `[trial]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrialConfig {
    /// Puts the clock wrong.
    pub clock_file: Option<PathBuf>,
}

impl TrialConfig {
    pub(crate) fn check(&self, document: &Document) -> Result<(), ConfigError> {
        let Some(path) = &self.clock_file else { return Ok(()) };
        Wrong::read(path).map(drop).map_err(|problem| document.mistake("trial.clock_file", problem, None))
    }
}

/// The gateway's clocks.
#[derive(Debug)]
pub struct Clock {
    trial: Option<Trial>,
    state: ClockState,
    looked: Option<Mono>,
}

impl Clock {
    /// The clocks as they are, or as the trial puts them wrong.
    #[must_use]
    pub fn new(config: &TrialConfig) -> Self {
        let trial =
            config.clock_file.clone().map(|file| Trial { file, since: mono(), wrong: Wrong::default() });
        Self { trial, state: ClockState::Unset, looked: None }
    }

    /// What the clocks show now. Costs two calls of the kernel that need no switch into it.
    pub fn now(&mut self) -> Now {
        let (real_mono, real_wall) = (mono(), wall());
        if self.looked.is_none_or(|at| real_mono.ms_since(at) >= LOOK_AGAIN_MS) {
            self.looked = Some(real_mono);
            self.look();
        }
        let (mono, wall) = match &self.trial {
            None => (real_mono, real_wall),
            Some(trial) => trial.put_wrong(real_mono, real_wall),
        };
        let state = if wall < UNSET_BEFORE { ClockState::Unset } else { self.state };
        Now { mono, wall, state }
    }

    fn look(&mut self) {
        let synchronised = Path::new(SYNCHRONISED_MARK).exists();
        self.state = if synchronised { ClockState::Synchronised } else { ClockState::Unsynchronised };
        if let Some(trial) = &mut self.trial {
            match Wrong::read(&trial.file) {
                Ok(wrong) => trial.wrong = wrong,
                Err(problem) => log::warn!("the trial's clock stays as it was: {problem}"),
            }
        }
    }
}

#[derive(Debug)]
struct Trial {
    file: PathBuf,
    since: Mono,
    wrong: Wrong,
}

/// By how much a trial puts the clocks wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Wrong {
    wall_offset_ms: i64,
    drift_ppm: i64,
}

impl Trial {
    /// Both clocks run too fast by `drift_ppm` since the start; the wall clock is off, besides.
    fn put_wrong(&self, mono: Mono, wall: Unix) -> (Mono, Unix) {
        let passed = i128::from(mono.since(self.since));
        let ahead = passed * i128::from(self.wrong.drift_ppm) / 1_000_000;
        let ahead = i64::try_from(ahead).unwrap_or(0);
        let offset = self.wrong.wall_offset_ms.saturating_mul(1_000_000);
        let wall = Unix(wall.0.saturating_add(offset).saturating_add(ahead));
        (Mono(mono.0.saturating_add_signed(ahead)), wall)
    }
}

impl Wrong {
    fn read(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let text =
            std::fs::read_to_string(path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
        let mut wrong = Self::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let parsed = line.split_once('=').and_then(|(name, value)| Some((name, value.parse().ok()?)));
            match parsed {
                Some(("wall_offset_ms", value)) => wrong.wall_offset_ms = value,
                Some(("drift_ppm", value)) => wrong.drift_ppm = value,
                _ => return Err(format!("{shown} holds {line:?}, not wall_offset_ms=… or drift_ppm=…")),
            }
        }
        Ok(wrong)
    }
}

fn mono() -> Mono {
    let time = clock_gettime(ClockId::Boottime);
    Mono(u64::try_from(nanoseconds(time)).unwrap_or_default())
}

fn wall() -> Unix {
    Unix(nanoseconds(clock_gettime(ClockId::Realtime)))
}

fn nanoseconds(time: Timespec) -> i64 {
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_and_never_goes_back() {
        let mut clock = Clock::new(&TrialConfig::default());
        let first = clock.now();
        let second = clock.now();
        assert!(second.mono >= first.mono);
        assert!(first.wall > UNSET_BEFORE, "the machine that runs the tests has a clock");
        assert_ne!(first.state, ClockState::Unset);
    }

    #[test]
    fn a_trial_puts_the_wall_clock_wrong_and_lets_both_run_fast() {
        let wrong = Wrong { wall_offset_ms: -5_000, drift_ppm: 500 };
        let trial = Trial { file: PathBuf::new(), since: Mono(1_000), wrong };
        let second = 1_000_000_000;
        let (mono, wall) = trial.put_wrong(Mono(1_000 + 2 * second), Unix(100 * 1_000_000_000));
        assert_eq!(mono, Mono(1_000 + 2 * second + 1_000_000));
        assert_eq!(wall, Unix(95 * 1_000_000_000 + 1_000_000));
    }

    #[test]
    fn a_trial_s_file_is_read_again_when_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clock");
        std::fs::write(&file, "wall_offset_ms=-3000000000000\n").unwrap();
        let mut clock = Clock::new(&TrialConfig { clock_file: Some(file.clone()) });
        assert_eq!(clock.now().state, ClockState::Unset, "nearly a century too early");
        std::fs::write(&file, "wall_offset_ms=0\n\ndrift_ppm=0\n").unwrap();
        clock.looked = None;
        assert_ne!(clock.now().state, ClockState::Unset);
    }

    #[test]
    fn a_trial_s_file_that_says_something_else_is_a_mistake() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clock");
        std::fs::write(&file, "wall_offset_ms=soon\n").unwrap();
        let problem = Wrong::read(&file).unwrap_err();
        assert!(
            problem.ends_with("holds \"wall_offset_ms=soon\", not wall_offset_ms=… or drift_ppm=…"),
            "{problem}"
        );
    }
}
