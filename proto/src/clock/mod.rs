//! When it happened: a model of each device's clock, by boot.

use serde::{Deserialize, Serialize};

use crate::time::{Mono, Unix};

/// What a time rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Basis {
    /// There was an exchange with the gateway in this boot.
    Measured,
    /// An earlier boot without an exchange: only ordered, between its neighbours.
    Bounded,
    /// Nothing but the device's own wall clock.
    Device,
}

/// How to turn the monotonic times of one block into wall-clock times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The monotonic time at which `time` holds.
    pub at: Mono,
    /// The corrected wall-clock time at `at`.
    pub time: Unix,
    /// How much faster real time passes than the device's monotonic clock, in 1e-9.
    pub rate_ppb: i64,
    /// Half the width of the interval in which the true time lies, nanoseconds.
    pub bound_ns: u64,
    /// What it rests on.
    pub basis: Basis,
}

impl Line {
    /// The corrected time of an instant of the block.
    #[must_use]
    pub fn time(&self, mono: Mono) -> Unix {
        let delta = i128::from(mono.0) - i128::from(self.at.0);
        let scaled = delta + delta * i128::from(self.rate_ppb) / 1_000_000_000;
        let time = i128::from(self.time.0) + scaled;
        Unix(i64::try_from(time).unwrap_or(if time < 0 { i64::MIN } else { i64::MAX }))
    }
}

/// temporary
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviceClock {}
/// temporary
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClockSummary {
    /// t
    pub offset_ns: i64,
    /// t
    pub bound_ns: u64,
    /// t
    pub drift_ppb: i64,
    /// t
    pub boots: usize,
}
#[expect(missing_docs, reason = "t")]
impl DeviceClock {
    pub fn handle_message(
        &mut self,
        _boot: crate::ids::BootId,
        _reading: &crate::message::Reading,
        _received: Unix,
    ) {
    }
    pub fn line(
        &mut self,
        _boot: crate::ids::BootId,
        first: Mono,
        _last: Mono,
        wall: Unix,
        _state: crate::time::ClockState,
    ) -> Line {
        Line { at: first, time: wall, rate_ppb: 0, bound_ns: 0, basis: Basis::Device }
    }
    pub fn summary(&self) -> Option<ClockSummary> {
        None
    }
}
