//! A rig for the sources: a simulated file system, a clock, and a spool that can lose what is not
//! sealed.

mod copies;
mod limits;
mod model;
mod os;
mod running;
mod stopped;

use std::collections::BTreeMap;

use driftlog_proto::block::{Ending, Part};
use driftlog_proto::ids::BootId;
use driftlog_proto::time::Mono;

use super::*;

/// A record as it was sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) path: String,
    pub(crate) file: u64,
    pub(crate) offset: u64,
    pub(crate) body: Vec<u8>,
    pub(crate) ending: Ending,
    pub(crate) part: Part,
    pub(crate) cut: bool,
}

pub(crate) struct Rig<F: Files + Clone> {
    pub(crate) files: F,
    pub(crate) config: SourcesConfig,
    pub(crate) sources: Option<Sources<F>>,
    pub(crate) now: Mono,
    pub(crate) boot: BootId,
    /// Whether the sources are told that every change is told to them.
    pub(crate) is_watched: bool,
    /// The cursors of the last durable frame.
    pub(crate) cursors: BTreeMap<u64, Vec<u8>>,
    pub(crate) open_block: Vec<Sealed>,
    pub(crate) sealed: Vec<Sealed>,
    pub(crate) notices: Vec<SourceNotice>,
}

pub(crate) fn config(paths: &[&str], exclude: &[&str]) -> SourcesConfig {
    SourcesConfig {
        files: vec![FileSource { patterns: Patterns::new(paths, exclude).unwrap(), idle_line_ms: 5_000 }],
        stdin_idle_line_ms: None,
        poll_ms: 1_000,
        rescan_ms: 10_000,
    }
}

pub(crate) fn rig(paths: &[&str]) -> Rig<SimFiles> {
    Rig::new(SimFiles::default(), config(paths, &[]))
}

impl<F: Files + Clone> Rig<F> {
    pub(crate) fn new(files: F, config: SourcesConfig) -> Self {
        let mut rig = Self {
            files,
            config,
            sources: None,
            now: Mono(1_000_000_000),
            boot: BootId([1; 16]),
            is_watched: false,
            cursors: BTreeMap::new(),
            open_block: Vec::new(),
            sealed: Vec::new(),
            notices: Vec::new(),
        };
        rig.start();
        rig
    }

    pub(crate) fn start(&mut self) {
        let cursors = self.cursors.clone().into_iter();
        let mut sources = Sources::new(self.config.clone(), self.files.clone(), self.boot, cursors);
        sources.handle_watched(self.is_watched);
        self.sources = Some(sources);
    }

    pub(crate) fn sources(&mut self) -> &mut Sources<F> {
        self.sources.as_mut().unwrap()
    }

    /// `kill -9`: what is not sealed is gone.
    pub(crate) fn kill(&mut self) {
        self.sources = None;
        self.open_block.clear();
    }

    /// Kills and starts again in the same boot.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.start();
    }

    pub(crate) fn reboot(&mut self) {
        self.kill();
        self.boot.0[0] += 1;
    }

    /// Ticks, then polls at most `lines` lines into the open block.
    pub(crate) fn poll(&mut self, lines: usize) -> usize {
        let now = self.now;
        let sources = self.sources.as_mut().unwrap();
        sources.handle_tick(now);
        let mut n = 0;
        while n < lines {
            let Some(line) = sources.poll_line(now) else {
                if sources.begin(now) {
                    continue;
                }
                break;
            };
            assert_eq!(
                line.end_offset,
                line.offset + line.body.len() as u64 + u64::from(line.ending == Ending::Newline)
            );
            self.open_block.push(Sealed {
                path: line.path.to_owned(),
                file: line.file,
                offset: line.offset,
                body: line.body.to_vec(),
                ending: line.ending,
                part: line.part,
                cut: line.cut,
            });
            n += 1;
        }
        while let Some(notice) = sources.poll_notice() {
            self.notices.push(notice);
        }
        n
    }

    /// Makes the open block and its cursors durable.
    pub(crate) fn seal(&mut self) {
        let sources = self.sources.as_mut().unwrap();
        sources.changed_cursors(|key, bytes| {
            self.cursors.insert(key, bytes.to_vec());
        });
        for key in sources.forgotten() {
            self.cursors.remove(key);
        }
        sources.cursors_sealed();
        assert!(!sources.has_changed_cursors());
        self.sealed.append(&mut self.open_block);
    }

    pub(crate) fn pass_ms(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
    }

    /// Time passes, everything is looked at, read and sealed, until nothing more comes.
    pub(crate) fn drain(&mut self) {
        for _ in 0..4 {
            self.pass_ms(10_000);
            while self.poll(usize::MAX) > 0 {
                self.seal();
            }
            self.seal();
        }
    }

    /// The sealed bytes of every file identity, in order of first appearance. Checks that each
    /// continues where it left off.
    pub(crate) fn contents(&self) -> Vec<(u64, Vec<u8>)> {
        let mut next: BTreeMap<u64, u64> = BTreeMap::new();
        let mut contents: Vec<(u64, Vec<u8>)> = Vec::new();
        for record in &self.sealed {
            let next = next.entry(record.file).or_insert_with(|| {
                contents.push((record.file, Vec::new()));
                record.offset
            });
            assert_eq!(record.offset, *next, "{record:?} does not continue its file");
            let content = contents.iter_mut().find(|(key, _)| *key == record.file).unwrap();
            content.1.extend_from_slice(&record.body);
            if record.ending == Ending::Newline {
                content.1.push(b'\n');
            }
            *next = record.offset + record.body.len() as u64 + u64::from(record.ending == Ending::Newline);
        }
        contents
    }

    /// Asserts that the sealed identities hold exactly these bytes, in any order.
    pub(crate) fn assert_contents(&self, expected: &[&[u8]]) {
        let mut contents: Vec<String> =
            self.contents().iter().map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).collect();
        let mut expected: Vec<String> =
            expected.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
        contents.sort();
        expected.sort();
        assert_eq!(contents, expected, "notices: {:#?}", self.notices);
    }

    pub(crate) fn said(&self, kind: SourceNoticeKind) -> usize {
        self.notices.iter().filter(|notice| notice.kind == kind).count()
    }
}

/// Lines that tell where they come from: `name 0`, `name 1`, …
pub(crate) fn lines(name: &str, range: std::ops::Range<u32>) -> Vec<u8> {
    range.flat_map(|n| format!("{name} {n}\n").into_bytes()).collect()
}
