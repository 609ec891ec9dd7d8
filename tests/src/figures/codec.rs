//! `cargo figures codec`: how small blocks become and what that costs, beside general compressors.
//!
//! A block is what a device would seal: records of one source with their times and offsets, so the
//! strong codec's bytes are all that travels but the item's header. The others get bare lines. The last
//! column is what the agent makes of a system in one segment of its spool, with earlier blocks to refer to.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use driftlog_agent::compress::Zstd;
use driftlog_agent::pipeline::{Choice, Cpu, Packing, Room, Sealed};
use driftlog_gateway::decompress::Zstd as Unzstd;
use driftlog_proto::block::{
    Codec, Ending, Format, Packed, Packer, Part, Record, Reference, Scratch, Severity, Source,
    WORKSPACE_BYTES, unpack,
};
use driftlog_proto::ids::{BootId, Chain, Lane, RunId, Seq};
use driftlog_proto::item::{self, BlockHeader, ItemHeader};
use driftlog_proto::limits::{ITEM_BYTES_MAX, PAYLOAD_BYTES_MAX, RECORD_BYTES_MAX};
use driftlog_proto::lines::{Decoder, Encoder};
use driftlog_proto::time::{ClockState, Mono, Unix};
use flate2::Compression;
use flate2::write::GzEncoder;
use lexopt::{Arg, ValueExt as _};
use zstd::zstd_safe::{CCtx, CParameter, DCtx};

use super::{machine, tell};
use crate::clock;
use crate::corpus::{Corpus, Style};
use crate::exit;
use crate::table::{Table, bytes};

const HELP: &str = "\
cargo figures codec - how small blocks become, and what that costs

usage: cargo figures codec [OPTIONS]

  --input PATH   a folder: each file in it is a system; else lines are generated in six styles
  --kb N         kilobytes of each system that are used (1 to 100000; 400 unless given)
  --rounds N     each block is timed so many times, and its least time counts (9 unless given)
  --help         this text
";

/// Bytes of lines in a block.
const SIZES: [usize; 3] = [64 * 1024, 16 * 1024, 4 * 1024];

struct Options {
    input: Option<PathBuf>,
    bytes: usize,
    rounds: u32,
}

/// Lines that belong together, each with its newline.
struct System {
    name: String,
    lines: Vec<Vec<u8>>,
}

/// What becomes of some bytes.
#[derive(Clone, Copy, Default)]
struct Sizes {
    raw: usize,
    gzip: usize,
    zstd3: usize,
    zstd6: usize,
    plain: usize,
    strong: usize,
    agent: usize,
}

impl Sizes {
    fn add(&mut self, other: &Self) {
        self.raw += other.raw;
        self.gzip += other.gzip;
        self.zstd3 += other.zstd3;
        self.zstd6 += other.zstd6;
        self.plain += other.plain;
        self.strong += other.strong;
        self.agent += other.agent;
    }

    fn row(&self, name: &str) -> Vec<String> {
        let ratio = |packed: usize| format!("{:.2}", self.raw as f64 / packed.max(1) as f64);
        let packed = [self.gzip, self.zstd3, self.zstd6, self.plain, self.strong, self.agent];
        [name.to_owned(), bytes(self.raw as u64)].into_iter().chain(packed.map(ratio)).collect()
    }
}

/// Runs it; the arguments are those behind `codec`.
pub(super) fn run(args: impl IntoIterator<Item = OsString>) -> Result<io::Result<bool>, String> {
    Ok(match parse(args)? {
        Some(options) => measure(&options).map(|()| true),
        None => exit::help(HELP),
    })
}

fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Option<Options>, String> {
    let mut options = Options { input: None, bytes: 400_000, rounds: 9 };
    let mut parser = lexopt::Parser::from_args(args);
    let bad = |error: lexopt::Error| format!("{error}\nhint: `cargo figures codec --help` lists the options");
    while let Some(arg) = parser.next().map_err(bad)? {
        match arg {
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            Arg::Long("input") => options.input = Some(parser.value().map_err(bad)?.into()),
            Arg::Long("kb") => {
                let kb: usize = parser.value().and_then(|value| value.parse()).map_err(bad)?;
                options.bytes = kb.clamp(1, 100_000) * 1000;
            }
            Arg::Long("rounds") => {
                let rounds: u32 = parser.value().and_then(|value| value.parse()).map_err(bad)?;
                options.rounds = rounds.clamp(1, 1000);
            }
            other => return Err(bad(other.unexpected())),
        }
    }
    Ok(Some(options))
}

fn measure(options: &Options) -> io::Result<()> {
    let systems = systems(options)?;
    let mut bench = Bench::new();
    let mut out = io::stdout().lock();
    writeln!(out, "machine  {}", machine::name())?;
    let encoder = size_of::<Encoder>() as u64;
    writeln!(out, "memory   encoder {}, decoder {}\n", bytes(encoder), bytes(size_of::<Decoder>() as u64))?;
    for size in SIZES {
        tell(&format!("blocks of {} KiB", size / 1024))?;
        let heading = format!("{} KiB", size / 1024);
        let head = [&heading, "bytes", "gzip of JSON", "zstd-3", "zstd-6", "plain", "strong", "agent"];
        let mut table = Table::new(&head);
        let mut total = Sizes::default();
        for system in &systems {
            let mut sizes = Sizes::default();
            let mut device = Device::new();
            for block in blocks(&system.lines, size) {
                sizes.add(&bench.sizes(block, &mut device)?);
            }
            total.add(&sizes);
            table.row(sizes.row(&system.name));
        }
        table.rule();
        table.row(total.row("total"));
        table.write(&mut out)?;
        writeln!(out)?;
    }
    tell("times")?;
    let mut table = Table::new(&["64 KiB, ns a byte", "pack", "of zstd-3", "unpack", "of zstd-3"]);
    let times = bench.times(&systems, options.rounds)?;
    let base = times.first().copied().unwrap_or_default();
    for Times { name, pack, unpack } in times {
        let cell = |number: f64| format!("{number:.2}");
        let of = [pack, pack / base.pack, unpack, unpack / base.unpack];
        table.row([name.to_owned()].into_iter().chain(of.map(cell)).collect());
    }
    table.write(&mut out)
}

fn systems(options: &Options) -> io::Result<Vec<System>> {
    let Some(folder) = &options.input else {
        return Ok(Style::ALL.map(|style| generated(style, options.bytes)).into());
    };
    let mut files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    files.sort();
    let read = |path: PathBuf| {
        let mut text = fs::read(&path)?;
        text.truncate(options.bytes);
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(System { name, lines: text.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect() })
    };
    let systems: Vec<System> = files.into_iter().map(read).collect::<io::Result<_>>()?;
    if systems.is_empty() {
        let what = format!("{}: no file ends in .log\nhint: each such file is a system", folder.display());
        return Err(io::Error::other(what));
    }
    Ok(systems)
}

fn generated(style: Style, bytes: usize) -> System {
    let mut corpus = Corpus::new(style, 1, false);
    let (mut lines, mut written) = (Vec::new(), 0);
    while written < bytes {
        let mut line = Vec::new();
        corpus.line(&mut line);
        written += line.len();
        lines.push(line);
    }
    System { name: style.file_name().to_owned(), lines }
}

/// Lines of at most so many bytes together, and at least one.
fn blocks(lines: &[Vec<u8>], size: usize) -> impl Iterator<Item = &[Vec<u8>]> {
    let mut rest = lines;
    std::iter::from_fn(move || {
        let fits = |sum: &mut usize, line: &Vec<u8>| {
            *sum += line.len();
            (*sum <= size).then_some(())
        };
        let count = rest.iter().scan(0, fits).count().max(1).min(rest.len());
        let (block, behind) = rest.split_at(count);
        rest = behind;
        (count > 0).then_some(block)
    })
}

/// What a pack or an unpack took, the least of several times.
#[derive(Clone, Copy, Default)]
struct Times {
    name: &'static str,
    pack: f64,
    unpack: f64,
}

/// What an agent has sealed of a system, all in one segment.
struct Device {
    choice: Choice,
    next: Seq,
    /// The sealed blocks, oldest first.
    blocks: Vec<(Seq, Vec<u8>)>,
}

impl Device {
    fn new() -> Self {
        Self { choice: Choice::new(), next: Seq::ZERO, blocks: Vec::new() }
    }

    fn header(&self, packer: &Packer<Room>, packed: &Packed) -> BlockHeader {
        BlockHeader {
            lane: Lane::Bulk,
            run: RunId(1),
            first: self.next,
            prev: self.blocks.last().map_or(Chain::ROOT, |(_, sealed)| Chain::after(sealed)),
            count: packer.count(),
            boot: BootId([0; 16]),
            mono: Mono(0),
            span_ns: 0,
            wall: Unix(0),
            clock: ClockState::Unset,
            codec: packed.codec.number(),
            raw_bytes: packed.raw_bytes,
        }
    }

    /// What a block refers to.
    fn referred(&self, header: &BlockHeader, payload: &[u8]) -> io::Result<Vec<&[u8]>> {
        let reference =
            Reference::of(header, payload).map_err(|error| io::Error::other(error.to_string()))?;
        let Some(reference) = reference else { return Ok(Vec::new()) };
        let end = self.blocks.iter().take_while(|(first, _)| *first <= reference.seq).count();
        let begin = end.saturating_sub(usize::from(reference.count));
        Ok(self
            .blocks
            .get(begin..end)
            .unwrap_or_default()
            .iter()
            .map(|(_, sealed)| sealed.as_slice())
            .collect())
    }
}

struct Bench {
    packer: Packer<Room>,
    packing: Packing,
    encoder: Box<Encoder>,
    zstd: Zstd,
    unzstd: Unzstd,
    scratch: Scratch,
    payload: Vec<u8>,
}

impl Bench {
    fn new() -> Self {
        Self {
            packer: Packer::new(Room::new(WORKSPACE_BYTES)).expect("the room that it asks for"),
            packing: Packing::new(Cpu::Normal),
            encoder: Box::new(Encoder::new()),
            zstd: Zstd::new(),
            unzstd: Unzstd::new(),
            scratch: Scratch::new(),
            payload: vec![0; PAYLOAD_BYTES_MAX],
        }
    }

    fn fill(&mut self, lines: &[Vec<u8>]) -> io::Result<()> {
        self.packer.open(Mono(0));
        let full = |full| io::Error::other(format!("a block of 64 KiB: {full}"));
        let source = self.packer.source(&Source { path: b"/var/log/app.log", file: 42 }).map_err(full)?;
        let mut offset = 0;
        for (number, line) in (1..).zip(lines) {
            let body = line.strip_suffix(b"\n").unwrap_or(line);
            let body = body.get(..RECORD_BYTES_MAX).unwrap_or(body);
            let (ending, part, format) = (Ending::Newline, Part::Whole, Format::Raw);
            let (mono, severity, cut) = (Mono(number * 1_037_000), Severity::INFO, false);
            let record = Record { mono, severity, source, offset, ending, part, cut, format, body };
            self.packer.push(&record).map_err(full)?;
            offset += line.len() as u64;
        }
        Ok(())
    }

    fn plain(&mut self) -> io::Result<Packed> {
        let packed = self.packer.pack(Codec::Zstd, &mut self.zstd, &mut self.payload);
        packed.map_err(|error| io::Error::other(error.to_string()))
    }

    fn strong(&mut self) -> io::Result<Packed> {
        let strong = self.packer.pack_strong(&mut self.encoder, &mut self.zstd, &mut self.payload);
        match strong.map_err(|error| io::Error::other(error.to_string()))? {
            Some(packed) => Ok(packed),
            None => self.plain(),
        }
    }

    /// As the device would pack its next block.
    fn of_agent(&mut self, device: &mut Device) -> io::Result<Packed> {
        let packed =
            device.choice.pack(&self.packer, device.next, Some(0), &mut self.packing, &mut self.payload);
        packed.map_err(|error| io::Error::other(error.to_string()))
    }

    /// The device seals it.
    fn seal(&mut self, device: &mut Device, packed: &Packed) -> io::Result<()> {
        let header = device.header(&self.packer, packed);
        let mut sealed = vec![0; ITEM_BYTES_MAX];
        let payload = self.payload.get(..packed.bytes).unwrap_or_default();
        let misuse = |error: driftlog_proto::error::Misuse| io::Error::other(error.to_string());
        let bytes = item::seal(&ItemHeader::Block(header), payload, &mut sealed).map_err(misuse)?;
        sealed.truncate(bytes);
        let checksum = item::checksum(&sealed).unwrap_or_default();
        let one = Sealed { first: header.first, end: header.end(), checksum, bytes, segment: 0 };
        device.choice.handle_sealed(&self.packer, packed, &one).map_err(misuse)?;
        device.blocks.push((header.first, sealed));
        device.next = header.end();
        Ok(())
    }

    fn unpack(&mut self, packed: &Packed, device: &Device) -> io::Result<()> {
        let header = device.header(&self.packer, packed);
        let payload = self.payload.get(..packed.bytes).unwrap_or_default();
        let blocks = device.referred(&header, payload)?;
        match unpack(&header, payload, &blocks, &mut self.unzstd, &mut self.scratch) {
            Ok(block) if block.body_bytes() == self.packer.body_bytes() => Ok(()),
            Ok(_) => Err(io::Error::other("a block came back with other lines")),
            Err(error) => Err(io::Error::other(format!("a block does not come back: {error}"))),
        }
    }

    fn sizes(&mut self, lines: &[Vec<u8>], device: &mut Device) -> io::Result<Sizes> {
        self.fill(lines)?;
        let raw = lines.concat();
        let mut sizes = Sizes { raw: raw.len(), gzip: gzip_of_json(lines)?, ..Sizes::default() };
        sizes.zstd3 = zstd(3)?.compress2(&mut self.payload[..], &raw).map_err(of_zstd)?;
        sizes.zstd6 = zstd(6)?.compress2(&mut self.payload[..], &raw).map_err(of_zstd)?;
        sizes.plain = self.plain()?.bytes;
        let strong = self.strong()?;
        self.unpack(&strong, device)?;
        sizes.strong = strong.bytes;
        let packed = self.of_agent(device)?;
        self.unpack(&packed, device)?;
        self.seal(device, &packed)?;
        sizes.agent = packed.bytes;
        Ok(sizes)
    }

    /// zstd-3 of bare lines first, then the codecs; nanoseconds a byte of lines.
    fn times(&mut self, systems: &[System], rounds: u32) -> io::Result<Vec<Times>> {
        let mut all = ["zstd-3 of bare lines", "plain", "strong", "referring"].map(|name| Times {
            name,
            pack: 0.0,
            unpack: 0.0,
        });
        let (mut compress, mut decompress) = (zstd(3)?, DCtx::create());
        let mut bare = Vec::new();
        let mut total = 0;
        for (system, block) in systems.iter().flat_map(|system| {
            let first = blocks(&system.lines, SIZES[0]).next().unwrap_or_default();
            blocks(&system.lines, SIZES[0]).map(move |block| (first, block))
        }) {
            let mut device = Device::new();
            self.fill(system)?;
            // One to refer to, and the trial whether that is worth it.
            for _ in 0..2 {
                let packed = self.of_agent(&mut device)?;
                self.seal(&mut device, &packed)?;
            }
            self.fill(block)?;
            let raw = block.concat();
            total += raw.len();
            let mut least = [[Duration::MAX; 2]; 4];
            for _ in 0..rounds {
                bare.resize(PAYLOAD_BYTES_MAX, 0);
                let (packed, pack) = timed(|| compress.compress2(&mut bare[..], &raw));
                bare.truncate(packed.map_err(of_zstd)?);
                let (unpacked, unpack) = timed(|| decompress.decompress(&mut self.payload[..], &bare));
                unpacked.map_err(of_zstd)?;
                let (packed, plain_pack) = timed(|| self.plain());
                let packed = packed?;
                let (unpacked, plain_unpack) = timed(|| self.unpack(&packed, &device));
                unpacked?;
                let (packed, strong_pack) = timed(|| self.strong());
                let packed = packed?;
                let (unpacked, strong_unpack) = timed(|| self.unpack(&packed, &device));
                unpacked?;
                let (packed, agent_pack) = timed(|| self.of_agent(&mut device));
                let packed = packed?;
                let (unpacked, agent_unpack) = timed(|| self.unpack(&packed, &device));
                unpacked?;
                let now = [
                    [pack, unpack],
                    [plain_pack, plain_unpack],
                    [strong_pack, strong_unpack],
                    [agent_pack, agent_unpack],
                ];
                for (least, now) in least.as_flattened_mut().iter_mut().zip(now.as_flattened()) {
                    *least = (*least).min(*now);
                }
            }
            for (times, [pack, unpack]) in all.iter_mut().zip(least) {
                times.pack += pack.as_secs_f64() * 1e9;
                times.unpack += unpack.as_secs_f64() * 1e9;
            }
        }
        let per_byte = |sum: f64| sum / total.max(1) as f64;
        Ok(all
            .map(|times| Times { pack: per_byte(times.pack), unpack: per_byte(times.unpack), ..times })
            .into())
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = clock::now();
    let done = work();
    (done, clock::now() - began)
}

/// As the agent has it, but for the level.
fn zstd(level: i32) -> io::Result<CCtx<'static>> {
    let mut context = CCtx::create();
    for parameter in [
        CParameter::CompressionLevel(level),
        CParameter::WindowLog(16),
        CParameter::HashLog(12),
        CParameter::ChainLog(12),
        CParameter::ContentSizeFlag(false),
    ] {
        context.set_parameter(parameter).map_err(of_zstd)?;
    }
    Ok(context)
}

fn of_zstd(code: usize) -> io::Error {
    io::Error::other(format!("zstd: {}", zstd::zstd_safe::get_error_name(code)))
}

/// What others send: an object for each line, and gzip.
fn gzip_of_json(lines: &[Vec<u8>]) -> io::Result<usize> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    for (number, line) in lines.iter().enumerate() {
        let message = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(line));
        let millis = number % 1000;
        let object = serde_json::json!({
            "@timestamp": format!("2026-11-26T06:{:02}:{:02}.{millis:03}Z", number / 60_000 % 60, number / 1000 % 60),
            "message": message,
            "host": {"name": "node-7"},
            "log": {"file": {"path": "/var/log/app.log"}},
        });
        serde_json::to_writer(&mut gzip, &object)?;
        gzip.write_all(b"\n")?;
    }
    Ok(gzip.finish()?.len())
}
