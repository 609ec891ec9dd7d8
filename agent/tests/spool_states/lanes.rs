//! Two lanes of one device, cut at one instant.
//!
//! The agent's own core reads a file: errors take the urgent lane and are durable before the bulk
//! frame whose cursor passes them. The two directories tear apart independently. From each state a
//! core starts again, reads on, and in the end each line is in its lane, once and in order.

use std::cell::RefCell;
use std::rc::Rc;

use driftlog_agent::decompress::Zstd;
use driftlog_agent::pipeline::{NOTICE_PATH, Pipeline, PipelineConfig};
use driftlog_agent::source::{FileSource, Patterns, SimFiles, Sources, SourcesConfig};
use driftlog_agent::spool::{Durability, Spool, SpoolConfig};
use driftlog_proto::block::{Reference, Scratch, Severity, unpack};
use driftlog_proto::ids::{BootId, DeviceId, Lane, RunId};
use driftlog_proto::item::{self, ItemHeader};
use driftlog_proto::message::Labels;
use driftlog_proto::time::{ClockState, Mono, Now, Unix};

use crate::cutting::Recording;
use crate::device::HARDWARE;
use crate::exploring::{Cut, Explorer, Known, explore};
use crate::image::Image;
use crate::items::walk;
use crate::recording::{Recorder, Tape};

/// How often a core may want to be woken up again at once.
const WAKES_MAX: u64 = 8;
/// Random numbers in a line: what does not compress fills segments with few lines.
const NOISE: u64 = 200;
const FILE: &str = "/log/app.log";

/// One thing that happens on the device.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A program writes lines, an error for each `!` and something else for each `.`.
    Written(&'static str),
    /// The core is woken up after so many milliseconds.
    Passed(u64),
    /// It is killed and starts again.
    Killed,
}

/// What happens before the power fails.
const BOTH: [Event; 12] = [
    Event::Written("!."),
    Event::Passed(100),
    Event::Passed(2_000),
    Event::Written("..!"),
    Event::Passed(500),
    Event::Written("!"),
    Event::Passed(2_000),
    Event::Killed,
    Event::Written("!...!"),
    Event::Passed(2_000),
    Event::Written(".!"),
    Event::Passed(2_000),
];
/// What happens after it.
const AFTER: [Event; 3] = [Event::Written("!.!"), Event::Passed(100), Event::Passed(2_000)];

/// What happened on a device so far.
#[derive(Clone, Debug)]
struct Story {
    files: SimFiles,
    lines: Vec<(Lane, String)>,
    runs: u64,
    ms: u64,
}

impl Story {
    /// The same, with the files as they are now.
    fn image(&self) -> Self {
        Self { files: self.files.image(), ..self.clone() }
    }
}

impl Known for Story {
    fn cut(&self, _before: &Self) -> Self {
        self.image()
    }

    fn fingerprint(&self) -> u64 {
        (self.runs << 40) ^ ((self.lines.len() as u64) << 32) ^ self.ms
    }
}

/// A device with two lanes.
struct Pair {
    tape: Rc<RefCell<Tape>>,
    durability: Durability,
    story: Story,
    core: Option<Pipeline<Recorder, SimFiles>>,
    marks: Vec<(usize, Story)>,
}

impl Pair {
    /// A device that finds this on its flash.
    fn new(image: &Image, story: &Story, durability: Durability) -> Self {
        let (story, mark) = (story.image(), story.image());
        let tape = Rc::new(RefCell::new(Tape::new(image)));
        let mut pair = Self { tape, durability, story, core: None, marks: vec![(0, mark)] };
        pair.start();
        pair
    }

    fn run(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::Written(lines) => self.write(lines),
                Event::Passed(ms) => self.wake(*ms),
                Event::Killed => self.start(),
            }
            self.marks.push((self.tape.borrow().operations.len(), self.story.image()));
        }
    }

    /// What happened on a flash that had this on it.
    fn recording(&self, image: Image) -> Recording<Story> {
        let operations = self.tape.borrow().operations.clone();
        Recording { image, operations, marks: self.marks.clone(), from: 0 }
    }

    fn spool(&self, lane: Lane) -> Spool<Recorder> {
        let config = SpoolConfig {
            segment_bytes: 8192,
            durability: self.durability,
            ..SpoolConfig::new(lane, 32 * 8192)
        };
        let recorder = Recorder::new(&self.tape, lane.index());
        let spool = Spool::open(recorder, config, RunId(self.story.runs), HARDWARE);
        let spool = spool.expect("a spool opens whatever is in it");
        assert_eq!(spool.recovery().records_lost, 0, "a power cut loses nothing: {:?}", spool.recovery());
        spool
    }

    fn start(&mut self) {
        self.core = None;
        self.story.runs += 1;
        let (bulk, urgent) = (self.spool(Lane::Bulk), self.spool(Lane::Urgent));
        let boot = BootId([self.story.runs as u8; 16]);
        let patterns = Patterns::new(&["/log/*"], &[]).expect("the pattern is right");
        let sources = SourcesConfig {
            files: vec![FileSource { patterns, idle_line_ms: 60_000 }],
            stdin_idle_line_ms: None,
            poll_ms: 100,
            rescan_ms: 100,
        };
        let cursors: Vec<(u64, Vec<u8>)> = bulk.cursors().map(|(key, bytes)| (key, bytes.to_vec())).collect();
        let sources = Sources::new(sources, self.story.files.clone(), boot, cursors.into_iter());
        let config = PipelineConfig {
            device: DeviceId::new("d").expect("a letter is a name"),
            labels: Labels::default(),
            boot,
            delay_ms_min: 1_000,
            delay_ms_max: 1_000,
            delay_offline_ms_max: 1_000,
            in_flight_bytes_max: 64 * 1024,
            urgent_min: Some(Severity::ERROR),
            cpu: driftlog_agent::pipeline::Cpu::Normal,
        };
        self.core = Some(Pipeline::new(config, sources, bulk, Some(urgent), self.now()));
    }

    fn now(&self) -> Now {
        let mono = Mono(self.story.ms * 1_000_000);
        Now { mono, wall: Unix(mono.0 as i64), state: ClockState::Unset }
    }

    fn write(&mut self, lines: &str) {
        for kind in lines.chars() {
            let number = self.story.lines.len() as u64;
            let (lane, level) = if kind == '!' { (Lane::Urgent, "ERROR") } else { (Lane::Bulk, "INFO") };
            let noise = (0..NOISE).map(|n| (number * NOISE + n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let noise: String = noise.map(|noise| format!("{noise:016x}")).collect();
            let line = format!("{level} {number} {noise}");
            self.story.files.append(FILE, format!("{line}\n").as_bytes());
            self.story.lines.push((lane, line));
        }
    }

    /// Time passes, then the core is woken up, and as long as it wants to be at once.
    fn wake(&mut self, ms: u64) {
        self.story.ms += ms;
        if let Some(core) = &mut self.core {
            core.handle_changed();
        }
        for _ in 0..WAKES_MAX {
            self.story.ms += 1;
            let now = self.now();
            let Some(core) = &mut self.core else { return };
            core.poll(now);
            if core.poll_deadline() > now.mono {
                return;
            }
        }
    }

    /// The core reads on, to the end, and stops. Then each line is in its lane.
    fn finish(&mut self) {
        for _ in 0..4 {
            self.wake(2_000);
        }
        let now = self.now();
        if let Some(mut core) = self.core.take() {
            core.stop(now);
        }
        self.story.runs += 1;
        for lane in [Lane::Urgent, Lane::Bulk] {
            let own = self.story.lines.iter().filter(|(other, _)| *other == lane);
            let expected: Vec<&str> = own.map(|(_, line)| line.as_str()).collect();
            let found = lines(&mut self.spool(lane));
            assert!(found == expected, "{lane:?} has other lines than were written: {found:#?}");
        }
    }
}

/// The lines in a lane, in order, without the agent's own notices.
fn lines(spool: &mut Spool<Recorder>) -> Vec<String> {
    let (mut zstd, mut scratch) = (Zstd::new(), Scratch::new());
    let mut lines = Vec::new();
    for item in walk(spool) {
        let ItemHeader::Block(header) = &item.header else { continue };
        let (_, payload) = item::open(&item.bytes).expect("the log was just walked");
        let reference = Reference::of(header, payload).expect("the core packed it");
        let referred =
            reference.map(|reference| spool.referred(header.run, &reference).expect("the flash works"));
        let referred = referred.map(|blocks| blocks.expect("what is referred to stays")).unwrap_or_default();
        let blocks: Vec<&[u8]> = referred.iter().map(Vec::as_slice).collect();
        let block = unpack(header, payload, &blocks, &mut zstd, &mut scratch).expect("the core packed it");
        let sources: Vec<_> = block.sources().collect();
        let own = block.records().filter(|r| sources[usize::from(r.source)].path != NOTICE_PATH.as_bytes());
        lines.extend(own.map(|record| String::from_utf8_lossy(record.body).into_owned()));
    }
    lines
}

/// Cuts the power everywhere while lines are written and read.
fn cut(explorer: &mut Explorer, durability: Durability) {
    let nothing = Story { files: SimFiles::default(), lines: Vec::new(), runs: 0, ms: 1_000 };
    let mut pair = Pair::new(&Image::default(), &nothing, durability);
    pair.run(&BOTH);
    explorer.cut_each(Cut::First, &pair.recording(Image::default()), |explorer, image, story| {
        let mut pair = Pair::new(image, &story, durability);
        pair.run(&AFTER);
        if explorer.is_cut_again(image, 4) {
            explorer.cut_each(Cut::Second, &pair.recording(image.clone()), |_, image, story| {
                Pair::new(image, &story, durability).finish();
            });
        }
        pair.finish();
    });
}

#[test]
fn each_line_is_in_its_lane_once_whatever_is_cut_of_both() {
    explore("two lanes", |explorer| cut(explorer, Durability::Block));
}

#[test]
fn each_line_is_in_its_lane_once_where_syncs_are_rare() {
    explore("two lanes, interval", |explorer| cut(explorer, Durability::Interval { ms: 5_000 }));
}
