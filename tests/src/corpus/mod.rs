//! Log lines as devices write them, from a seed: no two runs of a seed differ.
//!
//! Six styles; in between, where asked for, what a transport has to survive: lines that are not
//! UTF-8, end in CR LF, are empty, hold NULs or are longer than a record.

mod random;
mod styles;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use random::Random;

/// The instant of the first line, in milliseconds: 2026-11-23T06:00:00Z.
const BEGIN_MS: u64 = 1_795_413_600_000;
/// A longer `--input` is read this far.
const INPUT_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `Nov 23 06:00:00 host program[pid]: …`
    Syslog,
    /// One JSON object a line.
    Json,
    /// `time=… level=… key=value …`
    Logfmt,
    /// nginx's combined access log.
    Nginx,
    /// `[   12.345678] subsystem: …`
    Kernel,
    /// logcat's threadtime format.
    Android,
}

impl Style {
    /// Every style.
    pub const ALL: [Self; 6] =
        [Self::Syslog, Self::Json, Self::Logfmt, Self::Nginx, Self::Kernel, Self::Android];

    /// What a file with such lines is called.
    #[must_use]
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Syslog => "syslog.log",
            Self::Json => "app.json.log",
            Self::Logfmt => "service.log",
            Self::Nginx => "access.log",
            Self::Kernel => "kernel.log",
            Self::Android => "logcat.log",
        }
    }
}

/// A generator of lines in one style.
#[derive(Clone, Debug)]
pub struct Corpus {
    style: Style,
    has_oddities: bool,
    random: Random,
    time_ms: u64,
    count: u64,
}

impl Corpus {
    /// Lines of this style; with oddities, if asked for.
    #[must_use]
    pub fn new(style: Style, seed: u64, has_oddities: bool) -> Self {
        let random = Random::new(seed ^ (style as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Self { style, has_oddities, random, time_ms: BEGIN_MS, count: 0 }
    }

    /// Appends the next line with its ending.
    pub fn line(&mut self, out: &mut Vec<u8>) {
        self.time_ms += self.random.below(40);
        self.count += 1;
        if self.has_oddities && self.random.once_in(50) {
            self.odd_line(out);
        } else {
            self.plain_line(out);
            out.push(b'\n');
        }
    }

    fn plain_line(&mut self, out: &mut Vec<u8>) {
        let moment =
            styles::Moment { ms: self.time_ms, since_ms: self.time_ms - BEGIN_MS, count: self.count };
        styles::write(self.style, &moment, &mut self.random, out);
    }

    fn odd_line(&mut self, out: &mut Vec<u8>) {
        match self.random.below(100) {
            0..40 => {
                self.plain_line(out);
                out.extend_from_slice(b"\r\n");
            }
            40..65 => {
                self.plain_line(out);
                // Latin-1, and a UTF-8 sequence that ends too early.
                out.extend_from_slice(b" K\xfchlwasser \xe2\x82\n");
            }
            65..80 => out.push(b'\n'),
            80..98 => {
                self.plain_line(out);
                out.extend_from_slice(b"\0\0\0\x1b[31m\x07\n");
            }
            _ => {
                self.plain_line(out);
                let words = self.random.between(4_000, 15_000);
                for _ in 0..words {
                    out.extend_from_slice(format!(" {:08x}", self.random.number() as u32).as_bytes());
                }
                out.push(b'\n');
            }
        }
    }
}

/// Where a writer takes its lines from.
#[derive(Clone, Debug)]
pub enum Feed {
    /// Generated ones.
    Generated(Corpus),
    /// A text, from a position on, again and again.
    Repeated {
        /// The text; ends in a newline.
        text: Arc<[u8]>,
        /// Where the next line begins.
        at: usize,
    },
}

impl Feed {
    /// Appends the next line with its ending.
    pub fn line(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::Generated(corpus) => corpus.line(out),
            Self::Repeated { text, at } => {
                let rest = text.get(*at..).unwrap_or_default();
                let length = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |end| end + 1);
                out.extend_from_slice(rest.get(..length).unwrap_or_default());
                *at += length;
                if *at >= text.len() {
                    *at = 0;
                }
            }
        }
    }
}

/// Reads the user's own logs: a file, or all files below a folder, one after another.
///
/// # Errors
/// When it cannot be read or there is nothing in it.
pub fn read_input(path: &Path) -> io::Result<Arc<[u8]>> {
    let mut files = Vec::new();
    collect(path, &mut files)?;
    files.sort();
    let mut text = Vec::new();
    for file in files {
        let room = INPUT_BYTES_MAX.saturating_sub(text.len() as u64);
        io::copy(&mut io::Read::take(std::fs::File::open(&file)?, room), &mut text)?;
        if text.last().is_some_and(|byte| *byte != b'\n') {
            text.push(b'\n');
        }
    }
    if text.is_empty() {
        let what = format!("{} holds no lines\nhint: name a log file, or a folder of them", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    Ok(text.into())
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let is_compressed = |path: &Path| {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or("");
        ["gz", "zst", "xz", "bz2", "lz4", "zip", "br", "Z"].contains(&ending)
    };
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            collect(&entry.path(), files)?;
        } else if kind.is_file() && !is_compressed(&entry.path()) {
            files.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(style: Style, seed: u64, lines: usize) -> Vec<u8> {
        let mut corpus = Corpus::new(style, seed, true);
        let mut out = Vec::new();
        (0..lines).for_each(|_| corpus.line(&mut out));
        out
    }

    #[test]
    fn a_seed_gives_the_same_lines_again_and_another_seed_gives_others() {
        for style in Style::ALL {
            assert_eq!(text(style, 7, 500), text(style, 7, 500));
            assert_ne!(text(style, 7, 500), text(style, 8, 500));
        }
    }

    #[test]
    fn every_oddity_occurs() {
        let all = Style::ALL.map(|style| text(style, 1, 5_000)).concat();
        let lines: Vec<&[u8]> = all.split(|byte| *byte == b'\n').collect();
        assert_eq!(lines.len(), 6 * 5_000 + 1, "each line ends in a newline and holds no other");
        assert!(lines.iter().any(|line| line.ends_with(b"\r")));
        assert!(lines.iter().any(|line| std::str::from_utf8(line).is_err()));
        assert!(lines.iter().any(|line| line.contains(&0)));
        assert!(lines.iter().any(|line| line.is_empty()));
        assert!(lines.iter().any(|line| line.len() > 64 * 1024));
    }

    #[test]
    fn json_lines_are_json() {
        let mut corpus = Corpus::new(Style::Json, 3, false);
        for _ in 0..500 {
            let mut line = Vec::new();
            corpus.line(&mut line);
            serde_json::from_slice::<serde_json::Value>(&line).unwrap();
        }
    }

    #[test]
    fn the_users_own_files_are_repeated_line_by_line() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("deep")).unwrap();
        std::fs::write(dir.path().join("a"), "one\n\ntwo").unwrap();
        std::fs::write(dir.path().join("deep/b"), "three\n").unwrap();
        std::fs::write(dir.path().join("c.gz"), "not read").unwrap();
        let mut feed = Feed::Repeated { text: read_input(dir.path()).unwrap(), at: 0 };
        let mut out = Vec::new();
        (0..6).for_each(|_| feed.line(&mut out));
        assert_eq!(out, b"one\n\ntwo\nthree\none\n\n");
    }

    #[test]
    fn an_input_without_lines_is_refused_with_a_hint() {
        let dir = tempfile::tempdir().unwrap();
        let error = read_input(dir.path()).unwrap_err().to_string();
        assert!(error.contains("holds no lines\nhint:"), "{error}");
    }
}
