//! A line on its way from its file into the spool takes no memory of its own: as many blocks of ten times as many
//! lines need as many allocations, to the last one.
//!
//! Counted is every `alloc`, `alloc_zeroed` and `realloc` of Rust's allocator in the thread that does the work: looking at the
//! files, reading, cutting lines, recognising, routing, packing, sealing, appending to both lanes' spools on a real file system.
//! And in an hour of logging, with rotations and a spool that has gone round, it holds no more than after the hour before.
//! Not counted is what zstd, which is C, takes for its context: that is made once, or once a block that waited for its time (`agent/src/compress.rs`).
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use driftlog_agent::config::Config;
use driftlog_agent::pipeline::{Device, TRIAL_BLOCKS};
use driftlog_agent::{Core, Start};
use driftlog_proto::ids::{BootId, RunId};
use driftlog_proto::time::{ClockState, Mono, Now, Unix};

/// Lines of a block, in the two measurements.
const LINES: [u64; 2] = [40, 400];
/// Blocks of each lane, in each: every way to pack is tried once.
const BLOCKS: u64 = TRIAL_BLOCKS as u64;

/// What is held of what the last status said, in numbers of one digit more.
const STATUS_BYTES: i64 = 100;
const NAMES: [&str; 2] = ["a.log", "b.log"];

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    /// Bytes taken and not given back.
    static HELD: Cell<i64> = const { Cell::new(0) };
}

struct Counted;

fn count() {
    // A thread that is about to end counts no more.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

fn hold(more: usize, less: usize) {
    let _ = HELD.try_with(|held| held.set(held.get() + more as i64 - less as i64));
}

#[expect(unsafe_code, reason = "an allocator cannot be written without; every call is passed on as it came")]
// SAFETY: all four calls go to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        hold(layout.size(), 0);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        hold(layout.size(), 0);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count();
        hold(bytes, layout.size());
        unsafe { System.realloc(pointer, layout, bytes) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        hold(0, layout.size());
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counted = Counted;

/// An agent that was never connected and its logs, in a time of their own.
struct Rig {
    agent: Device,
    logs: [File; 2],
    seconds: u64,
    written: u64,
}

fn at(seconds: u64) -> Now {
    Now { mono: Mono(seconds * 1_000_000_000), wall: Unix(0), state: ClockState::Unset }
}

impl Rig {
    /// How long a block takes, from its lines to the next one's.
    const SECONDS_EACH: u64 = 20;

    fn new(folder: &Path, spool_bytes_max: u64) -> Self {
        let text = format!(
            "device_id = \"pump-7\"\nstate_dir = \"{0}\"\n[broker]\nurl = \"mqtt://broker\"\n[spool]\ndelay_offline_ms_max = 10000\n\
             bulk.bytes_max = {spool_bytes_max}\nurgent.bytes_max = {spool_bytes_max}\n\
             [[source]]\ntype = \"file\"\npaths = [\"{0}/*.log\"]\n",
            folder.display()
        );
        let config = Config::parse(Path::new("agent.toml"), &text, None).unwrap();
        let logs = NAMES.map(|name| File::create(folder.join(name)).unwrap());
        let start =
            Start { config: &config, run: RunId(1), boot: BootId([1; 16]), hardware: 7, now: at(100) };
        Self { agent: Device::open(start).unwrap(), logs, seconds: 100, written: 0 }
    }

    /// Writes so many lines, a tenth of them urgent, and has them sealed in one block of each lane. Returns how often
    /// memory was taken for that.
    fn block(&mut self, lines: u64) -> u64 {
        let mut texts = [String::new(), String::new()];
        for _ in 0..lines {
            self.written += 1;
            let number = self.written;
            let line = match number % 10 {
                0 => format!("2026-01-02T03:04:05Z ERROR pump {number} failed\n"),
                1..4 => format!("{{\"level\":\"info\",\"pump\":{number},\"msg\":\"pressure is steady\"}}\n"),
                _ => format!(
                    "Jan  2 03:04:05 pump-7 app[12]: pressure of pump {number} is {}\n",
                    number * 7919 % 997
                ),
            };
            texts[(number % 2) as usize].push_str(&line);
        }
        for (log, text) in self.logs.iter_mut().zip(&texts) {
            log.write_all(text.as_bytes()).unwrap();
        }
        let before = COUNT.get();
        // They are read in the first second and sealed after the tenth.
        for later in [0, 1, 2, 12] {
            self.agent.handle_changed();
            (0..4).for_each(|_| self.agent.poll(at(self.seconds + later)));
        }
        let taken = COUNT.get() - before;
        self.seconds += Self::SECONDS_EACH;
        taken
    }

    /// Gives each log another name, under which nobody looks for it, and begins a new one.
    fn rotate(&mut self, folder: &Path) {
        for (log, name) in self.logs.iter_mut().zip(NAMES) {
            std::fs::rename(folder.join(name), folder.join(name).with_extension("old")).unwrap();
            *log = File::create(folder.join(name)).unwrap();
        }
    }

    fn blocks(&mut self, lines: u64) -> u64 {
        (0..BLOCKS).map(|_| self.block(lines)).sum()
    }

    /// Blocks that each lane has sealed, and records that wait in both.
    fn sealed(&mut self) -> ([u64; 2], u64) {
        let status = self.agent.status(at(self.seconds));
        let lanes = &status.lanes;
        ([0, 1].map(|lane| lanes[lane].blocks.values().sum()), lanes.iter().map(|lane| lane.waiting).sum())
    }
}

#[test]
fn a_line_takes_no_memory_of_its_own_on_its_way_into_the_spool() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(folder.path(), 64 << 20);
    // Buffers grow to their size once.
    rig.blocks(LINES[1]);
    rig.blocks(LINES[1]);
    let [few, many] = LINES.map(|lines| rig.blocks(lines));
    assert_eq!(rig.sealed(), ([4 * BLOCKS, 4 * BLOCKS], rig.written), "each lane's block of each round");
    assert!(few > 0, "the counter counts");
    assert_eq!(
        few, many,
        "{BLOCKS} blocks of each lane took memory {few} times with {} lines each and {many} times with {}",
        LINES[0], LINES[1]
    );
}

#[test]
fn an_hour_of_logging_leaves_no_more_memory_taken_than_the_hour_before() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(folder.path(), 1 << 20);
    let [_, before, after] = [(); 3].map(|()| {
        for round in 0..3_600 / Rig::SECONDS_EACH {
            rig.block(1_500);
            if round % 30 == 0 {
                rig.rotate(folder.path());
            }
        }
        HELD.get()
    });
    assert!(rig.sealed().1 < rig.written, "the spool has gone round");
    assert!(before > 100_000, "what is held is counted");
    assert!(after <= before + STATUS_BYTES, "{before} bytes after the second hour, {after} after the third");
}
