//! What is to be seen at one moment, apart from how it is drawn.

use std::time::Duration;

use driftlog_agent::status::Status as AgentStatus;
use driftlog_gateway::status::Status as GatewayStatus;

use super::world::World;
use crate::watch::Said;

/// Everything at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) elapsed: Duration,
    pub(super) time: Duration,
    pub(super) gateway: Gateway,
    pub(super) rows: Vec<Row>,
    /// What happened, and whether it is a blow.
    pub(super) events: Vec<Event>,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) at: Duration,
    pub(super) is_blow: bool,
    pub(super) what: String,
}

/// The gateway at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Gateway {
    pub(super) is_up: bool,
    pub(super) starts: u32,
}

/// A device at one moment. What its agent said last is kept while it does not answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) state: &'static str,
    pub(super) is_hit: bool,
    /// Lines written.
    pub(super) written: u64,
    /// Records in the spool that are not acknowledged.
    pub(super) spooled: u64,
    pub(super) in_flight_bytes: u64,
    /// Records acknowledged: durable on shore.
    pub(super) on_shore: u64,
    /// Its wall clock less the corrected time, and the bound; nanoseconds.
    pub(super) clock: Option<(i64, u64)>,
}

impl Row {
    /// Lines that are written and not yet known to be safe on shore. (A long line is several
    /// records, so this is nearly, not exactly, a count of lines.)
    pub(super) fn lag(&self) -> u64 {
        self.written.saturating_sub(self.on_shore)
    }

    fn hear(&mut self, status: &AgentStatus) {
        let lanes = &status.core.lanes;
        self.spooled = lanes.iter().map(|lane| lane.waiting).sum();
        self.in_flight_bytes = lanes.iter().map(|lane| lane.in_flight_bytes).sum();
        self.on_shore = lanes.iter().map(|lane| lane.acknowledged).sum();
    }

    fn hear_gateway(&mut self, status: &GatewayStatus) {
        let device = status.region.devices.iter().find(|device| device.device == self.name);
        if let Some(clock) = device.and_then(|device| device.clock) {
            self.clock = Some((clock.offset_ns, clock.bound_ns));
        }
    }
}

impl View {
    /// Brings it up to date.
    pub(super) fn update(&mut self, world: &World, said: &Said, elapsed: Duration) {
        self.elapsed = elapsed;
        self.gateway = Gateway { is_up: said.gateway.is_some(), starts: world.shore.starts() };
        self.rows.resize_with(world.units.len(), Row::default);
        for (at, (row, unit)) in self.rows.iter_mut().zip(&world.units).enumerate() {
            row.name = unit.device.name().to_owned();
            (row.state, row.is_hit) = unit.state();
            row.written = unit.lines();
            row.in_flight_bytes = 0;
            if let Some(status) = said.agents.get(at).and_then(Option::as_ref) {
                row.hear(status);
            }
            if let Some(status) = &said.gateway {
                row.hear_gateway(status);
            }
        }
    }
}
