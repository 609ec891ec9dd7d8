//! What is done to the devices and the gateway, and when.

use std::time::Duration;

use crate::corpus::Random;

/// One thing that is done. Devices are named by their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// The device's network is cut.
    Cut(usize),
    /// And is back.
    Mend(usize),
    /// Its agent is killed in mid-write.
    KillAgent(usize),
    /// And is started again.
    StartAgent(usize),
    /// The gateway is killed in mid-commit, and its broker with it.
    KillGateway,
    /// And is started again.
    StartGateway,
    /// Gateway and agent are killed at once.
    KillBoth(usize),
    /// The device writes many times as much as usual.
    Flood(usize),
    /// And as much as usual again.
    Calm(usize),
    /// The device's wall clock jumps to a year ahead.
    JumpClock(usize),
    /// One byte of its next message is changed on the way.
    Corrupt(usize),
}

/// When an act is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) at: Duration,
    pub(super) act: Act,
}

/// Which device plays which part; with few devices one plays several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cast {
    pub(super) killed: usize,
    pub(super) cut: usize,
    pub(super) wrong_clock: usize,
    pub(super) flooding: usize,
    pub(super) corrupted: usize,
}

impl Cast {
    /// The parts of this many devices.
    pub(super) fn of(devices: usize) -> Self {
        let part = |number: usize| number % devices.max(1);
        Self { killed: part(0), cut: part(1), wrong_clock: part(2), flooding: part(3), corrupted: part(4) }
    }
}

/// The acts of a demo of this length, in order. Moments vary a little with the seed.
pub(super) fn script(time: Duration, devices: usize, seed: u64) -> Vec<Step> {
    let cast = Cast::of(devices);
    let acts = [
        (10, Act::Cut(cast.cut)),
        (18, Act::KillAgent(cast.killed)),
        (23, Act::StartAgent(cast.killed)),
        (30, Act::Flood(cast.flooding)),
        (38, Act::KillGateway),
        (43, Act::StartGateway),
        (46, Act::Calm(cast.flooding)),
        (52, Act::JumpClock(cast.wrong_clock)),
        (60, Act::Corrupt(cast.corrupted)),
        (68, Act::Mend(cast.cut)),
        (77, Act::KillBoth(cast.killed)),
        (82, Act::StartGateway),
        (84, Act::StartAgent(cast.killed)),
    ];
    let mut random = Random::new(seed);
    let percent = time / 100;
    let jitter = |random: &mut Random| percent.mul_f64(random.below(1000) as f64 / 1000.0);
    acts.into_iter().map(|(at, act)| Step { at: percent * at + jitter(&mut random), act }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_broken_is_whole_again_at_the_end() {
        for devices in 1..=7 {
            for seed in 0..20 {
                let time = Duration::from_secs(8);
                let steps = script(time, devices, seed);
                assert!(steps.is_sorted_by_key(|step| step.at));
                let (mut cut, mut agents, mut gateway, mut flood) = (0, vec![true; devices], true, 0);
                for step in &steps {
                    assert!(step.at < time);
                    match step.act {
                        Act::Cut(_) => cut += 1,
                        Act::Mend(_) => cut -= 1,
                        Act::KillAgent(who) => assert!(std::mem::take(&mut agents[who])),
                        Act::StartAgent(who) => assert!(!std::mem::replace(&mut agents[who], true)),
                        Act::KillGateway => assert!(std::mem::take(&mut gateway)),
                        Act::StartGateway => assert!(!std::mem::replace(&mut gateway, true)),
                        Act::KillBoth(who) => {
                            assert!(std::mem::take(&mut gateway) && std::mem::take(&mut agents[who]));
                        }
                        Act::Flood(_) => flood += 1,
                        Act::Calm(_) => flood -= 1,
                        Act::JumpClock(who) | Act::Corrupt(who) => assert!(who < devices),
                    }
                }
                assert!(cut == 0 && flood == 0 && gateway && !agents.contains(&false));
            }
        }
    }

    #[test]
    fn five_devices_play_one_part_each() {
        let Cast { killed, cut, wrong_clock, flooding, corrupted } = Cast::of(5);
        assert_eq!([killed, cut, wrong_clock, flooding, corrupted], [0, 1, 2, 3, 4]);
    }
}
