//! What the gateway says: one `Ack` for every device that was heard, `Ask`, `Nack` and `Refuse`.

use driftlog_proto::ids::DeviceId;
use driftlog_proto::limits::MESSAGE_BYTES_MAX;
use driftlog_proto::message::{self, Ack, AckLane, Down, Echo};
use driftlog_proto::time::{Mono, Now};

use super::Region;
use crate::broker::Channel;
use crate::ledger::Ledger;

/// `Ask`s, `Nack`s and `Refuse`s that wait to be sent; the oldest goes beyond that.
const SAID_MAX: usize = 1024;

impl<L: Ledger> Region<L> {
    /// The next message for a device, if one is due.
    pub fn poll_down(&mut self, now: Now) -> Option<(DeviceId, Channel, Vec<u8>)> {
        if let Some((id, down)) = self.said.pop_front() {
            return encoded(&down).map(|bytes| (id, Channel::Down, bytes));
        }
        while self.due.first().is_some_and(|(at, _)| *at <= now.mono) {
            let (_, id) = self.due.pop_first()?;
            if let Some(ack) = self.ack(now, &id) {
                return encoded(&Down::Ack(ack)).map(|bytes| (id, Channel::Ack, bytes));
            }
        }
        None
    }

    fn ack(&mut self, now: Now, id: &DeviceId) -> Option<Ack> {
        let credit = u32::try_from(self.share()).unwrap_or(u32::MAX);
        self.issued += 1;
        let number = self.issued();
        let device = self.devices.get_mut(id)?;
        device.answer_at = None;
        let echo = device.session.map(|session| Echo {
            session: session.id,
            mono: session.mono,
            received: session.received,
        });
        let lanes = device.lanes.iter_mut().flatten();
        let mut given_up = 0;
        let mut asks = Vec::new();
        for state in lanes {
            given_up += u64::from(state.references.give_up(now.mono));
            asks.extend(state.references.poll_ask(now.mono, state.lane));
        }
        self.counters.gone += given_up;
        let lanes = device.lanes.iter_mut().flatten().map(|state| AckLane {
            lane: state.lane,
            runs: state.receiver.poll_acknowledged(),
            received: state.receiver.received(),
            credit,
        });
        let ack = Ack { number, sent: now.wall, echo, lanes: lanes.collect() };
        self.counters.acks += 1;
        self.counters.asks += asks.len() as u64;
        asks.into_iter().for_each(|ask| self.say(id, Down::Ask(ask)));
        Some(ack)
    }

    /// An answer to this device is due at `at`, or earlier if one was due already.
    pub(super) fn answer(&mut self, id: &DeviceId, at: Mono) {
        let Some(device) = self.devices.get_mut(id) else { return };
        match device.answer_at {
            Some(due) if due <= at => return,
            Some(due) => {
                self.due.remove(&(due, id.clone()));
            }
            None => {}
        }
        device.answer_at = Some(at);
        self.due.insert((at, id.clone()));
    }

    pub(super) fn say(&mut self, id: &DeviceId, down: Down) {
        if self.said.len() >= SAID_MAX {
            self.said.pop_front();
        }
        self.said.push_back((id.clone(), down));
    }
}

fn encoded(down: &Down) -> Option<Vec<u8>> {
    let mut bytes = vec![0; MESSAGE_BYTES_MAX.min(16 * 1024)];
    let len = message::encode(down, &[], &mut bytes).ok()?;
    bytes.truncate(len);
    Some(bytes)
}
