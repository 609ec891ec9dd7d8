//! What goes out and what comes back.

use driftlog_proto::ids::SessionId;
use driftlog_proto::item;
use driftlog_proto::limits::MESSAGE_BYTES_MAX;
use driftlog_proto::message::{
    self, Ack, Down, Hello, HelloLane, Item, Nack, PROTOCOL_VERSION, Reading, Told, Up,
};
use driftlog_proto::sender::{Kind, NackAction, Stored};
use driftlog_proto::time::{Mono, Now};

use super::{BEAT_MS, Pipeline};
use crate::source::Files;
use crate::spool::disk::Disk;

impl<D: Disk, F: Files> Pipeline<D, F> {
    /// A connection begins; `session` is a fresh random number.
    pub fn handle_link_up(&mut self, now: Now, session: SessionId) {
        self.link_up = true;
        self.session.handle_link_up(session);
        self.lanes.iter_mut().for_each(|lane| lane.sender.handle_link_up());
        self.beat_due = now.mono.plus_ms(BEAT_MS / 10);
    }

    /// The connection is gone.
    pub fn handle_link_down(&mut self) {
        self.link_up = false;
        self.session.handle_link_down();
        self.lanes.iter_mut().for_each(|lane| lane.sender.handle_link_down());
    }

    /// A message from the gateway, from either topic.
    pub fn handle_down(&mut self, now: Now, bytes: &[u8]) {
        match message::decode::<Down>(bytes) {
            Ok((Down::Ack(ack), _)) => self.handle_ack(now.mono, &ack),
            Ok((Down::Nack(nack), _)) => self.handle_nack(now, &nack),
            Ok((Down::Refuse(refusal), _)) => {
                log::error!("the gateway does not serve this device: {refusal:?}");
                self.refused = Some(refusal);
            }
            Err(error) => {
                log::warn!("a message of {} bytes from the gateway is ignored: {error}", bytes.len())
            }
        }
    }

    fn handle_ack(&mut self, now: Mono, ack: &Ack) {
        let heard = self.session.handle_ack(now, ack);
        if heard.is_credit_valid {
            self.refused = None;
        }
        let echoed = ack.echo.filter(|echo| Some(echo.session) == self.session.id()).map(|echo| echo.mono);
        let mut twice = None;
        for out in &mut self.lanes {
            if heard.is_new_generation {
                out.sender.handle_generation();
            }
            let Some(lane) = ack.lanes.iter().find(|lane| lane.lane == out.lane) else { continue };
            let progress = out.sender.handle_ack(now, lane, echoed, &mut out.spool);
            if heard.is_credit_valid {
                out.sender.handle_credit(lane.credit);
            }
            // Room has come back, perhaps what a paused source waits for.
            if progress.advanced && out.retry_at > Mono(0) {
                out.retry_at = now.max(Mono(1));
            }
            twice = twice.or(progress.twice);
        }
        if let Some(run) = twice {
            self.note(format!("the gateway has another history of run {run}: this spool is running twice"));
        }
    }

    fn handle_nack(&mut self, now: Now, nack: &Nack) {
        let Some(out) = self.lanes.iter_mut().find(|out| out.lane == nack.lane) else { return };
        match out.sender.handle_nack(now.mono, nack) {
            NackAction::Ignore => {}
            NackAction::SendAgain(stored) => {
                log::warn!(
                    "lane {}: the item at {} arrived broken and is sent again",
                    nack.lane.name(),
                    stored.begin
                );
                if out.spool.read(&stored, &mut self.read_buf).is_err() {
                    out.sender.handle_changed(&stored.begin);
                }
            }
            NackAction::Replace(stored) => {
                let is_ours = out.spool.read(&stored, &mut self.read_buf).is_ok()
                    && item::checksum(&self.read_buf) == Some(nack.checksum);
                if is_ours {
                    match out.spool.refuse(&stored.begin, item::Cause::Refused) {
                        Ok(()) => out.sender.handle_changed(&stored.begin),
                        Err(error) => out.failed(now.mono, &error),
                    }
                }
            }
        }
    }

    /// The next message for the up topic into `out`; false when there is none now.
    pub fn poll_publish(&mut self, now: Now, out: &mut Vec<u8>) -> bool {
        if !self.link_up {
            return false;
        }
        if self.session.poll_hello(now.mono) {
            let hello = Up::Hello(self.hello(now));
            return encode(&hello, &[], out);
        }
        if self.session.is_answered() && now.mono >= self.beat_due {
            self.beat_due = now.mono.plus_ms(BEAT_MS);
            if let Some(beat) = self.beat(now) {
                return encode(&Up::Beat(beat), &[], out);
            }
        }
        // Urgent before bulk: the bulk lane comes first in the list.
        (0..self.lanes.len()).rev().any(|at| self.publish_item(now, at, out))
    }

    fn publish_item(&mut self, now: Now, at: usize, out: &mut Vec<u8>) -> bool {
        let Some(session) = self.session.id() else { return false };
        let Some(lane) = self.lanes.get_mut(at) else { return false };
        let Some(stored) = lane.sender.poll_publish(now.mono, &mut lane.spool) else { return false };
        if let Err(gone) = lane.spool.read(&stored, &mut self.read_buf) {
            log::warn!("lane {}: the item at {} cannot be read: {gone}", lane.lane.name(), stored.begin);
            lane.sender.handle_changed(&stored.begin);
            return false;
        }
        let told = self.told(at, &stored);
        let envelope = Item { session, reading: self.reading(now), told };
        encode(&Up::Item(envelope), &self.read_buf, out)
    }

    fn told(&self, at: usize, stored: &Stored) -> Option<Told> {
        let lane = self.lanes.get(at)?;
        (stored.kind != Kind::Block).then(|| Told {
            heard: self.session.heard(),
            run: lane.run,
            base: lane.sender.base(),
        })
    }

    pub(super) fn reading(&self, now: Now) -> Reading {
        Reading { mono: now.mono, wall: now.wall, clock: now.state, returned: self.session.returned() }
    }

    fn hello(&self, now: Now) -> Hello {
        let lane = |out: &super::lane::LaneOut<D>| HelloLane {
            lane: out.lane,
            run: out.run,
            base: out.sender.base(),
            next: out.spool.next_durable(),
        };
        let version = env!("CARGO_PKG_VERSION");
        Hello {
            protocol_min: PROTOCOL_VERSION,
            protocol_max: PROTOCOL_VERSION,
            agent: version.try_into().unwrap_or_default(),
            session: self.session.id().unwrap_or_default(),
            boot: self.config.boot,
            reading: self.reading(now),
            heard: self.session.heard(),
            hardware_changed: self.lanes.iter().any(|lane| lane.spool.recovery().hardware_changed),
            labels: self.config.labels.clone(),
            lanes: self.lanes.iter().map(lane).collect(),
        }
    }
}

/// Encodes a message; false when it does not fit, which no message of ours does.
fn encode(up: &Up, sealed: &[u8], out: &mut Vec<u8>) -> bool {
    out.resize(MESSAGE_BYTES_MAX, 0);
    match message::encode(up, sealed, out) {
        Ok(len) => {
            out.truncate(len);
            true
        }
        Err(error) => {
            log::error!("a message does not fit: {error}");
            out.clear();
            false
        }
    }
}
