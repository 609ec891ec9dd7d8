//! What a person sees of the agent: spooled, on the air, acknowledged, dropped and why.

use driftlog_proto::ids::BootId;
use driftlog_proto::item::Cause;
use driftlog_proto::time::{ClockState, Now};

use super::Pipeline;
use super::lane::LaneOut;
use super::pack::Ratio;
use crate::source::Files;
use crate::spool::disk::Disk;
use crate::status::{CoreStatus, LaneStatus, SourceStatus};

impl<D: Disk, F: Files> Pipeline<D, F> {
    /// The agent at this instant.
    #[must_use]
    pub fn status(&mut self, now: Now) -> CoreStatus {
        let clock = match now.state {
            ClockState::Unset => "unset",
            ClockState::Unsynchronised => "unsynchronised",
            ClockState::Synchronised => "synchronised",
        };
        let ratio = |file| {
            let mut ratio = Ratio::default();
            self.lanes.iter().for_each(|lane| ratio.add(&lane.choice.ratio_of(file)));
            ratio
        };
        let sources = self.sources.status().map(|source| {
            let ratio = source.file.map(ratio).unwrap_or_default();
            SourceStatus {
                path: source.path.to_owned(),
                offset: source.offset,
                length: source.len,
                body_bytes: ratio.body_bytes,
                packed_bytes: ratio.packed_bytes,
            }
        });
        let sources = sources.collect();
        let boot = self.config.boot;
        CoreStatus {
            device_id: self.config.device.to_string(),
            agent: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_ms: now.mono.ms_since(self.started),
            connected: self.link_up,
            answered: self.session.is_answered(),
            refused: self.refused.map(|refusal| format!("{refusal:?}")),
            clock: clock.to_owned(),
            wall_ns: now.wall.0,
            lines: self.lines,
            lines_cut: self.sources.lines_cut(),
            lanes: self.lanes.iter_mut().map(|lane| lane_status(lane, boot, now)).collect(),
            sources,
        }
    }
}

fn lane_status<D: Disk>(out: &mut LaneOut<D>, here: BootId, now: Now) -> LaneStatus {
    let usage = out.spool.usage();
    let age = usage.oldest.filter(|(boot, ..)| *boot == here);
    let dropped = Cause::ON_WIRE.into_iter().zip(usage.dropped).filter(|(_, records)| *records > 0);
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
        unheard: out.unheard(),
        blocks: out.choice.blocks_by_name(),
        body_bytes: out.choice.ratio.body_bytes,
        packed_bytes: out.choice.ratio.packed_bytes,
    }
}
