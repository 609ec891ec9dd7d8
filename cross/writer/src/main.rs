//! What logs in a virtual device whose power is cut: numbered lines, each on the flash before its
//! number is said on the console, and files that are rotated away.
//!
//! A line is `MARK NUMBER LEVEL filling NUMBER.`: the mark says which boot wrote it, the number at
//! its end that it is whole. On the console `D MARK NUMBER` says that a line is durable, `W MARK
//! NUMBER` that it was written and not synced. At the end it says how many bytes it wrote.

mod file;
mod options;

use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use file::LogFile;
use options::Options;

fn main() -> ExitCode {
    let outcome = match Options::parse(std::env::args_os().skip(1)) {
        Ok(options) => write(&options),
        Err(problem) => {
            let _ = writeln!(io::stderr().lock(), "writer: {problem}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr().lock(), "writer: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(options: &Options) -> io::Result<()> {
    let mut file = LogFile::open(options)?;
    let input = options.input.as_ref().map(fs::read_to_string).transpose()?;
    let mut input = input.iter().flat_map(|text| text.split_inclusive('\n')).cycle();
    let mut bytes = 0;
    let mut filling = Filling(options.mark << 32 | 1);
    // In steps of a hundredth of a second at least: a sleep for each line would slow down fast ones.
    let batch = options.lines_per_s.div_ceil(100).max(1);
    let pause = Duration::from_secs_f64(batch as f64 / options.lines_per_s.max(1) as f64);
    // By the clock: a device that was held up writes what it owes.
    let mut due = now();
    for number in 0..options.lines {
        let line = input.next().map_or_else(|| numbered(options, number, &mut filling), str::to_owned);
        file.append(line.as_bytes())?;
        bytes += line.len();
        if !options.is_silent {
            let word = if options.is_synced { "D" } else { "W" };
            // In one piece: others write to the same console.
            io::stdout().lock().write_all(format!("{word} {} {number}\n", options.mark).as_bytes())?;
        }
        if (number + 1) % batch == 0 {
            due += pause;
            sleep(due.saturating_duration_since(now()));
        }
    }
    writeln!(io::stdout().lock(), "{bytes}")
}

#[expect(clippy::disallowed_methods, reason = "a program that writes by the clock reads it")]
fn now() -> Instant {
    Instant::now()
}

fn numbered(options: &Options, number: u64, filling: &mut Filling) -> String {
    let is_urgent = options.urgent_every > 0 && number % options.urgent_every == options.urgent_every - 1;
    let level = if is_urgent { "ERROR" } else { "INFO" };
    let mut line = format!("{} {number} {level} ", options.mark);
    filling.add(options.filling_bytes, &mut line);
    line + &format!(" {number}.\n")
}

/// Letters that hardly compress: a spool is to fill up.
struct Filling(u64);

impl Filling {
    fn add(&mut self, bytes: usize, line: &mut String) {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        for _ in 0..bytes {
            // xorshift64 (Marsaglia 2003).
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            line.push(char::from(LETTERS[(self.0 >> 58) as usize]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_who_wrote_it_and_that_it_is_whole() {
        let options = Options { mark: 7, urgent_every: 3, filling_bytes: 20, ..Options::default() };
        let mut filling = Filling(1);
        let one = numbered(&options, 1, &mut filling);
        let two = numbered(&options, 2, &mut filling);
        assert!(one.starts_with("7 1 INFO ") && one.ends_with(" 1.\n"), "{one}");
        assert!(two.starts_with("7 2 ERROR ") && two.ends_with(" 2.\n"), "{two}");
        assert_ne!(one.get(9..20), two.get(10..21));
    }
}
