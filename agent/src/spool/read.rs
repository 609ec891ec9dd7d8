//! Reading the log, and letting go of it.

use std::fmt;

use driftlog_proto::ids::{Place, RunId, Seq};
use driftlog_proto::item::Cause;
use driftlog_proto::sender::{Boundary, Kind, Log as SenderLog, Stored};

use super::disk::Disk;
use super::find::{Care, Found};
use super::gaps::{Hole, Standing};
use super::tail::sealed_gap;
use super::{Spool, SpoolError};

/// Failures at reading an item before it is declared gone: what failed once may be read later.
const READ_FAILURES_MAX: u8 = 3;

/// An item is no longer what it was: ask [`Spool::item_at`] again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the item is no longer there as it was")
    }
}

impl std::error::Error for Gone {}

fn stored_gap(hole: &Hole, bytes: usize) -> Stored {
    Stored { begin: hole.from, end: hole.to, kind: Kind::Gap, bytes: bytes as u32, token: hole.to.chain.0 }
}

impl<D: Disk> Spool<D> {
    /// The item that begins at `place` and may be published; `None` when there is none (yet). One
    /// that is damaged becomes a durable gap here. Scans at most one segment.
    ///
    /// # Errors
    /// When the flash does not give its bytes, or a gap cannot be made durable. Try again later.
    pub fn item_at(&mut self, place: &Place) -> Result<Option<Stored>, SpoolError> {
        if let Some(hole) = self.log.gaps.at(place.run, place.seq).cloned() {
            if hole.standing != Standing::Durable {
                self.put_gaps()?;
            }
            return Ok(self.gap_at(place));
        }
        if self.log.gaps.around(place.run, place.seq).is_some() {
            return Ok(None);
        }
        let failures = self.suspect.filter(|(suspect, _)| suspect == place).map(|(_, failures)| failures);
        let care = match failures {
            None => Care::Trust,
            Some(failures) if failures < READ_FAILURES_MAX => Care::Verify,
            Some(_) => Care::Insist,
        };
        match self.log.find(&mut self.disk, &mut self.trail, place, care) {
            Ok(Found::Item(item)) => Ok(Some(item)),
            Ok(Found::Nothing) => Ok(None),
            Ok(Found::Damaged(to)) => {
                self.declare(place, &to, Cause::Corruption)?;
                self.suspect = None;
                self.put_gaps()?;
                Ok(self.gap_at(place))
            }
            Err(error) => {
                self.suspect = Some((*place, failures.unwrap_or(0) + 1));
                Err(SpoolError::Disk(error))
            }
        }
    }

    fn gap_at(&self, place: &Place) -> Option<Stored> {
        let hole = self.log.gaps.at(place.run, place.seq).filter(|hole| hole.from == *place)?;
        Some(stored_gap(hole, sealed_gap(hole, self.config.lane).len()))
    }

    /// The sealed bytes of an item into `buf`.
    ///
    /// # Errors
    /// [`Gone`] when it was acknowledged, dropped or damaged meanwhile.
    pub fn read(&mut self, item: &Stored, buf: &mut Vec<u8>) -> Result<(), Gone> {
        if item.kind == Kind::Gap {
            let hole = self.log.gaps.at(item.begin.run, item.begin.seq);
            let hole = hole.filter(|hole| {
                hole.standing == Standing::Durable && hole.from == item.begin && hole.to == item.end
            });
            *buf = sealed_gap(hole.ok_or(Gone)?, self.config.lane);
            return Ok(());
        }
        if self.log.key(&item.begin) < self.log.key(&self.log.base) {
            return Err(Gone);
        }
        let is_whole = match self.log.frame_of(&mut self.disk, item) {
            Ok(Some((segment, frame))) if frame.items_bytes() >= item.bytes => {
                let is_whole = segment.read_items(&mut self.disk, &frame, buf).unwrap_or(false);
                match item.kind {
                    Kind::Start => buf.truncate(frame.start_bytes as usize),
                    _ => drop(buf.drain(..(frame.start_bytes as usize).min(buf.len()))),
                }
                is_whole && buf.len() == item.bytes as usize && segment.end_of(&frame).run == item.end.run
            }
            _ => false,
        };
        if is_whole {
            return Ok(());
        }
        if self.suspect.is_none_or(|(place, _)| place != item.begin) {
            self.suspect = Some((item.begin, 0));
        }
        Err(Gone)
    }

    /// What stands at number `seq` of `run`, above the base.
    pub fn boundary(&mut self, run: RunId, seq: Seq) -> Boundary {
        self.log.boundary(&mut self.disk, &self.trail, run, seq).unwrap_or(Boundary::Unknown)
    }

    /// Whether a place that the gateway names lies above all that the log has of its newest run, which is
    /// not this one: the flash forgot what it had published. Then nothing is freed before this run's
    /// start is acknowledged, so that from now on its first block is taken also by a spool that is full.
    pub fn has_forgotten(&mut self, place: &Place) -> bool {
        let has = self.start.is_some() && place.run == self.log.end.run && place.seq > self.log.end.seq;
        self.has_forgotten |= has;
        has
    }

    /// Everything before `place` is acknowledged: it becomes the base. `place` is a boundary of
    /// this log above the base, or lies inside a gap, whose beginning moves there. Writes nothing:
    /// the next frame states the base, and only then files are free.
    pub fn trim(&mut self, place: &Place) {
        let key = self.log.key(place);
        if key <= self.log.key(&self.log.base) || key > self.log.key(&self.log.tip.durable_end) {
            return;
        }
        self.log.base = *place;
        self.log.gaps.trim(&self.log.runs, place);
        for segment in self.log.release() {
            self.retire(&segment);
        }
        self.log.runs.trim(place);
    }

    /// Replaces the item at `place` by a gap: the gateway will not take it. Durable on return.
    ///
    /// # Errors
    /// When the gap cannot be made durable; it is then made so before it is handed out.
    pub fn refuse(&mut self, place: &Place, cause: Cause) -> Result<(), SpoolError> {
        if self.log.gaps.at(place.run, place.seq).is_some() {
            return Ok(());
        }
        let found = self.log.find(&mut self.disk, &mut self.trail, place, Care::Trust);
        let to = match found.map_err(SpoolError::Disk)? {
            Found::Item(item) => item.end,
            Found::Damaged(to) => to,
            Found::Nothing => return Ok(()),
        };
        self.declare(place, &to, cause)?;
        self.put_gaps()
    }
}

/// A sender reads and trims the spool directly. What fails is tried again when it asks again, and
/// stands in [`SpoolUsage::last_error`](super::SpoolUsage::last_error).
impl<D: Disk> SenderLog for Spool<D> {
    fn item_at(&mut self, place: &Place) -> Option<Stored> {
        match Self::item_at(self, place) {
            Ok(item) => item,
            Err(error) => {
                self.report.last_error = Some(error.to_string());
                None
            }
        }
    }

    fn boundary(&mut self, run: RunId, seq: Seq) -> Boundary {
        Self::boundary(self, run, seq)
    }

    fn leaves(&mut self, run: RunId, seq: Seq) -> Option<Place> {
        self.log.leaves(run, seq)
    }

    fn trim(&mut self, place: &Place) {
        Self::trim(self, place);
    }
}
