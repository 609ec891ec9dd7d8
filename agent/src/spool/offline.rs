//! A spool without its agent: pulled off a dead device, or looked at while the agent is down.
//!
//! Promises: nothing on disk is changed and no lock is taken. What recovery and reading would
//! write (gaps in the place of what is damaged) goes into memory, so that what is shown here is
//! what the agent would send. Costs: as the agent's reading, and a copy of each file written to.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use driftlog_proto::block::{Decompress, Part, unpack};
use driftlog_proto::ids::{Lane, Place, RunId};
use driftlog_proto::item::{self, BlockHeader, Cause, ItemHeader};
use driftlog_proto::limits::RAW_BYTES_MAX;
use driftlog_proto::sender::Kind;
use serde::Serialize;

use super::disk::{Disk, DiskError, OsDisk, Slot};
use super::{Spool, SpoolConfig, SpoolError};

/// The file in the state directory that says whose spool it is.
pub const DEVICE_ID_FILE: &str = "device_id";

/// A directory that is only read; what is written goes into memory.
#[derive(Debug)]
pub struct Overlay {
    below: OsDisk,
    written: BTreeMap<Slot, Vec<u8>>,
}

impl Overlay {
    fn over(directory: &Path) -> Self {
        Self { below: OsDisk::read_only(directory), written: BTreeMap::new() }
    }

    fn copy(&mut self, slot: Slot) -> Result<&mut Vec<u8>, DiskError> {
        if !self.written.contains_key(&slot) {
            let length = self
                .below
                .list()?
                .into_iter()
                .find(|(known, _)| *known == slot)
                .map_or(0, |(_, bytes)| bytes);
            let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
            self.below.read_at(slot, 0, &mut bytes)?;
            self.written.insert(slot, bytes);
        }
        Ok(self.written.entry(slot).or_default())
    }
}

impl Disk for Overlay {
    fn list(&mut self) -> Result<Vec<(Slot, u64)>, DiskError> {
        let mut files: BTreeMap<Slot, u64> = self.below.list()?.into_iter().collect();
        files.extend(self.written.iter().map(|(slot, bytes)| (*slot, bytes.len() as u64)));
        Ok(files.into_iter().collect())
    }

    fn create(&mut self, slot: Slot, bytes: u64) -> Result<(), DiskError> {
        self.written.insert(slot, vec![0; usize::try_from(bytes).unwrap_or(0)]);
        Ok(())
    }

    fn resize(&mut self, slot: Slot, bytes: u64) -> Result<(), DiskError> {
        self.copy(slot)?.resize(usize::try_from(bytes).unwrap_or(0), 0);
        Ok(())
    }

    fn read_at(&mut self, slot: Slot, at: u64, buf: &mut [u8]) -> Result<usize, DiskError> {
        let Some(bytes) = self.written.get(&slot) else { return self.below.read_at(slot, at, buf) };
        let from = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
        let piece = bytes.get(from..).unwrap_or_default();
        let len = piece.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..len), piece.get(..len)) {
            to.copy_from_slice(from);
        }
        Ok(len)
    }

    fn write_at(&mut self, slot: Slot, at: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let file = self.copy(slot)?;
        let at = usize::try_from(at).unwrap_or(0);
        let end = at + bytes.len();
        if file.len() < end {
            file.resize(end, 0);
        }
        if let Some(to) = file.get_mut(at..end) {
            to.copy_from_slice(bytes);
        }
        Ok(())
    }

    fn sync(&mut self, _: Slot) -> Result<(), DiskError> {
        Ok(())
    }

    fn remove(&mut self, slot: Slot) -> Result<(), DiskError> {
        self.written.insert(slot, Vec::new());
        Ok(())
    }

    fn sync_dir(&mut self) -> Result<(), DiskError> {
        Ok(())
    }
}

/// A place as it is printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShownPlace {
    /// The run, 16 hex digits.
    pub run: String,
    /// The number of the record that comes next.
    pub seq: u64,
    /// The chain, 16 hex digits.
    pub chain: String,
}

impl From<Place> for ShownPlace {
    fn from(place: Place) -> Self {
        Self { run: place.run.to_string(), seq: place.seq.0, chain: place.chain.to_string() }
    }
}

/// A gap as it is printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShownGap {
    /// Where it begins.
    pub from: ShownPlace,
    /// Where the log goes on.
    pub to: ShownPlace,
    /// Why.
    pub cause: &'static str,
    /// How many records are gone.
    pub records: u64,
}

/// What a lane's spool holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// The device, as far as the state directory says; else `unknown`.
    pub device_id: String,
    /// The lane.
    pub lane: &'static str,
    /// The place below which everything is acknowledged, as far as the spool knows.
    pub base: ShownPlace,
    /// The place after the newest item.
    pub next: ShownPlace,
    /// What is declared lost and not acknowledged.
    pub gaps: Vec<ShownGap>,
    /// Runs that begin in it.
    pub starts: u64,
    /// Blocks in it.
    pub blocks: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of their sealed forms.
    pub block_bytes: u64,
    /// Segments in use.
    pub segments: usize,
    /// Bytes of all files.
    pub file_bytes: u64,
    /// Bytes of a torn tail that the next start will cut; their lines are read again.
    pub cut_bytes: u64,
    /// What is damaged, in words.
    pub damage: Vec<String>,
}

/// One item on a walk through the log.
#[derive(Debug)]
pub enum Found<'a> {
    /// A run begins.
    Start,
    /// A block.
    Block(&'a BlockHeader, &'a [u8]),
    /// Records that are gone.
    Gap(&'a item::Gap),
}

/// A lane of a spool, opened for looking.
#[derive(Debug)]
pub struct LaneView {
    spool: Spool<Overlay>,
    device_id: String,
}

/// The lanes found in a directory: a state directory, its spool folder, or one lane's folder.
#[must_use]
pub fn lanes(directory: &Path) -> Vec<(Lane, PathBuf)> {
    let named = |folder: &Path| {
        let lane = |lane: Lane| (lane, folder.join(lane.name()));
        Lane::ALL.map(lane).into_iter().filter(|(_, path)| path.is_dir()).collect::<Vec<_>>()
    };
    let own = directory.file_name().and_then(|name| name.to_str()).and_then(Lane::from_name);
    let below = [directory.join(crate::pipeline::SPOOL_FOLDER), directory.to_owned()];
    let found = below.iter().map(|folder| named(folder)).find(|lanes| !lanes.is_empty());
    found.unwrap_or_else(|| own.map(|lane| (lane, directory.to_owned())).into_iter().collect())
}

impl LaneView {
    /// Opens one lane's folder for looking.
    ///
    /// # Errors
    /// When it cannot be read, or is of another version or lane.
    pub fn open(lane: Lane, folder: &Path) -> Result<Self, SpoolError> {
        // As large as may be: nothing that is looked at is dropped for want of room.
        let config = SpoolConfig::new(lane, 1 << 40);
        let spool = Spool::open(Overlay::over(folder), config, RunId(u64::MAX), 0)?;
        let device_id = folder
            .ancestors()
            .take(3)
            .find_map(|folder| std::fs::read_to_string(folder.join(DEVICE_ID_FILE)).ok())
            .map_or_else(|| String::from("unknown"), |text| text.trim().to_owned());
        Ok(Self { spool, device_id })
    }

    /// The lane.
    #[must_use]
    pub const fn lane(&self) -> Lane {
        self.spool.config().lane
    }

    /// Goes through everything that is not acknowledged, in order, and calls `each` for every item.
    /// Returns what could not be read, in words.
    ///
    /// # Errors
    /// What `each` returns.
    pub fn walk(&mut self, mut each: impl FnMut(Found<'_>) -> io::Result<()>) -> io::Result<Vec<String>> {
        let mut trouble = Vec::new();
        let mut place = self.spool.base();
        let mut sealed = Vec::new();
        loop {
            match self.spool.item_at(&place) {
                Ok(None) => return Ok(trouble),
                Err(error) => {
                    trouble.push(format!("nothing can be read from {place} on: {error}"));
                    return Ok(trouble);
                }
                Ok(Some(stored)) => {
                    if self.spool.read(&stored, &mut sealed).is_err() {
                        // It is looked at again, and is then a gap.
                        continue;
                    }
                    match item::open(&sealed) {
                        Ok((ItemHeader::Start(_), _)) => each(Found::Start)?,
                        Ok((ItemHeader::Block(header), payload)) => each(Found::Block(&header, payload))?,
                        Ok((ItemHeader::Gap(gap), _)) => {
                            if gap.cause == Cause::Corruption && stored.kind == Kind::Gap {
                                trouble.push(format!(
                                    "{} records from {} on are damaged",
                                    gap.records(),
                                    gap.from
                                ));
                            }
                            each(Found::Gap(&gap))?;
                        }
                        Err(error) => trouble.push(format!("the item at {place}: {error}")),
                    }
                    place = stored.end;
                }
            }
        }
    }

    /// What the lane holds. With `contents`, every block is unpacked too.
    #[must_use]
    pub fn inspect(&mut self, contents: bool) -> Inspection {
        let (base, next) = (self.spool.base().into(), self.spool.next_durable().into());
        let recovery = self.spool.recovery().clone();
        let usage = self.spool.usage();
        let mut shown = Inspection {
            device_id: self.device_id.clone(),
            lane: self.lane().name(),
            base,
            next,
            gaps: Vec::new(),
            starts: 0,
            blocks: 0,
            records: 0,
            block_bytes: 0,
            segments: usage.segments,
            file_bytes: usage.bytes,
            cut_bytes: recovery.cut_bytes,
            damage: Vec::new(),
        };
        let mut unreadable = Vec::new();
        let walked = self.walk(|found| {
            match found {
                Found::Start => shown.starts += 1,
                Found::Gap(gap) => shown.gaps.push(ShownGap {
                    from: gap.from.into(),
                    to: gap.to.into(),
                    cause: gap.cause.name(),
                    records: gap.records(),
                }),
                Found::Block(header, payload) => {
                    shown.blocks += 1;
                    shown.records += u64::from(header.count);
                    shown.block_bytes += payload.len() as u64;
                    if contents
                        && let Err(error) = unpack(header, payload, &mut Unzstd, &mut vec![0; RAW_BYTES_MAX])
                    {
                        unreadable.push(format!("the block of record {}: {error}", header.first));
                    }
                }
            }
            Ok(())
        });
        shown.damage = walked.unwrap_or_default();
        shown.damage.append(&mut unreadable);
        if recovery.unreadable_files + recovery.missing_segments + recovery.damaged_frames > 0 {
            shown.damage.push(format!(
                "{} unreadable files, {} missing segments, {} damaged frames",
                recovery.unreadable_files, recovery.missing_segments, recovery.damaged_frames
            ));
        }
        if recovery.cursors_lost {
            shown.damage.push(String::from("source cursors were lost: some lines may be read again"));
        }
        shown
    }

    /// The lines as they were read, one after another. Gaps and what cannot be read go to `aside`.
    ///
    /// # Errors
    /// When `out` or `aside` cannot be written.
    pub fn export_text(&mut self, out: &mut impl Write, aside: &mut impl Write) -> io::Result<()> {
        let mut scratch = vec![0; RAW_BYTES_MAX];
        let lane = self.lane().name();
        let trouble = self.walk(|found| match found {
            Found::Start => Ok(()),
            Found::Gap(gap) => {
                writeln!(aside, "lane {lane}: {} records are lost here ({})", gap.records(), gap.cause.name())
            }
            Found::Block(header, payload) => match unpack(header, payload, &mut Unzstd, &mut scratch) {
                Err(error) => {
                    writeln!(aside, "lane {lane}: {} records cannot be unpacked: {error}", header.count)
                }
                Ok(block) => block.records().try_for_each(|record| {
                    out.write_all(record.body)?;
                    // The parts of a line are one line.
                    if matches!(record.part, Part::Whole | Part::Last) {
                        out.write_all(b"\n")
                    } else {
                        Ok(())
                    }
                }),
            },
        })?;
        trouble.iter().try_for_each(|text| writeln!(aside, "lane {lane}: {text}"))
    }

    /// One JSON object for each record, gap and start, in order.
    ///
    /// # Errors
    /// When `out` or `aside` cannot be written.
    pub fn export_ndjson(&mut self, out: &mut impl Write, aside: &mut impl Write) -> io::Result<()> {
        let mut scratch = vec![0; RAW_BYTES_MAX];
        let lane = self.lane().name();
        let device = self.device_id.clone();
        let trouble = self.walk(|found| match found {
            Found::Start => Ok(()),
            Found::Gap(gap) => json(
                out,
                &GapLine {
                    device_id: &device,
                    lane,
                    gap: ShownGap {
                        from: gap.from.into(),
                        to: gap.to.into(),
                        cause: gap.cause.name(),
                        records: gap.records(),
                    },
                },
            ),
            Found::Block(header, payload) => match unpack(header, payload, &mut Unzstd, &mut scratch) {
                Err(error) => {
                    writeln!(aside, "lane {lane}: {} records cannot be unpacked: {error}", header.count)
                }
                Ok(block) => {
                    let paths: Vec<String> = block
                        .sources()
                        .map(|source| String::from_utf8_lossy(source.path).into_owned())
                        .collect();
                    block.records().enumerate().try_for_each(|(at, record)| {
                        let text = std::str::from_utf8(record.body).ok();
                        json(
                            out,
                            &RecordLine {
                                device_id: &device,
                                lane,
                                run: header.run.to_string(),
                                seq: header.first.0 + at as u64,
                                device_time_ns: header
                                    .wall
                                    .0
                                    .saturating_add(record.mono.since(header.mono).cast_signed()),
                                severity: record.severity.name(),
                                path: paths.get(usize::from(record.source)).map_or("", String::as_str),
                                offset: record.offset,
                                part: !matches!(record.part, Part::Whole),
                                message: text,
                                message_hex: text.is_none().then(|| hex(record.body)),
                            },
                        )
                    })
                }
            },
        })?;
        trouble.iter().try_for_each(|text| writeln!(aside, "lane {lane}: {text}"))
    }
}

#[derive(Serialize)]
struct GapLine<'a> {
    device_id: &'a str,
    lane: &'a str,
    gap: ShownGap,
}

#[derive(Serialize)]
struct RecordLine<'a> {
    device_id: &'a str,
    lane: &'a str,
    run: String,
    seq: u64,
    /// The device's own clock, which may be wrong: nobody has corrected it.
    device_time_ns: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<&'static str>,
    path: &'a str,
    offset: u64,
    /// One of several parts of a line.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    part: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    /// The bytes of a body that is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    message_hex: Option<String>,
}

fn json(out: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// zstd in one shot into a buffer whose length is known: takes no window of its own.
struct Unzstd;

impl Decompress for Unzstd {
    fn decompress(&mut self, input: &[u8], out: &mut [u8]) -> Option<usize> {
        zstd::zstd_safe::decompress(out, input).ok()
    }
}
