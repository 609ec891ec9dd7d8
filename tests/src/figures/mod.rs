//! `cargo figures`: what driftlog costs, beside the budgets of `docs/design.md`.
//!
//! Not a test: numbers to steer by, medians of several runs on the machine that is named.

mod codec;
mod crowd;
pub mod floor;
mod haul;
mod idle;
mod latency;
mod machine;
mod mqtt;
mod options;
pub mod producer;
mod recovery;
mod sinks;
mod size;

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use floor::Floor;
use haul::Haul;
use idle::Idle;
use options::{HELP, Options};

use crate::corpus::{Corpus, Feed, Style, read_input};
use crate::exit;
use crate::process::Programs;
use crate::rebuilt;
use crate::servers::With;
use crate::table::{Table, bytes, grouped, span};

/// Runs the figures; the arguments are those behind `figures`.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let mut rest = args.iter().cloned().peekable();
    if rest.next_if(|arg| arg == "codec").is_some() {
        return exit::code("figures", codec::run(rest));
    }
    let outcome = Options::parse(rest).map(|options| match options {
        Some(options) if options.with.is_some_and(|with| with.has_kafka) && !rebuilt::HAS_KAFKA => {
            Err(rebuilt::with_kafka("figures", &args))
        }
        Some(options) => run(&options).map(|()| true),
        None => exit::help(HELP),
    });
    exit::code("figures", outcome)
}

/// The log that is hauled.
struct Log {
    path: PathBuf,
    bytes: u64,
    lines: u64,
}

fn run(options: &Options) -> io::Result<()> {
    if let Some(with) = options.with {
        return run_sinks(options, with);
    }
    let agent = match &options.agent {
        Some(agent) => agent.clone(),
        None => {
            tell("building the agent as devices get it")?;
            size::build()?
        }
    };
    let programs = Programs::in_myself()?.with_agent(&agent);
    let near = agent.parent().unwrap_or(Path::new("."));
    let folder = tempfile::Builder::new().prefix("driftlog-figures-").tempdir_in(near)?;
    let log = write_log(&folder.path().join("all.log"), options)?;
    let (mut floors, mut hauls, mut idles) = (Vec::new(), Vec::new(), Vec::new());
    for run in 1..=options.runs {
        tell(&format!("run {run} of {}: floor, haul, idle", options.runs))?;
        floors.push(floor::measure(&programs, &log.path, folder.path())?);
        let flash = options.flash.as_deref();
        hauls.push(haul::measure(&programs, &log.path, log.lines, folder.path(), flash)?);
        idles.push(idle::measure(&programs, folder.path())?);
    }
    let (wakeups, recovery) = if options.is_quick {
        (None, None)
    } else {
        tell("an idle agent: six minutes")?;
        let wakeups = idle::wakeups(&programs, folder.path())?;
        tell("filling a spool of 256 MB")?;
        (Some(wakeups), Some(recovery::measure(&programs, folder.path(), options.runs)?))
    };
    let mut out = io::stdout().lock();
    writeln!(out, "machine  {}", machine::name())?;
    let flash = options.flash.as_deref().unwrap_or(folder.path());
    writeln!(out, "flash    {} on {}", machine::file_system(flash), flash.display())?;
    let (lines, size) = (grouped(log.lines), bytes(log.bytes));
    let what = options.input.as_ref().map_or("generated".to_owned(), |path| path.display().to_string());
    writeln!(out, "log      {what}: {lines} lines, {size}; medians of {} runs\n", options.runs)?;
    let mut table = Table::new(&["figure", "measured", "budget", "how"]).with_text(3);
    size_row(&mut table, &agent)?;
    agent_rows(&mut table, options, &log, &floors, &hauls);
    idle_rows(&mut table, &idles);
    if let Some(wakeups) = wakeups {
        wakeup_rows(&mut table, wakeups);
    }
    if let Some(recovery) = &recovery {
        recovery_rows(&mut table, recovery);
    }
    table.write(&mut out)
}

/// The way to sinks on servers, once: a server goes on with what it had from the run before.
fn run_sinks(options: &Options, with: With) -> io::Result<()> {
    let folder = tempfile::Builder::new().prefix("driftlog-figures-").tempdir()?;
    let log = write_log(&folder.path().join("all.log"), options)?;
    let mut table = Table::new(&["figure", "measured", "budget", "how"]).with_text(3);
    tell("the archive, then each server")?;
    sinks::measure(&mut table, &Programs::in_myself()?, &log, folder.path(), with)?;
    let mut out = io::stdout().lock();
    writeln!(out, "machine  {}", machine::name())?;
    writeln!(out, "log      {} lines, {}\n", grouped(log.lines), bytes(log.bytes))?;
    table.write(&mut out)
}

/// Progress goes to stderr: stdout holds the table alone.
fn tell(what: &str) -> io::Result<()> {
    writeln!(io::stderr().lock(), "{what} …")
}

fn write_log(path: &Path, options: &Options) -> io::Result<Log> {
    let mut feeds: Vec<Feed> = match &options.input {
        Some(input) => vec![Feed::Repeated { text: read_input(input)?, at: 0 }],
        None => Style::ALL.map(|style| Feed::Generated(Corpus::new(style, options.seed, false))).into(),
    };
    let mut file = BufWriter::new(fs::File::create(path)?);
    let mut log = Log { path: path.to_owned(), bytes: 0, lines: 0 };
    let mut text = Vec::new();
    // Each style by itself, one after another: a file has one style.
    let share = options.bytes / feeds.len().max(1) as u64;
    for feed in &mut feeds {
        let end = log.bytes + share;
        while log.bytes < end {
            text.clear();
            feed.line(&mut text);
            file.write_all(&text)?;
            log.bytes += text.len() as u64;
            log.lines += 1;
        }
    }
    file.flush()?;
    Ok(log)
}

fn size_row(table: &mut Table, agent: &Path) -> io::Result<()> {
    let size = bytes(fs::metadata(agent)?.len());
    let how = format!("{}; budget is for armv7 musl static", std::env::consts::ARCH);
    table.row(vec!["agent binary".into(), size, "2.0 MB".into(), how]);
    Ok(())
}

fn agent_rows(table: &mut Table, options: &Options, log: &Log, floors: &[Floor], hauls: &[Haul]) {
    let row = |table: &mut Table, figure: &str, measured: String, budget: &str, how: &str| {
        table.row(vec![figure.into(), measured, budget.into(), how.into()]);
    };
    let per_million = |cpu: Duration| cpu.as_secs_f64() * 1e6 / log.lines.max(1) as f64;
    let per_byte = |part: u64| part as f64 / log.bytes.max(1) as f64;
    let of = |of: fn(&Haul) -> u64| median(hauls.iter().map(of).collect());
    let floor = median(floors.iter().map(|floor| floor.cpu).collect());
    let cpu = median(hauls.iter().map(|haul| haul.agent_cpu).collect());
    let floor_text = format!("{:.2} s", per_million(floor));
    row(
        table,
        "floor CPU per million lines",
        floor_text,
        "",
        "reads, zstd-3 of 64 KiB, syncs, sends; no more",
    );
    let cpu_text = format!("{:.2} s", per_million(cpu));
    row(table, "agent CPU per million lines", cpu_text, "", "tail, seal with a sync a block, MQTT");
    let ratio = format!("{:.2}", cpu.as_secs_f64() / floor.as_secs_f64().max(1e-9));
    row(table, "  times the floor", ratio, "1.25", "plain codec");
    let peak = bytes(of(|haul| haul.agent_bytes_peak));
    row(table, "agent memory, peak", peak, "4.0 MB", "resident, catching up; budget is for armv7");
    let how = if options.flash.is_some() {
        "block device, file system included"
    } else {
        "pages made dirty by the process; --flash counts the device"
    };
    row(
        table,
        "flash bytes per log byte",
        format!("{:.3}", per_byte(of(|haul| haul.flash_bytes))),
        "0.25",
        how,
    );
    let up = per_byte(of(|haul| haul.wire_bytes_up));
    let text = format!("1/{:.1}", 1.0 / up.max(1e-9));
    row(
        table,
        "wire bytes per log byte, up",
        text,
        "1/15",
        "MQTT included; the budget is the strong codec's",
    );
    let floor_wire = per_byte(median(floors.iter().map(|floor| floor.wire_bytes).collect()));
    let text = format!("1/{:.1}", 1.0 / floor_wire.max(1e-9));
    row(table, "  of the floor", text, "", "zstd-3 of bare lines, 64 KiB at a time");
    let down = format!("{:.4}", per_byte(of(|haul| haul.wire_bytes_down)));
    row(table, "wire bytes per log byte, down", down, "", "acknowledgements");
    let gateway = median(hauls.iter().map(|haul| haul.gateway_cpu).collect()).as_secs_f64();
    let rate = format!("{} /s", grouped((log.lines as f64 / gateway.max(1e-9)) as u64));
    row(table, "gateway records per core", rate, "500,000 /s", "to the archive, embedded broker included");
    let time = median(hauls.iter().map(|haul| haul.time).collect()).as_secs_f64();
    let rate = format!("{} /s", grouped((log.lines as f64 / time.max(1e-9)) as u64));
    row(table, "lines from file to archive", rate, "", "one device, all on this machine");
}

fn idle_rows(table: &mut Table, idles: &[Idle]) {
    let memory = bytes(median(idles.iter().map(|idle| idle.resident_bytes).collect()));
    table.row(vec!["agent memory, idle".into(), memory, "".into(), "resident, connected".into()]);
    let cpu = median(idles.iter().map(|idle| idle.cpu).collect());
    let cpu = format!("{:.1} ms/s", cpu.as_secs_f64() * 1e3);
    table.row(vec!["agent CPU, idle".into(), cpu, "".into(), "steps of 3 ms/s".into()]);
    let first = median(idles.iter().map(|idle| idle.first_after).collect());
    let first = format!("{:.2} s", first.as_secs_f64());
    let how = "from exec until the first line is acknowledged, of it 0.2 s before its block is sealed";
    table.row(vec!["agent, start to first line on shore".into(), first, "".into(), how.into()]);
}

fn wakeup_rows(table: &mut Table, [connected, offline]: [f64; 2]) {
    let row = |figure: &str, of: f64, how: &str| {
        vec![figure.into(), format!("{of:.0} /min"), "".into(), how.into()]
    };
    table.row(row(
        "agent wake-ups, idle",
        connected,
        "connected; voluntary context switches of all its threads",
    ));
    table.row(row("  not connected", offline, "the same, tried again at most every 60 s"));
}

fn recovery_rows(table: &mut Table, recovery: &recovery::Recovery) {
    let ms = |times: &[Duration]| span(u64::try_from(median(times.to_vec()).as_nanos()).unwrap_or(u64::MAX));
    let how =
        format!("spool of {}, from exec to its first answer, page cache warm", bytes(recovery.spool_bytes));
    table.row(vec!["recovery of a full spool".into(), ms(&recovery.full), "100 ms".into(), how]);
    let empty = ms(&recovery.empty);
    table.row(vec!["  of an empty one".into(), empty, "".into(), "the same, for comparison".into()]);
    let peak = bytes(recovery.bytes_peak);
    table.row(vec!["agent memory, peak".into(), peak, "4.0 MB".into(), "offline, filling that spool".into()]);
}

/// The middle one; of an even number the higher one of the two.
fn median<T: Ord + Default>(mut of: Vec<T>) -> T {
    of.sort();
    let middle = of.len() / 2;
    of.into_iter().nth(middle).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_one() {
        assert_eq!(median(vec![5, 1, 9]), 5);
        assert_eq!(median(Vec::<u64>::new()), 0);
    }
}
