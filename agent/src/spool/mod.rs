//! The spool: one lane's log on flash, the send buffer.
//!
//! A directory of preallocated files, the segments, that are appended to and, once acknowledged,
//! written again. A frame carries a sealed block together with the source cursors that it covers,
//! so that data and cursors reach the flash in one write and one sync. The formats are described
//! in `docs/spool-format.md`, recovery in `recover`.
//!
//! Promises, each held by a test that is named after it:
//! - What [`Spool::append`] took is durable as the configuration says, or its absence is declared
//!   by a gap; what it refused changed nothing.
//! - Nothing is handed out for publishing above what is durable.
//! - Frames and gaps tile the log from base to end exactly; recovery never ends below the base.
//! - Each segment begins with a checkpoint; a gap is durable before what it replaces is
//!   overwritten, and there is a spare segment to write it to.
//! - A run that seals nothing leaves no trace; the first block of a run brings its start along in
//!   the same frame, in a segment of its own. So a segment holds items of one run.
//! - What an earlier life of a file left behind never passes for a live frame.
//! - A failed sync or write poisons the file: what was not synced is written again elsewhere.
//! - Damaged content never stops the spool from opening.
//!
//! Costs: a sealed block is one write call and one sync, without a change of metadata where the
//! file was written before. In memory: the cursors (at most [`CURSORS_MAX`]), at most 64 gaps,
//! about 100 bytes for each of at most [`SEGMENTS_MAX`] segments, 128 places, and one frame's bytes. No copy of anything spooled.

mod append;
mod bytes;
mod config;
pub mod disk;
mod error;
mod files;
mod find;
mod frame;
mod gaps;
mod header;
mod last;
pub mod offline;
mod order;
mod quota;
mod read;
mod recover;
mod referred;
mod roll;
mod segment;
mod state;
mod tail;
mod usage;

use driftlog_proto::ids::{Chain, Place, RunId, Seq};
use driftlog_proto::item::{self, ItemHeader, Start};
use driftlog_proto::time::Mono;

pub use append::Refers;
pub use config::{CURSOR_BYTES_MAX, CURSORS_MAX, Durability, Overflow, SPOOL_BYTES_MIN, SpoolConfig};
pub use error::SpoolError;
pub use header::SPOOL_VERSION;
pub use quota::SEGMENTS_MAX;
pub use read::Gone;
pub use recover::Recovery;
pub use usage::{SpoolEvent, SpoolUsage};

use disk::{Disk, DiskError, Slot, read_again};
use files::Files;
use find::Trail;
use frame::START_BYTES_MAX;
use header::FRAMES_AT;
use segment::Log;
use state::State;

/// Bytes written again at once when a spool is opened.
const AGAIN_BYTES: usize = 64 * 1024;

/// One lane's log on flash.
#[derive(Debug)]
pub struct Spool<D> {
    disk: D,
    config: SpoolConfig,
    run: RunId,
    hardware: u64,
    log: Log,
    state: State,
    files: Files,
    /// The run at the end of the log and those before it, newest first, each with its N.
    lineage: Vec<(RunId, Seq)>,
    index_next: u64,
    /// This run's sealed start, until the first block takes it along.
    start: Option<Pending>,
    /// The gateway has more of the run at the end of the log than the log.
    has_forgotten: bool,
    trail: Trail,
    /// The files that are there will be there after a power cut.
    is_directory_synced: bool,
    buf: Vec<u8>,
    tail_buf: Vec<u8>,
    /// When the oldest frame that is not synced was written.
    unsynced_since: Option<Mono>,
    /// A place whose item could not be read, and how often.
    suspect: Option<(Place, u8)>,
    recovery: Recovery,
    report: usage::Report,
}

/// A start that waits for the first block of its run.
#[derive(Clone, Debug)]
struct Pending {
    sealed: Vec<u8>,
    /// The place after it.
    end: Place,
}

impl<D: Disk> Spool<D> {
    /// Opens the spool for a new run. `hardware` is a fingerprint of the device.
    ///
    /// Reads the headers of all files and the frames of the last one. Writes nothing but, once
    /// more as they are, the last frames, of which no other says that they were synced. A file whose
    /// header cannot be read is set aside.
    ///
    /// # Errors
    /// [`SpoolError::Disk`] when the directory cannot be listed or a file not be set aside,
    /// [`SpoolError::Unreadable`] when no file can be read, [`SpoolError::Version`] and
    /// [`SpoolError::Lane`] when it is not this lane's spool or not of this version,
    /// [`SpoolError::Config`]. Never for damaged content.
    pub fn open(mut disk: D, config: SpoolConfig, run: RunId, hardware: u64) -> Result<Self, SpoolError> {
        config.check()?;
        let recovered = recover::recover(&mut disk, Some(config.lane))?;
        // Nobody knows their index: were they read again later, two files could have the same. The
        // directory is synced before any file is written.
        for file in &recovered.unreadable {
            disk.set_aside(file.slot).map_err(SpoolError::Disk)?;
        }
        let mut recovery = recovered.report;
        recovery.hardware_changed = recovered.hardware.is_some_and(|known| known != hardware);
        let mut spool = Self {
            disk,
            config,
            run,
            hardware,
            log: recovered.log,
            state: recovered.state,
            files: Files::new(recovered.free),
            lineage: recovered.lineage,
            index_next: recovered.index_next,
            start: None,
            has_forgotten: false,
            trail: Trail::default(),
            is_directory_synced: false,
            buf: Vec::new(),
            tail_buf: Vec::new(),
            unsynced_since: None,
            suspect: None,
            recovery,
            report: usage::Report::default(),
        };
        spool.start = Some(spool.pending_start());
        spool.sync_recovered();
        Ok(spool)
    }

    /// What recovery found.
    #[must_use]
    pub const fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// The run that this spool was opened for.
    #[must_use]
    pub const fn run(&self) -> RunId {
        self.run
    }

    /// The configuration.
    #[must_use]
    pub const fn config(&self) -> &SpoolConfig {
        &self.config
    }

    /// Every source cursor, by key.
    pub fn cursors(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.state.cursors.iter().map(|(key, cursor)| (*key, cursor.as_ref()))
    }

    /// The place below which everything is acknowledged.
    #[must_use]
    pub const fn base(&self) -> Place {
        self.log.base
    }

    /// The place at which the next block is sealed.
    #[must_use]
    pub fn tail(&self) -> Place {
        self.start.as_ref().map_or(self.log.end, |pending| pending.end)
    }

    /// The place after the newest item that may be published.
    #[must_use]
    pub const fn next_durable(&self) -> Place {
        self.log.tip.durable_end
    }

    /// The disk, for a simulation that plays with it.
    pub const fn disk_mut(&mut self) -> &mut D {
        &mut self.disk
    }

    /// Gives the disk back, as a kill would.
    pub fn into_disk(self) -> D {
        self.disk
    }

    fn pending_start(&self) -> Pending {
        let parent = self.log.end;
        let header = ItemHeader::Start(Start { lane: self.config.lane, run: self.run, parent });
        let mut sealed = vec![0; START_BYTES_MAX];
        let bytes = item::seal(&header, &[], &mut sealed).expect("a sealed start fits START_BYTES_MAX");
        sealed.truncate(bytes);
        let end = Place { run: self.run, seq: parent.seq, chain: Chain::after(&sealed) };
        Pending { sealed, end }
    }

    /// What was found may be in the operating system's memory alone, as after a kill -9: nothing of
    /// it may be published, and no file that it frees be written, before it is synced. The run
    /// before may have seen a sync fail, after which the system takes those bytes for synced: so
    /// they are written again as they are. Where that fails, also for a read-only file system, they
    /// wait.
    ///
    /// Where a frame says of all of it that it was synced, as one that was torn does, nothing waits.
    fn sync_recovered(&mut self) {
        let tip = self.log.tip;
        if tip.synced == tip.used {
            return;
        }
        let Some(last) = self.log.segments.back() else { return };
        match again(&mut self.disk, last.slot, tip.synced, tip.used) {
            Ok(()) => self.note_synced(),
            Err(error) => {
                self.log.tip.durable = tip.synced;
                // What is acknowledged need not be published.
                let ends = [tip.synced_end, self.log.base];
                self.log.tip.durable_end =
                    ends.into_iter().max_by_key(|end| self.log.key(end)).unwrap_or(tip.synced_end);
                self.unsynced_since = Some(Mono(0));
                self.files.doubt();
                self.log.gaps.doubt();
                self.report.last_error = Some(error.to_string());
            }
        }
    }
}

/// Writes what stands between two offsets of a file once more, and syncs it.
pub(crate) fn again<D: Disk>(disk: &mut D, slot: Slot, from: u32, to: u32) -> Result<(), DiskError> {
    // What was never synced may be all of the file.
    let from = if from <= FRAMES_AT { 0 } else { from };
    let mut bytes = vec![0; AGAIN_BYTES];
    for at in (from..to).step_by(AGAIN_BYTES) {
        let wanted = bytes.len().min((to - at) as usize);
        let piece = bytes.get_mut(..wanted).unwrap_or_default();
        let read = read_again(disk, slot, u64::from(at), piece)?;
        disk.write_at(slot, u64::from(at), piece.get(..read).unwrap_or_default())?;
    }
    disk.sync(slot)
}
