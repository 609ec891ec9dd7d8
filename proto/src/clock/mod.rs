//! When it happened: a model of each device's clock, by boot.
//!
//! A record carries the device's monotonic time. This module says what the gateway's clock showed
//! at that instant, and how sure that is. It rests on causality alone: a message that was sent at
//! monotonic time m and arrived at u proves g(m) ≤ u; an `Ack` that was sent at l and heard at h
//! proves g(h) ≥ l. With the drift limited, each such fact says something about every other
//! instant of the boot; the truth lies where all agree. A slow message says less and never
//! something wrong, so quick ones win by themselves (the minimum-delay filter of NTP, RFC 5905
//! section 10). `docs/clock.md` has the formulae.
//!
//! Promise: as long as the device tells the truth and drifts at most 500 ppm, the true time of
//! every instant of a [`Line`] lies within its bound, whatever the device's wall clock does. A
//! device that lies harms its own times and nothing else; no input panics or overflows.
//!
//! Cost: a device in its first boot takes 224 bytes and up to 600 for its facts in memory, 300 in
//! the ledger; one that reboots for ever under 2 KB, typically 700 bytes in the ledger and never
//! more than [`ENCODED_BYTES_MAX`]. A message takes some 100 additions, a line some 1,000.
//!
//! Invariants, checked after each change in debug builds:
//! - C1 the facts of a side are in the order of their instants, none implied by another, at most
//!   12 for the boot heard last and 4 for every other;
//! - C2 no upper fact contradicts a lower one of the same boot;
//! - C3 every boot has an upper fact: there is no entry without a message;
//! - C4 a boot that was ever contradicted remembers what was believed before, and no other does;
//! - C5 at most [`BOOTS_MAX`] boots, each once, the one heard last at the end;
//! - C6 no fact is outside [`MONO_MAX`].

mod boot;
mod facts;
mod lane;
mod line;

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::ids::{BootId, Lane};
use crate::limits::LANES_MAX;
use crate::message::Reading;
use crate::time::{ClockState, Mono, Unix};

use boot::{Boot, Estimate, Interval};
use facts::{Drift, FACTS_MAX, FACTS_OLD_MAX, Fact};
use lane::LaneClock;
pub use line::Line;
use line::Stretch;

/// How far a device's clock may run from the gateway's: 500 ppm, and what is left over when the
/// two swap roles (1 / (1 − 500 ppm) is 1 + 500.25 ppm).
pub const DRIFT_PPB_MAX: u64 = 500_500;
/// Boots of a device that are remembered: those that were heard last.
pub const BOOTS_MAX: usize = 4;
/// Monotonic times above this (146 years) are no times.
pub const MONO_MAX: Mono = Mono(1 << 62);
/// A gateway clock before 2026-01-01 is not set: what it shows is no fact.
pub const UNSET_BEFORE: Unix = Unix(1_767_225_600_000_000_000);
/// A gateway clock after 2200-01-01 is not set either.
pub const UNSET_AFTER: Unix = Unix(7_258_118_400_000_000_000);
/// The bound of a time for which nothing can be promised; the largest that a JSON reader with
/// 64-bit signed integers takes.
pub const BOUND_UNKNOWN: u64 = i64::MAX as u64;
/// Bytes of a [`DeviceClock`] in the ledger, whatever a device says; an honest one takes half.
pub const ENCODED_BYTES_MAX: usize = 1440;
/// The version of that encoding.
const ENCODING_VERSION: u8 = 1;
/// Added to each fact for clocks that tick in microseconds.
const GRAIN_NS: i64 = 1_000;
/// Where the interval is wider than this to each side, a synchronised device clock knows better.
const WALL_BETTER_NS: i128 = 1_000_000_000;

/// What a time rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Basis {
    /// There was an exchange with the gateway in this boot.
    Measured,
    /// A boot without an exchange: only ordered, between its neighbours.
    Bounded,
    /// Nothing but the device's own wall clock; the bound is [`BOUND_UNKNOWN`].
    Device,
}

/// What became of a message's clock reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It is consistent with what was known.
    Consistent,
    /// It contradicts what was known: a clock was stepped, or drifts beyond 500 ppm. The model of
    /// this boot began afresh, with wider bounds for what came before.
    Contradiction,
    /// It cannot be true, or the gateway's own clock is not set. Nothing was changed.
    Refused,
}

/// How a device's clock stands, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockSummary {
    /// The device's wall clock minus the corrected time at the newest reading, nanoseconds.
    pub offset_ns: i64,
    /// How far the corrected time may be from the truth there; [`BOUND_UNKNOWN`] if unknown.
    pub bound_ns: u64,
    /// How much faster than the gateway's the device's monotonic clock runs, in 1e-9; `None`
    /// while it is not known to 100 ppm.
    pub drift_ppb: Option<i64>,
    /// Boots that are remembered.
    pub boots: u8,
    /// How often the facts of the present boot contradicted each other; stops at 255.
    pub contradictions: u8,
}

/// The clocks of the newest reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Newest {
    mono: Mono,
    wall: Unix,
}

/// The gateway's model of one device's clock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceClock {
    /// Boots that sent a message, the one heard last at the end.
    boots: Vec<Boot>,
    lanes: [LaneClock; LANES_MAX],
    newest: Option<Newest>,
}

impl DeviceClock {
    /// A device of which nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A message of `boot` arrived when the gateway's clock showed `received`. Duplicates and late
    /// ones do no harm: they prove less.
    pub fn handle_message(&mut self, boot: BootId, reading: &Reading, received: Unix) -> Heard {
        let Some((upper, lower)) = facts_of(reading, received) else { return Heard::Refused };
        let is_newest = self.boots.last().is_none_or(|last| last.id != boot)
            || self.newest.is_none_or(|newest| newest.mono <= reading.mono);
        if is_newest {
            self.newest = Some(Newest { mono: reading.mono, wall: reading.wall });
        }
        let contradiction = self.bring_last(boot).is_some_and(|boot| boot.take(upper, lower));
        if contradiction {
            // They may be in the time of a clock that has been stepped since.
            self.lanes.iter_mut().for_each(LaneClock::forget_floors);
        }
        debug_assert!(self.is_sound(), "the clock's invariants hold");
        if contradiction { Heard::Contradiction } else { Heard::Consistent }
    }

    /// When the instants `first` to `last` of `boot` happened, for a block of `lane` that is about
    /// to be delivered and at whose `first` instant the device's wall clock showed `wall`. Lines
    /// are asked for in the order of the lane; after a rewind they are asked for again.
    ///
    /// Ask only for what came in a message of this or a later boot of the device (that is, after
    /// [`handle_message`](Self::handle_message) of that message), else for
    /// [`line_before`](Self::line_before).
    pub fn line(
        &mut self,
        lane: Lane,
        boot: BootId,
        span: (Mono, Mono),
        wall: Unix,
        state: ClockState,
    ) -> Line {
        self.line_before(lane, boot, span, wall, state, None)
    }

    /// As [`line`](Self::line), for a block that arrived at `by` in a message of which it is not
    /// known in which boot it was sent: a `Hello` that was overtaken, or a late copy.
    pub fn line_before(
        &mut self,
        lane: Lane,
        boot: BootId,
        (first, last): (Mono, Mono),
        wall: Unix,
        state: ClockState,
        by: Option<Unix>,
    ) -> Line {
        let (first, last) = (first.min(last), first.max(last));
        let stretch = self.stretch(lane, boot, (first, last), by);
        let wall = i128::from(wall.0) - i128::from(first.0);
        let (offset, rate_ppb, is_wall) = self.offset(boot, &stretch, wall, state);
        let offset = if is_wall { offset } else { self.lane(lane).ordered(boot, &stretch, offset) };
        let line = stretch.line(offset, rate_ppb);
        self.lane_mut(lane).show(boot, last, line.time(last));
        line
    }

    /// Everything of `lane` up to the instant `last` of `boot` is committed and will not come
    /// again: what comes later in the lane happened later. Call it after the commit; one call that
    /// is missing or late only makes the bounds of later boots wider.
    pub fn handle_delivered(&mut self, lane: Lane, boot: BootId, last: Mono) {
        let Interval { lower, upper } = self.stretch(lane, boot, (last, last), None).at_last;
        let time = |offset: i128| line::saturated(offset + i128::from(last.0));
        self.lane_mut(lane).deliver(boot, lower.map(time), upper.map(time));
        debug_assert!(self.is_sound(), "the clock's invariants hold");
    }

    /// A commit of `lane` failed: lines after what is committed will be asked for again. A call that
    /// is missing costs no promise, only the order of estimates between boots without an exchange.
    pub fn handle_rewound(&mut self, lane: Lane) {
        self.lane_mut(lane).rewind();
    }

    /// How the clock stood at the newest reading; `None` before the first exchange.
    #[must_use]
    pub fn summary(&self) -> Option<ClockSummary> {
        let (boot, newest) = (self.boots.last()?, self.newest?);
        let offset = boot.estimate(newest.mono)?.offset;
        let stretch = self.stretch(Lane::Bulk, boot.id, (newest.mono, newest.mono), None);
        let line = stretch.line(offset, 0);
        Some(ClockSummary {
            offset_ns: newest.wall.0.saturating_sub(line.time.0),
            bound_ns: line.bound_ns,
            drift_ppb: boot.rate_ppb().map(|rate| -rate),
            boots: u8::try_from(self.boots.len()).unwrap_or(u8::MAX),
            contradictions: boot.contradictions,
        })
    }

    /// The bytes that stand in the ledger.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Encoding into a growing vector cannot fail: there is no limit to meet.
        postcard::to_extend(self, Vec::from([ENCODING_VERSION])).unwrap_or_default()
    }

    /// Reads what [`encode`](Self::encode) wrote; `None` when it is of another version or damaged.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (&version, rest) = bytes.split_first()?;
        if version != ENCODING_VERSION || bytes.len() > ENCODED_BYTES_MAX {
            return None;
        }
        postcard::from_bytes(rest).ok().filter(Self::is_sound)
    }

    /// The boot as the last of the list, made if it is new.
    fn bring_last(&mut self, boot: BootId) -> Option<&mut Boot> {
        if self.boots.last().is_none_or(|last| last.id != boot) {
            let known = self.boots.iter().position(|known| known.id == boot);
            let entry = known.map_or_else(|| Boot::new(boot), |at| self.boots.remove(at));
            if self.boots.len() >= BOOTS_MAX {
                self.boots.remove(0);
            }
            self.boots.iter_mut().for_each(Boot::shrink);
            self.boots.reserve_exact(1);
            self.boots.push(entry);
        }
        self.boots.last_mut()
    }

    /// What is known about the offset over `first` to `last`.
    fn stretch(&self, lane: Lane, id: BootId, (first, last): (Mono, Mono), by: Option<Unix>) -> Stretch {
        let boot = self.boots.iter().find(|boot| boot.id == id);
        let drift = boot.map_or(Drift::from_ppb(DRIFT_PPB_MAX), Boot::drift_max);
        let own = |mono| boot.map_or(Interval { lower: None, upper: None }, |b| b.interval(mono, first));
        let stretch =
            Stretch { first, last, at_first: own(first), at_last: own(last), drift, basis: Basis::Measured };
        if last > MONO_MAX {
            let open = Interval { lower: None, upper: None };
            return Stretch { at_first: open, at_last: open, basis: Basis::Device, ..stretch };
        }
        if stretch.at_first.closed().is_some() && stretch.at_last.closed().is_some() {
            return stretch;
        }
        // A boot that was contradicted gets nothing from its neighbours: their times may be of
        // another clock.
        if boot.is_some_and(|boot| boot.contradictions > 0) {
            return Stretch { basis: Basis::Device, ..stretch };
        }
        let ceiling = if boot.is_none() { by.or_else(|| self.ceiling()) } else { None };
        let floor = self.lane(lane).floor(id);
        let between = |own: Interval, mono: Mono| {
            let ceiling = ceiling.map(|time| i128::from(time.0) - i128::from(last.0));
            let upper = own.upper.or(ceiling.map(|offset| offset + drift.over(last.since(mono))));
            let floor = floor.map(|time| i128::from(time.0) - drift.over(mono.0));
            Interval { lower: own.lower.or(floor), upper }
        };
        let (at_first, at_last) = (between(stretch.at_first, first), between(stretch.at_last, last));
        if at_first.closed().is_some() && at_last.closed().is_some() {
            return Stretch { at_first, at_last, basis: Basis::Bounded, ..stretch };
        }
        // Floor and ceiling that exclude each other are of two clocks: the newer one is right.
        let open = |interval: Interval| match interval.upper {
            Some(_) => Interval { lower: None, ..interval },
            None => interval,
        };
        Stretch { at_first: open(at_first), at_last: open(at_last), basis: Basis::Device, ..stretch }
    }

    /// No boot from which no message came ended after this: its blocks came in a message of a
    /// later boot, which is among those known, and none of those began later than this.
    fn ceiling(&self) -> Option<Unix> {
        let begin = |boot: &Boot| boot.interval(Mono(0), Mono(0)).upper;
        let begins = self.boots.iter().map(begin).collect::<Option<Vec<i128>>>()?;
        begins.into_iter().max().map(line::saturated)
    }

    /// The offset at the first instant of a stretch, its slope in 1e-9, and whether that is what
    /// the device's wall clock says.
    fn offset(&self, id: BootId, stretch: &Stretch, wall: i128, state: ClockState) -> (i128, i64, bool) {
        let boot = self.boots.iter().find(|boot| boot.id == id);
        let rate = boot.and_then(Boot::rate_ppb).unwrap_or(0);
        let fits = |interval: &Interval| {
            interval.lower.is_none_or(|lower| lower <= wall)
                && interval.upper.is_none_or(|upper| wall <= upper)
        };
        let is_set = state != ClockState::Unset && fits(&stretch.at_first) && fits(&stretch.at_last);
        let estimates = boot.and_then(|b| b.estimate(stretch.first).zip(b.estimate(stretch.last)));
        match (stretch.basis, stretch.at_first.closed(), estimates) {
            (Basis::Measured, Some((lower, upper)), Some((a, b))) => {
                let is_better = upper - lower > 2 * WALL_BETTER_NS;
                if is_set && is_better && (state == ClockState::Synchronised || a.is_loose) {
                    (wall, rate, true)
                } else {
                    (a.offset, slope(stretch, a, b).unwrap_or(rate), false)
                }
            }
            // It has no bound, since what was believed before had none; the time itself is good.
            (Basis::Device, _, Some((a, b))) => (a.offset, slope(stretch, a, b).unwrap_or(rate), false),
            _ if is_set => (wall, rate, true),
            // As early as can be: a boot mostly begins soon after the one before it ended, and so
            // those without an exchange stand in their order.
            (_, Some((lower, _)), _) => (lower, rate, false),
            // It was read a moment ago rather than long ago.
            (_, None, _) => {
                let Interval { lower, upper } = stretch.at_first;
                let offset = upper.or(lower);
                (offset.unwrap_or(wall), rate, offset.is_none())
            }
        }
    }

    fn lane(&self, lane: Lane) -> &LaneClock {
        let [bulk, urgent] = &self.lanes;
        match lane {
            Lane::Bulk => bulk,
            Lane::Urgent => urgent,
        }
    }

    fn lane_mut(&mut self, lane: Lane) -> &mut LaneClock {
        let [bulk, urgent] = &mut self.lanes;
        match lane {
            Lane::Bulk => bulk,
            Lane::Urgent => urgent,
        }
    }

    /// The invariants C1 to C6.
    fn is_sound(&self) -> bool {
        let last = self.boots.len().saturating_sub(1);
        let facts_max = |at| if at == last { FACTS_MAX } else { FACTS_OLD_MAX };
        self.boots.len() <= BOOTS_MAX
            && self.boots.iter().enumerate().all(|(at, boot)| {
                boot.is_sound(facts_max(at)) && self.boots.iter().take(at).all(|other| other.id != boot.id)
            })
    }
}

/// What a message proves: an upper and a (negated) lower limit of the offset; `None` when it
/// cannot be true.
fn facts_of(reading: &Reading, received: Unix) -> Option<(Fact, Option<Fact>)> {
    let is_set = |time: Unix| (UNSET_BEFORE..=UNSET_AFTER).contains(&time);
    let is_heard_later = reading.returned.is_some_and(|returned| returned.heard > reading.mono);
    if reading.mono > MONO_MAX || !is_set(received) || is_heard_later {
        return None;
    }
    // Within these limits the differences fit: |time| < 2^63 - 2^60 and mono <= 2^62.
    let offset = |time: Unix, mono: Mono| time.0.checked_sub_unsigned(mono.0);
    let limit = offset(received, reading.mono)?.checked_add(GRAIN_NS)?;
    let upper = Fact { mono: reading.mono, limit };
    // An Ack of a gateway whose clock was not set proves nothing.
    let lower = reading.returned.filter(|returned| is_set(returned.sent)).and_then(|returned| {
        let limit = offset(returned.sent, returned.heard)?.checked_neg()?.checked_add(GRAIN_NS)?;
        Some(Fact { mono: returned.heard, limit })
    });
    Some((upper, lower))
}

/// The slope between the estimates at the ends of a stretch, in 1e-9; `None` for an instant.
fn slope(stretch: &Stretch, first: Estimate, last: Estimate) -> Option<i64> {
    let rise = (last.offset - first.offset).saturating_mul(1_000_000_000);
    let rate = rise.checked_div(i128::from(stretch.last.since(stretch.first)))?;
    let most = stretch.drift.over(1_000_000_000);
    i64::try_from(rate.clamp(-most, most)).ok()
}
