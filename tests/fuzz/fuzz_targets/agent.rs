//! The agent's core with its spools and files, and a gateway that says what it likes: each byte is
//! an operation.
//!
//! Asserts that
//! - what is published is a message; items of a lane follow one another from its base, and every
//!   record in them is a line that was written, in order, or a notice of the agent's own;
//! - the base moves only to the end of an item that was published, with its chain, or into a gap;
//! - it sleeps when it has nothing to do;
//! - once an honest gateway answers, the agent runs dry within bounded rounds, and with no loss but
//!   what was declared.
#![no_main]

use std::collections::BTreeMap;

use driftlog_agent::pipeline::{Cpu, NOTICE_PATH, Pipeline, PipelineConfig};
use driftlog_agent::source::{FileSource, Patterns, SimFiles, Sources, SourcesConfig};
use driftlog_agent::spool::disk::SimDisk;
use driftlog_agent::spool::{Spool, SpoolConfig};
use driftlog_fuzz::input::Input;
use driftlog_fuzz::mend;
use driftlog_gateway::decompress::Zstd;
use driftlog_proto::block::{Codec, Reference, Scratch, Severity, unpack};
use driftlog_proto::ids::{AckNumber, BootId, Chain, DeviceId, Lane, Place, RunId, Seq, SessionId};
use driftlog_proto::item::{self, Gap, ItemHeader};
use driftlog_proto::limits::MESSAGE_BYTES_MAX;
use driftlog_proto::message::{
    Ack, AckLane, Ask, Down, Echo, Labels, Nack, NackReason, Range, Refusal, Up, decode, encode,
};
use driftlog_proto::time::{ClockState, Mono, Now, Unix};
use libfuzzer_sys::fuzz_target;

const OPERATIONS_MAX: usize = 100;
const ROUNDS_MAX: usize = 300;
/// Messages of one round: a Hello, a Beat, and what both lanes may have on the air.
const MESSAGES_MAX: usize = 200;
/// How often the agent may want to be woken up again at once.
const WAKES_MAX: usize = 100;
const PATH: &str = "/log/app.log";

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let mut device = Device::new(&mut input);
    for _ in 0..OPERATIONS_MAX {
        if input.is_empty() {
            break;
        }
        device.step(&mut input);
    }
    device.finish();
});

/// What the world knows of a lane.
#[derive(Default)]
struct LaneSeen {
    /// Items by the place before them: the place after, and the checksum that the item ends with.
    items: BTreeMap<(u64, u64, u64), (Place, u32)>,
    gaps: Vec<Gap>,
    /// Blocks that others may refer to, by run and first number.
    strong: BTreeMap<(u64, u64), Vec<u8>>,
    /// Where the honest gateway is.
    acknowledged: Option<Place>,
}

impl LaneSeen {
    fn referred(&self, run: RunId, reference: &Reference) -> Vec<&[u8]> {
        let before = self.strong.range((run.0, 0)..=(run.0, reference.seq.0)).rev();
        let mut blocks: Vec<&[u8]> =
            before.take(usize::from(reference.count)).map(|(_, sealed)| sealed.as_slice()).collect();
        blocks.reverse();
        blocks
    }
}

struct Device {
    pipeline: Pipeline<SimDisk, SimFiles>,
    files: SimFiles,
    lanes: [LaneSeen; 2],
    /// Lines written; each carries its number.
    lines: u64,
    now: Now,
    sessions: u64,
    number: AckNumber,
    scratch: (Zstd, Scratch),
}

impl Device {
    fn new(input: &mut Input<'_>) -> Self {
        let now = Now { mono: Mono(1_000_000_000), wall: Unix(0), state: ClockState::Unset };
        let spool = |lane| {
            let config = SpoolConfig { segment_bytes: 4096, ..SpoolConfig::new(lane, 16 * 4096) };
            Spool::open(SimDisk::new(5), config, RunId(77), 1).expect("an empty flash")
        };
        let files = SimFiles::default();
        let patterns = Patterns::new(&["/log/*"], &[]).expect("a pattern as in the documents");
        let sources = SourcesConfig {
            files: vec![FileSource { patterns, idle_line_ms: 5_000 }],
            stdin_idle_line_ms: None,
            poll_ms: 1_000,
            rescan_ms: 10_000,
        };
        let (boot, has_urgent) = (BootId([1; 16]), input.flag());
        let sources = Sources::new(sources, files.clone(), boot, std::iter::empty());
        let config = PipelineConfig {
            device: DeviceId::new("fuzz").expect("a device id"),
            labels: Labels::default(),
            boot,
            delay_ms_min: 1_000,
            delay_ms_max: 1_000,
            delay_offline_ms_max: 10_000,
            in_flight_bytes_max: 8 * 1024,
            urgent_min: has_urgent.then_some(Severity::ERROR),
            cpu: Cpu::Normal,
        };
        let urgent = has_urgent.then(|| spool(Lane::Urgent));
        let pipeline = Pipeline::new(config, sources, spool(Lane::Bulk), urgent, now);
        let scratch = (Zstd::new(), Scratch::new());
        let number = AckNumber { generation: 1, counter: 0 };
        Self { pipeline, files, lanes: Default::default(), lines: 0, now, sessions: 0, number, scratch }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.below(16) {
            0..=2 => self.write(input),
            3 => self.pass(u64::from(input.byte()) * 100),
            4 => self.link_up(),
            5 => self.pipeline.handle_link_down(),
            6..=8 => self.turn(),
            9..=12 => self.acknowledge(input),
            13 if input.flag() => self.ask(input),
            13 => self.refuse(input),
            14 => {
                let refusal =
                    [Refusal::Quarantined, Refusal::DeviceNotAllowed, Refusal::Protocol { min: 2, max: 9 }];
                self.say(&Down::Refuse(refusal[input.below(3)]));
            }
            _ => {
                let bytes = match input.flag() {
                    true => input.chunk().to_vec(),
                    false => mend::message::<Down>(input.chunk()),
                };
                self.pipeline.handle_down(self.now, &bytes);
            }
        }
    }

    fn write(&mut self, input: &mut Input<'_>) {
        let (lines, length) = (1 + input.below(6), usize::from(input.byte()));
        for _ in 0..lines {
            let level = if (self.lines + length as u64).is_multiple_of(5) { "ERROR" } else { "info" };
            let line = format!("{level} {} {}\n", self.lines, "z".repeat(length));
            self.files.append(PATH, line.as_bytes());
            self.lines += 1;
        }
        self.pipeline.handle_changed();
    }

    fn pass(&mut self, ms: u64) {
        self.now.mono = self.now.mono.plus_ms(ms);
    }

    fn link_up(&mut self) {
        self.sessions += 1;
        self.pipeline.handle_link_up(self.now, SessionId(self.sessions));
    }

    /// The shell's loop, until the agent would sleep.
    fn turn(&mut self) {
        for _ in 0..WAKES_MAX {
            self.pipeline.poll(self.now);
            self.publish();
            if self.pipeline.poll_deadline() > self.now.mono {
                return;
            }
        }
        panic!("the agent never sleeps");
    }

    fn publish(&mut self) {
        for sent in 0.. {
            assert!(sent < MESSAGES_MAX, "the agent does not stop");
            let mut message = Vec::new();
            if !self.pipeline.poll_publish(self.now, &mut message) {
                break;
            }
            let (up, tail) = decode::<Up>(&message).expect("what an agent says is a message");
            match up {
                Up::Hello(hello) => {
                    hello.lanes.iter().for_each(|lane| self.judge_base(lane.lane, lane.base));
                }
                Up::Item(envelope) => {
                    let (header, payload) = item::open(tail).expect("what is published is whole");
                    if let Some(told) = envelope.told {
                        self.judge_base(header.lane(), told.base);
                    }
                    self.judge_item(&header, payload, tail);
                }
                Up::Beat(_) | Up::Gone(_) => {}
            }
        }
    }

    /// The base is where an honest gateway must be.
    fn judge_base(&mut self, lane: Lane, base: Place) {
        let seen = &mut self.lanes[lane.index()];
        let is_end = seen.items.values().any(|(end, _)| *end == base);
        let is_inside = |gap: &Gap| (gap.from.seq..=gap.to.seq).contains(&base.seq);
        assert!(is_end || base == Place::ORIGIN || seen.gaps.iter().any(is_inside), "{base} is no base");
        seen.acknowledged = Some(base);
    }

    fn judge_item(&mut self, header: &ItemHeader, payload: &[u8], sealed: &[u8]) {
        let (begin, end) = (header.begin(), header.end(sealed));
        let checksum = item::checksum(sealed).expect("a whole item has one");
        let seen = &mut self.lanes[header.lane().index()];
        let known = seen.items.insert((begin.run.0, begin.seq.0, begin.chain.0), (end, checksum));
        match header {
            ItemHeader::Gap(gap) => seen.gaps.push(gap.clone()),
            _ => assert!(known.is_none_or(|known| known == (end, checksum)), "another item at {begin}"),
        }
        if let ItemHeader::Block(block) = header {
            if block.codec == Codec::Strong.number() {
                seen.strong.insert((block.run.0, block.first.0), sealed.to_vec());
            }
            let (zstd, scratch) = &mut self.scratch;
            let reference = Reference::of(block, payload).expect("an agent refers to what is before");
            let blocks = reference.map(|reference| seen.referred(block.run, &reference)).unwrap_or_default();
            let block = unpack(block, payload, &blocks, zstd, scratch).expect("a block of an agent unpacks");
            let sources: Vec<_> = block.sources().collect();
            for record in block.records() {
                if sources[usize::from(record.source)].path == PATH.as_bytes() {
                    let written = self.files.content(PATH).unwrap_or_default();
                    let from = record.offset as usize;
                    assert_eq!(
                        written.get(from..from + record.body.len()),
                        Some(record.body),
                        "nobody wrote it"
                    );
                } else {
                    assert_eq!(sources[usize::from(record.source)].path, NOTICE_PATH.as_bytes());
                }
            }
        }
    }

    fn say(&mut self, down: &Down) {
        let mut bytes = vec![0; MESSAGE_BYTES_MAX];
        let length = encode(down, &[], &mut bytes).expect("a message fits");
        self.pipeline.handle_down(self.now, &bytes[..length]);
    }

    /// A place that was published, perhaps with something wrong about it.
    fn place(&self, lane: Lane, input: &mut Input<'_>) -> Place {
        let ends = &self.lanes[lane.index()].items;
        let back = input.below(ends.len().min(16));
        let mut place = ends.values().nth_back(back).map_or(Place::ORIGIN, |(end, _)| *end);
        match input.byte() {
            0 => place.chain.0 ^= 1,
            1 => place.chain = Chain::ROOT,
            2 => place.run.0 ^= 1,
            3 => place.seq = Seq(input.number()),
            4 => place.seq.0 += 1,
            5 => {
                place = Place {
                    run: RunId(input.number()),
                    seq: Seq(input.number()),
                    chain: Chain(input.number()),
                }
            }
            _ => {}
        }
        place
    }

    fn acknowledge(&mut self, input: &mut Input<'_>) {
        match input.below(8) {
            0 => self.number = AckNumber { generation: input.number(), counter: input.number() },
            1 => self.number.generation = self.number.generation.saturating_add(1),
            _ => self.number.counter = self.number.counter.saturating_add(1),
        }
        let session = if input.below(8) == 0 { input.number() } else { self.sessions };
        let (mono, received) = (Mono(input.number()), Unix(input.number().cast_signed()));
        let echo = input.flag().then_some(Echo { session: SessionId(session), mono, received });
        let mut ack = Ack { number: self.number, sent: Unix(0), echo, lanes: [].into_iter().collect() };
        for lane in Lane::ALL {
            let mut lane = AckLane {
                lane,
                runs: [].into(),
                received: [].into(),
                credit: (input.number() as u32).wrapping_mul(64),
            };
            for _ in 0..input.below(3) {
                let _ = lane.runs.push(self.place(lane.lane, input));
            }
            if input.below(4) == 0 {
                let place = self.place(lane.lane, input);
                let end = Seq(place.seq.0.saturating_add(input.byte().into()));
                let _ = lane.received.push(Range { run: place.run, first: place.seq, end });
            }
            let _ = ack.lanes.push(lane);
        }
        self.say(&Down::Ack(ack));
    }

    fn refuse(&mut self, input: &mut Input<'_>) {
        let lane = Lane::ALL[input.below(2)];
        let items = &self.lanes[lane.index()].items;
        let back = input.below(items.len().min(16));
        let Some(((_, seq, _), (end, checksum))) = items.iter().nth_back(back) else { return };
        let (run, seq, checksum) = (end.run, Seq(*seq), checksum ^ u32::from(input.below(4) == 0));
        let reason = if input.flag() { NackReason::Limit } else { NackReason::Checksum };
        self.say(&Down::Nack(Nack { lane, run, seq, checksum, reason }));
    }

    /// Asks for what is there, or was, or never was.
    fn ask(&mut self, input: &mut Input<'_>) {
        let lane = Lane::ALL[input.below(2)];
        let strong = &self.lanes[lane.index()].strong;
        let Some((&(run, seq), sealed)) = strong.iter().nth_back(input.below(strong.len().clamp(1, 16))) else { return };
        let checksum = item::checksum(sealed).unwrap_or_default() ^ u32::from(input.below(4) == 0);
        let reference = Reference { seq: Seq(seq), count: 1 + input.below(3) as u8, checksum };
        self.say(&Down::Ask(Ask { lane, run: RunId(run), reference }));
    }

    /// An honest gateway of a new generation takes what comes in order.
    fn finish(&mut self) {
        self.number.generation = self.number.generation.saturating_add(1);
        self.number.counter = 0;
        self.pipeline.handle_link_down();
        self.link_up();
        for _ in 0..ROUNDS_MAX {
            self.pass(10_000);
            self.turn();
            if self.lines == 0 || (self.pipeline.is_drained() && self.is_read()) {
                return;
            }
            self.answer();
        }
        let at = self.lanes.iter().map(|lane| lane.acknowledged).collect::<Vec<_>>();
        let (is_drained, deadline) = (self.pipeline.is_drained(), self.pipeline.poll_deadline());
        panic!("does not run dry: {at:?}, drained {is_drained}, due {deadline:?} at {:?}", self.now.mono);
    }

    /// The last line has been in a block or in a gap: the source has nothing left.
    fn is_read(&self) -> bool {
        self.pipeline.poll_deadline() > self.now.mono
    }

    fn answer(&mut self) {
        self.number.counter = self.number.counter.saturating_add(1);
        let session = SessionId(self.sessions);
        let echo = Some(Echo { session, mono: self.now.mono, received: Unix(0) });
        let mut ack = Ack { number: self.number, sent: Unix(0), echo, lanes: [].into_iter().collect() };
        for (lane, seen) in Lane::ALL.into_iter().zip(&mut self.lanes) {
            let Some(at) = &mut seen.acknowledged else { continue };
            while let Some((end, _)) = seen.items.get(&(at.run.0, at.seq.0, at.chain.0)) {
                *at = *end;
            }
            let runs = [*at].into_iter().collect();
            let _ = ack.lanes.push(AckLane { lane, runs, received: [].into(), credit: 64 * 1024 });
        }
        self.say(&Down::Ack(ack));
    }
}
