//! How the gateway and its region stand: what `/status` serves and `status` prints.

use serde::{Deserialize, Serialize};

/// How the gateway stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The gateway's version.
    pub version: String,
    /// Milliseconds since it started.
    pub uptime_ms: u64,
    /// The broker.
    pub broker: BrokerStatus,
    /// The devices.
    pub region: RegionStatus,
}

/// How the broker stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerStatus {
    /// Where it is.
    pub address: String,
    /// Whether it is the gateway's own.
    pub is_embedded: bool,
    /// Whether the gateway is connected and subscribed.
    pub is_connected: bool,
    /// Why the last connection ended or did not come about.
    pub last_error: Option<String>,
}

/// How the region's devices stand.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RegionStatus {
    /// The sinks, in the order in which they are counted; behind them the ledger, where no sink shares its
    /// commits.
    pub sinks: Vec<SinkStatus>,
    /// The devices, in the order of their names.
    pub devices: Vec<DeviceStatus>,
}

/// How a sink stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkStatus {
    /// Its name.
    pub sink: String,
    /// Whether an acknowledgement waits for it.
    pub is_required: bool,
    /// Records that it took since the gateway started or loaded its ledger.
    pub records: u64,
    /// Devices that have something for it.
    pub waiting: u64,
    /// Records that were declared missed to it alone: it is of best effort and had fallen too far behind.
    pub missed: u64,
    /// How often it refused a batch.
    pub refusals: u64,
    /// Why it refused the last one, while that waits.
    pub refused: Option<String>,
}

/// How a device stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviceStatus {
    /// Its name.
    pub device: String,
    /// Whether it has been heard lately.
    pub is_connected: bool,
    /// Milliseconds since it was last heard; nothing if not since the gateway started.
    pub heard_ms_ago: Option<u64>,
    /// The agent's version.
    pub agent: Option<String>,
    /// What is known of its clock.
    pub clock: Option<ClockStatus>,
    /// Its lanes.
    pub lanes: Vec<LaneStatus>,
    /// Notices stated about it, by name.
    pub notices: Vec<String>,
    /// Why it is not served, if it is not.
    pub refused: Option<String>,
}

/// What is known of a device's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockStatus {
    /// The device's wall clock less the corrected time, nanoseconds.
    pub offset_ns: i64,
    /// Half the width of the interval in which the true time lies, nanoseconds.
    pub bound_ns: u64,
    /// How much faster than the gateway's the device's monotonic clock runs, in 1e-9; 0 while it is
    /// not known.
    pub drift_ppb: i64,
}

/// How a lane stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneStatus {
    /// Its name.
    pub lane: String,
    /// The newest run that is admitted, 16 hex digits.
    pub run: String,
    /// The number of the record that is expected next.
    pub next: u64,
    /// Records below this are durable in every required sink.
    pub durable: u64,
    /// Items held above a hole.
    pub held: u64,
    /// Records that the device has and the gateway has not yet made durable, as far as known.
    pub lag: u64,
    /// Gaps declared since the gateway started.
    pub gaps: u64,
    /// Records declared lost since the gateway started.
    pub lost: u64,
    /// Records that the device has dropped since its spool was made, as it says itself.
    pub dropped: u64,
    /// Bytes of the device's spool, as it says itself.
    pub spool_bytes: Option<u64>,
}
