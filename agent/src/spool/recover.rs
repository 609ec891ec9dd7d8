//! Recovery: from whatever lies in the directory to a log that can go on.
//!
//! Nothing is written here, so recovering again gives the same. Read are the headers of all
//! files and the frames of the last segment; another segment only where something is damaged.
//!
//! 1. The last segment is the one with the highest index whose checkpoint is whole, with the
//!    frames that were carried over into it. Any other was torn while it was opened and counts for
//!    nothing, unless a frame in it says that it had been synced.
//! 2. The segments before it are found by their links. A link that leads to a lower index than
//!    the next file has means that this file was given up; to a higher one, that a file is missing.
//! 3. The highest offset below which any frame says that the last segment was synced divides
//!    damage: above it lies a torn tail, which is cut; below it rot, which becomes a gap.
//! 4. State is that of the checkpoint and of every frame behind it. Is the checkpoint rotten, it
//!    is that of the segment before.
//! 5. What neither a frame nor a gap accounts for between base and end is declared: a gap.

use std::collections::VecDeque;

use driftlog_proto::ids::{BootId, Lane, Place, RunId, Seq};
use driftlog_proto::item::Cause;
use driftlog_proto::time::{Mono, Unix};

use super::disk::{Disk, DiskErrorKind, Slot, read_again};
use super::error::SpoolError;
use super::header::{Decoded, FRAMES_AT, HEADER_BYTES, Header};
use super::last::{Survey, read_state, survey, walk_last};
use super::segment::{Log, Patience, Segment};
use super::state::State;
use super::tail::Tail;

/// What recovery found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Segments in the log.
    pub segments: usize,
    /// Bytes of a torn tail that were cut, as far as can be told; their lines are read again.
    pub cut_bytes: u64,
    /// Files whose header could not be read by an error of the flash; they are set aside.
    pub unreadable_files: usize,
    /// Segments that should have been there and were not.
    pub missing_segments: usize,
    /// Frames of the last segment that were damaged below what had been synced.
    pub damaged_frames: usize,
    /// Source cursors were lost with a damaged frame: some lines may repeat.
    pub cursors_lost: bool,
    /// Records declared lost by this recovery.
    pub records_lost: u64,
    /// The spool was last written on other hardware.
    pub hardware_changed: bool,
    /// Boot, monotonic and wall time of the newest block of the last segment.
    pub newest: Option<(BootId, Mono, Unix)>,
}

/// A file that holds nothing of the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FreeFile {
    pub(crate) slot: Slot,
    pub(crate) bytes: u64,
}

/// A recovered log and what goes with it.
pub(crate) struct Recovered {
    pub(crate) lane: Option<Lane>,
    pub(crate) log: Log,
    pub(crate) state: State,
    /// The run at the end of the log and those before it, newest first.
    pub(crate) lineage: Vec<(RunId, Seq)>,
    pub(crate) free: Vec<FreeFile>,
    pub(crate) unreadable: Vec<FreeFile>,
    pub(crate) index_next: u64,
    pub(crate) hardware: Option<u64>,
    pub(crate) report: Recovery,
}

struct File {
    slot: Slot,
    bytes: u64,
    header: Header,
}

/// The directory, sorted by what the files are.
#[derive(Default)]
struct Files {
    /// By index, descending.
    headed: Vec<File>,
    free: Vec<FreeFile>,
    unreadable: Vec<FreeFile>,
}

pub(crate) fn recover<D: Disk>(disk: &mut D, lane: Option<Lane>) -> Result<Recovered, SpoolError> {
    let mut files = read_headers(disk, lane)?;
    let index_next = files.headed.first().map_or(1, |file| file.header.index + 1);
    let mut report = Recovery { unreadable_files: files.unreadable.len(), ..Recovery::default() };
    let survey = find_last(disk, &mut files);
    let live = link(&mut files);
    let mut recovered = Recovered {
        lane: live.last().map(|file| file.header.lane),
        log: Log::empty(Place::ORIGIN),
        state: State::default(),
        lineage: Vec::new(),
        free: files.free,
        unreadable: files.unreadable,
        index_next,
        hardware: live.last().map(|file| file.header.hardware),
        report: Recovery::default(),
    };
    if let Some(survey) = survey {
        read_log(disk, &live, &survey, &mut recovered, &mut report);
    }
    recovered.report = report;
    Ok(recovered)
}

fn read_headers<D: Disk>(disk: &mut D, lane: Option<Lane>) -> Result<Files, SpoolError> {
    let mut files = Files::default();
    let mut failed = None;
    for (slot, bytes) in disk.list().map_err(SpoolError::Disk)? {
        let mut head = [0; FRAMES_AT as usize];
        let read = match read_again(disk, slot, 0, &mut head) {
            Ok(read) => read,
            Err(error) if error.kind == DiskErrorKind::NotFound => continue,
            Err(error) => {
                files.unreadable.push(FreeFile { slot, bytes });
                failed.get_or_insert(error);
                continue;
            }
        };
        match newer_header(head.get(..read).unwrap_or_default()) {
            Decoded::Header(header) if lane.is_some_and(|lane| lane != header.lane) => {
                return Err(SpoolError::Lane { slot, found: header.lane });
            }
            Decoded::Header(header) => files.headed.push(File { slot, bytes, header }),
            Decoded::Version(found) => return Err(SpoolError::Version { slot, found }),
            Decoded::Nothing => files.free.push(FreeFile { slot, bytes }),
        }
    }
    // One file that is damaged is set aside. But a flash that gives nothing at all is out of order, and
    // what is on it is not given up for that.
    if let Some(error) = failed.filter(|_| files.headed.is_empty() && files.free.is_empty()) {
        return Err(SpoolError::Unreadable { files: files.unreadable.len(), error });
    }
    files.headed.sort_by_key(|file| std::cmp::Reverse(file.header.index));
    Ok(files)
}

/// The header of a file: of two that differ the newer one, which was written over an older segment and
/// got through in half. Its index is in use, whatever became of the rest: were it given out again, two
/// files would have it once the older copy is gone.
fn newer_header(head: &[u8]) -> Decoded {
    let (first, second) = head.split_at(head.len().min(HEADER_BYTES));
    match (Header::decode(first), Header::decode(second)) {
        (Decoded::Nothing, second) => second,
        (Decoded::Header(first), Decoded::Header(second)) if second.index > first.index => {
            Decoded::Header(second)
        }
        (first, _) => first,
    }
}

/// Sets aside files above the last segment: torn while they were opened.
fn find_last<D: Disk>(disk: &mut D, files: &mut Files) -> Option<Survey> {
    while let Some(file) = files.headed.first() {
        let survey = survey(disk, &Segment::new(file.slot, file.bytes, &file.header));
        if survey.is_whole || survey.synced > FRAMES_AT {
            return Some(survey);
        }
        let void = files.headed.remove(0);
        files.free.push(FreeFile { slot: void.slot, bytes: void.bytes });
    }
    None
}

/// Follows the links from the last segment back, and returns the log's files oldest first. Along a log
/// the numbers never fall: a file that begins above the next one is none of it. Nor is one of a run that,
/// as the last segment knows it, ended before: what it holds was once given up.
fn link(files: &mut Files) -> Vec<File> {
    let mut live: Vec<File> = Vec::new();
    for file in std::mem::take(&mut files.headed) {
        let is_live = match (live.last(), live.first()) {
            (Some(newer), Some(last)) => {
                let is_linked =
                    file.header.index >= last.header.oldest && file.header.index <= newer.header.previous;
                is_linked
                    && file.header.first.seq <= newer.header.first.seq
                    && is_of_history(&file.header, &last.header)
            }
            _ => true,
        };
        if is_live {
            live.push(file);
        } else {
            files.free.push(FreeFile { slot: file.slot, bytes: file.bytes });
        }
    }
    live.reverse();
    live
}

/// Whether a segment stands where the last one's runs say: within its run, not behind its end.
fn is_of_history(header: &Header, last: &Header) -> bool {
    let Some((run, _)) = header.lineage.first() else { return true };
    let Some(at) = last.lineage.iter().position(|(known, _)| known == run) else { return true };
    let end = at.checked_sub(1).and_then(|next| last.lineage.get(next));
    end.is_none_or(|(_, end)| header.first.seq <= *end)
}

fn read_log<D: Disk>(
    disk: &mut D,
    live: &[File],
    survey: &Survey,
    recovered: &mut Recovered,
    report: &mut Recovery,
) {
    let segments: VecDeque<_> =
        live.iter().map(|file| Segment::new(file.slot, file.bytes, &file.header)).collect();
    let Some(last) = segments.back().cloned() else { return };
    let oldest = segments.front().map_or(last.first, |segment| segment.first);
    recovered.log = Log::empty(oldest);
    recovered.log.segments = segments;
    recovered.state.base = oldest;
    // The state of the newest good checkpoint, and of what follows it.
    let mut from = live.len().saturating_sub(1);
    if !survey.checkpoint {
        report.cursors_lost = true;
        report.damaged_frames += 1;
        from = from.saturating_sub(1);
        while from > 0 && !recovered.log.segments.get(from).is_some_and(|s| has_checkpoint(disk, s)) {
            from -= 1;
        }
    }
    for at in from..live.len().saturating_sub(1) {
        replay(disk, &recovered.log, at, &mut recovered.state);
    }
    let walk = walk_last(disk, &last, survey, &mut recovered.state, report);
    recovered.log.tip = walk.tip;
    recovered.log.end = walk.tip.durable_end;
    name_runs(live, recovered);
    declare(disk, live, &walk.damaged, recovered, report);
    report.segments = recovered.log.segments.len();
}

fn has_checkpoint<D: Disk>(disk: &mut D, segment: &Segment) -> bool {
    let frame = segment.frame_at(disk, FRAMES_AT, segment.bytes);
    frame.is_ok_and(|frame| frame.is_some_and(|frame| read_state(disk, segment, &frame).is_some()))
}

/// Applies the tails of a segment that is not the last.
fn replay<D: Disk>(disk: &mut D, log: &Log, at: usize, state: &mut State) {
    let Some(segment) = log.segments.get(at) else { return };
    let end = log.end_of(at);
    let mut buf = Vec::new();
    let mut offset = FRAMES_AT;
    while let Ok(Some(frame)) = segment.next_frame(disk, offset, segment.bytes, Patience::Skip) {
        // Behind the next segment's beginning stands what was written there again.
        if segment.end_of(&frame).seq > end.seq {
            break;
        }
        if let Ok((_, true)) = segment.read_frame(disk, &frame, &mut buf) {
            let tail = buf.get(frame.items_bytes() as usize..).and_then(Tail::decode);
            if let Some(tail) = tail {
                state.apply(&tail);
            }
        }
        offset = frame.next_offset();
    }
}

/// Makes the runs known by which places are ordered, and the line of the run at the end.
fn name_runs(live: &[File], recovered: &mut Recovered) {
    let log = &mut recovered.log;
    for (at, file) in live.iter().enumerate() {
        let is_empty = log.end_of(at) == file.header.first;
        let never_begun = usize::from(file.header.begins_run && is_empty);
        let lineage = file.header.lineage.get(never_begun..).unwrap_or_default();
        for (run, n) in lineage.iter().rev() {
            log.runs.add(*run, *n);
        }
        if at + 1 == live.len() {
            recovered.lineage = lineage.to_vec();
        }
    }
    for hole in recovered.state.gaps.iter() {
        for (run, n) in &hole.starts {
            log.runs.add(*run, *n);
        }
    }
}

/// Declares what neither frames nor gaps account for, and lets go of what is not needed.
fn declare<D: Disk>(
    disk: &mut D,
    live: &[File],
    damaged: &[(Place, Place)],
    recovered: &mut Recovered,
    report: &mut Recovery,
) {
    let (log, state) = (&mut recovered.log, &mut recovered.state);
    log.base = state.base;
    if log.key(&log.end) < log.key(&log.base) {
        // The flash forgot what it had given to the gateway: go on at the base.
        log.end = log.base;
        log.tip.durable_end = log.base;
        log.tip.synced_end = log.base;
    }
    log.gaps = std::mem::take(&mut state.gaps);
    log.gaps.trim(&log.runs, &log.base);
    let mut missing = Vec::new();
    if let Some(end) =
        log.gaps.iter().next_back().map(|last| last.to).filter(|to| log.key(to) > log.key(&log.end))
    {
        // The last items could not be written again after a failed sync: their gap is the end of the log.
        missing.push((log.end, end));
        if log.tip.synced == log.tip.used {
            log.tip.synced_end = end;
        }
        log.end = end;
        log.tip.durable_end = end;
    }
    let frontier = log.gaps.past(&log.base);
    if let Some(first) = log.segments.front().filter(|first| log.key(&frontier) < log.key(&first.first)) {
        report.missing_segments += 1;
        missing.push((frontier, first.first));
    }
    for (at, pair) in live.windows(2).enumerate() {
        let [before, after] = pair else { continue };
        // Files of what is acknowledged are removed one by one, and some stay as spares.
        let is_needed = log.key(&log.base) < log.key(&after.header.first);
        if is_needed && after.header.previous != before.header.index {
            let end = last_end(disk, log, at);
            if log.key(&end) < log.key(&after.header.first) {
                report.missing_segments += 1;
                missing.push((end, after.header.first));
            }
        }
    }
    for (from, to) in missing.iter().chain(damaged) {
        let from = if log.key(from) < log.key(&log.base) { log.base } else { *from };
        // When the table is full, the hole is found again by reading, once there is room.
        let mut gaps = log.gaps.clone();
        if let Ok(records) = gaps.cover(&log.runs, &from, to, Cause::Corruption) {
            log.gaps = gaps;
            report.records_lost += records;
            if let Some(lost) = state.dropped.get_mut(Cause::Corruption.index()) {
                *lost += records;
            }
        }
    }
    for segment in log.release() {
        recovered.free.push(FreeFile { slot: segment.slot, bytes: u64::from(segment.bytes) });
    }
    log.runs.trim(&log.base);
}

/// Where the frames of a segment end whose successor is missing.
fn last_end<D: Disk>(disk: &mut D, log: &Log, at: usize) -> Place {
    let Some(segment) = log.segments.get(at) else { return log.base };
    // Numbers at which a later run begins are not this one's: what stands there was cut.
    let limit = log.runs.end_of(segment.run, segment.first.seq).min(log.end_of(at).seq);
    let mut end = segment.first;
    let mut offset = FRAMES_AT;
    while let Ok(Some(frame)) = segment.next_frame(disk, offset, segment.bytes, Patience::Skip) {
        let place = segment.end_of(&frame);
        if frame.has_items() && place.seq <= limit {
            end = place;
        }
        offset = frame.next_offset();
    }
    end
}
