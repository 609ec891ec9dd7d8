//! Chance, and a line that loses, doubles, reorders and delays.

use crate::Faults;

/// A seeded source of chance (SplitMix64).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed ^ 0x5851_F42D_4C95_7F2D)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }
}

/// Messages under way, with the time of their arrival.
#[derive(Default)]
pub(crate) struct Line {
    up: Vec<(u64, Vec<u8>)>,
    down: Vec<(u64, Vec<u8>)>,
    old: Vec<Vec<u8>>,
    /// The retained `Ack`.
    pub retained: Option<Vec<u8>>,
}

impl Line {
    pub(crate) fn send_up(&mut self, now: u64, message: Vec<u8>, faults: &Faults, chance: &mut Chance) {
        if self.old.len() < 200 {
            self.old.push(message.clone());
        }
        send(&mut self.up, now, message, faults, chance);
    }

    pub(crate) fn send_down(&mut self, now: u64, message: Vec<u8>, faults: &Faults, chance: &mut Chance) {
        if chance.below(3) > 0 {
            self.retained = Some(message.clone());
        }
        send(&mut self.down, now, message, faults, chance);
    }

    pub(crate) fn arrived_up(&mut self, now: u64, chance: &mut Chance) -> Vec<Vec<u8>> {
        arrived(&mut self.up, now, chance)
    }

    pub(crate) fn arrived_down(&mut self, now: u64, chance: &mut Chance) -> Vec<Vec<u8>> {
        arrived(&mut self.down, now, chance)
    }

    /// An old message comes by once more.
    pub(crate) fn replay(&mut self, chance: &mut Chance) {
        if !self.old.is_empty() {
            let at = chance.below(self.old.len() as u64) as usize;
            self.up.push((0, self.old[at].clone()));
        }
    }

    /// Every old message comes by once more.
    pub(crate) fn replay_all(&mut self) {
        self.up.extend(self.old.iter().map(|message| (0, message.clone())));
    }
}

fn send(way: &mut Vec<(u64, Vec<u8>)>, now: u64, message: Vec<u8>, faults: &Faults, chance: &mut Chance) {
    let mut delay = || now + 1_000_000 * chance.below(faults.delay_ms);
    let (first, second) = (delay(), delay());
    if chance.below(1000) < faults.double {
        way.push((second, message.clone()));
    }
    if chance.below(1000) >= faults.lose {
        way.push((first, message));
    }
}

fn arrived(way: &mut Vec<(u64, Vec<u8>)>, now: u64, chance: &mut Chance) -> Vec<Vec<u8>> {
    let mut here = Vec::new();
    way.retain(|(at, message)| {
        if *at <= now {
            here.push(message.clone());
        }
        *at > now
    });
    if here.len() > 1 && chance.below(2) == 0 {
        let at = chance.below(here.len() as u64) as usize;
        here.rotate_left(at);
    }
    here
}
