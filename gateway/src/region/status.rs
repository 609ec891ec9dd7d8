//! What an operator sees of a region.

use driftlog_proto::clock::ClockSummary;
use driftlog_proto::ids::DeviceId;
use driftlog_proto::item::Cause;
use driftlog_proto::receiver::Notice;
use driftlog_proto::time::Now;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::Region;
use super::device::Device;
use super::lane::LaneState;

/// The region at one instant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RegionStatus {
    /// This gateway's generation.
    pub generation: u64,
    /// Why the sink or the ledger does not take records now.
    pub failure: Option<String>,
    /// Bytes of items in memory.
    pub memory_bytes: u64,
    /// The budget for them.
    pub memory_bytes_max: u64,
    /// Records committed since the start.
    pub records: u64,
    /// Devices in memory, by id.
    pub devices: Vec<DeviceStatus>,
}

/// A device at one instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceStatus {
    /// Its id.
    pub device: String,
    /// It was heard within the last 90 s.
    pub connected: bool,
    /// Milliseconds since it was heard.
    pub silent_ms: u64,
    /// Its agent's version.
    pub agent: String,
    /// What the operator calls it.
    pub labels: BTreeMap<String, String>,
    /// How far its wall clock is ahead of the gateway's, nanoseconds.
    pub wall_offset_ns: Option<i64>,
    /// Half the width of the interval in which its corrected time lies, nanoseconds.
    pub clock_bound_ns: Option<u64>,
    /// How much faster real time passes than its monotonic clock, in 1e-9.
    pub clock_drift_ppb: Option<i64>,
    /// Its lanes.
    pub lanes: Vec<LaneStatus>,
}

/// A lane at one instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaneStatus {
    /// Its name.
    pub lane: String,
    /// The newest run.
    pub run: String,
    /// How many runs are remembered.
    pub runs: usize,
    /// The number that is expected next.
    pub next: u64,
    /// The number below which everything is durable in every required sink.
    pub acknowledged: u64,
    /// The number after the newest on the device's flash, as it said last.
    pub device_next: Option<u64>,
    /// Records that the device has and the sinks have not, as far as it has said.
    pub lag: Option<u64>,
    /// Items held above a hole.
    pub held: usize,
    /// Bytes of items in memory.
    pub memory_bytes: u64,
    /// Records declared lost in this generation, by cause.
    pub lost: BTreeMap<String, u64>,
    /// Notices about the remembered runs.
    pub notices: Vec<String>,
    /// Bytes of the device's spool.
    pub spool_bytes: Option<u64>,
    /// Milliseconds since the device's oldest unacknowledged block was opened.
    pub oldest_age_ms: Option<u64>,
    /// The device's sources wait for room.
    pub paused: bool,
}

impl<L> Region<L> {
    /// The region at this instant.
    #[must_use]
    pub fn status(&self, now: Now) -> RegionStatus {
        RegionStatus {
            generation: self.generation,
            failure: self.has_failed.clone(),
            memory_bytes: self.memory_bytes,
            memory_bytes_max: self.config.memory_bytes_max,
            records: self.counters.records,
            devices: self.devices.iter().map(|(id, device)| self.device_status(id, device, now)).collect(),
        }
    }

    fn device_status(&self, id: &DeviceId, device: &Device, now: Now) -> DeviceStatus {
        let clock: Option<ClockSummary> = device.clock.summary();
        DeviceStatus {
            device: id.to_string(),
            connected: device.is_connected(now.mono) && device.heard_wall.0 != 0,
            silent_ms: now.mono.ms_since(device.heard),
            agent: device.agent.clone(),
            labels: device.labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
            wall_offset_ns: device.wall_offset_ns,
            clock_bound_ns: clock.map(|clock| clock.bound_ns),
            clock_drift_ppb: clock.map(|clock| clock.drift_ppb),
            lanes: device.lanes().map(|lane| self.lane_status(lane)).collect(),
        }
    }

    fn lane_status(&self, state: &LaneState) -> LaneStatus {
        let runs = state.receiver.runs();
        let newest = runs.last();
        let acknowledged = newest.and_then(|run| run.lowest(self.roles)).map_or(0, |place| place.seq.0);
        let bits = runs.iter().fold(0, |bits, run| bits | run.notices_durable.iter().fold(0, |all, bits| all | bits));
        let named = |notice: &Notice| bits & driftlog_proto::receiver::notice_bit(*notice) != 0;
        let causes = Cause::ALL.into_iter().zip(state.lost).filter(|(_, lost)| *lost > 0);
        let device_next = state.device_next.map(|place| place.seq.0);
        let waiting = state.beat.map(|beat| beat.records);
        LaneStatus {
            lane: state.lane.name().to_owned(),
            run: newest.map(|run| run.run.to_string()).unwrap_or_default(),
            runs: runs.len(),
            next: newest.map_or(0, |run| run.next.seq.0),
            acknowledged,
            device_next,
            lag: waiting.or_else(|| device_next.map(|next| next.saturating_sub(acknowledged))),
            held: state.receiver.held_items(),
            memory_bytes: state.memory_bytes(),
            lost: causes.map(|(cause, lost)| (cause.name().to_owned(), lost)).collect(),
            notices: Notice::ALL.iter().filter(|notice| named(notice)).map(|notice| notice.name().to_owned()).collect(),
            spool_bytes: state.beat.map(|beat| beat.spool_bytes),
            oldest_age_ms: state.beat.map(|beat| beat.oldest_age_ms),
            paused: state.beat.is_some_and(|beat| beat.paused),
        }
    }
}
