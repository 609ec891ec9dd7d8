//! What a person sees of the agent: spooled, on the air, acknowledged, dropped and why.

use std::collections::BTreeMap;

use driftlog_proto::item::Cause;
use driftlog_proto::time::{ClockState, Now};
use serde::{Deserialize, Serialize};

use super::Pipeline;
use super::lane::LaneOut;
use crate::source::Files;
use crate::spool::Disk;

/// The agent at one instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The device.
    pub device_id: String,
    /// The agent's version.
    pub agent: String,
    /// Milliseconds since the agent started.
    pub uptime_ms: u64,
    /// There is a connection to the broker.
    pub connected: bool,
    /// The gateway has answered in this connection.
    pub answered: bool,
    /// Why the gateway does not serve this device.
    pub refused: Option<String>,
    /// What is known of the wall clock: `unset`, `unsynchronised` or `synchronised`.
    pub clock: String,
    /// The wall clock, nanoseconds since 1970.
    pub wall_ns: i64,
    /// Lines and parts of lines read since the start.
    pub lines: u64,
    /// Lines cut since the start.
    pub lines_cut: u64,
    /// Its lanes.
    pub lanes: Vec<LaneStatus>,
    /// Its sources.
    pub sources: Vec<SourceStatus>,
}

/// A lane at one instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaneStatus {
    /// Its name.
    pub lane: String,
    /// The current run.
    pub run: String,
    /// The number after the newest record on flash.
    pub sealed: u64,
    /// The number below which everything is acknowledged.
    pub acknowledged: u64,
    /// Records on flash that are not acknowledged.
    pub waiting: u64,
    /// Records in the open block, not on flash yet.
    pub open: u64,
    /// Items on the air.
    pub in_flight: usize,
    /// Bytes of items on the air.
    pub in_flight_bytes: u64,
    /// Bytes that the gateway is willing to receive.
    pub credit: u32,
    /// Bytes of the spool's segments.
    pub spool_bytes: u64,
    /// Records declared lost since the spool was made, by cause.
    pub dropped: BTreeMap<String, u64>,
    /// Milliseconds since the oldest unacknowledged block was opened; none when that was before
    /// this boot.
    pub oldest_age_ms: Option<u64>,
    /// The sources wait because this lane cannot take more.
    pub paused: bool,
    /// Why the last write failed.
    pub last_error: Option<String>,
}

/// A source at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// Its path.
    pub path: String,
    /// How far it is read, bytes.
    pub offset: u64,
    /// Its length, bytes.
    pub length: u64,
}

impl<D: Disk, F: Files> Pipeline<D, F> {
    /// The agent at this instant.
    #[must_use]
    pub fn status(&self, now: Now) -> Status {
        let clock = match now.state {
            ClockState::Unset => "unset",
            ClockState::Unsynchronised => "unsynchronised",
            ClockState::Synchronised => "synchronised",
        };
        Status {
            device_id: self.config.device.to_string(),
            agent: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_ms: now.mono.ms_since(self.started),
            connected: self.link_up,
            answered: self.session.is_answered(),
            refused: self.refused.map(|refusal| format!("{refusal:?}")),
            clock: clock.to_owned(),
            wall_ns: now.wall.0,
            lines: self.lines,
            lines_cut: self.lines_cut,
            lanes: self.lanes.iter().map(|lane| self.lane_status(lane, now)).collect(),
            sources: self.sources.status(),
        }
    }

    fn lane_status(&self, out: &LaneOut<D>, now: Now) -> LaneStatus {
        let usage = out.spool.usage();
        let age = usage.oldest.filter(|(boot, ..)| *boot == self.config.boot);
        let dropped = Cause::ALL.into_iter().zip(usage.dropped).filter(|(_, records)| *records > 0);
        LaneStatus {
            lane: out.lane.name().to_owned(),
            run: out.run.to_string(),
            sealed: out.spool.next_durable().seq.0,
            acknowledged: out.sender.base().seq.0,
            waiting: usage.records_waiting,
            open: u64::from(out.packer.count()),
            in_flight: out.sender.in_flight_items(),
            in_flight_bytes: out.sender.in_flight_bytes(),
            credit: out.sender.credit(),
            spool_bytes: usage.bytes,
            dropped: dropped.map(|(cause, records)| (cause.name().to_owned(), records)).collect(),
            oldest_age_ms: age.map(|(_, mono, _)| now.mono.ms_since(mono)),
            paused: out.retry_at.0 > 0,
            last_error: out.last_error.clone(),
        }
    }
}
