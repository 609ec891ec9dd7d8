//! Open blocks into the spool, urgent before bulk, cursors with their data.

use std::collections::BTreeSet;
use std::fmt;

use driftlog_proto::block::{Codec, Packed};
use driftlog_proto::error::Misuse;
use driftlog_proto::ids::{BootId, Lane, RunId};
use driftlog_proto::item::{self, BlockHeader, ItemHeader, PAYLOAD_AT};
use driftlog_proto::limits::ITEM_BYTES_MAX;
use driftlog_proto::time::{Mono, Now};

use super::lane::LaneOut;
use super::learned::Sealed;
use super::pack::Packing;
use super::room::Room;
use super::routing::RULE_KEY;
use super::{CURSORS_MS, Pipeline};
use crate::source::Files;
use crate::spool::disk::{Disk, file_name};
use crate::spool::{Refers, SpoolError, SpoolEvent};

/// Why an open block is not sealed.
#[derive(Debug)]
enum SealError {
    /// It does not fit, which is a mistake of ours.
    Misuse(Misuse),
    /// The spool does not take it now.
    Spool(SpoolError),
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Misuse(error) => write!(f, "a block does not fit: {error}"),
            Self::Spool(error) => error.fmt(f),
        }
    }
}

/// Cursors of files that are gone, which an urgent lane without lines keeps at most.
const GONE_MAX: usize = 256;

/// Cursors as they go into a frame.
type Cursors = Vec<(u64, Vec<u8>)>;

impl<D: Disk, F: Files> Pipeline<D, F> {
    /// Seals what is due, by time or because it presses.
    pub(super) fn seal_due(&mut self, now: Now) {
        let cursors_late = self.cursors_moved.is_some_and(|at| now.mono >= at.plus_ms(CURSORS_MS));
        let retries = self.lanes.iter().any(|lane| lane.retry_at.0 > 0 && now.mono >= lane.retry_at);
        let is_due = |lane: &LaneOut<D>| lane.is_due(now.mono, self.delay_ms(lane));
        if self.lanes.iter().any(is_due) || cursors_late || retries {
            // An urgent block alone does not wait for the bulk block, nor hurry it.
            if self.lanes.iter().any(|lane| lane.lane == Lane::Bulk && is_due(lane))
                || cursors_late
                || retries
            {
                self.seal_lanes(now, cursors_late);
                // Blocks that wait for their time are few: what packs them need not be there in between.
                self.packing.rest();
                self.workspace = Room::new(ITEM_BYTES_MAX);
            } else {
                self.seal_urgent(now);
            }
        }
    }

    /// Seals every open block; `with_cursors`: also cursors that no block carries.
    pub(super) fn seal_lanes(&mut self, now: Now, with_cursors: bool) {
        if self.seal_urgent(now) && self.settle_urgent(now) {
            self.seal_bulk(now, with_cursors);
        }
    }

    /// The bulk lane's cursors cover both lanes: what the urgent lane has taken must be durable
    /// before they are written, or a power cut could keep them and lose it.
    fn settle_urgent(&mut self, now: Now) -> bool {
        let mut urgent = self.lanes.iter_mut().filter(|lane| lane.lane == Lane::Urgent);
        urgent.all(|lane| lane.settle(now.mono))
    }

    /// Makes durable what the bulk lane has taken; false when something of it is open or not synced.
    pub(super) fn settle_bulk(&mut self, now: Now) -> bool {
        let mut bulk = self.lanes.iter_mut().filter(|lane| lane.lane == Lane::Bulk);
        bulk.all(|lane| lane.packer.is_empty() && lane.settle(now.mono))
    }

    /// Seals the urgent lane's open block; false when it could not be made durable.
    fn seal_urgent(&mut self, now: Now) -> bool {
        let Some(at) = self.lanes.iter().position(|lane| lane.lane == Lane::Urgent) else { return true };
        let mut cursors: Cursors =
            self.routing.urgent_cursors().map(|(key, end)| (key, end.to_vec())).collect();
        cursors.push((RULE_KEY, self.routing.rule().to_vec()));
        let gone = self.routing.gone();
        let Some(lane) = self.lanes.get_mut(at) else { return true };
        if now.mono < lane.retry_at {
            return lane.packer.is_empty();
        }
        if lane.packer.is_empty() && gone.len() < GONE_MAX {
            lane.succeeded();
            return true;
        }
        let placed = self.place_files(now);
        let Some(lane) = self.lanes.get_mut(at) else { return true };
        if let Err(retry_at) = placed {
            lane.retry_at = retry_at;
            return false;
        }
        let sealed = if lane.packer.is_empty() {
            lane.append_cursors(now, &cursors, &gone)
        } else {
            lane.seal(now, self.config.boot, &mut self.packing, self.workspace.as_mut(), &cursors, &gone)
        };
        if sealed {
            self.routing.handle_urgent_sealed();
        }
        sealed
    }

    /// Before the urgent lane's first line of a file is durable, the bulk lane has a cursor of it:
    /// else, should the power go in between and the file be copied and truncated, nobody would know
    /// the copy again, and the line would come twice. An error is when to try again.
    fn place_files(&mut self, now: Now) -> Result<(), Mono> {
        let new = self.routing.unplaced();
        let bulk = self.lanes.iter_mut().find(|lane| lane.lane == Lane::Bulk && !new.is_empty());
        let Some(bulk) = bulk else { return Ok(()) };
        if now.mono < bulk.retry_at {
            return Err(bulk.retry_at);
        }
        let known: BTreeSet<u64> = bulk.spool.cursors().map(|(key, _)| key).collect();
        let mut cursors = Cursors::new();
        let is_wanted = |key| new.contains(&key) && !known.contains(&key);
        self.sources.first_cursors(is_wanted, |key, bytes| cursors.push((key, bytes.to_vec())));
        let is_put = cursors.is_empty() || bulk.append_cursors(now, &cursors, &[]);
        if !is_put || !bulk.settle(now.mono) {
            return Err(bulk.retry_at);
        }
        self.routing.handle_placed(new);
        Ok(())
    }

    fn seal_bulk(&mut self, now: Now, with_cursors: bool) {
        let mut cursors = Cursors::new();
        self.sources.changed_cursors(|key, bytes| cursors.push((key, bytes.to_vec())));
        let forgotten: Vec<u64> = self.sources.forgotten().to_vec();
        let Some(lane) = self.lanes.first_mut() else { return };
        if now.mono < lane.retry_at {
            return;
        }
        let done = if lane.packer.is_empty() {
            if !with_cursors || (cursors.is_empty() && forgotten.is_empty()) {
                lane.succeeded();
                return;
            }
            lane.append_cursors(now, &cursors, &forgotten)
        } else {
            lane.seal(now, self.config.boot, &mut self.packing, self.workspace.as_mut(), &cursors, &forgotten)
        };
        if done {
            self.cursors_durable(now, &forgotten);
        }
    }

    /// The bulk lane's cursors are durable: so is everything that was read.
    fn cursors_durable(&mut self, now: Now, forgotten: &[u64]) {
        let routing = &mut self.routing;
        let mut known = BTreeSet::new();
        for source in self.sources.status() {
            if let Some(file) = source.file {
                routing.handle_bulk_sealed(file, source.offset);
                known.insert(file);
            }
        }
        if !self.has_more {
            routing.keep(|file| known.contains(&file));
            self.lanes.iter_mut().for_each(|lane| lane.choice.keep(|file| known.contains(&file)));
        }
        forgotten.iter().for_each(|file| routing.forget(*file));
        self.sources.cursors_sealed();
        // A truncated file's new lines may have waited for this.
        self.has_more = true;
        self.cursors_moved = None;
        if self.routing.settle() {
            log::info!("the changed urgent.severity_min takes effect now");
            self.record_rule(now);
        }
    }

    /// Records the rule in force in the urgent lane before any line is read under it.
    fn record_rule(&mut self, now: Now) {
        let rule = self.routing.rule();
        let Some(lane) = self.lanes.iter_mut().find(|lane| lane.lane == Lane::Urgent) else { return };
        if let Err(error) = lane.spool.append_cursors(now.mono, &[(RULE_KEY, &rule)], &[]) {
            lane.failed(now.mono, &error);
        }
    }

    /// What the spools report: gaps move the senders on, and everything becomes a notice.
    pub(super) fn collect_events(&mut self) {
        let mut texts = Vec::new();
        for lane in &mut self.lanes {
            while let Some(event) = lane.spool.poll_event() {
                if let SpoolEvent::Dropped { from, to, .. } = &event {
                    lane.sender.handle_dropped(from, to, &mut lane.spool);
                }
                texts.push((lane.lane, told(lane.lane, &event)));
            }
        }
        texts.into_iter().for_each(|(lane, text)| self.note(lane, text));
    }
}

fn told(lane: Lane, event: &SpoolEvent) -> String {
    match event {
        SpoolEvent::Dropped { from, to, cause, records } => format!(
            "lane {}: {records} records are lost ({}): a gap stands from {}/{} to {}/{}",
            lane.name(),
            cause.name(),
            from.run,
            from.seq,
            to.run,
            to.seq
        ),
        SpoolEvent::Poisoned { slot } => {
            format!(
                "lane {}: a write to {} failed; it is not written any longer",
                lane.name(),
                file_name(*slot)
            )
        }
    }
}

impl<D: Disk> LaneOut<D> {
    /// Seals cursors that no block carries.
    fn append_cursors(&mut self, now: Now, cursors: &[(u64, Vec<u8>)], forget: &[u64]) -> bool {
        let borrowed: Vec<(u64, &[u8])> =
            cursors.iter().map(|(key, bytes)| (*key, bytes.as_slice())).collect();
        match self.spool.append_cursors(now.mono, &borrowed, forget) {
            Ok(()) => {
                self.succeeded();
                true
            }
            Err(error) => {
                self.failed(now.mono, &error);
                false
            }
        }
    }

    /// Packs, seals and appends the open block; it stays open when that fails.
    fn seal(
        &mut self,
        now: Now,
        boot: BootId,
        packing: &mut Packing,
        workspace: &mut [u8],
        cursors: &[(u64, Vec<u8>)],
        forget: &[u64],
    ) -> bool {
        match self.append(now, boot, packing, workspace, cursors, forget) {
            Ok(()) => {
                self.packer.open(now.mono);
                self.opened = None;
                self.pace.handle_sealed(now.mono);
                self.succeeded();
                true
            }
            Err(error) => {
                self.failed(now.mono, &error);
                false
            }
        }
    }

    fn append(
        &mut self,
        now: Now,
        boot: BootId,
        packing: &mut Packing,
        workspace: &mut [u8],
        cursors: &[(u64, Vec<u8>)],
        forget: &[u64],
    ) -> Result<(), SealError> {
        let segment = self.spool.segment();
        match self.append_to(segment, now, boot, packing, workspace, cursors, forget) {
            // It has to begin the next segment, and so refers to nothing.
            Err(SealError::Spool(SpoolError::Elsewhere)) => {
                self.append_to(None, now, boot, packing, workspace, cursors, forget)
            }
            result => result,
        }
    }

    /// As [`append`](Self::append), referring only to blocks of this segment.
    #[expect(clippy::too_many_arguments, reason = "what is lent for one block, each by another")]
    fn append_to(
        &mut self,
        segment: Option<u64>,
        now: Now,
        boot: BootId,
        packing: &mut Packing,
        workspace: &mut [u8],
        cursors: &[(u64, Vec<u8>)],
        forget: &[u64],
    ) -> Result<(), SealError> {
        let Some(opened) = self.opened else { return Ok(()) };
        let room = workspace.get_mut(PAYLOAD_AT..).unwrap_or_default();
        let tail = self.spool.tail();
        let packed = self.choice.pack(&self.packer, tail.seq, segment, packing, room);
        let packed = packed.map_err(SealError::Misuse)?;
        let header = BlockHeader {
            lane: self.lane,
            run: tail.run,
            first: tail.seq,
            prev: tail.chain,
            count: self.packer.count(),
            boot,
            mono: opened.mono,
            span_ns: opened.last.since(opened.mono),
            wall: opened.wall,
            clock: opened.clock,
            codec: packed.codec.number(),
            raw_bytes: packed.raw_bytes,
        };
        let len = item::seal_in_place(&ItemHeader::Block(header), packed.bytes, workspace)
            .map_err(SealError::Misuse)?;
        let sealed = workspace.get(..len).unwrap_or_default();
        let borrowed: Vec<(u64, &[u8])> =
            cursors.iter().map(|(key, bytes)| (*key, bytes.as_slice())).collect();
        let copies = self.copies(&packed, tail.run).map_err(SealError::Spool)?;
        let copies: Vec<&[u8]> = copies.iter().map(Vec::as_slice).collect();
        let refers =
            Refers { segment: segment.filter(|_| packed.codec == Codec::Referring), copies: &copies };
        self.spool.append_referring(now.mono, sealed, &borrowed, forget, refers).map_err(SealError::Spool)?;
        let sealed = Sealed {
            first: header.first,
            end: header.end(),
            checksum: item::checksum(sealed).unwrap_or_default(),
            bytes: sealed.len(),
            segment: self.spool.segment().unwrap_or_default(),
        };
        self.choice.handle_sealed(&self.packer, &packed, &sealed).map_err(SealError::Misuse)
    }

    /// The blocks that this one is the first to refer to: it brings a copy of them, so that what is damaged in
    /// one place makes nothing else unreadable.
    fn copies(&mut self, packed: &Packed, run: RunId) -> Result<Vec<Vec<u8>>, SpoolError> {
        match self.choice.learned.to_copy(packed) {
            // What cannot be read now is not to be referred to.
            Some(reference) => match self.spool.referred(run, &reference) {
                Ok(Some(blocks)) => Ok(blocks),
                Ok(None) | Err(_) => Err(SpoolError::Elsewhere),
            },
            None => Ok(Vec::new()),
        }
    }
}
