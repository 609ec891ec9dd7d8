//! A spool read without an agent: nothing is locked, nothing is written. Works on a spool that an
//! agent is writing to (what is appended meanwhile is not seen) and on one from a dead device.

mod base64;
mod export;
mod inspect;
mod verify;

use std::path::Path;

use driftlog_proto::ids::{Lane, Place};
use driftlog_proto::item;
use driftlog_proto::sender::{Kind, Stored};

pub use export::{ExportError, ExportFormat, Exported};
pub use inspect::{GapSummary, Inspection, PlaceSummary, SegmentSummary};
pub use verify::{DamageSummary, Verification};

use super::disk::{Disk, OsDisk};
use super::find::{Care, Found, Trail};
use super::gaps::Hole;
use super::recover::{Recovered, recover};
use super::{Recovery, SpoolError};

/// How far a long piece of work is, in records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Records done.
    pub done: u64,
    /// Records in all.
    pub total: u64,
}

/// A spool opened for reading.
pub struct Offline<D> {
    disk: D,
    recovered: Recovered,
    trail: Trail,
    buf: Vec<u8>,
}

/// What stands at a place of the log.
enum Step {
    Item(Stored),
    Gap(Hole),
    /// Damaged, and not declared so far.
    Damaged(Place),
}

impl Step {
    fn end(&self) -> Place {
        match self {
            Self::Item(item) => item.end,
            Self::Gap(hole) => hole.to,
            Self::Damaged(to) => *to,
        }
    }
}

impl Offline<OsDisk> {
    /// Opens the spool in a directory.
    ///
    /// # Errors
    /// [`SpoolError::Disk`] when it cannot be listed, [`SpoolError::Version`] when another version
    /// wrote it. Never for damaged content.
    pub fn open(directory: &Path) -> Result<Self, SpoolError> {
        Self::new(OsDisk::read_only(directory))
    }
}

impl<D: Disk> Offline<D> {
    /// Opens the spool on a disk.
    ///
    /// # Errors
    /// As [`open`](Offline::open).
    pub fn new(mut disk: D) -> Result<Self, SpoolError> {
        let recovered = recover(&mut disk, None)?;
        Ok(Self { disk, recovered, trail: Trail::default(), buf: Vec::new() })
    }

    /// The lane; `None` when there is nothing in the directory.
    #[must_use]
    pub const fn lane(&self) -> Option<Lane> {
        self.recovered.lane
    }

    /// Fingerprint of the hardware on which it was last written; `None` when nothing was.
    #[must_use]
    pub const fn hardware(&self) -> Option<u64> {
        self.recovered.hardware
    }

    /// What recovery found.
    #[must_use]
    pub const fn recovery(&self) -> &Recovery {
        &self.recovered.report
    }

    /// Gives the disk back.
    pub fn into_disk(self) -> D {
        self.disk
    }

    const fn base(&self) -> Place {
        self.recovered.log.base
    }

    const fn end(&self) -> Place {
        self.recovered.log.end
    }

    fn total(&self) -> u64 {
        self.end().seq.since(self.base().seq)
    }

    /// What stands at a place below the end. The sealed bytes of an item are in `self.buf`.
    ///
    /// Frames that are whole and contradict each other may lead out of the log, or back: nothing can be
    /// made of what stands behind that.
    fn step(&mut self, place: &Place) -> Step {
        let step = self.found(place);
        let log = &self.recovered.log;
        let within = log.key(place)..=log.key(&log.end);
        let is_sound = within.contains(&log.key(&step.end())) && step.end() != *place;
        if is_sound { step } else { Step::Damaged(log.end) }
    }

    fn found(&mut self, place: &Place) -> Step {
        let log = &self.recovered.log;
        if let Some(hole) = log.gaps.at(place.run, place.seq) {
            return Step::Gap(hole.clone());
        }
        match log.find(&mut self.disk, &mut self.trail, place, Care::Insist) {
            Ok(Found::Item(item)) if self.read(&item) => Step::Item(item),
            Ok(Found::Item(item)) => Step::Damaged(item.end),
            Ok(Found::Damaged(to)) => Step::Damaged(to),
            // Nothing at all can be made of what stands here.
            Ok(Found::Nothing) | Err(_) => Step::Damaged(self.end()),
        }
    }

    fn read(&mut self, item: &Stored) -> bool {
        let Ok(Some((segment, frame))) = self.recovered.log.frame_of(&mut self.disk, item) else {
            return false;
        };
        let is_whole = segment.read_items(&mut self.disk, &frame, &mut self.buf).unwrap_or(false);
        match item.kind {
            Kind::Start => self.buf.truncate(frame.start_bytes as usize),
            _ => drop(self.buf.drain(..(frame.start_bytes as usize).min(self.buf.len()))),
        }
        // A frame and the item in it may both be whole and speak of different places.
        is_whole
            && item::open(&self.buf)
                .is_ok_and(|(header, _)| (header.begin(), header.end(&self.buf)) == (item.begin, item.end))
    }
}
