//! One world, told as it goes.

use std::io::{self, Write};

use super::options::Options;
use super::plan::Plan;
use super::play::play;
use super::shrink::shrink;

/// Plays one seed and tells everything that was done to it; whether the promise was kept.
pub(super) fn run(options: &Options, out: &mut dyn Write) -> io::Result<bool> {
    let plan = Plan::drawn(options.seeds.start, options.only.as_deref());
    writeln!(
        out,
        "seed {}: {} devices, {}; {} acts",
        plan.seed,
        plan.devices.len(),
        plan.sinks(),
        plan.acts.len()
    )?;
    for (at, device) in plan.devices.iter().enumerate() {
        writeln!(out, "device-{at}: {device:?}")?;
    }
    if options.has_trace {
        log::set_logger(&Told).map_err(io::Error::other)?;
        log::set_max_level(log::LevelFilter::Info);
    }
    let played = play(&plan);
    log::set_max_level(log::LevelFilter::Off);
    for event in &played.events {
        writeln!(out, "{event}")?;
    }
    writeln!(
        out,
        "\n{} steps, {} device seconds, {} lines, {} lost and declared, trace {:016x}",
        played.steps, played.device_seconds, played.tallied.lines, played.tallied.lost, played.trace
    )?;
    let Some(failure) = &played.failure else {
        writeln!(out, "the promise is kept")?;
        return Ok(true);
    };
    writeln!(out, "FAILED: {}\nnoticed at {}", failure.text, failure.at)?;
    if options.shrinks {
        let (short, played) = shrink(&plan, failure);
        writeln!(out, "\nthe shortest that fails so has {} acts:", short.acts.len())?;
        for act in &short.acts {
            writeln!(out, "  {act:?}")?;
        }
        if options.has_trace {
            out.flush()?;
            log::set_max_level(log::LevelFilter::Info);
            play(&short);
            log::set_max_level(log::LevelFilter::Off);
        }
        for event in &played.events {
            writeln!(out, "  {event}")?;
        }
        writeln!(out, "then: {}", played.failure.map(|failure| failure.text).unwrap_or_default())?;
    }
    Ok(false)
}

/// What agent and gateway log goes to standard error.
struct Told;

impl log::Log for Told {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let _ =
            writeln!(io::stderr().lock(), "    {} {}: {}", record.level(), record.target(), record.args());
    }

    fn flush(&self) {}
}
