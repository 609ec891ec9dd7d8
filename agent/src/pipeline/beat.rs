//! How the device is, for the gateway.

use driftlog_proto::message::{Beat, BeatLane};
use driftlog_proto::time::Now;

use super::Pipeline;
use super::lane::LaneOut;
use crate::source::Files;
use crate::spool::disk::Disk;

impl<D: Disk, F: Files> Pipeline<D, F> {
    pub(super) fn beat(&mut self, now: Now) -> Option<Beat> {
        let boot = self.config.boot;
        let lane = |out: &mut LaneOut<D>| {
            let usage = out.spool.usage();
            let oldest_age_ms = match usage.oldest {
                Some((known, mono, _)) if known == boot => now.mono.ms_since(mono),
                _ => 0,
            };
            BeatLane {
                lane: out.lane,
                spool_bytes: usage.bytes,
                oldest_age_ms,
                records: usage.records_waiting,
                dropped: usage.dropped,
                paused: out.retry_at.0 > 0,
            }
        };
        Some(Beat {
            session: self.session.id()?,
            reading: self.reading(now),
            uptime_ms: now.mono.ms_since(self.started),
            memory_bytes: self.memory_bytes,
            lines_cut: self.sources.lines_cut(),
            lanes: self.lanes.iter_mut().map(lane).collect(),
        })
    }
}
