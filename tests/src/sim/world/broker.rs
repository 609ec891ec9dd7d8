//! The broker and the lines to it: what loses, doubles, delays and reorders.

use std::collections::{BTreeMap, VecDeque};

use driftlog_proto::checksum::crc32c_seeded;
use driftlog_proto::ids::DeviceId;

use super::agenda::Air;
use super::random::Random;

pub(crate) const MS: i64 = 1_000_000;
pub(crate) const SECOND: i64 = 1_000 * MS;
pub(crate) const WEEK: i64 = 7 * 86_400 * SECOND;

/// How bad the lines are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    pub(crate) lost_per_mille: u64,
    pub(crate) doubled_per_mille: u64,
    /// A copy comes much later.
    pub(crate) late_per_mille: u64,
    pub(crate) late: i64,
    pub(crate) delay_ms: (u64, u64),
    /// One byte is changed on the way.
    pub(crate) corrupt_per_mille: u64,
}

impl Weather {
    pub(crate) const FAIR: Self = Self {
        lost_per_mille: 0,
        doubled_per_mille: 0,
        late_per_mille: 0,
        late: 0,
        delay_ms: (5, 6),
        corrupt_per_mille: 0,
    };
    #[cfg(test)]
    pub(crate) const FOUL: Self = Self {
        lost_per_mille: 100,
        doubled_per_mille: 100,
        late_per_mille: 20,
        late: 40 * SECOND,
        delay_ms: (1, 400),
        corrupt_per_mille: 3,
    };
}

#[derive(Clone, Debug)]
pub(crate) enum To {
    Gateway {
        topic: String,
    },
    /// A machine in the connection with this number; a late copy comes in any.
    Machine {
        at: usize,
        epoch: Option<u64>,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) to: To,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) struct Broker {
    pub(crate) is_up: bool,
    pub(crate) weather: Weather,
    transit: BTreeMap<(i64, u64), Packet>,
    sent: u64,
    pub(crate) retained: BTreeMap<DeviceId, Vec<u8>>,
    /// Some of what was sent, for those who send it again.
    old_messages: VecDeque<(String, Vec<u8>)>,
    old_answers: VecDeque<(DeviceId, Vec<u8>)>,
    random: Random,
    /// A hash over everything that was sent, and when.
    pub(crate) trace: u64,
}

impl Broker {
    /// One part of the weather is fair again.
    pub(super) fn clear(&mut self, air: Air) {
        let weather = &mut self.weather;
        match air {
            Air::Lost => weather.lost_per_mille = 0,
            Air::Doubled => weather.doubled_per_mille = 0,
            Air::Late => weather.late_per_mille = 0,
            Air::Delay => weather.delay_ms = Weather::FAIR.delay_ms,
            Air::Corrupt => weather.corrupt_per_mille = 0,
        }
    }

    pub(crate) fn new(seed: u64) -> Self {
        Self {
            is_up: true,
            weather: Weather::FAIR,
            transit: BTreeMap::new(),
            sent: 0,
            retained: BTreeMap::new(),
            old_messages: VecDeque::new(),
            old_answers: VecDeque::new(),
            random: Random::new(seed),
            trace: 0,
        }
    }

    pub(crate) fn send(&mut self, now: i64, packet: Packet) {
        self.trace = (self.trace ^ u64::from(crc32c_seeded(now as u32, &[&packet.bytes])))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29);
        if !self.is_up {
            return;
        }
        self.remember(&packet);
        let weather = self.weather;
        if self.random.per_mille(weather.late_per_mille) {
            let mut late = packet.clone();
            if let To::Machine { epoch, .. } = &mut late.to {
                *epoch = None;
            }
            let wait = weather.late / 2 + self.random.below(weather.late as u64 / 2 + 1) as i64;
            self.put(now + wait, late);
        }
        if self.random.per_mille(weather.doubled_per_mille) {
            let at = now + self.delay();
            self.put(at, packet.clone());
        }
        if !self.random.per_mille(weather.lost_per_mille) {
            let at = now + self.delay();
            self.put(at, packet);
        }
    }

    fn remember(&mut self, packet: &Packet) {
        if let To::Gateway { topic } = &packet.to
            && self.random.one_in(4)
        {
            remember(&mut self.old_messages, (topic.clone(), packet.bytes.clone()), self.random.number());
        }
    }

    /// The broker keeps an answer for whoever connects later.
    pub(crate) fn retain(&mut self, device: &DeviceId, bytes: &[u8]) {
        self.retained.insert(device.clone(), bytes.to_vec());
        if self.random.one_in(4) {
            remember(&mut self.old_answers, (device.clone(), bytes.to_vec()), self.random.number());
        }
    }

    /// A message of a device that was sent before, with its topic.
    pub(crate) fn some_old_message(&self, random: &mut Random) -> Option<(String, Vec<u8>)> {
        self.old_messages.get(random.below(self.old_messages.len() as u64) as usize).cloned()
    }

    /// A retained answer of before.
    pub(crate) fn some_old_answer(&self, random: &mut Random) -> Option<(DeviceId, Vec<u8>)> {
        self.old_answers.get(random.below(self.old_answers.len() as u64) as usize).cloned()
    }

    /// Arrives then, whatever the weather.
    pub(crate) fn deliver_at(&mut self, at: i64, packet: Packet) {
        if self.is_up {
            self.sent += 1;
            self.transit.insert((at, self.sent), packet);
        }
    }

    fn delay(&mut self) -> i64 {
        let (shortest, longest) = self.weather.delay_ms;
        self.random.within(shortest..longest.max(shortest + 1)) as i64 * MS
    }

    fn put(&mut self, at: i64, mut packet: Packet) {
        if self.random.per_mille(self.weather.corrupt_per_mille) && !packet.bytes.is_empty() {
            let byte = self.random.below(packet.bytes.len() as u64) as usize;
            packet.bytes[byte] ^= 1 << self.random.below(8);
        }
        self.sent += 1;
        self.transit.insert((at, self.sent), packet);
    }

    pub(crate) fn next(&self) -> i64 {
        self.transit.first_key_value().map_or(i64::MAX, |((at, _), _)| *at)
    }

    pub(crate) fn arrived(&mut self, now: i64) -> Option<Packet> {
        (self.next() <= now).then(|| self.transit.pop_first().map(|(_, packet)| packet)).flatten()
    }

    /// It dies with everything that it had.
    pub(crate) fn wipe(&mut self) {
        self.transit.clear();
        self.retained.clear();
    }

    /// Lates copies of anything are given up: the faults are over.
    pub(crate) fn forget_late(&mut self, now: i64) {
        self.transit.retain(|(at, _), _| *at < now + SECOND);
    }
}

/// Keeps few, of any age.
fn remember<T>(old: &mut VecDeque<T>, new: T, chance: u64) {
    const OLD_MAX: usize = 48;
    if old.len() < OLD_MAX {
        old.push_back(new);
    } else if let Some(place) = old.get_mut(chance as usize % OLD_MAX) {
        *place = new;
    }
}
