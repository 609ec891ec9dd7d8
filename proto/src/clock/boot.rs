//! The clock of one boot: facts from both sides, and what follows when they contradict each other.

use alloc::boxed::Box;

use serde::{Deserialize, Serialize};

use super::DRIFT_PPB_MAX;
use super::facts::{Drift, FACTS_MAX, Fact, Facts};
use crate::ids::BootId;
use crate::time::Mono;

/// Contradictions of a boot that are taken for steps of a clock; each later one doubles the drift
/// that is allowed for.
const STEPS_MAX: u8 = 2;
/// How often the allowed drift is doubled at most: 64-fold is 3.2 %.
const DOUBLINGS_MAX: u8 = 6;
/// A round trip longer than this says little: the message or the `Ack` lay somewhere, more likely
/// the `Ack`, which brokers retain. 60 seconds.
const EXCHANGE_NS_MAX: i128 = 60_000_000_000;
/// A drift that is known less well than this is not used, parts per billion.
const DRIFT_UNCERTAINTY_PPB_MAX: i128 = 100_000;

/// Where the offset of a boot lies at one instant; `None` where a side is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) lower: Option<i128>,
    pub(super) upper: Option<i128>,
}

impl Interval {
    /// Both ends, if both are known and in order.
    pub(super) fn closed(&self) -> Option<(i128, i128)> {
        self.lower.zip(self.upper).filter(|(lower, upper)| lower <= upper)
    }
}

/// An instant at which the offset is known from both sides.
#[derive(Clone, Copy, Debug)]
struct Knot {
    mono: Mono,
    /// The offset there, as far as one can tell.
    offset: i128,
    /// Half the width of the interval there.
    half: i128,
}

/// Where the offset probably is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Estimate {
    pub(super) offset: i128,
    /// It rests on no round trip shorter than [`EXCHANGE_NS_MAX`].
    pub(super) is_loose: bool,
}

/// What was believed before the facts contradicted each other, as one wide cone for each side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Past {
    /// Up to here the truth may lie in what was believed before or in what is believed now.
    until: Mono,
    upper: Option<Hull>,
    lower: Option<Hull>,
}

/// Covers every fact from `from` to `to` whose limit is not above `limit`, at any drift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Hull {
    from: Mono,
    to: Mono,
    limit: i64,
}

impl Hull {
    fn at(&self, mono: Mono, drift: Drift) -> i128 {
        let furthest = mono.0.abs_diff(self.from.0).max(mono.0.abs_diff(self.to.0));
        i128::from(self.limit) + drift.over(furthest)
    }

    /// Covers the newest of `facts` too; any one of them covers what all of them say.
    fn over(old: Option<Self>, facts: &Facts) -> Option<Self> {
        let newest = facts.as_slice().last()?;
        let old = old.unwrap_or(Self { from: newest.mono, to: newest.mono, limit: newest.limit });
        Some(Self {
            from: old.from.min(newest.mono),
            to: old.to.max(newest.mono),
            limit: old.limit.max(newest.limit),
        })
    }
}

/// The clock of one boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Boot {
    pub(super) id: BootId,
    /// How often the facts contradicted each other; stops at 255.
    pub(super) contradictions: u8,
    /// Messages: the offset was at most this.
    upper: Facts,
    /// Acknowledgements: the negated offset was at most this.
    lower: Facts,
    past: Option<Box<Past>>,
}

impl Boot {
    pub(super) fn new(id: BootId) -> Self {
        Self { id, contradictions: 0, upper: Facts::default(), lower: Facts::default(), past: None }
    }

    /// How far the clocks may drift apart, as far as this boot has shown.
    pub(super) fn drift_max(&self) -> Drift {
        let doublings = self.contradictions.saturating_sub(STEPS_MAX).min(DOUBLINGS_MAX);
        Drift::from_ppb(DRIFT_PPB_MAX).doubled(u32::from(doublings))
    }

    /// Takes in what a message says; true when it contradicts what was known, which is then
    /// believed no more: the newest word of the gateway's clock is right.
    pub(super) fn take(&mut self, upper: Fact, lower: Option<Fact>) -> bool {
        let drift = self.drift_max();
        // The gateway's clock stepped back between its Ack and this message, or the device lies:
        // then the message alone says when it came.
        let lower = lower.filter(|lower| agree(upper.limit, lower.at(upper.mono, drift)));
        let contradiction = self.lower.at(upper.mono, drift).is_some_and(|known| !agree(upper.limit, known))
            || lower.is_some_and(|lower| {
                self.upper.at(lower.mono, drift).is_some_and(|known| !agree(lower.limit, known))
            });
        if contradiction {
            self.restart(upper.mono);
        }
        let drift = self.drift_max();
        self.upper.insert(upper, drift);
        if let Some(lower) = lower {
            self.lower.insert(lower, drift);
        }
        contradiction
    }

    /// Begins afresh. What lies before `until` keeps a bound that covers the old belief too: if
    /// the device's monotonic clock jumped, and not the gateway's, the old one is right there.
    fn restart(&mut self, until: Mono) {
        let past = match self.past.take() {
            None => {
                Past { until, upper: Hull::over(None, &self.upper), lower: Hull::over(None, &self.lower) }
            }
            // A side that was open once stays open.
            Some(past) => Past {
                until: past.until.max(until),
                upper: past.upper.and_then(|old| Hull::over(Some(old), &self.upper)),
                lower: past.lower.and_then(|old| Hull::over(Some(old), &self.lower)),
            },
        };
        self.past = Some(Box::new(past));
        self.contradictions = self.contradictions.saturating_add(1);
        (self.upper, self.lower) = (Facts::default(), Facts::default());
    }

    /// Keeps little: another boot is heard now.
    pub(super) fn shrink(&mut self) {
        let drift = self.drift_max();
        self.upper.shrink(drift);
        self.lower.shrink(drift);
    }

    /// Where the offset lies at `mono`. `from` is the earliest instant that the caller speaks of:
    /// an answer about a stretch that touches the past covers the past all along.
    pub(super) fn interval(&self, mono: Mono, from: Mono) -> Interval {
        let drift = self.drift_max();
        let (mut upper, mut lower) = (self.upper.at(mono, drift), self.lower.at(mono, drift));
        if let Some(past) = self.past.as_ref().filter(|past| from <= past.until) {
            let cover = |now: Option<i128>, past: Option<Hull>| {
                now.zip(past).map(|(now, past)| now.max(past.at(mono, drift)))
            };
            (upper, lower) = (cover(upper, past.upper), cover(lower, past.lower));
        }
        Interval { lower: lower.map(|negated| -negated), upper }
    }

    /// Where the offset probably is: between the best exchanges before and after on a straight
    /// line, beyond them at the drift that they show. `None` before the first exchange.
    pub(super) fn estimate(&self, mono: Mono) -> Option<Estimate> {
        let knots = self.knots();
        let drift = self.drift_max();
        let reach = |knot: &&Knot| knot.half + drift.over(knot.mono.0.abs_diff(mono.0));
        let before = knots.iter().filter(|knot| knot.mono <= mono).min_by_key(reach);
        let after = knots.iter().filter(|knot| knot.mono >= mono).min_by_key(reach);
        let beyond = |knot: &Knot| {
            let distance = i128::from(mono.0) - i128::from(knot.mono.0);
            let rate = i128::from(rate_between(&knots, drift).unwrap_or(0));
            (knot.offset + distance * rate / 1_000_000_000, knot.half)
        };
        let (offset, half) = match (before, after) {
            (Some(a), Some(b)) if a.mono < b.mono => {
                let part = i128::from(mono.since(a.mono)) * (b.offset - a.offset);
                (a.offset + part / i128::from(b.mono.since(a.mono)), a.half.min(b.half))
            }
            (Some(knot), _) | (None, Some(knot)) => beyond(knot),
            (None, None) => return None,
        };
        let lower = -self.lower.at(mono, drift)?;
        let upper = self.upper.at(mono, drift)?;
        Some(Estimate { offset: offset.clamp(lower, upper), is_loose: 2 * half > EXCHANGE_NS_MAX })
    }

    /// How much faster real time passes than the device's clock, parts per billion; `None` while
    /// it is not known to 100 ppm.
    pub(super) fn rate_ppb(&self) -> Option<i64> {
        rate_between(&self.knots(), self.drift_max())
    }

    fn knots(&self) -> heapless::Vec<Knot, { 2 * FACTS_MAX }> {
        let drift = self.drift_max();
        let monos = self.upper.as_slice().iter().chain(self.lower.as_slice()).map(|fact| fact.mono);
        let knot = |mono| {
            let (upper, lower) = (self.upper.at(mono, drift)?, -self.lower.at(mono, drift)?);
            let half = (upper - lower) / 2;
            let offset = if 2 * half > EXCHANGE_NS_MAX { upper } else { lower + half };
            Some(Knot { mono, offset, half })
        };
        monos.filter_map(knot).take(2 * FACTS_MAX).collect()
    }

    /// The invariants of one boot, see [`super`].
    pub(super) fn is_sound(&self, facts_max: usize) -> bool {
        let drift = self.drift_max();
        let (upper, lower) = (self.upper.as_slice(), self.lower.as_slice());
        let agreed = upper.iter().all(|u| lower.iter().all(|l| agree(u.limit, l.at(u.mono, drift))));
        self.upper.is_sound(facts_max, drift)
            && self.lower.is_sound(facts_max, drift)
            && agreed
            && !upper.is_empty()
            && self.past.is_some() == (self.contradictions > 0)
    }
}

/// Whether an upper and a (negated) lower limit of one instant leave room for the truth.
fn agree(limit: i64, other: i128) -> bool {
    i128::from(limit) + other >= 0
}

/// The slope between the two knots that show it best, parts per billion.
fn rate_between(knots: &[Knot], drift: Drift) -> Option<i64> {
    let pairs = knots.iter().flat_map(|a| knots.iter().filter(|b| b.mono > a.mono).map(move |b| (a, b)));
    let (uncertainty, rate) = pairs
        .map(|(a, b)| {
            let span = i128::from(b.mono.since(a.mono));
            let ppb = |ns: i128| ns * 1_000_000_000 / span;
            (ppb(a.half + b.half), ppb(b.offset - a.offset))
        })
        .min_by_key(|(uncertainty, _)| *uncertainty)?;
    let most = drift.over(1_000_000_000);
    (uncertainty <= DRIFT_UNCERTAINTY_PPB_MAX).then(|| i64::try_from(rate.clamp(-most, most)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_believed_is_covered_from_both_ends_of_it() {
        let second = |n: u64| Mono(n * 1_000_000_000);
        let drift = Drift::from_ppb(DRIFT_PPB_MAX);
        let hull = Hull { from: second(100), to: second(200), limit: 5 };
        let over = |seconds: u64| 5 + drift.over(second(seconds).0);
        // The fact that it covers may lie at either end: the further one counts.
        assert_eq!(hull.at(second(500), drift), over(400));
        assert_eq!(hull.at(second(200), drift), over(100));
        assert_eq!(hull.at(second(100), drift), over(100));
        assert_eq!(hull.at(second(0), drift), over(200));
    }
}
