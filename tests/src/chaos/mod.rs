//! `cargo chaos`: real processes, real files, real brokers, real signals.
//!
//! Each round draws a broker, a set of faults and the instants at which they strike from its seed.
//! Agents and gateway are this binary, started again; brokers are rumqttd in the gateway, mosquitto
//! and RabbitMQ. After the faults comes a quiet phase in which everything must come in, then the
//! gateway's audit and the comparison byte for byte.
//!
//! The seed decides what is done; what happens then is up to the machine.

mod fault;
mod judge;
mod options;
mod plan;
mod round;
mod small_disk;
mod tally;
mod unit;
mod world;

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use options::{Options, Request};
use plan::Plan;
use round::Outcome;
use tally::Tally;

use crate::clock;
use crate::place;
use crate::table::grouped;

/// Runs chaos; the arguments are those behind `chaos`.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let options = match Request::parse(args) {
        Ok(Request::Run(options)) => options,
        Ok(Request::Help) => {
            let _ = io::stdout().lock().write_all(options::HELP.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            let _ = writeln!(io::stderr().lock(), "chaos: {problem}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr().lock(), "\nchaos: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs it; whether the promise was kept.
fn run(options: &Options) -> io::Result<bool> {
    let folder = prepare(options.keep.as_deref())?;
    let began = clock::now();
    let mut tally = Tally::default();
    for number in 0..options.rounds {
        if options.time.is_some_and(|time| clock::now() >= began + time) {
            break;
        }
        let plan = Plan::draw(options.seed.wrapping_add(number), &options.brokers, options.devices);
        let place = free_place(&folder, plan.seed);
        let outcome = round::play(plan, &place, options.keep.is_some())?;
        tell(number + 1, &outcome, &mut io::stdout().lock())?;
        tally.add(&outcome);
    }
    tally.write(&mut io::stdout().lock())?;
    Ok(tally.is_good())
}

/// The folder in which rounds have theirs, without any disk that an earlier chaos left mounted.
fn prepare(keep: Option<&Path>) -> io::Result<PathBuf> {
    let folder = match keep {
        Some(folder) => {
            place::check_empty(folder)?;
            folder.to_owned()
        }
        None => place::beside_the_binary("chaos")?,
    };
    fs::create_dir_all(&folder)?;
    let folder = fs::canonicalize(folder)?;
    small_disk::unmount_below(&folder)?;
    Ok(folder)
}

/// A folder for a round: what a failed one left is not touched.
fn free_place(folder: &Path, seed: u64) -> PathBuf {
    let mut place = folder.join(format!("round-{seed}"));
    let mut again = 2;
    while place.exists() {
        place = folder.join(format!("round-{seed}-{again}"));
        again += 1;
    }
    place
}

/// One line for a round, and more for one that failed.
fn tell(number: u64, outcome: &Outcome, out: &mut dyn Write) -> io::Result<()> {
    let Outcome { plan, count, .. } = outcome;
    let word = if outcome.is_good() { "kept" } else { "BROKEN" };
    write!(
        out,
        "round {number}, seed {}, {}, {} devices, {:.0} s ({:.0} s quiet): {} lines in, {} out, {} lost, {} doubled, \
         {} out of order, {} declared; {word}",
        plan.seed,
        plan.broker,
        plan.devices.len(),
        outcome.took.as_secs_f64(),
        outcome.quiet.as_secs_f64(),
        grouped(count.lines_in),
        grouped(count.lines_out),
        grouped(count.lost),
        grouped(count.doubled),
        grouped(count.disordered),
        grouped(count.declared),
    )?;
    let struck = outcome.struck.iter().filter(|(_, times)| **times > 0);
    let struck: Vec<String> = struck.map(|(fault, times)| format!("{fault} {times}")).collect();
    write!(out, "; {}", struck.join(", "))?;
    if outcome.ends > 0 {
        write!(out, "; ended on a full disk and started again: {}", outcome.ends)?;
    }
    for (fault, why) in &outcome.skipped {
        write!(out, "; SKIPPED {fault}: {why}")?;
    }
    writeln!(out)?;
    for violation in &outcome.violations {
        writeln!(out, "  {}", violation.replace('\n', "\n  "))?;
    }
    if !outcome.is_good() {
        let devices = plan.devices.len();
        let folder = outcome.folder.as_deref().map(place::shown).unwrap_or_default();
        writeln!(
            out,
            "  everything lies in {folder}; the same again, though processes are not deterministic:"
        )?;
        writeln!(
            out,
            "  cargo chaos --seed {} --rounds 1 --broker {} --devices {devices}",
            plan.seed, plan.broker
        )?;
    }
    out.flush()
}
