//! The one room in which the agent reads a clock: monotonic time (`CLOCK_BOOTTIME`), the wall clock
//! and how far that can be trusted, the boot. All else is told the time.
//!
//! For trials and tests a file can bend the clock (`TrialClock`); a static binary cannot be fooled
//! by a preloaded library.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use driftlog_proto::ids::BootId;
use driftlog_proto::time::{ClockState, Mono, Now, Unix};
use rustix::time::{ClockId, Timespec, clock_gettime};

/// 2026-01-01T00:00:00Z: a wall clock before it was never set.
const SET_SINCE: Unix = Unix(1_767_225_600_000_000_000);
/// Exists while systemd-timesyncd has synchronised the clock since boot.
const SYNCHRONISED_FILE: &str = "/run/systemd/timesync/synchronized";
/// How long an answer about synchronisation is believed.
const SYNCHRONISED_MS: u64 = 10_000;
/// How often the trial clock's file is looked at, at most.
const TRIAL_MS: u64 = 100;

/// The device's clocks.
#[derive(Debug)]
pub struct Clock {
    boot: BootId,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    synchronised: bool,
    /// In real time, as everything here.
    asked: Option<Mono>,
    trial: Option<TrialClock>,
}

impl Clock {
    /// The real clocks, bent by the trial's file if one is given.
    ///
    /// # Errors
    /// What is wrong with the trial's file. Without one it does not fail: a kernel that does not
    /// tell its boot gets a boot of its own for each start of the agent.
    pub fn new(trial: Option<&Path>) -> Result<Self, String> {
        let trial = trial.map(TrialClock::open).transpose()?;
        let boot = trial.as_ref().and_then(|trial| trial.bend.boot).unwrap_or_else(kernel_boot);
        Ok(Self { boot, state: Mutex::new(State { trial, ..State::default() }) })
    }

    /// This boot of the device.
    #[must_use]
    pub fn boot(&self) -> BootId {
        self.boot
    }

    /// What the clocks show.
    #[must_use]
    pub fn now(&self) -> Now {
        let real = Mono(nanoseconds(clock_gettime(ClockId::Boottime)).max(0).cast_unsigned());
        let wall = Unix(nanoseconds(clock_gettime(ClockId::Realtime)));
        // A thread that panicked while it held the lock left nothing half-done in it.
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if state.asked.is_none_or(|asked| real.ms_since(asked) >= SYNCHRONISED_MS) {
            state.asked = Some(real);
            state.synchronised = Path::new(SYNCHRONISED_FILE).exists();
        }
        let synchronised = state.synchronised;
        match &mut state.trial {
            None => Now { mono: real, wall, state: trust(wall, synchronised) },
            Some(trial) => trial.now(real, wall, synchronised),
        }
    }

    /// How long to sleep until `deadline`; none if it is [`Mono::FOREVER`].
    #[must_use]
    pub fn until(&self, deadline: Mono) -> Option<Duration> {
        (deadline != Mono::FOREVER).then(|| Duration::from_nanos(deadline.since(self.now().mono)))
    }
}

fn trust(wall: Unix, synchronised: bool) -> ClockState {
    match (wall < SET_SINCE, synchronised) {
        (true, _) => ClockState::Unset,
        (false, true) => ClockState::Synchronised,
        (false, false) => ClockState::Unsynchronised,
    }
}

fn nanoseconds(time: Timespec) -> i64 {
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}

fn kernel_boot() -> BootId {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    parse_boot(digits.trim()).unwrap_or_else(|| BootId(crate::identity::random()))
}

fn parse_boot(digits: &str) -> Option<BootId> {
    (digits.len() == 32).then_some(())?;
    u128::from_str_radix(digits, 16).ok().map(|number| BootId(number.to_be_bytes()))
}

/// A clock that is bent by a file of three lines, all optional:
///
/// ```text
/// wall_offset_ms=-1795000000000
/// drift_ppm=500
/// boot_id=000102030405060708090a0b0c0d0e0f
/// ```
///
/// The wall clock shows the real one plus the offset, at once when the file changes. Monotonic time
/// runs fast by the drift, counted from the real boot: it is the same over restarts of the agent as
/// long as the drift is not changed. A boot id holds from the next start of the agent. A file that
/// cannot be read for a moment (it is being replaced) changes nothing.
#[derive(Debug)]
struct TrialClock {
    file: PathBuf,
    bend: Bend,
    looked: Mono,
    last: Mono,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Bend {
    wall_offset_ms: i64,
    drift_ppm: i64,
    boot: Option<BootId>,
}

impl TrialClock {
    fn open(file: &Path) -> Result<Self, String> {
        let failed = |what: String| format!("trial.clock_file {}: {what}", file.display());
        let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
        let bend = Bend::parse(&text).map_err(failed)?;
        Ok(Self { file: file.to_owned(), bend, looked: Mono(0), last: Mono(0) })
    }

    fn now(&mut self, real: Mono, wall: Unix, synchronised: bool) -> Now {
        if real.ms_since(self.looked) >= TRIAL_MS {
            self.looked = real;
            let text = std::fs::read_to_string(&self.file).unwrap_or_default();
            match Bend::parse(&text) {
                Ok(bend) if !text.is_empty() => self.bend = bend,
                _ => {}
            }
        }
        let drift = i128::from(real.0) * i128::from(self.bend.drift_ppm) / 1_000_000;
        let mono = u64::try_from(i128::from(real.0) + drift).unwrap_or(0);
        self.last = Mono(mono).max(self.last);
        let wall = Unix(wall.0.saturating_add(self.bend.wall_offset_ms.saturating_mul(1_000_000)));
        let state = trust(wall, synchronised && self.bend.wall_offset_ms == 0);
        Now { mono: self.last, wall, state }
    }
}

impl Bend {
    fn parse(text: &str) -> Result<Self, String> {
        let mut bend = Self::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let understood = line.split_once('=').and_then(|(key, value)| match key.trim() {
                "wall_offset_ms" => value.trim().parse().ok().map(|ms| bend.wall_offset_ms = ms),
                "drift_ppm" => value.trim().parse().ok().map(|ppm| bend.drift_ppm = ppm),
                "boot_id" => parse_boot(value.trim()).map(|boot| bend.boot = Some(boot)),
                _ => None,
            });
            understood.ok_or_else(|| format!("cannot understand \"{line}\""))?;
        }
        Ok(bend)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REAL: Mono = Mono(1_000_000_000_000);

    fn trial(text: &str) -> (tempfile::TempDir, TrialClock) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("clock");
        std::fs::write(&file, text).unwrap();
        let clock = TrialClock::open(&file).unwrap();
        (dir, clock)
    }

    #[test]
    fn a_wall_clock_at_1970_is_unset_and_a_wrong_one_is_not_synchronised() {
        let wall = Unix(SET_SINCE.0 + 5_000_000_000);
        let (_dir, mut clock) = trial("wall_offset_ms=-1767225605000\n");
        let now = clock.now(REAL, wall, true);
        assert_eq!(now.wall, Unix(0));
        assert_eq!(now.state, ClockState::Unset);
        let (_dir, mut clock) = trial("wall_offset_ms=1000");
        let now = clock.now(REAL, wall, true);
        assert_eq!(now.wall, Unix(wall.0 + 1_000_000_000));
        assert_eq!(now.state, ClockState::Unsynchronised);
        let (_dir, mut clock) = trial("");
        assert_eq!(clock.now(REAL, wall, true).state, ClockState::Synchronised);
    }

    #[test]
    fn a_changed_file_bends_the_clock_at_the_next_look_and_monotonic_time_never_goes_back() {
        let (dir, mut clock) = trial("drift_ppm=500\n");
        let first = clock.now(REAL, SET_SINCE, false);
        assert_eq!(first.mono, Mono(1_000_500_000_000));
        std::fs::write(dir.path().join("clock"), "drift_ppm=0\nwall_offset_ms=7\n").unwrap();
        let early = clock.now(REAL.plus_ms(TRIAL_MS - 1), SET_SINCE, false);
        assert_eq!(early.wall, SET_SINCE, "not looked at yet");
        let late = clock.now(REAL.plus_ms(TRIAL_MS), SET_SINCE, false);
        assert_eq!(late.wall, Unix(SET_SINCE.0 + 7_000_000));
        assert_eq!(late.mono, early.mono, "held until real time has caught up");
        std::fs::remove_file(dir.path().join("clock")).unwrap();
        let gone = clock.now(REAL.plus_ms(2 * TRIAL_MS), SET_SINCE, false);
        assert_eq!(gone.wall, Unix(SET_SINCE.0 + 7_000_000), "a file that is being replaced changes nothing");
    }

    #[test]
    fn a_trial_file_names_the_boot_and_a_line_that_is_not_understood_is_refused() {
        let bend = Bend::parse("# a comment\n boot_id = 000102030405060708090a0b0c0d0e0f \n").unwrap();
        assert_eq!(bend.boot.unwrap().to_string(), "000102030405060708090a0b0c0d0e0f");
        assert_eq!(Bend::parse("drift=5"), Err("cannot understand \"drift=5\"".to_owned()));
        assert_eq!(Bend::parse("boot_id=12"), Err("cannot understand \"boot_id=12\"".to_owned()));
    }

    #[test]
    fn the_real_clock_knows_its_boot_and_does_not_go_back() {
        let clock = Clock::new(None).unwrap();
        assert_eq!(clock.boot(), Clock::new(None).unwrap().boot());
        let (first, second) = (clock.now(), clock.now());
        assert!(first.mono <= second.mono);
        assert_eq!(clock.until(Mono::FOREVER), None);
        assert_eq!(clock.until(Mono(0)), Some(Duration::ZERO));
    }
}
