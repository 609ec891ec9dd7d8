//! Sources that follow files to which anything is done: appended, truncated, renamed, deleted, made
//! again, copied, overwritten, linked, hidden; with kills, reboots, and cursors of any bytes.
//!
//! Asserts that
//! - no line is invented: what is given out stood at its offset in some file, and a whole line stood
//!   there as a line;
//! - in one life, and over a restart with its own cursors, a file's records follow one another
//!   without a hole or an overlap (where the file system does not tell when a file was made, a later
//!   file may have the number and the content, and so the key, of one that is gone);
//! - a poll ends, and a cursor fits its room.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};

use driftlog_agent::source::{
    CURSOR_BYTES_MAX, FileSource, Line, Patterns, SimFiles, Sources, SourcesConfig,
};
use driftlog_fuzz::input::Input;
use driftlog_proto::block::{Ending, Part};
use driftlog_proto::ids::BootId;
use driftlog_proto::limits::RECORD_BYTES_MAX;
use driftlog_proto::time::Mono;
use libfuzzer_sys::fuzz_target;

const OPERATIONS_MAX: usize = 120;
/// Lines and turns of one poll at most.
const STEPS_MAX: usize = 500_000;
const PATHS: [&str; 6] =
    ["/log/a.log", "/log/a.log.1", "/log/b.log", "/log/a-2.log", "/old/a.log", "/log/d/c.log"];

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let mut world = World::new(input.byte());
    for _ in 0..OPERATIONS_MAX {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
    }
    world.read(usize::MAX);
    world.seal();
});

struct World {
    files: SimFiles,
    /// Everything that any file ever held.
    contents: BTreeSet<Vec<u8>>,
    sources: Sources<SimFiles>,
    config: SourcesConfig,
    boot: BootId,
    now: Mono,
    /// The cursors of the last seal, and where the next record of each file begins by them.
    cursors: BTreeMap<u64, Vec<u8>>,
    sealed: BTreeMap<u64, u64>,
    next: BTreeMap<u64, u64>,
    has_births: bool,
    lines: u32,
}

impl World {
    fn new(mode: u8) -> Self {
        let pattern: &[&str] = if mode & 1 == 0 { &["/log/**"] } else { &["/log/*.log"] };
        let patterns = Patterns::new(pattern, &[]).expect("patterns as in the documents");
        let config = SourcesConfig {
            files: vec![FileSource { patterns, idle_line_ms: 5_000 }],
            stdin_idle_line_ms: None,
            poll_ms: 1_000,
            rescan_ms: 10_000,
        };
        let (files, has_births) = (SimFiles::default(), mode & 2 == 0);
        files.keep_births(has_births);
        let boot = BootId([1; 16]);
        Self {
            sources: Sources::new(config.clone(), files.clone(), boot, std::iter::empty()),
            files,
            contents: BTreeSet::new(),
            config,
            boot,
            now: Mono(1_000_000_000),
            cursors: BTreeMap::new(),
            sealed: BTreeMap::new(),
            next: BTreeMap::new(),
            has_births,
            lines: 0,
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let path = PATHS[input.below(PATHS.len())];
        match input.below(20) {
            0..=4 => self.write(path, input),
            5..=8 => self.read(usize::from(input.byte())),
            9 => self.seal(),
            10 => self.now = self.now.plus_ms(u64::from(input.byte()) * 500),
            11 => self.sources.handle_changed(),
            12 => self.start(),
            13 => {
                self.boot.0[0] += 1;
                self.files.renumber_device(input.byte().into());
                self.start();
            }
            14 => self.spoil(input),
            // A line that finds no room comes again.
            15 => {
                if self.sources.poll_line(self.now).is_some() {
                    self.sources.put_back();
                }
            }
            _ => self.disturb(path, input),
        }
        let names = self.files.names();
        self.contents.extend(names.iter().filter_map(|name| self.files.content(name)));
    }

    fn write(&mut self, path: &str, input: &mut Input<'_>) {
        self.lines += 1;
        let line = match input.below(8) {
            0 => input.chunk().to_vec(),
            1 => vec![b'x'; usize::from(input.word()) * 2],
            2 => vec![0; input.byte().into()],
            3 => b"\n\n\n".to_vec(),
            4 => format!("half {}", self.lines).into_bytes(),
            _ => format!("line {} {}\n", self.lines, "y".repeat(input.byte().into())).into_bytes(),
        };
        self.files.append(path, &line);
    }

    fn disturb(&mut self, path: &str, input: &mut Input<'_>) {
        let other = PATHS[input.below(PATHS.len())];
        let files = &self.files;
        let length = files.content(path).map_or(0, |content| content.len());
        match input.below(9) {
            0 => files.truncate(path, 0),
            1 => files.truncate(path, usize::from(input.word()) % (length + 1)),
            2 if path != other => files.rename(path, other),
            3 => files.remove(path),
            4 if path != other => files.copy(path, other, usize::MAX),
            // copytruncate
            5 if path != other => {
                files.copy(path, other, usize::MAX);
                files.truncate(path, 0);
            }
            6 if files.content(other).is_none() => files.hard_link(path, other),
            7 => files.deny(path, input.flag()),
            _ => files.fail_reads(input.flag()),
        }
    }

    fn start(&mut self) {
        self.next.clone_from(&self.sealed);
        let cursors = self.cursors.clone().into_iter();
        self.sources = Sources::new(self.config.clone(), self.files.clone(), self.boot, cursors);
    }

    /// A cursor becomes something else; nothing is known about its file from then on.
    fn spoil(&mut self, input: &mut Input<'_>) {
        let at = input.below(self.cursors.len());
        let known = self.cursors.iter().nth(at).map(|(key, bytes)| (*key, bytes.clone()));
        let (key, mut bytes) = known.unwrap_or((7, Vec::new()));
        if input.flag() || bytes.is_empty() {
            bytes = input.chunk().to_vec();
        } else {
            let at = usize::from(input.word()) % bytes.len();
            bytes[at] ^= input.byte();
        }
        self.cursors.insert(key, bytes);
        self.sealed.clear();
        self.start();
    }

    fn read(&mut self, lines: usize) {
        self.sources.handle_tick(self.now);
        let (mut read, mut steps) = (0, 0);
        while read < lines {
            steps += 1;
            assert!(steps < STEPS_MAX, "a poll does not end");
            if !self.has_births {
                self.forget_gone();
            }
            if let Some(line) = self.sources.poll_line(self.now) {
                judge(&line, &self.contents, &mut self.next);
                read += 1;
                continue;
            }
            if !self.sources.begin(self.now) {
                break;
            }
        }
        while self.sources.poll_notice().is_some() {}
    }

    /// The key of a file that the sources know no longer may come back for another.
    fn forget_gone(&mut self) {
        let known: BTreeSet<u64> = self.sources.status().filter_map(|source| source.file).collect();
        self.next.retain(|key, _| known.contains(key));
    }

    fn seal(&mut self) {
        let cursors = &mut self.cursors;
        self.sources.changed_cursors(|key, bytes| {
            assert!(bytes.len() <= CURSOR_BYTES_MAX);
            cursors.insert(key, bytes.to_vec());
        });
        for key in self.sources.forgotten() {
            cursors.remove(key);
        }
        self.sources.cursors_sealed();
        self.sealed.clone_from(&self.next);
    }
}

fn judge(line: &Line<'_>, contents: &BTreeSet<Vec<u8>>, next: &mut BTreeMap<u64, u64>) {
    let newline: &[u8] = if line.ending == Ending::Newline { b"\n" } else { b"" };
    assert!(line.body.len() <= RECORD_BYTES_MAX);
    assert_eq!(line.end_offset, line.offset + (line.body.len() + newline.len()) as u64, "{line:?}");
    let (from, to) = (line.offset as usize, line.end_offset as usize);
    let bytes = [line.body, newline].concat();
    let stood = |content: &&Vec<u8>| content.get(from..to) == Some(&bytes[..]);
    let mut where_it_stood = contents.iter().filter(stood).peekable();
    assert!(where_it_stood.peek().is_some(), "nobody wrote {line:?}");
    if line.part == Part::Whole && line.ending == Ending::Newline {
        assert!(!line.body.contains(&b'\n'), "more than a line: {line:?}");
        let is_line = |content: &Vec<u8>| from == 0 || content.get(from - 1) == Some(&b'\n');
        assert!(where_it_stood.any(is_line), "not a whole line: {line:?}");
    }
    // Behind a line that is too long, and says that it was cut, the rest of it is left out.
    let begin = if line.cut { next.remove(&line.file) } else { next.insert(line.file, line.end_offset) };
    assert!(begin.is_none_or(|begin| begin == line.offset), "{line:?} does not follow {begin:?}");
}
