//! What an operator sees of a region: its part of [`crate::status`] and its metrics.

use std::fmt;

use driftlog_proto::block::Codec;
use driftlog_proto::ids::DeviceId;
use driftlog_proto::item::Cause;
use driftlog_proto::receiver::Notice;
use driftlog_proto::time::Now;

use super::device::Device;
use super::lane::LaneState;
use super::{Blocks, Refused, Region};
use crate::status::{ClockStatus, DeviceStatus, LaneStatus, RegionStatus, SinkStatus};
use crate::web::metrics::{MetricDoc, counter, gauge};

const RECORDS: MetricDoc =
    counter("driftlog_gateway_records_total", &[], "Records made durable in the sinks.");
const BLOCKS: MetricDoc = counter(
    "driftlog_gateway_blocks_total",
    &["codec"],
    "Blocks of records made durable, by how the device packed them.",
);
const BLOCK_BYTES: MetricDoc = counter(
    "driftlog_gateway_block_bytes_total",
    &["codec"],
    "Bytes of those blocks as they came over the wire.",
);
const BLOCK_RAW_BYTES: MetricDoc = counter(
    "driftlog_gateway_block_raw_bytes_total",
    &["codec"],
    "Bytes of their columns before packing, as their headers say: by block_bytes_total the ratio.",
);
const LOST: MetricDoc = counter(
    "driftlog_gateway_records_lost_total",
    &["cause"],
    "Records declared lost, by cause; each is stated in the sinks too.",
);
const NOTICES: MetricDoc = counter(
    "driftlog_gateway_notices_total",
    &["notice"],
    "Notices stated about devices; each is in the sinks too.",
);
const REFUSED: MetricDoc = counter(
    "driftlog_gateway_messages_refused_total",
    &["reason"],
    "Messages from the wire that were not taken, by reason.",
);
const DUPLICATES: MetricDoc =
    counter("driftlog_gateway_duplicates_total", &[], "Items that had arrived before.");
const DROPPED: MetricDoc = counter(
    "driftlog_gateway_items_dropped_total",
    &["reason"],
    "Items that were dropped and will be sent again: no_room in memory, or unknown_run.",
);
const ACKS: MetricDoc = counter("driftlog_gateway_acks_total", &[], "Acknowledgements issued.");
const NACKS: MetricDoc =
    counter("driftlog_gateway_nacks_total", &[], "Items that were named to their device as broken.");
const ASKS: MetricDoc = counter(
    "driftlog_gateway_asks_total",
    &[],
    "Times that a device was asked for blocks that others refer to, after a restart of the gateway.",
);
const GONE: MetricDoc = counter(
    "driftlog_gateway_references_gone_total",
    &[],
    "Blocks that others refer to and that a device had no longer: what refers to them is declared lost.",
);
const DEVICES: MetricDoc =
    gauge("driftlog_gateway_devices", &["state"], "Devices in memory: connected or silent.");
const MEMORY: MetricDoc = gauge(
    "driftlog_gateway_items_memory_bytes",
    &[],
    "Bytes of items in memory, out of receive.memory_bytes_max.",
);
const LANE_NEXT: MetricDoc = gauge(
    "driftlog_gateway_lane_next",
    &["device", "lane"],
    "The number of the record that is expected next, in the lane's newest run.",
);
const LANE_LAG: MetricDoc = gauge(
    "driftlog_gateway_lane_lag_records",
    &["device", "lane"],
    "Records that the device has and the sinks have not, as far as it has said.",
);
const SINK_RECORDS: MetricDoc =
    counter("driftlog_gateway_sink_records_total", &["sink"], "Records that a sink took.");
const SINK_MISSED: MetricDoc = counter(
    "driftlog_gateway_sink_missed_total",
    &["sink"],
    "Records that a sink of best effort will not get, since it had fallen too far behind; it has a gap in their place.",
);
const SINK_REFUSALS: MetricDoc = counter(
    "driftlog_gateway_sink_refusals_total",
    &["sink"],
    "Batches that a sink refused; each is tried again.",
);
const SINK_UP: MetricDoc = gauge(
    "driftlog_gateway_sink_up",
    &["sink"],
    "1 unless the sink refused its last batch, which waits; the page says why.",
);
const SINK_WAITING: MetricDoc =
    gauge("driftlog_gateway_sink_waiting_devices", &["sink"], "Devices that have something for a sink.");
const CLOCK_BOUND: MetricDoc = gauge(
    "driftlog_gateway_clock_bound_seconds",
    &["device"],
    "Half the width of the interval in which a device's corrected time lies.",
);

/// The metrics of the region.
pub const REGION_METRICS: &[MetricDoc] = &[
    RECORDS,
    BLOCKS,
    BLOCK_BYTES,
    BLOCK_RAW_BYTES,
    LOST,
    NOTICES,
    REFUSED,
    DUPLICATES,
    DROPPED,
    ACKS,
    NACKS,
    ASKS,
    GONE,
    DEVICES,
    MEMORY,
    SINK_RECORDS,
    SINK_MISSED,
    SINK_REFUSALS,
    SINK_UP,
    SINK_WAITING,
    LANE_NEXT,
    LANE_LAG,
    CLOCK_BOUND,
];

impl<L> Region<L> {
    /// The region at this instant.
    #[must_use]
    pub fn status(&self, now: Now) -> RegionStatus {
        RegionStatus {
            sinks: self.sinks_status(),
            devices: self.devices.iter().map(|(id, device)| self.device_status(id, device, now)).collect(),
        }
    }

    fn sinks_status(&self) -> Vec<SinkStatus> {
        let sinks = self.outlets.iter().enumerate().map(|(at, outlet)| {
            let role = self.config.sinks.get(at);
            SinkStatus {
                sink: role.map_or_else(|| "ledger".to_owned(), |role| role.name.clone()),
                is_required: role.is_none_or(|role| role.is_required),
                records: outlet.records,
                missed: outlet.missed,
                waiting: outlet.waiting.len() as u64,
                refusals: outlet.refusals,
                refused: outlet.refused.clone(),
            }
        });
        sinks.collect()
    }

    /// Why what arrives cannot be acknowledged now: what the required sinks say that refuse.
    #[must_use]
    pub fn hindrance(&self) -> Option<String> {
        let refusing = self.sinks_status().into_iter().filter(|sink| sink.is_required);
        let reasons: Vec<String> =
            refusing.filter_map(|sink| Some(format!("{}: {}", sink.sink, sink.refused?))).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    fn device_status(&self, id: &DeviceId, device: &Device, now: Now) -> DeviceStatus {
        let clock = device.clock.summary().map(|clock| ClockStatus {
            offset_ns: clock.offset_ns,
            bound_ns: clock.bound_ns,
            drift_ppb: clock.drift_ppb.unwrap_or(0),
        });
        let mut notices: Vec<String> =
            device.lanes().flat_map(LaneState::notices).map(|notice| notice.name().to_owned()).collect();
        notices.sort_unstable();
        notices.dedup();
        DeviceStatus {
            device: id.to_string(),
            is_connected: device.is_connected(now.mono),
            heard_ms_ago: Some(now.mono.ms_since(device.heard)),
            agent: (!device.agent.is_empty()).then(|| device.agent.clone()),
            clock,
            lanes: device.lanes().map(|lane| self.lane_status(lane)).collect(),
            notices,
            refused: None,
        }
    }

    fn lane_status(&self, state: &LaneState) -> LaneStatus {
        let newest = state.receiver.runs().last();
        LaneStatus {
            lane: state.lane.name().to_owned(),
            run: newest.map(|run| run.run.to_string()).unwrap_or_default(),
            next: newest.map_or(0, |run| run.next.seq.0),
            durable: self.durable(state),
            held: state.receiver.held_items() as u64,
            lag: self.lag(state),
            gaps: state.gaps,
            lost: state.lost,
            dropped: state.beat.map_or(0, |beat| beat.dropped.iter().sum()),
            spool_bytes: state.beat.map(|beat| beat.spool_bytes),
        }
    }

    /// The number below which everything of the newest run is durable in every required sink.
    fn durable(&self, state: &LaneState) -> u64 {
        let newest = state.receiver.runs().last();
        newest.map_or(0, |run| run.lowest(self.roles).unwrap_or(run.begin).seq.0)
    }

    fn lag(&self, state: &LaneState) -> u64 {
        let next = state.device_next.map_or(0, |place| place.seq.0);
        let said = state.beat.map_or(0, |beat| beat.records);
        next.saturating_sub(self.durable(state)).max(said)
    }

    /// The region's metrics in Prometheus' text format.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn metrics(&self, mut out: &mut dyn fmt::Write, now: Now) -> fmt::Result {
        let out = &mut out;
        let counters = &self.counters;
        RECORDS.write(out, counters.records)?;
        let names = Codec::ALL.map(Codec::name).into_iter().chain(["unknown"]);
        let mut each = |metric: &MetricDoc, value: fn(&Blocks) -> u64| {
            metric.describe(out)?;
            let mut codecs = names.clone().zip(&counters.blocks);
            codecs.try_for_each(|(name, blocks)| metric.sample(out, &[name], value(blocks)))
        };
        each(&BLOCKS, |blocks| blocks.count)?;
        each(&BLOCK_BYTES, |blocks| blocks.sealed_bytes)?;
        each(&BLOCK_RAW_BYTES, |blocks| blocks.raw_bytes)?;
        LOST.describe(out)?;
        for (cause, count) in Cause::ALL.iter().zip(counters.lost) {
            LOST.sample(out, &[cause.name()], count)?;
        }
        NOTICES.describe(out)?;
        for (notice, count) in Notice::ALL.iter().zip(counters.notices) {
            NOTICES.sample(out, &[notice.name()], count)?;
        }
        REFUSED.describe(out)?;
        for (reason, count) in Refused::ALL.iter().zip(counters.refused) {
            REFUSED.sample(out, &[reason.name()], count)?;
        }
        DUPLICATES.write(out, counters.duplicates)?;
        DROPPED.describe(out)?;
        DROPPED.sample(out, &["no_room"], counters.dropped_no_room)?;
        DROPPED.sample(out, &["unknown_run"], counters.dropped_unknown)?;
        ACKS.write(out, counters.acks)?;
        NACKS.write(out, counters.nacks)?;
        ASKS.write(out, counters.asks)?;
        GONE.write(out, counters.gone)?;
        let connected = self.devices.values().filter(|device| device.is_connected(now.mono)).count();
        DEVICES.describe(out)?;
        DEVICES.sample(out, &["connected"], connected)?;
        DEVICES.sample(out, &["silent"], self.devices.len() - connected)?;
        MEMORY.write(out, self.memory_bytes)?;
        self.sink_metrics(out)?;
        self.lane_metrics(out)
    }

    fn sink_metrics(&self, out: &mut &mut dyn fmt::Write) -> fmt::Result {
        let sinks = self.sinks_status();
        let mut each = |metric: &MetricDoc, value: fn(&SinkStatus) -> u64| {
            metric.describe(out)?;
            sinks.iter().try_for_each(|sink| metric.sample(out, &[&sink.sink], value(sink)))
        };
        each(&SINK_RECORDS, |sink| sink.records)?;
        each(&SINK_MISSED, |sink| sink.missed)?;
        each(&SINK_REFUSALS, |sink| sink.refusals)?;
        each(&SINK_UP, |sink| u64::from(sink.refused.is_none()))?;
        each(&SINK_WAITING, |sink| sink.waiting)
    }

    fn lane_metrics(&self, out: &mut &mut dyn fmt::Write) -> fmt::Result {
        let lanes = || {
            self.devices.iter().flat_map(|(id, device)| device.lanes().map(move |lane| (id.as_str(), lane)))
        };
        LANE_NEXT.describe(out)?;
        for (id, lane) in lanes() {
            let next = lane.receiver.runs().last().map_or(0, |run| run.next.seq.0);
            LANE_NEXT.sample(out, &[id, lane.lane.name()], next)?;
        }
        LANE_LAG.describe(out)?;
        for (id, lane) in lanes() {
            LANE_LAG.sample(out, &[id, lane.lane.name()], self.lag(lane))?;
        }
        CLOCK_BOUND.describe(out)?;
        for (id, device) in &self.devices {
            if let Some(clock) = device.clock.summary() {
                CLOCK_BOUND.sample(out, &[id.as_str()], clock.bound_ns as f64 / 1e9)?;
            }
        }
        Ok(())
    }
}
