//! What a round does, and when: drawn from its seed and nothing else.
//!
//! Each round uses about half of the faults, so that not every round is made of the same mixture.
//! What shares a victim (an agent, a line, a disk) follows one another; the rest overlaps freely.
//! Whatever is broken is whole again at the end.

use std::time::Duration;

use super::fault::Fault;
use crate::corpus::Random;
use crate::servers::Kind;

/// How long faults go on, in milliseconds, from and to.
const TIME_MS: (u64, u64) = (12_000, 24_000);
/// Time between two faults of one victim, at the longest: busy, usual and quiet rounds.
const GAP_MS_MAX: [u64; 3] = [1_500, 4_000, 9_000];
/// RabbitMQ takes so long to start that it is killed seldom.
const RABBIT_GAP_MS_MAX: u64 = 30_000;
/// Devices of a round, from and to.
const DEVICES: (u64, u64) = (2, 5);
/// Flash that a device's bulk lane usually has.
const SPOOL_BYTES: u64 = 256 << 20;
/// The least that it can have.
const SPOOL_BYTES_SMALL: u64 = 1 << 20;

/// Faults that have one victim, so that one follows another; one such list for each device.
const OF_DEVICE: [&[Fault]; 5] = [
    &[Fault::KillAgent, Fault::StopAgent, Fault::Reboot],
    &[Fault::Cut, Fault::Delay, Fault::Throttle, Fault::Corrupt],
    &[Fault::Clock],
    &[Fault::Flood],
    &[Fault::FullSpool],
];
/// The same for what there is once.
const OF_SHORE: [&[Fault]; 5] = [
    &[Fault::KillGateway, Fault::StopGateway],
    &[Fault::GatewayClock],
    &[Fault::FullArchive],
    &[Fault::CutGateway],
    &[Fault::KillBroker, Fault::StopBroker, Fault::WipeBroker],
];

/// One round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) broker: Kind,
    /// How long faults go on.
    pub(super) time: Duration,
    /// The faults of this round.
    pub(super) faults: Vec<Fault>,
    pub(super) devices: Vec<DevicePlan>,
    /// What is done, in order.
    pub(super) steps: Vec<Step>,
    /// How the broker's clock is wrong.
    pub(super) broker_clock: Option<&'static str>,
}

/// How one device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DevicePlan {
    pub(super) lines_per_second: u64,
    /// Its lines hardly compress, so that its spool grows fast.
    pub(super) is_dense: bool,
    pub(super) durability: &'static str,
    pub(super) delay_ms_max: u64,
    pub(super) bulk_bytes_max: u64,
    pub(super) overflow: &'static str,
    /// It is offline for long, with a small spool.
    pub(super) is_overflowing: bool,
    /// Its spool lies on a small disk of its own.
    pub(super) has_small_disk: bool,
    pub(super) wall_offset_ms: i64,
    pub(super) drift_ppm: i64,
}

/// A fault and whom it strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Strike {
    pub(super) fault: Fault,
    /// The device; 0 where there is but one victim.
    pub(super) device: usize,
    /// Decides the particulars.
    pub(super) how: u64,
}

/// The beginning or the end of a strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) at: Duration,
    pub(super) strike: Strike,
    pub(super) is_end: bool,
}

impl Plan {
    /// The round of this seed.
    pub(super) fn draw(seed: u64, brokers: &[Kind], devices: Option<usize>) -> Self {
        let at = usize::try_from(seed % brokers.len().max(1) as u64).unwrap_or(0);
        let broker = brokers.get(at).copied().unwrap_or(Kind::Embedded);
        let mut random = Random::new(seed);
        let time_ms = random.between(TIME_MS.0, TIME_MS.1);
        let drawn = random.between(DEVICES.0, DEVICES.1) as usize;
        let faults = draw_faults(&mut random, broker);
        let has = |fault: Fault| faults.contains(&fault);
        let count = devices.unwrap_or(drawn);
        let mut device_plans: Vec<DevicePlan> =
            (0..count).map(|number| DevicePlan::draw(&mut random, number, &has)).collect();
        if let Some(last) = device_plans.last_mut().filter(|_| has(Fault::Overflow)) {
            last.overflow_soon();
        }
        let broker_clock = has(Fault::BrokerClock).then(|| random.pick(&["-20y", "+1y", "+0 x3"]));
        let mut plan = Self {
            seed,
            broker,
            time: Duration::from_millis(time_ms),
            faults,
            devices: device_plans,
            steps: Vec::new(),
            broker_clock,
        };
        plan.draw_steps(&mut random, time_ms);
        plan
    }

    fn draw_steps(&mut self, random: &mut Random, time_ms: u64) {
        let gap_ms_max = random.pick(&GAP_MS_MAX);
        let mut steps = Vec::new();
        for (device, its) in self.devices.iter().enumerate() {
            for track in OF_DEVICE {
                let may = |fault: &Fault| match fault {
                    Fault::FullSpool => its.has_small_disk,
                    // Its line is cut for most of the time already, and its lines are many.
                    Fault::Cut | Fault::Delay | Fault::Throttle | Fault::Corrupt | Fault::Flood => {
                        !its.is_overflowing
                    }
                    _ => true,
                };
                let track: Vec<Fault> = track.iter().copied().filter(may).collect();
                self.draw_track(random, &track, device, (gap_ms_max, time_ms), &mut steps);
            }
            if its.is_overflowing {
                let strike = Strike { fault: Fault::Overflow, device, how: random.number() };
                push(&mut steps, strike, time_ms / 10, time_ms * 8 / 10);
            }
        }
        for track in OF_SHORE {
            let is_slow = self.broker == Kind::RabbitMq && track.contains(&Fault::KillBroker);
            let gap = if is_slow { RABBIT_GAP_MS_MAX } else { gap_ms_max };
            self.draw_track(random, track, 0, (gap, time_ms), &mut steps);
        }
        steps.sort_by_key(|step| step.at);
        self.steps = steps;
    }

    /// Faults of one victim, one after another.
    fn draw_track(
        &self,
        random: &mut Random,
        track: &[Fault],
        device: usize,
        (gap_ms_max, time_ms): (u64, u64),
        steps: &mut Vec<Step>,
    ) {
        let track: Vec<Fault> = track.iter().copied().filter(|fault| self.faults.contains(fault)).collect();
        let mut at = random.below(gap_ms_max);
        while !track.is_empty() {
            let chosen = usize::try_from(random.below(track.len() as u64)).unwrap_or(0);
            let Some(fault) = track.get(chosen).copied() else { return };
            let (least, most) = fault.lasts_ms();
            let end = at + random.between(least, most);
            if end >= time_ms {
                return;
            }
            push(steps, Strike { fault, device, how: random.number() }, at, end);
            at = end + random.between(50, gap_ms_max);
        }
    }
}

/// Puts a strike among the steps; what is over at once has no end.
fn push(steps: &mut Vec<Step>, strike: Strike, from_ms: u64, to_ms: u64) {
    let step = |ms: u64, is_end| Step { at: Duration::from_millis(ms), strike, is_end };
    steps.push(step(from_ms, false));
    if to_ms > from_ms {
        steps.push(step(to_ms, true));
    }
}

/// About half of the faults that this broker allows, two at least.
fn draw_faults(random: &mut Random, broker: Kind) -> Vec<Fault> {
    let may = |fault: &Fault| match fault {
        // A clock can be put wrong by a library only where the program asks the C library for the time.
        Fault::BrokerClock => broker == Kind::Mosquitto,
        fault => broker != Kind::Embedded || !fault.needs_broker(),
    };
    loop {
        let drawn = Fault::ALL.iter().copied().filter(|_| random.once_in(2));
        let faults: Vec<Fault> = drawn.filter(may).collect();
        if faults.len() >= 2 {
            return faults;
        }
    }
}

impl DevicePlan {
    fn draw(random: &mut Random, number: usize, has: &dyn Fn(Fault) -> bool) -> Self {
        let has_wrong_clock = has(Fault::Clock) && random.once_in(2);
        let has_small_disk = has(Fault::FullSpool) && (number == 0 || random.once_in(3));
        let drift = random.between(0, 1_001);
        Self {
            lines_per_second: random.pick(&[100, 300, 1_000, 2_000]),
            is_dense: has_small_disk || random.once_in(4),
            durability: random.pick(&["block", "block", "interval", "none"]),
            delay_ms_max: random.pick(&[20, 50, 200, 1_000]),
            bulk_bytes_max: SPOOL_BYTES,
            overflow: random.pick(&["drop-oldest", "pause-sources"]),
            is_overflowing: false,
            has_small_disk,
            wall_offset_ms: if has_wrong_clock { clock_offset_ms(random.number()) } else { 0 },
            drift_ppm: if has(Fault::Clock) { drift.cast_signed() - 500 } else { 0 },
        }
    }

    /// Its spool is small and its lines are many.
    fn overflow_soon(&mut self) {
        self.is_overflowing = true;
        self.is_dense = true;
        self.lines_per_second = 4_000;
        self.bulk_bytes_max = SPOOL_BYTES_SMALL;
        self.overflow = "drop-oldest";
    }

    /// Whether lines may be declared lost: the oldest are dropped where there is no room.
    pub(super) fn may_drop(&self) -> bool {
        self.overflow == "drop-oldest" && (self.is_overflowing || self.has_small_disk)
    }
}

/// How far a clock that jumps is then off: at 1970 or thereabouts, by a year, by minutes, by hardly anything.
pub(super) fn clock_offset_ms(how: u64) -> i64 {
    const YEAR_MS: i64 = 365 * 86_400_000;
    let fine = ((how >> 8) % 1_200_000).cast_signed() - 600_000;
    match how % 5 {
        0 => -56 * YEAR_MS + fine,
        1 => YEAR_MS + fine,
        2 => -YEAR_MS + fine,
        3 => fine,
        _ => fine / 1_000,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn plans() -> impl Iterator<Item = Plan> {
        (0..600).map(|seed| Plan::draw(seed, &Kind::ALL, None))
    }

    #[test]
    fn a_seed_gives_one_plan_and_naming_its_broker_alone_gives_the_same() {
        for plan in plans().take(60) {
            assert_eq!(plan, Plan::draw(plan.seed, &[plan.broker], None));
            assert_eq!(plan, Plan::draw(plan.seed, &[plan.broker], Some(plan.devices.len())));
        }
    }

    #[test]
    fn whatever_is_broken_is_whole_again_and_no_victim_is_struck_twice_at_once() {
        for plan in plans() {
            assert!(plan.steps.is_sorted_by_key(|step| step.at));
            let mut open: BTreeMap<(usize, usize), Strike> = BTreeMap::new();
            for step in &plan.steps {
                assert!(step.at < plan.time && step.strike.device < plan.devices.len());
                let Strike { fault, device, .. } = step.strike;
                let mut tracks = OF_DEVICE.iter().chain(&OF_SHORE);
                let track = tracks.position(|track| track.contains(&fault)).unwrap_or(1);
                let victim = (track, device);
                match (step.is_end, fault.lasts_ms().1) {
                    (true, _) => assert_eq!(open.remove(&victim), Some(step.strike), "seed {}", plan.seed),
                    (false, 0) if fault != Fault::Overflow => assert!(!open.contains_key(&victim)),
                    (false, _) => assert_eq!(open.insert(victim, step.strike), None, "seed {}", plan.seed),
                }
            }
            assert!(open.is_empty(), "seed {}: {open:?}", plan.seed);
        }
    }

    #[test]
    fn every_fault_strikes_in_some_round_and_only_where_it_can() {
        let mut struck = BTreeSet::new();
        for plan in plans() {
            for Strike { fault, device, .. } in plan.steps.iter().map(|step| step.strike) {
                assert!(plan.faults.contains(&fault));
                assert!(plan.broker != Kind::Embedded || !fault.needs_broker());
                assert!(fault != Fault::FullSpool || plan.devices[device].has_small_disk);
                struck.insert(fault);
            }
            if plan.broker_clock.is_some() {
                assert_eq!(plan.broker, Kind::Mosquitto);
                struck.insert(Fault::BrokerClock);
            }
        }
        assert_eq!(struck.len(), Fault::ALL.len());
    }

    #[test]
    fn lines_may_be_dropped_only_where_the_spool_is_small() {
        for plan in plans() {
            let may_drop = plan.devices.iter().any(DevicePlan::may_drop);
            let is_small = plan.faults.contains(&Fault::Overflow) || plan.faults.contains(&Fault::FullSpool);
            assert!(!may_drop || is_small);
            let dropping = plan.devices.iter().filter(|device| device.is_overflowing).count();
            assert_eq!(dropping, usize::from(plan.faults.contains(&Fault::Overflow)));
        }
    }
}
