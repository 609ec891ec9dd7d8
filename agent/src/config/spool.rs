//! `[spool]`: how lines become durable, how long they may wait, how much flash each lane may take.

use driftlog_proto::ids::Lane;

use super::reader::Section;
use crate::pipeline::Cpu;
use crate::spool::SPOOL_BYTES_MIN;
pub use crate::spool::{Durability, Overflow};

/// The budget of one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneConfig {
    /// Bytes on flash, everything included.
    pub bytes_max: u64,
    /// What happens when they are used up.
    pub overflow: Overflow,
}

/// `[spool]` as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoolSettings {
    /// What a power cut may cost.
    pub durability: Durability,
    /// Milliseconds after which an open block is sealed while the link is up, if its first line came after
    /// a silence.
    pub delay_ms_min: u32,
    /// The same where lines keep coming.
    pub delay_ms_max: u32,
    /// Milliseconds after which an open block is sealed while the link is down.
    pub delay_offline_ms_max: u32,
    /// The lane of everything that is not urgent.
    pub bulk: LaneConfig,
    /// The lane of what must overtake a backlog.
    pub urgent: LaneConfig,
    /// OpenTelemetry severity number from which a line is urgent; none: there is no urgent lane.
    pub urgent_severity_min: Option<u8>,
    /// How much work packing may be.
    pub cpu: Cpu,
}

impl SpoolSettings {
    /// The budget of a lane.
    #[must_use]
    pub fn lane(&self, lane: Lane) -> &LaneConfig {
        match lane {
            Lane::Bulk => &self.bulk,
            Lane::Urgent => &self.urgent,
        }
    }
}

/// A little below the five seconds after which ext4 commits its journal: so two blocks share a commit.
const DELAY_MS_MAX: u64 = 4_500;
/// Bytes of the largest lane.
const LANE_BYTES_MAX: u64 = 1 << 40;

const SEVERITIES: [(&str, Option<u8>); 7] = [
    ("off", None),
    ("trace", Some(1)),
    ("debug", Some(5)),
    ("info", Some(9)),
    ("warn", Some(13)),
    ("error", Some(17)),
    ("fatal", Some(21)),
];

enum Policy {
    Block,
    Interval,
    None,
}

pub(super) fn read(mut section: Section<'_, '_>) -> SpoolSettings {
    let policies = [("block", &Policy::Block), ("interval", &Policy::Interval), ("none", &Policy::None)];
    let policy = section.word("durability", &policies, &Policy::Block);
    let interval = section.number("sync_interval_ms", 5_000, 100..=600_000);
    let durability = match policy {
        Policy::Block => Durability::Block,
        Policy::Interval => Durability::Interval { ms: interval },
        Policy::None => Durability::None,
    };
    let delay_ms_max = section.number("delay_ms_max", DELAY_MS_MAX, 10..=60_000);
    let delay_ms_min = small(section.number("delay_ms_min", delay_ms_max.min(1_000), 10..=delay_ms_max));
    let delay_ms_max = small(delay_ms_max);
    let delay_offline_ms_max = small(section.number("delay_offline_ms_max", 10_000, 10..=600_000));
    let (bulk, _) = read_lane(section.section("bulk"), 256 << 20, false);
    let (urgent, urgent_severity_min) = read_lane(section.section("urgent"), 16 << 20, true);
    let cpu = section.word("cpu", &[("normal", Cpu::Normal), ("low", Cpu::Low)], Cpu::Normal);
    section.finish();
    SpoolSettings {
        durability,
        delay_ms_min,
        delay_ms_max,
        delay_offline_ms_max,
        bulk,
        urgent,
        urgent_severity_min,
        cpu,
    }
}

fn read_lane(mut section: Section<'_, '_>, bytes: u64, is_urgent: bool) -> (LaneConfig, Option<u8>) {
    let bytes_max = section.number("bytes_max", bytes, SPOOL_BYTES_MIN..=LANE_BYTES_MAX);
    let policies = [("drop-oldest", Overflow::DropOldest), ("pause-sources", Overflow::PauseSources)];
    let overflow = section.word("overflow", &policies, Overflow::DropOldest);
    let severity = if is_urgent { section.word("severity_min", &SEVERITIES, Some(17)) } else { None };
    section.finish();
    (LaneConfig { bytes_max, overflow }, severity)
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
