//! A program that logs: it appends lines to files at a rate and rotates them by renaming, as
//! logrotate does, and keeps a journal of every byte.
//!
//! It writes in bursts and often leaves off in the middle of a line, to go on with it later. It
//! never truncates a file and never removes one.

mod journal;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock;
use crate::corpus::{Feed, Random};
use journal::Copy;
pub use journal::{Journal, Written, count_lines};

/// How often it writes.
const BURST_EVERY: Duration = Duration::from_millis(20);
/// A file that was rotated this often is not rotated any more: an agent follows a bounded number.
const ROTATIONS_MAX: u64 = 30;

/// What a writer is to do.
#[derive(Debug)]
pub struct WriterConfig {
    /// Where the files are.
    pub logs: PathBuf,
    /// Where the journal is: not where an agent looks.
    pub journal: PathBuf,
    /// The files by name, and where their lines come from.
    pub files: Vec<(String, Feed)>,
    /// Lines in a second, over all files.
    pub lines_per_second: u64,
    /// A file that has grown to this is rotated.
    pub rotate_bytes: u64,
    /// Seeds the bursts.
    pub seed: u64,
}

/// A writer at work; stops when it is dropped.
#[derive(Debug)]
pub struct Writer {
    control: Arc<Control>,
    thread: Option<JoinHandle<io::Result<Journal>>>,
}

#[derive(Debug, Default)]
struct Control {
    is_over: AtomicBool,
    lines_per_second: AtomicU64,
    lines: AtomicU64,
    bytes: AtomicU64,
    rotations: AtomicU64,
}

impl Writer {
    /// Begins to write.
    ///
    /// # Errors
    /// When the folders or files cannot be made.
    pub fn start(config: WriterConfig) -> io::Result<Self> {
        fs::create_dir_all(&config.logs)?;
        fs::create_dir_all(&config.journal)?;
        let control = Arc::new(Control::default());
        control.lines_per_second.store(config.lines_per_second, SeqCst);
        let mut hand = Hand::new(config, Arc::clone(&control))?;
        let thread = std::thread::Builder::new().name("writer".to_owned()).spawn(move || {
            while !hand.control.is_over.load(SeqCst) {
                hand.burst()?;
                std::thread::sleep(BURST_EVERY);
            }
            hand.finish()
        })?;
        Ok(Self { control, thread: Some(thread) })
    }

    /// Lines in a second from now on.
    pub fn set_rate(&self, lines_per_second: u64) {
        self.control.lines_per_second.store(lines_per_second, SeqCst);
    }

    /// Lines begun so far.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.control.lines.load(SeqCst)
    }

    /// Bytes written so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.control.bytes.load(SeqCst)
    }

    /// Files rotated so far.
    #[must_use]
    pub fn rotations(&self) -> u64 {
        self.control.rotations.load(SeqCst)
    }

    /// Whether it has stopped by itself, because something could not be written: see [`stop`](Self::stop).
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Ends the last line of each file and stops.
    ///
    /// # Errors
    /// When something could not be written.
    pub fn stop(mut self) -> io::Result<Journal> {
        self.end().unwrap_or_else(|| Ok(Journal::default()))
    }

    fn end(&mut self) -> Option<io::Result<Journal>> {
        self.control.is_over.store(true, SeqCst);
        let ended = self.thread.take()?.join();
        Some(ended.unwrap_or_else(|_| Err(io::Error::other("the writer panicked"))))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// What the writer's thread holds.
struct Hand {
    logs: PathBuf,
    journal: PathBuf,
    rotate_bytes: u64,
    random: Random,
    control: Arc<Control>,
    pens: Vec<Pen>,
    /// Lines that are due, in thousandths.
    due: u64,
    closed: Vec<(u64, Written)>,
    next_number: u64,
}

/// One file that is being written.
struct Pen {
    name: String,
    feed: Feed,
    file: File,
    number: u64,
    copy: Copy,
    /// The rest of a line of which the beginning is written.
    held_back: Vec<u8>,
    rotations: u64,
}

impl Hand {
    fn new(config: WriterConfig, control: Arc<Control>) -> io::Result<Self> {
        let mut hand = Self {
            logs: config.logs,
            journal: config.journal,
            rotate_bytes: config.rotate_bytes,
            random: Random::new(config.seed),
            control,
            pens: Vec::new(),
            due: 0,
            closed: Vec::new(),
            next_number: 0,
        };
        for (name, feed) in config.files {
            let number = hand.next_number;
            hand.next_number += 1;
            let (file, copy) = (create(&hand.logs.join(&name))?, Copy::begin(&hand.journal, number, &name)?);
            hand.pens.push(Pen { name, feed, file, number, copy, held_back: Vec::new(), rotations: 0 });
        }
        Ok(hand)
    }

    fn burst(&mut self) -> io::Result<()> {
        let every_ms = u64::try_from(BURST_EVERY.as_millis()).unwrap_or(1);
        self.due += self.control.lines_per_second.load(SeqCst) * every_ms;
        let lines = self.due / 1000;
        self.due %= 1000;
        let at = self.random.below(self.pens.len() as u64) as usize;
        let Some(pen) = self.pens.get_mut(at).filter(|_| lines > 0) else { return Ok(()) };
        let mut text = std::mem::take(&mut pen.held_back);
        (0..lines).for_each(|_| pen.feed.line(&mut text));
        if self.random.once_in(3) {
            let from = (text.len() as u64).saturating_sub(60);
            pen.held_back = text.split_off(self.random.between(from, text.len() as u64) as usize);
        }
        self.control.lines.fetch_add(lines, SeqCst);
        self.write(at, &text)?;
        self.rotate_if_due(at)
    }

    fn write(&mut self, at: usize, text: &[u8]) -> io::Result<()> {
        let Some(pen) = self.pens.get_mut(at) else { return Ok(()) };
        let moment = clock::wall_ns();
        pen.file.write_all(text)?;
        self.control.bytes.fetch_add(text.len() as u64, SeqCst);
        pen.copy.keep(text, moment)
    }

    /// `name.1` becomes `name.2`, the file `name.1`, and a new one takes its name.
    fn rotate_if_due(&mut self, at: usize) -> io::Result<()> {
        let Some(pen) = self.pens.get_mut(at) else { return Ok(()) };
        let is_due = pen.copy.written.bytes >= self.rotate_bytes && pen.held_back.is_empty();
        if !is_due || pen.rotations >= ROTATIONS_MAX {
            return Ok(());
        }
        let place = |number: u64| match number {
            0 => self.logs.join(&pen.name),
            _ => self.logs.join(format!("{}.{number}", pen.name)),
        };
        for number in (0..=pen.rotations).rev() {
            fs::rename(place(number), place(number + 1))?;
        }
        pen.rotations += 1;
        self.control.rotations.fetch_add(1, SeqCst);
        pen.file = create(&place(0))?;
        let copy = Copy::begin(&self.journal, self.next_number, &pen.name)?;
        self.closed.push((pen.number, std::mem::replace(&mut pen.copy, copy).written));
        pen.number = self.next_number;
        self.next_number += 1;
        Ok(())
    }

    fn finish(mut self) -> io::Result<Journal> {
        for at in 0..self.pens.len() {
            let rest =
                self.pens.get_mut(at).map(|pen| std::mem::take(&mut pen.held_back)).unwrap_or_default();
            if !rest.is_empty() {
                self.write(at, &rest)?;
            }
        }
        let open = self.pens.into_iter().map(|pen| (pen.number, pen.copy.written));
        let mut files: Vec<(u64, Written)> = self.closed.into_iter().chain(open).collect();
        files.sort_by_key(|(number, _)| *number);
        Ok(Journal { files: files.into_iter().map(|(_, written)| written).collect() })
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create_new(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::{Corpus, Style};

    fn writer(dir: &Path) -> Writer {
        let feed = |style| Feed::Generated(Corpus::new(style, 1, true));
        let files = vec![("a.log".to_owned(), feed(Style::Json)), ("b.log".to_owned(), feed(Style::Syslog))];
        let config = WriterConfig {
            logs: dir.join("logs"),
            journal: dir.join("journal"),
            files,
            lines_per_second: 50_000,
            rotate_bytes: 100_000,
            seed: 1,
        };
        Writer::start(config).unwrap()
    }

    #[test]
    fn the_journal_holds_every_byte_of_every_file_also_of_those_rotated_away() {
        let dir = tempfile::tempdir().unwrap();
        let writer = writer(dir.path());
        assert!(clock::wait_until(Duration::from_secs(60), || writer.rotations() >= 4));
        let (rotations, journal) = (writer.rotations(), writer.stop().unwrap());
        assert!(journal.files.len() as u64 >= 2 + rotations);
        let folder = |name: &str| {
            let entries = fs::read_dir(dir.path().join(name)).unwrap();
            let mut texts: Vec<Vec<u8>> =
                entries.map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
            texts.sort();
            texts
        };
        assert!(folder("logs") == folder("journal"), "the files and their journal differ");
        for file in &journal.files {
            let text = fs::read(&file.copy).unwrap();
            assert_eq!((file.bytes, file.lines), (text.len() as u64, count_lines(&text)));
            assert!(file.moments.is_sorted());
        }
        assert!(dir.path().join("logs/a.log.1").exists());
    }

    #[test]
    fn a_stopped_writer_leaves_whole_lines_and_has_counted_them() {
        let dir = tempfile::tempdir().unwrap();
        let writer = writer(dir.path());
        assert!(clock::wait_until(Duration::from_secs(60), || writer.lines() > 10_000));
        writer.set_rate(0);
        let control = Arc::clone(&writer.control);
        let journal = writer.stop().unwrap();
        assert_eq!(journal.lines(), control.lines.load(SeqCst));
        assert_eq!(journal.bytes(), control.bytes.load(SeqCst));
    }
}
