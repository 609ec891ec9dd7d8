//! One side of what is known about a boot's clock: facts of the form "at `mono` the offset is at
//! most `limit`", and what they say about every other instant.
//!
//! The offset is the gateway's time minus the device's monotonic time. The other side ("at least")
//! is kept as facts about the negated offset, so that there is one mechanism and not two.
//!
//! Promise: the envelope is the tightest that the kept facts allow (the offset is a Lipschitz
//! function; this is its McShane extension, <https://doi.org/10.1090/S0002-9904-1934-05978-0>),
//! and giving up a fact only ever widens it. Cost: at most [`FACTS_MAX`] facts of 16 bytes; taking
//! one in and asking for an instant are linear in that.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::MONO_MAX;
use crate::time::Mono;

/// Facts of one side of the boot that was heard last.
pub(super) const FACTS_MAX: usize = 12;
/// Facts of one side of every other boot.
pub(super) const FACTS_OLD_MAX: usize = 4;
/// Added to the age of a fact when facts are weighed, nanoseconds: what happened within 20 seconds
/// is equally new, since two clocks drift apart by no more than 10 ms in that time.
const AGE_NS_MIN: u128 = 20_000_000_000;
/// Binary places of a [`Drift`]: a century at the largest one stays exact to a nanosecond or so.
const PLACES: u32 = 48;

/// How far apart the two clocks may drift: a fraction with [`PLACES`] binary places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Drift(u64);

impl Drift {
    /// From parts per billion, rounded up.
    pub(super) const fn from_ppb(ppb: u64) -> Self {
        Self(((ppb as u128) << PLACES).div_ceil(1_000_000_000) as u64)
    }

    /// Twice as much, `times` times.
    pub(super) const fn doubled(self, times: u32) -> Self {
        Self(self.0 << times)
    }

    /// How much the offset may change in `ns` nanoseconds, rounded up.
    pub(super) fn over(self, ns: u64) -> i128 {
        let product = i128::from(ns) * i128::from(self.0);
        (product + (1 << PLACES) - 1) >> PLACES
    }

    /// Where two limits meet that rise from the ends of a span towards each other, the far one
    /// starting `higher` above the near one; nanoseconds from the near end.
    pub(super) fn meeting(self, higher: i128, span: u64) -> u64 {
        let shift = higher.saturating_mul(1 << (PLACES - 1)) / i128::from(self.0).max(1);
        let at = i128::from(span / 2).saturating_add(shift).clamp(0, i128::from(span));
        u64::try_from(at).unwrap_or(span)
    }
}

/// At `mono` the offset was at most `limit` (on the other side: its negative was).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fact {
    pub(super) mono: Mono,
    pub(super) limit: i64,
}

impl Fact {
    /// What this fact allows at another instant.
    pub(super) fn at(&self, mono: Mono, drift: Drift) -> i128 {
        i128::from(self.limit) + drift.over(self.mono.0.abs_diff(mono.0))
    }

    /// Whether the other fact says nothing that this one does not.
    pub(super) fn implies(&self, other: &Self, drift: Drift) -> bool {
        self.at(other.mono, drift) <= i128::from(other.limit)
    }
}

/// The facts of one side, oldest first, none implied by another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Steps", try_from = "Steps")]
pub(super) struct Facts(Vec<Fact>);

impl Facts {
    /// The facts, oldest first.
    pub(super) fn as_slice(&self) -> &[Fact] {
        &self.0
    }

    /// The most that the offset can have been at an instant; `None` when nothing is known.
    pub(super) fn at(&self, mono: Mono, drift: Drift) -> Option<i128> {
        self.0.iter().map(|fact| fact.at(mono, drift)).min()
    }

    /// Takes a fact in, drops what it makes superfluous and thins to [`FACTS_MAX`].
    pub(super) fn insert(&mut self, new: Fact, drift: Drift) {
        if self.0.iter().any(|fact| fact.implies(&new, drift)) {
            return;
        }
        self.0.retain(|fact| !new.implies(fact, drift));
        if self.0.capacity() == 0 {
            self.0.reserve_exact(FACTS_MAX + 1);
        }
        let at = self.0.partition_point(|fact| fact.mono < new.mono);
        self.0.insert(at, new);
        self.thin(FACTS_MAX, drift);
    }

    /// Gives up facts until at most `max` (2 or more) are left, each time the one that is missed
    /// least. The first stays, for what happened before it, and the newest.
    pub(super) fn thin(&mut self, max: usize, drift: Drift) {
        while self.0.len() > max {
            let least = (1..self.0.len().saturating_sub(1)).min_by(|&a, &b| {
                let ((rise_a, age_a), (rise_b, age_b)) = (self.worth(a, drift), self.worth(b, drift));
                (rise_a.saturating_mul(age_b)).cmp(&rise_b.saturating_mul(age_a))
            });
            match least {
                Some(at) => drop(self.0.remove(at)),
                None => self.0.truncate(max),
            }
        }
    }

    /// Drops the memory that a boot no longer heard does not need.
    pub(super) fn shrink(&mut self, drift: Drift) {
        if self.0.len() > FACTS_OLD_MAX || self.0.capacity() > FACTS_OLD_MAX {
            self.thin(FACTS_OLD_MAX, drift);
            self.0.shrink_to_fit();
        }
    }

    /// How high the envelope would rise between a fact's neighbours without it, above its limit,
    /// and its age seen from the newest.
    ///
    /// Facts are given up by rise divided by age: those of the last minutes stand close, those of
    /// last month far apart, and the two edges of a long silence stay while its backlog is sent.
    fn worth(&self, at: usize, drift: Drift) -> (u128, u128) {
        let near = at.checked_sub(1).and_then(|before| self.0.get(before..)).unwrap_or_default();
        let ([before, fact, after, ..], Some(newest)) = (near, self.0.last()) else {
            return (u128::MAX, AGE_NS_MIN); // an end: never given up
        };
        let apart = drift.over(after.mono.since(before.mono));
        let top = (i128::from(before.limit) + i128::from(after.limit) + apart) / 2;
        let rise = (top - i128::from(fact.limit)).max(0);
        (rise.unsigned_abs(), u128::from(newest.mono.since(fact.mono)) + AGE_NS_MIN)
    }

    /// Whether the facts are in order, within their range, and none is implied by another.
    pub(super) fn is_sound(&self, max: usize, drift: Drift) -> bool {
        let ordered = self.0.iter().zip(self.0.iter().skip(1)).all(|(a, b)| a.mono < b.mono);
        let in_range = self.0.iter().all(|fact| fact.mono <= MONO_MAX);
        let needed = self.0.iter().all(|a| self.0.iter().all(|b| a.mono == b.mono || !a.implies(b, drift)));
        self.0.len() <= max && ordered && in_range && needed
    }
}

/// How facts are written: each as a step from the one before it, which takes half the bytes.
#[derive(Serialize, Deserialize)]
struct Steps(heapless::Vec<(u64, i64), FACTS_MAX>);

impl From<Facts> for Steps {
    fn from(facts: Facts) -> Self {
        let mut steps = heapless::Vec::new();
        let mut before = Fact { mono: Mono(0), limit: 0 };
        for fact in facts.0 {
            let step = (fact.mono.0.wrapping_sub(before.mono.0), fact.limit.wrapping_sub(before.limit));
            if steps.push(step).is_err() {
                break; // never: there are at most FACTS_MAX facts
            }
            before = fact;
        }
        Self(steps)
    }
}

impl TryFrom<Steps> for Facts {
    type Error = &'static str;

    fn try_from(steps: Steps) -> Result<Self, Self::Error> {
        let mut facts = Vec::with_capacity(steps.0.len());
        let mut before = Fact { mono: Mono(0), limit: 0 };
        for (mono, limit) in steps.0 {
            let mono = before.mono.0.checked_add(mono).ok_or("a fact beyond the end of time")?;
            before = Fact { mono: Mono(mono), limit: before.limit.wrapping_add(limit) };
            facts.push(before);
        }
        Ok(Self(facts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRIFT: Drift = Drift::from_ppb(500_500);
    const S: u64 = 1_000_000_000;

    fn fact(s: u64, limit: i64) -> Fact {
        Fact { mono: Mono(s * S), limit }
    }

    #[test]
    fn a_fact_widens_with_distance_at_500_ppm_on_both_sides() {
        let here = fact(1000, 7);
        for x in [0, 2000] {
            let wide = here.at(Mono(x * S), DRIFT) - 7;
            assert!((500_000_000..500_600_000).contains(&wide), "{wide}");
        }
        assert_eq!(here.at(Mono(1000 * S), DRIFT), 7);
    }

    #[test]
    fn a_slow_message_says_nothing_that_a_quick_one_near_it_does_not() {
        let mut facts = Facts::default();
        facts.insert(fact(100, 1_000_000), DRIFT);
        facts.insert(fact(101, 90_000_000), DRIFT); // the quick one allows 1.5 ms there
        assert_eq!(facts.as_slice(), [fact(100, 1_000_000)]);
        facts.insert(fact(99, 1_000), DRIFT); // quicker still: the first is implied
        assert_eq!(facts.as_slice(), [fact(99, 1_000)]);
    }

    #[test]
    fn facts_stand_the_further_apart_the_older_they_are() {
        let mut facts = Facts::default();
        for s in 0..1_000_000 {
            facts.insert(fact(s, 0), DRIFT);
        }
        let ages: Vec<u64> = facts.as_slice().iter().rev().map(|f| 999_999 - f.mono.0 / S).collect();
        assert_eq!(ages.len(), FACTS_MAX);
        assert!(facts.is_sound(FACTS_MAX, DRIFT));
        assert_eq!(ages[0], 0, "the newest stays");
        assert!(ages[1] <= 40, "some are new: {ages:?}");
        assert_eq!(ages[FACTS_MAX - 1], 999_999, "the first stays");
        for (new, old) in ages.iter().zip(&ages[1..]) {
            assert!(*old <= 40 + new * 8, "no age is left out: {ages:?}");
        }
    }

    #[test]
    fn both_edges_of_a_long_silence_stay_while_its_backlog_is_sent() {
        let mut facts = Facts::default();
        let day = 86_400;
        for s in 0..day {
            facts.insert(fact(s, 0), DRIFT);
        }
        let end = 8 * day;
        for s in 0..7200 {
            facts.insert(fact(end + s, 0), DRIFT);
        }
        for s in (day..end).step_by(600) {
            let nearest = (s - day).min(end - s);
            let best = DRIFT.over(nearest * S);
            let kept = facts.at(Mono(s * S), DRIFT).unwrap();
            assert!(kept <= best + best / 4 + DRIFT.over(7200 * S), "{s}: {kept} for {best}");
        }
    }

    #[test]
    fn thinning_only_widens() {
        let mut facts = Facts::default();
        for s in 0..8 {
            facts.insert(fact(s * 100, (s as i64 * 7919) % 1000), DRIFT);
        }
        let full = facts.clone();
        facts.shrink(DRIFT);
        assert_eq!(facts.as_slice().len(), FACTS_OLD_MAX);
        for s in 0..1000 {
            assert!(facts.at(Mono(s * S), DRIFT) >= full.at(Mono(s * S), DRIFT));
        }
    }
}
