//! The broker and the lines to it: what loses, doubles, delays and reorders.

use std::collections::BTreeMap;

use driftlog_proto::ids::DeviceId;

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
    random: Random,
}

impl Broker {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            is_up: true,
            weather: Weather::FAIR,
            transit: BTreeMap::new(),
            sent: 0,
            retained: BTreeMap::new(),
            random: Random::new(seed),
        }
    }

    pub(crate) fn send(&mut self, now: i64, packet: Packet) {
        if !self.is_up {
            return;
        }
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
