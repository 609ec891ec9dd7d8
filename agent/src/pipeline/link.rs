//! What goes out and what comes back.

use std::collections::VecDeque;

use driftlog_proto::ids::{RunId, SessionId};
use driftlog_proto::item;
use driftlog_proto::limits::{ENVELOPE_BYTES_MAX, MESSAGE_BYTES_MAX};
use driftlog_proto::message::{
    self, Ack, AckLane, Ask, Down, Hello, HelloLane, Item, Nack, PROTOCOL_VERSION, Reading, Told, Up,
};
use driftlog_proto::sender::{Kind, NackAction, Stored};
use driftlog_proto::time::{Mono, Now};

use super::lane::{Answer, LaneOut};
use super::{BEAT_MS, Pipeline};
use crate::source::Files;
use crate::spool::disk::Disk;

/// This `Hello` without an answer to those before it is one too many to say nothing.
const UNANSWERED_TOLD: u32 = 3;

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
        for lane in &mut self.lanes {
            lane.sender.handle_link_down();
            lane.answers.clear();
        }
    }

    /// A message from the gateway, from either topic.
    pub fn handle_down(&mut self, now: Now, bytes: &[u8]) {
        match message::decode::<Down>(bytes) {
            Ok((Down::Ack(ack), _)) => self.handle_ack(now.mono, &ack),
            Ok((Down::Nack(nack), _)) => self.handle_nack(now, &nack),
            Ok((Down::Ask(ask), _)) => self.handle_ask(&ask),
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
        let mut texts = Vec::new();
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
            texts.extend(progress.twice.map(|run| (out.lane, twice(run))));
            texts.extend(out.forgotten(lane).map(|text| (out.lane, text)));
        }
        texts.into_iter().for_each(|(lane, text)| self.note(lane, text));
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

    /// What others refer to is sent again; a flash that does not give it now may give it later, when it is
    /// asked for again.
    fn handle_ask(&mut self, ask: &Ask) {
        let Some(out) = self.lanes.iter_mut().find(|out| out.lane == ask.lane) else { return };
        match out.spool.referred(ask.run, &ask.reference) {
            Ok(Some(blocks)) => out.answers = blocks.into_iter().map(Answer::Again).collect(),
            Ok(None) if out.spool.has_run(ask.run) => out.answers = VecDeque::from([Answer::Gone(*ask)]),
            // Asked is, perhaps, a copy of this spool.
            Ok(None) => {}
            Err(error) => log::warn!(
                "lane {}: the blocks at {}/{}, which the gateway asks for, cannot be read: {error}",
                out.lane.name(),
                ask.run,
                ask.reference.seq
            ),
        }
    }

    /// The next message for the up topic into `out`; false when there is none now.
    pub fn poll_publish(&mut self, now: Now, out: &mut Vec<u8>) -> bool {
        if !self.link_up {
            return false;
        }
        if self.session.poll_hello(now.mono) {
            if self.session.unanswered() == UNANSWERED_TOLD {
                self.tell_unanswered();
            }
            let hello = Up::Hello(self.hello(now));
            return encode(&hello, &[], out);
        }
        if self.session.is_answered() && now.mono >= self.beat_due {
            self.beat_due = now.mono.plus_ms(BEAT_MS);
            if let Some(beat) = self.beat(now) {
                return encode(&Up::Beat(beat), &[], out);
            }
        }
        if let Some(session) = self.session.id()
            && let Some(answer) = self.lanes.iter_mut().find_map(|lane| lane.answers.pop_front())
        {
            return match answer {
                Answer::Gone(ask) => encode(&Up::Gone(ask), &[], out),
                Answer::Again(sealed) => {
                    let envelope = Item { session, reading: self.reading(now), told: None };
                    encode(&Up::Item(envelope), &sealed, out)
                }
            };
        }
        // Urgent before bulk: the bulk lane comes first in the list.
        (0..self.lanes.len()).rev().any(|at| self.publish_item(now, at, out))
    }

    fn publish_item(&mut self, now: Now, at: usize, out: &mut Vec<u8>) -> bool {
        let Some(session) = self.session.id() else { return false };
        let Some(lane) = self.lanes.get_mut(at) else { return false };
        let Some(stored) = lane.sender.poll_publish(now.mono, &mut lane.spool) else { return false };
        lane.tell_unheard();
        if let Err(gone) = lane.spool.read(&stored, &mut self.read_buf) {
            log::warn!("lane {}: the item at {} cannot be read: {gone}", lane.lane.name(), stored.begin);
            lane.sender.handle_changed(&stored.begin);
            return false;
        }
        let told = self.told(at, &stored);
        let envelope = Item { session, reading: self.reading(now), told };
        encode(&Up::Item(envelope), &self.read_buf, out)
    }

    fn tell_unanswered(&self) {
        let topic = format!("driftlog/v1/{:02x}/{1}", self.config.device.shard(), self.config.device);
        log::warn!(
            "the gateway has not answered, though the broker takes what is sent\nhint: does it run, connected to this broker? Do the broker's rules let this device's user publish to {topic}/up and read {topic}/ack?"
        );
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
        let lane = |out: &LaneOut<D>| HelloLane {
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

fn twice(run: RunId) -> String {
    format!("the gateway has another history of run {run}: this spool is running twice")
}

impl<D: Disk> LaneOut<D> {
    /// The gateway has more of the newest run than the spool: the flash forgot it. That is said once,
    /// among the records of the lane: the run that says so begins where the spool's end is, which
    /// tells the gateway of the fork and lets go of what went before, also when there is nothing else to
    /// be sealed for weeks.
    fn forgotten(&mut self, told: &AckLane) -> Option<String> {
        let place = told.runs.iter().find(|place| self.spool.has_forgotten(place))?;
        let (run, have) = (place.run, self.spool.next_seq());
        let is_new = !std::mem::replace(&mut self.is_forgetting_told, true);
        is_new.then(|| {
            format!(
                "lane {}: the flash forgot what it had published: the gateway has run {run} up to {}, the spool up to {have}",
                self.lane.name(),
                place.seq
            )
        })
    }
}

/// Encodes a message; false when it does not fit, which no message of ours does.
fn encode(up: &Up, sealed: &[u8], out: &mut Vec<u8>) -> bool {
    // No more than it may need: what is resized is filled with zeros.
    out.resize(if sealed.is_empty() { MESSAGE_BYTES_MAX } else { ENVELOPE_BYTES_MAX + sealed.len() }, 0);
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
