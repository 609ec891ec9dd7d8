//! The simulated world: the agent's and the gateway's real cores, and between them a network,
//! clocks, disks, files, sinks and a broker that fail as a seed tells them.
//!
//! ```text
//! seed -> plan (devices, sinks, faults: drawn whole) -> play (a world, in virtual time) -> oracle
//!            ^--- shrink: leave out what is not needed for the failure <--- a sentence fails
//! ```
//!
//! Only what touches the world is simulated: flash, source files, link and broker, clocks, sinks,
//! the ledger's store, the life of processes. One thread plays a world; nothing in it reads a clock
//! or asks for entropy, so that a seed gives the same trace each time.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a simulated world stops at what it did not expect: that is a finding"
)]

mod campaign;
mod options;
mod oracle;
mod plan;
mod play;
mod record;
#[cfg(test)]
mod scenarios;
mod shrink;
mod single;
mod strike;
#[cfg(test)]
mod tests;
pub(crate) mod world;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use options::Request;

/// The seeds that ever failed, and what each found.
const SEEDS: &str = include_str!("../../seeds.txt");

/// Runs what the arguments behind `sim` say.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let options = match Request::parse(args) {
        Ok(Request::Run(options)) => options,
        Ok(Request::Help) => return said(options::HELP),
        Ok(Request::Faults) => return said(&faults()),
        Err(problem) => {
            let _ = writeln!(io::stderr().lock(), "driftlog sim: {problem}");
            return ExitCode::from(2);
        }
    };
    play::keep_panics();
    let mut out = io::stdout();
    let outcome = match options.is_single {
        true => single::run(&options, &mut out),
        false => campaign::run(&options, &known_seeds(), &mut out),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr().lock(), "driftlog sim: {error}");
            ExitCode::from(2)
        }
    }
}

fn said(text: &str) -> ExitCode {
    let _ = io::stdout().lock().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn faults() -> String {
    let line = |fault: &plan::fault::Fault| format!("{:20} {}\n", fault.name(), fault.text().trim());
    plan::fault::Fault::ALL.iter().map(line).collect()
}

/// The first word of each line of `tests/seeds.txt` that is no comment.
fn known_seeds() -> Vec<u64> {
    let lines = SEEDS.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect()
}
