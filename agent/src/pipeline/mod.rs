//! The agent's core: from lines to sealed blocks to messages, in one synchronous machine.
//!
//! ```text
//! Sources -> recognise -> route -> Packer -> seal -> Spool -> Sender -> poll_publish
//!                                    cursors ---^      ^---- handle_down (Ack, Nack)
//! ```
//!
//! The shell gives instants, bytes from the link and hints that files changed, and publishes what
//! comes out. Disk and source files are reached through the traits `Disk` and `Files`.
//!
//! Promises:
//! - a line is polled only when every open block has room for it, so that the cursors sealed with
//!   a block never pass a line that is not in it;
//! - what is urgent is durable before the bulk frame whose cursors pass it, and after one that has
//!   a cursor of its file;
//! - nothing is published that is not durable under the policy in force.

mod beat;
mod lane;
mod learned;
mod link;
mod open;
mod pace;
mod pack;
mod read;
mod room;
mod routing;
mod seal;
mod status;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use driftlog_proto::block::Severity;
use driftlog_proto::ids::{BootId, DeviceId, Lane};
use driftlog_proto::limits::ITEM_BYTES_MAX;
use driftlog_proto::message::{Labels, Refusal};
use driftlog_proto::sender::Session;
use driftlog_proto::time::{Mono, Now};

use crate::source::{Files, Sources};
use crate::spool::disk::Disk;
use crate::spool::{Recovery, Spool};
use lane::LaneOut;
pub use learned::Sealed;
pub use open::{Device, OpenError, SPOOL_FOLDER};
use pace::Pace;
pub use pack::{Choice, Cpu, Packing, TRIAL_BLOCKS};
pub use room::Room;
use routing::Routing;

/// The path under which the agent's own notices appear among the records.
pub const NOTICE_PATH: &str = "driftlog:agent";
/// Notices that wait for a block; beyond that the oldest goes, and is counted.
const NOTICES_MAX: usize = 32;
/// How often a connected device says how it is.
pub const BEAT_MS: u64 = 30_000;
/// A block is sealed when its records come to this many bytes.
const SEAL_BYTES: usize = 64 * 1024;
/// Lines taken in one [`Pipeline::poll`], so that the link is served in between.
const LINES_PER_POLL: usize = 4096;
/// The shortest and the longest wait before a failed write to the spool is tried again.
const RETRY_MS: (u64, u64) = (500, 30_000);
/// Cursors that no block carries are sealed by themselves after this long.
const CURSORS_MS: u64 = 60_000;

/// What a pipeline is given at its opening.
#[derive(Clone, Debug)]
pub struct PipelineConfig {
    /// The device.
    pub device: DeviceId,
    /// What the operator calls it.
    pub labels: Labels,
    /// This boot.
    pub boot: BootId,
    /// A block is sealed at the latest after this long, while connected: its line came after a silence.
    pub delay_ms_min: u64,
    /// The same where lines keep coming.
    pub delay_ms_max: u64,
    /// A block is sealed at the latest after this long while there is no connection.
    pub delay_offline_ms_max: u64,
    /// Bytes of items on the air at once, for each lane.
    pub in_flight_bytes_max: u32,
    /// Lines of this severity and above take the urgent lane; `None`: no line does.
    pub urgent_min: Option<Severity>,
    /// How much work packing may be.
    pub cpu: Cpu,
}

/// The agent's core.
pub struct Pipeline<D: Disk, F: Files> {
    config: PipelineConfig,
    sources: Sources<F>,
    lanes: Vec<LaneOut<D>>,
    routing: Routing,
    session: Session,
    packing: Packing,
    /// One sealed item, while it is written or published.
    workspace: Room,
    read_buf: Vec<u8>,
    /// What is to be said among the records of a lane.
    notices: VecDeque<(Lane, String)>,
    notices_dropped: u64,
    lines: u64,
    started: Mono,
    beat_due: Mono,
    /// The cursors moved since they were last durable, first at this instant.
    cursors_moved: Option<Mono>,
    has_more: bool,
    /// A line was divided because it was idle: nothing more is read before that is durable.
    is_divided: bool,
    link_up: bool,
    memory_bytes: u64,
    refused: Option<Refusal>,
}

impl<D: Disk, F: Files> Pipeline<D, F> {
    /// A pipeline over opened spools: of the bulk lane and, if there is one, of the urgent lane.
    pub fn new(
        config: PipelineConfig,
        sources: Sources<F>,
        bulk: Spool<D>,
        urgent: Option<Spool<D>>,
        now: Now,
    ) -> Self {
        let limit = config.in_flight_bytes_max;
        let pace = Pace::new(config.delay_ms_min, config.delay_ms_max);
        let spools = [Some(bulk), urgent].into_iter().flatten();
        let lanes: Vec<LaneOut<D>> = spools.map(|spool| LaneOut::new(spool, limit, pace)).collect();
        let urgent = lanes.iter().find(|lane| lane.lane == Lane::Urgent);
        let routing = Routing::new(config.urgent_min, urgent.map(|lane| &lane.spool));
        let damaged: Vec<(Lane, String)> = lanes
            .iter()
            .filter_map(|out| Some((out.lane, damage(out.lane, out.spool.recovery())?)))
            .collect();
        let packing = Packing::new(config.cpu);
        let mut pipeline = Self {
            config,
            sources,
            lanes,
            routing,
            session: Session::default(),
            packing,
            workspace: Room::new(ITEM_BYTES_MAX),
            read_buf: Vec::new(),
            notices: VecDeque::new(),
            notices_dropped: 0,
            lines: 0,
            started: now.mono,
            beat_due: Mono::FOREVER,
            cursors_moved: None,
            has_more: true,
            is_divided: false,
            link_up: false,
            memory_bytes: 0,
            refused: None,
        };
        damaged.into_iter().for_each(|(lane, text)| pipeline.note(lane, text));
        pipeline
    }

    /// A hint that some source file changed.
    pub fn handle_changed(&mut self) {
        self.sources.handle_changed();
        self.has_more = true;
    }

    /// Whether every change of a file is told by a hint, as far as the kernel can.
    pub fn handle_watched(&mut self, is_watched: bool) {
        self.sources.handle_watched(is_watched);
    }

    /// Bytes of standard input; returns how many were taken.
    pub fn handle_stdin(&mut self, bytes: &[u8]) -> usize {
        self.has_more = true;
        self.sources.handle_stdin(bytes)
    }

    /// Standard input has ended.
    pub fn handle_stdin_closed(&mut self) {
        self.has_more = true;
        self.sources.stdin_closed();
    }

    /// Resident memory as the shell measured it.
    pub fn handle_memory(&mut self, bytes: u64) {
        self.memory_bytes = bytes;
    }

    /// Does all the work that is due: reads, packs, seals, syncs.
    pub fn poll(&mut self, now: Now) {
        for lane in &mut self.lanes {
            lane.sync(now.mono);
        }
        self.collect_events();
        self.sources.handle_tick(now.mono);
        self.read(now);
        self.seal_due(now);
        self.collect_events();
    }

    /// Seals whatever is open: the process is about to end.
    pub fn stop(&mut self, now: Now) {
        for lane in &mut self.lanes {
            lane.retry_at = Mono(0);
        }
        self.seal_lanes(now, true);
        for lane in &mut self.lanes {
            lane.sync_now(now.mono);
        }
    }

    /// Whether everything that is durable is acknowledged and no block is open.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.lanes
            .iter()
            .all(|lane| lane.packer.is_empty() && lane.sender.base() == lane.spool.next_durable())
    }

    /// When there is something to do without any input.
    #[must_use]
    pub fn poll_deadline(&self) -> Mono {
        if (self.has_more || !self.notices.is_empty()) && !self.is_paused() {
            return Mono(0);
        }
        // A bulk block waits while the urgent lane cannot be sealed, and its own time may be past.
        let urgent = self.lanes.iter().filter(|lane| lane.lane == Lane::Urgent);
        let bulk_from = urgent.map(|lane| lane.retry_at).max().unwrap_or(Mono(0));
        let sealed_from = |lane: Lane| if lane == Lane::Bulk { bulk_from } else { Mono(0) };
        let lanes =
            self.lanes.iter().map(|lane| lane.deadline(self.delay_ms(lane), sealed_from(lane.lane))).min();
        let cursors = self.cursors_moved.filter(|_| !self.is_paused());
        let cursors = cursors.map_or(Mono::FOREVER, |at| at.plus_ms(CURSORS_MS));
        let sources = if self.is_paused() { Mono::FOREVER } else { self.sources.poll_deadline() };
        let beat = if self.session.is_answered() { self.beat_due } else { Mono::FOREVER };
        lanes.unwrap_or(Mono::FOREVER).min(cursors).min(sources).min(beat).min(self.session.poll_deadline())
    }

    fn delay_ms(&self, lane: &LaneOut<D>) -> u64 {
        if self.session.is_answered() { lane.pace.delay_ms() } else { self.config.delay_offline_ms_max }
    }

    /// Whether the sources wait because a lane cannot take more.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.lanes.iter().any(|lane| lane.retry_at > Mono(0))
    }

    /// What happened below becomes a notice among the records, and a line in the log.
    fn note(&mut self, lane: Lane, text: String) {
        log::warn!("{text}");
        if self.notices.len() >= NOTICES_MAX {
            self.notices.pop_front();
            self.notices_dropped += 1;
        }
        self.notices.push_back((lane, text));
    }
}

/// What the flash lost of what was durable, as recovery found it.
fn damage(lane: Lane, found: &Recovery) -> Option<String> {
    let Recovery { unreadable_files, missing_segments, damaged_frames, records_lost, .. } = found;
    (unreadable_files + missing_segments + damaged_frames > 0).then(|| {
        format!(
            "lane {}: the flash lost what was durable: {unreadable_files} unreadable files, {missing_segments} missing \
             segments, {damaged_frames} damaged frames; {records_lost} records are declared lost",
            lane.name()
        )
    })
}
