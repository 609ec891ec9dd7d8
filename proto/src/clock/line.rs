//! From what is known about an offset to one time with one bound.

use serde::{Deserialize, Serialize};

use super::boot::Interval;
use super::facts::Drift;
use super::{BOUND_UNKNOWN, Basis};
use crate::time::{Mono, Unix};

/// How to turn the monotonic times of one block into wall-clock times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The monotonic time at which `time` holds.
    pub at: Mono,
    /// The corrected wall-clock time at `at`.
    pub time: Unix,
    /// How much faster real time passes than the device's monotonic clock, in 1e-9.
    pub rate_ppb: i64,
    /// The true time (the gateway's clock at that instant) is at most this many nanoseconds from
    /// the corrected time; [`BOUND_UNKNOWN`] where nothing can be promised.
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
        saturated(i128::from(self.time.0) + scaled)
    }
}

/// The nearest time that there is.
pub(super) fn saturated(time: i128) -> Unix {
    Unix(i64::try_from(time).unwrap_or(if time < 0 { i64::MIN } else { i64::MAX }))
}

/// What is known about the offset over the instants `first` to `last` of a boot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    pub(super) first: Mono,
    pub(super) last: Mono,
    pub(super) at_first: Interval,
    pub(super) at_last: Interval,
    pub(super) drift: Drift,
    pub(super) basis: Basis,
}

impl Stretch {
    /// The line through an offset at `first` with a slope, and how far from it the truth may lie.
    pub(super) fn line(&self, offset: i128, rate_ppb: i64) -> Line {
        let time = saturated(offset + i128::from(self.first.0));
        let line = Line { at: self.first, time, rate_ppb, bound_ns: BOUND_UNKNOWN, basis: self.basis };
        let bound = match (self.basis, self.at_first.closed(), self.at_last.closed()) {
            (Basis::Device, ..) | (_, None, _) | (.., None) => i128::from(BOUND_UNKNOWN),
            (_, Some((lower_a, upper_a)), Some((lower_b, upper_b))) => {
                let offset_at = |mono: Mono| i128::from(line.time(mono).0) - i128::from(mono.0);
                let (a, b) = (offset_at(self.first), offset_at(self.last));
                self.excess((upper_a, upper_b), (a, b)).max(self.excess((-lower_a, -lower_b), (-a, -b)))
            }
        };
        Line { bound_ns: u64::try_from(bound).unwrap_or(0).min(BOUND_UNKNOWN), ..line }
    }

    /// The most by which a limit, known at both ends, may exceed a straight line between them.
    ///
    /// From each end the limit rises at most with the drift: it is under two straight lines, and
    /// furthest from the given one at their crossing or at an end.
    fn excess(&self, limit: (i128, i128), line: (i128, i128)) -> i128 {
        let span = self.last.since(self.first);
        let ends = (limit.0 - line.0).max(limit.1 - line.1);
        let crossing = self.drift.meeting(limit.1 - limit.0, span);
        let Some(share) = (i128::from(crossing) * (line.1 - line.0)).checked_div(i128::from(span)) else {
            return ends;
        };
        let top = (limit.0 + self.drift.over(crossing)).min(limit.1 + self.drift.over(span - crossing));
        // Two nanoseconds for the fractions that were cut off.
        ends.max(top - (line.0 + share)) + 2
    }
}
