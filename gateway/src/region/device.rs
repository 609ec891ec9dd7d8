//! One device in memory, and coming and going of devices.

use std::sync::Arc;

use driftlog_proto::clock::DeviceClock;
use driftlog_proto::ids::{AckNumber, BootId, DeviceId, Lane, SessionId};
use driftlog_proto::time::{Mono, Now, Unix};
use serde::{Deserialize, Serialize};

use super::commit::Outlet;
use super::lane::LaneState;
use super::limiter::Limiter;
use super::ranges::Ranges;
use super::{CONNECTED_MS, DEVICES_MAX, IDLE_MS, Keeping, Refused, Region};
use crate::ledger::record::LaneRecord;
use crate::ledger::{Ledger, LedgerError};
use crate::sink::Labels;

/// How often silent devices are looked for.
pub(super) const SWEEP_MS: u64 = 10_000;
/// The version of [`DeviceRecord`]'s encoding.
const RECORD_VERSION: u8 = 1;

/// What the ledger keeps about a device beside its lanes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct DeviceRecord {
    /// Its clock model, as [`DeviceClock::encode`] writes it; empty: nothing is known.
    pub(super) clock: Vec<u8>,
    /// What the operator calls it.
    pub(super) labels: Labels,
}

impl DeviceRecord {
    /// The device's key in the ledger.
    #[must_use]
    pub(super) fn key(device: &DeviceId) -> Vec<u8> {
        format!("device/{device}").into_bytes()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        // Encoding into a growing vector cannot fail: there is no limit to meet.
        postcard::to_extend(self, vec![RECORD_VERSION]).unwrap_or_default()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (&version, rest) = bytes.split_first()?;
        if version != RECORD_VERSION {
            return None;
        }
        postcard::from_bytes(rest).ok()
    }
}

/// The connection in which a device was heard last.
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionState {
    pub(super) id: SessionId,
    pub(super) boot: BootId,
    /// The newest reading of the session and its arrival, for the echo.
    pub(super) mono: Mono,
    pub(super) received: Unix,
}

/// A device in memory.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) clock: DeviceClock,
    pub(super) labels: Arc<Labels>,
    pub(super) agent: String,
    pub(super) session: Option<SessionState>,
    pub(super) lanes: [Option<LaneState>; Lane::ALL.len()],
    pub(super) limiter: Limiter,
    pub(super) heard: Mono,
    pub(super) heard_wall: Unix,
    pub(super) refused_at: Option<Mono>,
    pub(super) answer_at: Option<Mono>,
}

impl Device {
    pub(super) fn lane(&mut self, lane: Lane) -> Option<&mut LaneState> {
        self.lanes.get_mut(lane.index())?.as_mut()
    }

    pub(super) fn lanes(&self) -> impl Iterator<Item = &LaneState> {
        self.lanes.iter().flatten()
    }

    pub(super) fn is_connected(&self, now: Mono) -> bool {
        now.ms_since(self.heard) < CONNECTED_MS
    }
}

impl<L: Ledger> Region<L> {
    /// Takes a device into memory, as the ledger has it.
    pub(super) fn load(&mut self, id: &DeviceId, now: Now) -> Result<(), Refused> {
        if self.devices.contains_key(id) {
            return Ok(());
        }
        if self.devices.len() >= DEVICES_MAX {
            return Err(Refused::Devices);
        }
        let device = self.loaded(id, now.mono).map_err(|error| {
            log::error!("{id}: {error}");
            Refused::Ledger
        })?;
        self.devices.insert(id.clone(), Box::new(device));
        for lane in Lane::ALL {
            // A start that some sink lacks is due at once.
            self.drain(id, lane, now.wall);
        }
        Ok(())
    }

    fn loaded(&self, id: &DeviceId, now: Mono) -> Result<Device, LedgerError> {
        let unreadable = |key: &[u8]| LedgerError {
            operation: "read a record in",
            reason: format!("{} is damaged or of another version", String::from_utf8_lossy(key)),
        };
        let key = DeviceRecord::key(id);
        let record = match self.ledger.get(&key)? {
            Some(bytes) => DeviceRecord::decode(&bytes).ok_or_else(|| unreadable(&key))?,
            None => DeviceRecord::default(),
        };
        let clock = if record.clock.is_empty() {
            DeviceClock::new()
        } else {
            DeviceClock::decode(&record.clock).ok_or_else(|| unreadable(&key))?
        };
        let mut lanes = [None, None];
        for lane in Lane::ALL {
            let key = LaneRecord::key(id, lane);
            let decoded = |bytes: Option<Vec<u8>>| {
                bytes.map(|bytes| LaneRecord::decode(&bytes).ok_or_else(|| unreadable(&key))).transpose()
            };
            let mut record = decoded(self.ledger.get(&key)?)?;
            for (sink, store) in &self.stores {
                let name = self.config.sinks.get(*sink).map(|sink| sink.name.as_str());
                if let (Some(own), Some(name)) = (decoded(store.get(&key)?)?, name) {
                    record.get_or_insert_default().take_marks(own, name);
                }
            }
            let mut ranges = vec![Ranges::default(); self.config.sinks.len()];
            for (sink, ranges) in self.config.sinks.iter().zip(&mut ranges) {
                if sink.keeping == (Keeping::Behind { is_indexed: true }) {
                    let key = Ranges::key(&sink.name, id, lane);
                    if let Some(bytes) = self.ledger.get(&key)? {
                        *ranges = Ranges::decode(&bytes).ok_or_else(|| unreadable(&key))?;
                    }
                }
            }
            let is_known = record.is_some() || ranges.iter().any(|ranges| !ranges.is_empty());
            if let Some(slot) = lanes.get_mut(lane.index()).filter(|_| is_known) {
                let mut state = self.lane_state(lane, record.unwrap_or_default());
                state.ranges = ranges;
                *slot = Some(state);
            }
        }
        Ok(Device {
            clock,
            labels: Arc::new(record.labels),
            agent: String::new(),
            session: None,
            lanes,
            limiter: Limiter::new(now, self.config.message_rate_max),
            heard: now,
            heard_wall: Unix(0),
            refused_at: None,
            answer_at: None,
        })
    }

    pub(super) fn lane_state(&self, lane: Lane, record: LaneRecord) -> LaneState {
        let barrier = AckNumber { generation: self.generation, counter: 0 };
        LaneState::new(lane, self.roles, &self.config.sinks, barrier, record)
    }

    /// Counts the lanes heard of lately and lets silent devices leave memory.
    pub(super) fn sweep(&mut self, now: Mono) {
        if now.ms_since(self.swept) < SWEEP_MS && self.swept != Mono(0) {
            return;
        }
        self.swept = now;
        let busy: Vec<&DeviceId> = self.outlets.iter().flat_map(Outlet::devices).collect();
        self.devices.retain(|id, device| {
            let is_silent = now.ms_since(device.heard) > IDLE_MS && device.answer_at.is_none();
            !is_silent || !device.lanes().all(LaneState::is_idle) || busy.contains(&id)
        });
        let active = self
            .devices
            .values()
            .filter(|device| device.is_connected(now))
            .map(|device| device.lanes().count());
        self.lanes_active = active.sum::<usize>() as u64;
    }
}
