//! What is in a spool, in words and as JSON.

use std::fmt;

use driftlog_proto::ids::{Place, RunId, Seq};
use driftlog_proto::item::Cause;
use serde::Serialize;

use super::Offline;
use crate::spool::disk::{Disk, file_name};
use crate::spool::gaps::Hole;

/// A place, as people and the gateway's audit read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlaceSummary {
    /// The run, as 16 hexadecimal digits.
    pub run: String,
    /// The number of the record that comes next.
    pub seq: u64,
    /// The chain, as 16 hexadecimal digits.
    pub chain: String,
}

impl PlaceSummary {
    pub(super) fn of(place: &Place) -> Self {
        Self { run: place.run.to_string(), seq: place.seq.0, chain: place.chain.to_string() }
    }
}

impl fmt::Display for PlaceSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {} of run {}", self.seq, self.run)
    }
}

/// Records that are gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GapSummary {
    /// Where it begins.
    pub from: PlaceSummary,
    /// Where the log goes on.
    pub to: PlaceSummary,
    /// Why: a name of [`Cause`].
    pub cause: &'static str,
    /// How many records.
    pub records: u64,
    /// The runs whose beginnings are in it.
    pub starts: Vec<StartSummary>,
}

/// A run's beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StartSummary {
    /// The run.
    pub run: String,
    /// Its first number.
    pub seq: u64,
}

impl GapSummary {
    pub(super) fn of(hole: &Hole) -> Self {
        let start = |(run, seq): &(RunId, Seq)| StartSummary { run: run.to_string(), seq: seq.0 };
        Self {
            from: PlaceSummary::of(&hole.from),
            to: PlaceSummary::of(&hole.to),
            cause: hole.cause.name(),
            records: hole.to.seq.since(hole.from.seq),
            starts: hole.starts.iter().map(start).collect(),
        }
    }
}

/// One file of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SegmentSummary {
    /// Its name.
    pub file: String,
    /// Its number in the log.
    pub index: u64,
    /// Its length.
    pub bytes: u64,
    /// The first place in it.
    pub first: PlaceSummary,
    /// Records in it, acknowledged and lost ones included.
    pub records: u64,
}

/// What is in a lane's spool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// The device, as the caller says.
    pub device_id: String,
    /// The lane.
    pub lane: &'static str,
    /// The place below which everything is acknowledged.
    pub base: PlaceSummary,
    /// The place after the newest item.
    pub next: PlaceSummary,
    /// Gaps not yet acknowledged.
    pub gaps: Vec<GapSummary>,
    /// Records neither acknowledged nor declared lost.
    pub records_waiting: u64,
    /// Records declared lost since the spool was made, by cause.
    pub dropped: Vec<(&'static str, u64)>,
    /// Source cursors.
    pub cursors: usize,
    /// Bytes of all files.
    pub bytes: u64,
    /// Files that are not part of the log.
    pub spare_files: usize,
    /// Files that the flash does not give.
    pub unreadable_files: usize,
    /// Bytes of a torn tail, as far as can be told.
    pub torn_bytes: u64,
    /// Damaged frames in the last segment.
    pub damaged_frames: usize,
    /// Segments that should be there and are not.
    pub missing_segments: usize,
    /// The files of the log, oldest first.
    pub segments: Vec<SegmentSummary>,
}

impl<D: Disk> Offline<D> {
    /// What is in the spool; reads nothing more than opening it did.
    #[must_use]
    pub fn inspect(&self, device_id: &str) -> Inspection {
        let recovered = &self.recovered;
        let log = &recovered.log;
        let lost: u64 = log.gaps.iter().map(|hole| hole.to.seq.since(hole.from.seq)).sum();
        let others = recovered.free.iter().chain(&recovered.unreadable);
        let log_bytes: u64 = log.segments.iter().map(|segment| u64::from(segment.bytes)).sum();
        let segments = log.segments.iter().enumerate().map(|(at, segment)| SegmentSummary {
            file: file_name(segment.slot),
            index: segment.index,
            bytes: u64::from(segment.bytes),
            first: PlaceSummary::of(&segment.first),
            records: log.end_of(at).seq.since(segment.first.seq),
        });
        Inspection {
            device_id: device_id.to_owned(),
            lane: self.lane().map_or("empty", driftlog_proto::ids::Lane::name),
            base: PlaceSummary::of(&self.base()),
            next: PlaceSummary::of(&self.end()),
            gaps: log.gaps.iter().map(GapSummary::of).collect(),
            records_waiting: self.total().saturating_sub(lost),
            dropped: Cause::ON_WIRE.iter().map(|cause| cause.name()).zip(recovered.state.dropped).collect(),
            cursors: recovered.state.cursors.len(),
            bytes: log_bytes + others.map(|file| file.bytes).sum::<u64>(),
            spare_files: recovered.free.len(),
            unreadable_files: recovered.report.unreadable_files,
            torn_bytes: recovered.report.cut_bytes,
            damaged_frames: recovered.report.damaged_frames,
            missing_segments: recovered.report.missing_segments,
            segments: segments.collect(),
        }
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "lane {} of {}", self.lane, self.device_id)?;
        writeln!(f, "  acknowledged up to {}", self.base)?;
        writeln!(f, "  written up to      {}", self.next)?;
        writeln!(f, "  waiting            {} records", self.records_waiting)?;
        let files = self.segments.len() + self.spare_files + self.unreadable_files;
        writeln!(f, "  files              {files}, {} bytes, {} in use", self.bytes, self.segments.len())?;
        writeln!(f, "  source cursors     {}", self.cursors)?;
        for (cause, records) in self.dropped.iter().filter(|(_, records)| *records > 0) {
            writeln!(f, "  lost so far        {records} records ({cause})")?;
        }
        for gap in &self.gaps {
            let GapSummary { from, to, cause, records, .. } = gap;
            writeln!(f, "  gap                from {from} to {to}: {records} records ({cause})")?;
        }
        if self.torn_bytes > 0 {
            writeln!(f, "  torn tail          {} bytes; their lines are read again", self.torn_bytes)?;
        }
        if self.damaged_frames + self.missing_segments + self.unreadable_files > 0 {
            writeln!(
                f,
                "  damage             {} frames, {} missing segments, {} unreadable files",
                self.damaged_frames, self.missing_segments, self.unreadable_files
            )?;
        }
        Ok(())
    }
}
