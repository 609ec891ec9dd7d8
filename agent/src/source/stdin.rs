//! Standard input as a source: what is written to it becomes lines like those of a file, but there
//! is nothing to go back to. What was taken and not sealed is lost with the process.

use driftlog_proto::ids::BootId;
use driftlog_proto::time::Mono;

use super::Sources;
use super::cursor::file_key;
use super::files::Files;
use super::fingerprint::Fnv;
use super::line::{self, Step, Supply, Within};
use super::turn::{Given, Last, after};

/// Bytes of standard input that wait to be cut into lines; when they are full the pipe is.
pub const STDIN_BYTES_MAX: usize = 64 * 1024;

/// What was read from standard input and not given out yet.
#[derive(Debug)]
pub(crate) struct Stdin {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// The offset of `start` in all that was ever read.
    offset: u64,
    pub(crate) within: Within,
    idle_line_ms: u64,
    is_closed: bool,
    has_grown: bool,
    grown_at: Mono,
    pub(crate) is_queued: bool,
    key: Option<u64>,
}

impl Stdin {
    pub(crate) fn new(idle_line_ms: u64) -> Self {
        Self {
            buffer: vec![0; STDIN_BYTES_MAX].into_boxed_slice(),
            start: 0,
            end: 0,
            offset: 0,
            within: Within::Start,
            idle_line_ms,
            is_closed: false,
            has_grown: false,
            grown_at: Mono(0),
            is_queued: false,
            key: None,
        }
    }

    /// Takes as many bytes as there is room for.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> usize {
        if self.is_closed {
            return 0;
        }
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        let n = bytes.len().min(room.len());
        for (to, from) in room.iter_mut().zip(bytes) {
            *to = *from;
        }
        self.end += n;
        self.has_grown |= n > 0;
        n
    }

    pub(crate) fn close(&mut self) {
        self.is_closed = true;
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_closed && self.start == self.end
    }

    /// The number of this run's standard input: another at every start.
    pub(crate) fn key(&mut self, boot: BootId, now: Mono) -> u64 {
        *self.key.get_or_insert_with(|| file_key((Fnv::EMPTY.and(&boot.0).mixed(), now.0), b"stdin", 0))
    }

    /// When the unfinished line is given out as it is.
    pub(crate) fn idle_at(&self) -> Option<Mono> {
        (self.start < self.end && !self.is_queued).then(|| self.grown_at.plus_ms(self.idle_line_ms))
    }

    /// The next step and the offset it is at.
    pub(crate) fn step(&mut self, now: Mono) -> (Step, u64) {
        if std::mem::take(&mut self.has_grown) {
            self.grown_at = now;
        }
        let supply = match self.is_closed {
            true => Supply::Over,
            false if now >= self.grown_at.plus_ms(self.idle_line_ms) => Supply::Idle,
            false => Supply::Open,
        };
        (line::step(self.within, self.offset, self.waiting(), supply), self.offset)
    }

    fn waiting(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    pub(crate) fn pass(&mut self, taken: usize) {
        self.start += taken;
        self.offset += taken as u64;
    }

    pub(crate) fn pass_back(&mut self, taken: usize) {
        self.start -= taken;
        self.offset -= taken as u64;
    }

    /// The bytes of the last step.
    pub(crate) fn passed(&self, taken: usize) -> &[u8] {
        self.buffer.get(self.start - taken..self.start).unwrap_or_default()
    }
}

impl<F: Files> Sources<F> {
    /// The next record of standard input.
    pub(crate) fn advance_stdin(&mut self, now: Mono) -> Option<Given> {
        let boot = self.boot;
        let stdin = self.stdin.as_mut()?;
        loop {
            let within = stdin.within;
            let (step, offset) = stdin.step(now);
            let (body, taken, ending, part, is_cut) = match step {
                Step::Wait => return None,
                Step::Skip { taken, is_over } => {
                    stdin.pass(taken);
                    if is_over {
                        stdin.within = Within::Start;
                    }
                    continue;
                }
                Step::Give { body, taken, ending, part, is_cut } => (body, taken, ending, part, is_cut),
            };
            stdin.pass(taken);
            let bytes = stdin.passed(taken).get(..body).unwrap_or_default();
            let (next, severity, format) = after(within, offset, bytes, ending, part);
            stdin.within = if is_cut { Within::Cut } else { next };
            self.lines_cut += u64::from(is_cut);
            self.last = Some(Last { slot: None, taken, within, is_cut });
            let key = stdin.key(boot, now);
            return Some(Given {
                slot: None,
                key,
                from: 0,
                offset,
                body,
                taken,
                ending,
                part,
                is_cut,
                severity,
                format,
            });
        }
    }
}
