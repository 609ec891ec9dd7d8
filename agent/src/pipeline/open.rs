//! A pipeline on a real device: the spools of its state directory, its files, its configuration.

use std::fmt;
use std::path::Path;

use driftlog_proto::block::Severity;
use driftlog_proto::ids::{Lane, SessionId};
use driftlog_proto::time::{Mono, Now};

use super::{Pipeline, PipelineConfig};
use crate::config::{Config, SourceConfig, SpoolSettings};
use crate::source::{FileSource, OsFiles, PatternError, Patterns, Sources, SourcesConfig};
use crate::spool::disk::{DiskError, OsDisk};
use crate::spool::{Durability, Recovery, Spool, SpoolConfig, SpoolError};
use crate::state_dir::DEVICE_ID_FILE;
use crate::status::CoreStatus;
use crate::{Core, Start};

/// The spools' folder in the state directory; each lane has one of its name in it.
pub const SPOOL_FOLDER: &str = "spool";

/// The agent's core on a real device.
pub type Device = Pipeline<OsDisk, OsFiles>;

/// Why a pipeline cannot be opened.
#[derive(Debug)]
pub enum OpenError {
    /// A lane's directory cannot be had.
    Disk(Lane, DiskError),
    /// A lane's spool cannot be opened.
    Spool(Lane, SpoolError),
    /// A pattern of a source is none.
    Pattern(PatternError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(lane, error) => write!(f, "the spool of the lane {}: {error}", lane.name()),
            Self::Spool(lane, error) => write!(f, "the spool of the lane {}: {error}", lane.name()),
            Self::Pattern(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {}

impl Core for Device {
    type Error = OpenError;

    fn open(start: Start<'_>) -> Result<Self, OpenError> {
        let (config, settings) = (start.config, &start.config.spool);
        let folder = config.state_dir.join(SPOOL_FOLDER);
        remember_device(config);
        let bulk = open_lane(&folder, Lane::Bulk, settings, &start)?;
        // A lane that is switched off still drains what it has.
        let has_urgent = settings.urgent_severity_min.is_some() || folder.join(Lane::Urgent.name()).exists();
        let urgent =
            if has_urgent { Some(open_lane(&folder, Lane::Urgent, settings, &start)?) } else { None };
        let cursors: Vec<(u64, Vec<u8>)> = bulk.cursors().map(|(key, bytes)| (key, bytes.to_vec())).collect();
        let sources = Sources::new(sources(config)?, OsFiles, start.boot, cursors.into_iter());
        Ok(Self::new(pipeline_config(&start), sources, bulk, urgent, start.now))
    }

    fn handle_link_up(&mut self, now: Now, session: SessionId) {
        Self::handle_link_up(self, now, session);
    }

    fn handle_link_down(&mut self) {
        Self::handle_link_down(self);
    }

    fn handle_down(&mut self, now: Now, message: &[u8]) {
        Self::handle_down(self, now, message);
    }

    fn handle_changed(&mut self) {
        Self::handle_changed(self);
    }

    fn handle_watched(&mut self, is_watched: bool) {
        Self::handle_watched(self, is_watched);
    }

    fn handle_stdin(&mut self, bytes: &[u8]) -> usize {
        Self::handle_stdin(self, bytes)
    }

    fn handle_stdin_closed(&mut self) {
        Self::handle_stdin_closed(self);
    }

    fn handle_memory(&mut self, bytes: u64) {
        Self::handle_memory(self, bytes);
    }

    fn poll(&mut self, now: Now) {
        Self::poll(self, now);
    }

    fn poll_publish(&mut self, now: Now, message: &mut Vec<u8>) -> bool {
        Self::poll_publish(self, now, message)
    }

    fn poll_deadline(&self) -> Mono {
        Self::poll_deadline(self)
    }

    fn status(&mut self, now: Now) -> CoreStatus {
        Self::status(self, now)
    }

    fn stop(&mut self, now: Now) {
        Self::stop(self, now);
    }

    fn is_drained(&self) -> bool {
        Self::is_drained(self)
    }
}

/// Says in the state directory whose spool it is, for whoever reads it without its agent.
fn remember_device(config: &Config) {
    let file = config.state_dir.join(DEVICE_ID_FILE);
    let id = format!("{}\n", config.device_id);
    let is_there = std::fs::read_to_string(&file).is_ok_and(|text| text == id);
    if !is_there && let Err(error) = std::fs::write(&file, id) {
        log::warn!("cannot write {}: {error}", file.display());
    }
}

fn open_lane(
    folder: &Path,
    lane: Lane,
    settings: &SpoolSettings,
    start: &Start<'_>,
) -> Result<Spool<OsDisk>, OpenError> {
    let disk = OsDisk::open(folder.join(lane.name())).map_err(|error| OpenError::Disk(lane, error))?;
    let disk = if settings.durability == Durability::None { disk } else { disk.direct() };
    let configured = settings.lane(lane);
    let config = SpoolConfig {
        durability: settings.durability,
        overflow: configured.overflow,
        ..SpoolConfig::new(lane, configured.bytes_max)
    };
    let spool = Spool::open(disk, config, start.run, start.hardware)
        .map_err(|error| OpenError::Spool(lane, error))?;
    report(lane, spool.recovery());
    Ok(spool)
}

/// Recovery never stops the agent; what it found is said. (Damage is said among the records too.)
fn report(lane: Lane, found: &Recovery) {
    let lane = lane.name();
    if found.cut_bytes > 0 {
        log::info!("lane {lane}: a torn tail of {} bytes was cut; its lines are read again", found.cut_bytes);
    }
    if found.cursors_lost {
        log::error!("lane {lane}: source cursors were lost with a damaged frame: some lines may repeat");
    }
    if found.hardware_changed {
        log::warn!("lane {lane}: this spool was written on other hardware; the gateway is told");
    }
}

fn sources(config: &Config) -> Result<SourcesConfig, OpenError> {
    let mut sources = SourcesConfig {
        files: Vec::new(),
        stdin_idle_line_ms: None,
        poll_ms: SourcesConfig::POLL_MS,
        rescan_ms: SourcesConfig::RESCAN_MS,
    };
    for source in &config.sources {
        match source {
            SourceConfig::Stdin { idle_line_ms } => {
                sources.stdin_idle_line_ms = Some(u64::from(*idle_line_ms))
            }
            SourceConfig::File(file) => {
                let patterns = Patterns::new(&file.paths, &file.exclude).map_err(OpenError::Pattern)?;
                sources.files.push(FileSource { patterns, idle_line_ms: u64::from(file.idle_line_ms) });
            }
        }
    }
    Ok(sources)
}

fn pipeline_config(start: &Start<'_>) -> PipelineConfig {
    let config = start.config;
    PipelineConfig {
        device: config.device_id.clone(),
        labels: config.labels.clone(),
        boot: start.boot,
        delay_ms_min: u64::from(config.spool.delay_ms_min),
        delay_ms_max: u64::from(config.spool.delay_ms_max),
        delay_offline_ms_max: u64::from(config.spool.delay_offline_ms_max),
        in_flight_bytes_max: config.broker.in_flight_bytes_max,
        urgent_min: config.spool.urgent_severity_min.and_then(Severity::new),
        cpu: config.spool.cpu,
    }
}
