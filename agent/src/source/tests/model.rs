//! Random writers, rotations, kills and restarts against what was written: every line comes out
//! exactly once. A failure prints its seed; `DRIFTLOG_SEED` runs one seed, `DRIFTLOG_SEEDS` more.

use std::collections::BTreeMap;

use super::*;

const SEEDS: u64 = 3_000;
const STEPS: u32 = 60;
const FILES: usize = 3;
/// Rotated names of a file that exist at most.
const ROTATIONS: u32 = 4;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

struct Writer {
    path: String,
    rotations: u32,
    /// What is still to be written of the line under way.
    rest: Vec<u8>,
}

/// A line that was written: how often it came out, and how often it must and may.
#[derive(Clone, Copy)]
struct Written {
    seen: u32,
    min: u32,
    max: u32,
}

struct Model {
    rig: Rig<SimFiles>,
    random: Random,
    writers: Vec<Writer>,
    lines: BTreeMap<Vec<u8>, Written>,
    /// Whether power cuts take the ends of files.
    power_fails: bool,
    /// Whether the patterns lead to rotated names too.
    sees_rotated: bool,
    is_up: bool,
    /// The agent stopped with a cursor of the file that is at its path.
    has_cursor: [bool; FILES],
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let sees_rotated = random.one_in(2);
        let births = random.one_in(2);
        let power_fails = random.one_in(3);
        let mut rig = rig(&[if sees_rotated { "/log/**" } else { "/log/*.log" }]);
        // Hints that are relied on and do not all come cost time, and no line.
        let is_watched = seed % 2 == 1;
        rig.is_watched = is_watched;
        rig.sources().handle_watched(is_watched);
        rig.files.keep_births(births);
        let writers = (0..FILES)
            .map(|n| Writer { path: format!("/log/{n}.log"), rotations: 0, rest: Vec::new() })
            .collect();
        Self {
            rig,
            random,
            writers,
            lines: BTreeMap::new(),
            power_fails,
            sees_rotated,
            is_up: true,
            has_cursor: [false; FILES],
        }
    }

    fn write(&mut self, file: usize) {
        let is_new = self.rig.files.content(&self.writers[file].path).is_none_or(|c| c.is_empty());
        let mut bytes = std::mem::take(&mut self.writers[file].rest);
        let padding = self.random.below(40);
        for _ in 0..1 + self.random.below(4) {
            let padding = if self.random.one_in(200) { 70_000 } else { padding };
            let number = self.lines.len();
            let mut line = format!("{file} {number} ").into_bytes();
            line.extend((0..padding).map(|n| b'a' + (n % 26) as u8));
            if self.power_fails {
                // Ends of lines that are all alike would make one place look like another.
                line.extend(format!(" {number}").into_bytes());
            }
            self.lines.insert(line.clone(), Written { seen: 0, min: 1, max: 1 });
            line.push(b'\n');
            bytes.extend(line);
        }
        if !is_new && self.random.one_in(4) {
            let keep = self.random.below(bytes.len() as u64) as usize;
            self.writers[file].rest = bytes.split_off(keep);
        }
        self.rig.files.append(&self.writers[file].path, &bytes);
    }

    /// Completes the line under way.
    fn complete(&mut self, file: usize) {
        let rest = std::mem::take(&mut self.writers[file].rest);
        if !rest.is_empty() {
            self.rig.files.append(&self.writers[file].path, &rest);
        }
    }

    fn drain(&mut self) {
        self.rig.drain();
    }

    fn rotate(&mut self, file: usize) {
        let exists = self.rig.files.content(&self.writers[file].path).is_some_and(|c| !c.is_empty());
        if !exists || self.writers[file].rotations >= ROTATIONS {
            return;
        }
        self.complete(file);
        if !self.sees_rotated {
            // What no pattern leads to is found again only by a cursor, so there must be one.
            if self.is_up {
                self.drain();
            } else if !std::mem::replace(&mut self.has_cursor[file], false) {
                return;
            }
        }
        let Writer { path, rotations, .. } = &mut self.writers[file];
        for n in (1..=*rotations).rev() {
            self.rig.files.rename(&format!("{path}.{n}"), &format!("{path}.{}", n + 1));
        }
        *rotations += 1;
        let rotated = format!("{path}.1");
        if self.random.one_in(2) {
            self.rig.files.rename(path, &rotated);
        } else {
            self.rig.files.copy(path, &rotated, usize::MAX);
            if self.is_up && self.random.one_in(2) {
                self.rig.sources().handle_changed();
                self.rig.pass_ms(1_100);
                let lines = self.random.below(5) as usize;
                self.rig.poll(lines);
            }
            self.rig.files.truncate(path, 0);
        }
    }

    fn delete(&mut self, file: usize) {
        self.complete(file);
        if !self.is_up {
            return;
        }
        self.rig.pass_ms(10_000);
        self.rig.poll(0);
        self.rig.files.remove(&self.writers[file].path);
        // While the agent is down nothing can be read of it.
        self.rig.pass_ms(1_000);
        while self.rig.poll(usize::MAX) > 0 {
            self.rig.seal();
        }
        self.rig.seal();
        self.rig.poll(usize::MAX);
        self.rig.seal();
    }

    fn down(&mut self) {
        if !self.sees_rotated {
            self.drain();
        }
        self.rig.kill();
        self.is_up = false;
        for (has, writer) in self.has_cursor.iter_mut().zip(&self.writers) {
            *has = self.rig.files.content(&writer.path).is_some_and(|content| !content.is_empty());
        }
    }

    fn up(&mut self) {
        if self.random.one_in(3) {
            self.rig.reboot();
            let dev = self.random.below(5);
            self.rig.files.renumber_device(dev);
        }
        self.rig.start();
        self.is_up = true;
    }

    /// The power goes: of each file at its path the last lines are gone, and those that stay may
    /// come again. What its writer had begun is begun again as another line.
    fn power_cut(&mut self) {
        self.rig.reboot();
        for file in 0..FILES {
            self.complete(file);
            let path = &self.writers[file].path;
            let Some(content) = self.rig.files.content(path) else { continue };
            let ends: Vec<usize> = (0..content.len()).filter(|at| content[*at] == b'\n').collect();
            let lost = self.random.below(6) as usize;
            let keep = ends.len().checked_sub(lost + 1).map_or(0, |last| ends[last] + 1);
            for (range, min) in [(0..keep, 1), (keep..content.len(), 0)] {
                for line in content[range].split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
                    if let Some(written) = self.lines.get_mut(line) {
                        (written.min, written.max) = (min.min(written.min), u32::MAX);
                    }
                }
            }
            self.rig.files.truncate(path, keep);
        }
    }

    fn step(&mut self) {
        let file = self.random.below(FILES as u64) as usize;
        let what = self.random.below(20);
        if std::env::var_os("DRIFTLOG_SEED").is_some() {
            let len = |path: &String| (path.clone(), self.rig.files.content(path).unwrap().len());
            let files: Vec<_> = self.rig.files.names().iter().map(len).collect();
            eprintln!("{} step {what} on {file}, up {}: {files:?}", self.rig.now.0 / 1_000_000, self.is_up);
        }
        match what {
            0..=5 => self.write(file),
            6 | 7 => self.rotate(file),
            8 if self.random.one_in(3) => self.delete(file),
            9 if self.is_up => self.down(),
            9..=11 if !self.is_up => self.up(),
            10 if self.power_fails && self.sees_rotated && self.random.one_in(2) => {
                self.power_cut();
                (0..FILES).filter(|n| n % 2 == 0).for_each(|file| self.write(file));
                self.rig.start();
            }
            10 if self.sees_rotated => self.rig.restart(),
            _ if !self.is_up => {}
            11 | 12 => self.rig.seal(),
            13 => self.rig.sources().handle_changed(),
            _ => {
                let ms = [10, 100, 1_000, 3_000, 10_000, 20_000][self.random.below(6) as usize];
                self.rig.pass_ms(ms);
                let lines = self.random.below(12) as usize;
                self.rig.poll(lines);
            }
        }
    }

    fn check(mut self) {
        if !self.is_up {
            self.up();
        }
        for file in 0..FILES {
            self.complete(file);
        }
        self.drain();
        for (_, content) in self.rig.contents() {
            for line in content.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
                let is_torn = self.power_fails && self.lines.keys().any(|l| l.starts_with(line));
                match self.lines.get_mut(line) {
                    Some(written) => written.seen += 1,
                    None => assert!(is_torn, "never written: {}", String::from_utf8_lossy(line)),
                }
            }
        }
        for (line, Written { seen, min, max }) in &self.lines {
            if (min..=max).contains(&seen) {
                continue;
            }
            let start = &line[..line.len().min(12)];
            let places: Vec<_> = (self.rig.sealed.iter())
                .filter(|r| r.body.starts_with(start))
                .map(|r| format!("{} {:016x} at {}", r.path, r.file, r.offset))
                .collect();
            let line = String::from_utf8_lossy(start);
            panic!("{line:?} came {seen} times: {places:#?}; notices: {:#?}", self.rig.notices);
        }
    }
}

fn run(seed: u64) {
    let outcome = std::panic::catch_unwind(|| {
        let mut model = Model::new(seed);
        for _ in 0..STEPS {
            model.step();
        }
        model.check();
    });
    if let Err(failure) = outcome {
        eprintln!("the seed was {seed}: DRIFTLOG_SEED={seed} cargo test -p driftlog-agent every_line");
        std::panic::resume_unwind(failure);
    }
}

#[test]
fn every_line_comes_out_exactly_once_whatever_is_done_to_its_file() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    match number("DRIFTLOG_SEED") {
        Some(seed) => run(seed),
        None => (0..number("DRIFTLOG_SEEDS").unwrap_or(SEEDS)).for_each(run),
    }
}
