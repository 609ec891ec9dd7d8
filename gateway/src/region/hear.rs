//! What a device says: checked, judged by its lane's receiver, kept until a sink has it.

use std::sync::Arc;

use driftlog_proto::error::Malformed;
use driftlog_proto::ids::{DeviceId, Lane};
use driftlog_proto::item::{self, ItemHeader};
use driftlog_proto::message::{
    self, Ask, Beat, Down, Hello, Item, Nack, NackReason, PROTOCOL_VERSION, Reading, Refusal, Up,
};
use driftlog_proto::receiver::{Dropped, Output, Step, Verdict};
use driftlog_proto::time::{Mono, Now, Unix};

use super::device::SessionState;
use super::lane::{Kept, Pending};
use super::{Refused, Region};
use crate::ledger::Ledger;
use crate::ledger::record::LaneRecord;

/// Answers to several messages are gathered for this long.
const ANSWER_MS: u64 = 20;
/// A refused device is told so at most this often.
const REFUSE_MS: u64 = 10_000;

impl<L: Ledger> Region<L> {
    /// A message has arrived on a topic. Whatever it holds, nothing but its own device's lanes
    /// can change.
    pub fn handle_up(&mut self, now: Now, topic: &str, payload: &[u8]) {
        self.counters.messages += 1;
        self.counters.message_bytes += payload.len() as u64;
        let Some(id) = device_of(topic) else {
            self.counters.refuse(Refused::Topic);
            log::warn!(
                "a message on the topic {topic:?}, which is not that of a device's shard, was dropped"
            );
            return;
        };
        if let Err(reason) = self.hear(now, &id, payload) {
            self.counters.refuse(reason);
            log::warn!("{id}: a message of {} bytes was refused ({})", payload.len(), reason.name());
        }
    }

    fn hear(&mut self, now: Now, id: &DeviceId, payload: &[u8]) -> Result<(), Refused> {
        let decoded = message::decode::<Up>(payload);
        if let Some(refusal) = self.refusal(id, &decoded) {
            let reason =
                if matches!(refusal, Refusal::Protocol { .. }) { Refused::Version } else { Refused::Device };
            self.refuse(now.mono, id, refusal);
            return Err(reason);
        }
        let (up, sealed) = decoded.map_err(|_| Refused::Malformed)?;
        self.load(id, now)?;
        let rate = self.config.message_rate_max;
        let device = self.devices.get_mut(id).ok_or(Refused::Devices)?;
        if !device.limiter.take(now.mono, rate) {
            return Err(Refused::Rate);
        }
        (device.heard, device.heard_wall) = (now.mono, now.wall);
        let answered = match &up {
            Up::Hello(hello) => {
                self.hear_hello(now, id, hello);
                Ok(())
            }
            Up::Item(envelope) => self.hear_item(now, id, envelope, sealed),
            Up::Beat(beat) => {
                self.hear_beat(now, id, beat);
                Ok(())
            }
            Up::Gone(gone) => {
                self.hear_gone(id, gone);
                Ok(())
            }
        };
        let wait = if matches!(up, Up::Hello(_)) { 0 } else { ANSWER_MS };
        self.answer(id, now.mono.plus_ms(wait));
        answered
    }

    /// Why this message cannot be served at all.
    fn refusal(&self, id: &DeviceId, decoded: &Result<(Up, &[u8]), Malformed>) -> Option<Refusal> {
        if let Some(refusal) = self.config.devices.refusal(id) {
            return Some(refusal);
        }
        let speaks_ours = match decoded {
            Err(Malformed::Version(_)) => false,
            Ok((Up::Hello(hello), _)) => {
                (hello.protocol_min..=hello.protocol_max).contains(&PROTOCOL_VERSION)
            }
            _ => true,
        };
        (!speaks_ours).then_some(Refusal::Protocol { min: PROTOCOL_VERSION, max: PROTOCOL_VERSION })
    }

    fn refuse(&mut self, now: Mono, id: &DeviceId, refusal: Refusal) {
        let told = self.devices.get_mut(id).map(|device| &mut device.refused_at);
        if let Some(at) = told {
            if at.is_some_and(|at| now.ms_since(at) < REFUSE_MS) {
                return;
            }
            *at = Some(now);
        }
        self.say(id, Down::Refuse(refusal));
    }

    fn hear_hello(&mut self, now: Now, id: &DeviceId, hello: &Hello) {
        let issued = self.issued();
        let (roles, fresh) =
            (hello.hardware_changed, Lane::ALL.map(|lane| self.lane_state(lane, LaneRecord::default())));
        let Some(device) = self.devices.get_mut(id) else { return };
        device.session = Some(SessionState {
            id: hello.session,
            boot: hello.boot,
            mono: hello.reading.mono,
            received: now.wall,
        });
        hello.agent.as_str().clone_into(&mut device.agent);
        let labels = hello.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        if !labels.clone().eq(device.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()))) {
            let owned = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
            device.labels = Arc::new(owned.collect());
        }
        device.clock.handle_message(hello.boot, &hello.reading, now.wall);
        for (slot, fresh) in device.lanes.iter_mut().zip(fresh) {
            let Some(lane) = hello.lanes.iter().find(|lane| lane.lane == fresh.lane) else { continue };
            let state = slot.get_or_insert(fresh);
            state.device_next = Some(lane.next);
            state.receiver.handle_hello(lane, hello.heard, issued);
            if roles {
                state.receiver.handle_hardware_changed(lane.base.run);
            }
        }
        for lane in Lane::ALL {
            self.drain(id, lane, now.wall);
        }
        self.swept = Mono(0);
    }

    fn hear_reading(
        &mut self,
        now: Now,
        id: &DeviceId,
        session: driftlog_proto::ids::SessionId,
        reading: &Reading,
    ) {
        let Some(device) = self.devices.get_mut(id) else { return };
        let Some(known) = device.session.as_mut().filter(|known| known.id == session) else { return };
        if reading.mono >= known.mono {
            (known.mono, known.received) = (reading.mono, now.wall);
        }
        device.clock.handle_message(known.boot, reading, now.wall);
    }

    fn hear_beat(&mut self, now: Now, id: &DeviceId, beat: &Beat) {
        self.hear_reading(now, id, beat.session, &beat.reading);
        let Some(device) = self.devices.get_mut(id) else { return };
        for lane in &beat.lanes {
            if let Some(state) = device.lane(lane.lane) {
                state.beat = Some(*lane);
            }
        }
    }

    fn hear_item(&mut self, now: Now, id: &DeviceId, envelope: &Item, sealed: &[u8]) -> Result<(), Refused> {
        self.hear_reading(now, id, envelope.session, &envelope.reading);
        let header = match item::open(sealed) {
            Ok((header, _)) => header,
            Err(error) => return Err(self.nack(id, sealed, error)),
        };
        let lane = header.lane();
        self.relieve(id, lane);
        let (issued, share) = (self.issued(), self.share());
        let free = self.config.memory_bytes_max.saturating_sub(self.memory_bytes);
        if self.is_overdrawn()
            && let ItemHeader::Block(block) = &header
        {
            self.counters.dropped_no_room += 1;
            // But not what blocks wait for that fill the memory.
            if let Some(state) = self.devices.get_mut(id).and_then(|device| device.lane(lane)) {
                state.references.handle_again(block, sealed);
            }
            return Ok(());
        }
        let fresh = self.lane_state(lane, LaneRecord::default());
        let device = self.devices.get_mut(id).ok_or(Refused::Devices)?;
        let slot = device.lanes.get_mut(lane.index()).ok_or(Refused::Malformed)?;
        let state = slot.get_or_insert(fresh);
        let room = share.saturating_sub(state.memory_bytes()).min(free);
        let is_of_session = device.session.is_some_and(|session| session.id == envelope.session);
        let end = header.end(sealed);
        let bytes = u32::try_from(sealed.len()).unwrap_or(u32::MAX);
        if state.device_next.is_none_or(|known| known.run != end.run || known.seq < end.seq) {
            state.device_next = Some(end);
        }
        match state.receiver.handle_item(&header, end, bytes, envelope.told.as_ref(), issued, room) {
            Verdict::Kept(slot) => {
                if let ItemHeader::Block(block) = header {
                    let sealed = Arc::from(sealed);
                    state.kept.insert(
                        slot,
                        Kept {
                            received: now.wall,
                            is_of_session,
                            header: block,
                            sealed,
                            line: Arc::default(),
                            lookup: None,
                        },
                    );
                }
            }
            Verdict::Duplicate => {
                self.counters.duplicates += 1;
                if let ItemHeader::Block(block) = &header {
                    state.references.handle_again(block, sealed);
                }
            }
            Verdict::Dropped(Dropped::NoRoom) => self.counters.dropped_no_room += 1,
            Verdict::Dropped(_) => self.counters.dropped_unknown += 1,
        }
        self.drain(id, lane, now.wall);
        Ok(())
    }

    /// What others refer to is gone on the device, and here.
    fn hear_gone(&mut self, id: &DeviceId, gone: &Ask) {
        let state = self.devices.get_mut(id).and_then(|device| device.lane(gone.lane));
        if state.is_some_and(|state| state.references.handle_gone(gone)) {
            self.counters.gone += 1;
            let Ask { lane, run, reference } = gone;
            log::warn!(
                "{id}: lane {}: the block at {run}/{} is gone, and with it what cannot be read without it",
                lane.name(),
                reference.seq
            );
        }
    }

    /// An item that is broken or over a limit is named to its device, as far as it can be read.
    fn nack(&mut self, id: &DeviceId, sealed: &[u8], error: Malformed) -> Refused {
        let (reason, refused) = match error {
            Malformed::Limit(_) | Malformed::Seq => (NackReason::Limit, Refused::Limit),
            _ => (NackReason::Checksum, Refused::Checksum),
        };
        if let Some((header, checksum)) = item::peek(sealed) {
            let (run, seq) = header.name();
            self.counters.nacks += 1;
            self.say(id, Down::Nack(Nack { lane: header.lane(), run, seq, checksum, reason }));
        }
        refused
    }

    /// Where sinks of best effort have let half of the memory fill, this lane's blocks wait no longer for
    /// them: what they miss is declared to them.
    fn relieve(&mut self, id: &DeviceId, lane: Lane) {
        if self.memory_bytes <= self.config.memory_bytes_max / 2 {
            return;
        }
        let state = self.devices.get_mut(id).and_then(|device| device.lane(lane));
        let Some(state) = state.filter(|state| state.has_optional()) else { return };
        state.give_up();
        self.memory_bytes = self.memory_bytes.saturating_add_signed(state.account());
    }

    /// Takes from a lane's receiver what is to be delivered and what is no longer needed.
    pub(super) fn drain(&mut self, id: &DeviceId, lane: Lane, received: Unix) {
        let is_roomy = self.memory_bytes <= self.config.memory_bytes_max / 2;
        let Some(device) = self.devices.get_mut(id) else { return };
        let Some(state) = device.lane(lane) else { return };
        state.declare_lacking(received, None);
        while let Some(output) = state.receiver.poll_output() {
            match output {
                Output::Release { slot } => {
                    state.kept.remove(&slot);
                }
                Output::Deliver { end, step } => {
                    let mut kept =
                        if let Step::Block { slot } = step { state.kept.remove(&slot) } else { None };
                    if let Some(kept) = &mut kept {
                        let references = &mut state.references;
                        kept.lookup = references.handle_delivered(&kept.header, &kept.sealed, is_roomy);
                    }
                    let received = kept.as_ref().map_or(received, |kept| kept.received);
                    state.push(&Pending { end, step, received, block: kept });
                }
            }
        }
        self.memory_bytes = self.memory_bytes.saturating_add_signed(state.account());
        for (outlet, feed) in self.outlets.iter_mut().zip(&state.feeds) {
            if !feed.is_empty() {
                outlet.waiting.insert(id.clone());
            }
        }
    }
}

/// The device of an up topic `driftlog/v1/<shard>/<device>/up`, if it stands on its own shard.
fn device_of(topic: &str) -> Option<DeviceId> {
    let rest = topic.strip_prefix("driftlog/v1/")?.strip_suffix("/up")?;
    let (shard, device) = rest.split_once('/')?;
    let id = DeviceId::new(device).ok()?;
    (shard == format!("{:02x}", id.shard())).then_some(id)
}
