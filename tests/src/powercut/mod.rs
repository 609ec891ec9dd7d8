//! `cargo powercut`: real power cuts of a real ARM kernel with a real file system, the real agent in
//! it, and a count at the end.
//!
//! Each machine has a gateway of its own. A cut is a boot, some time in which a writer logs, the agent
//! sends and the gateway may be away, and the end at an instant from the seed. After the last cut the
//! device is left alone until everything is on shore; then `judge` counts.

mod judge;
mod lines;
mod options;
mod plan;
mod unit;

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::thread;

use judge::Verdict;
use options::{HELP, Options};
use unit::Unit;

use crate::clock;
use crate::exit;
use crate::machine::Image;
use crate::place;
use crate::table::Table;

/// Cuts power; the arguments are those behind `powercut`.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let outcome = Options::parse(args).map(|options| match options {
        Some(options) => run(&options),
        None => exit::help(HELP),
    });
    exit::code("powercut", outcome)
}

/// Whether the promise was kept.
fn run(options: &Options) -> io::Result<bool> {
    let image = Image::build()?;
    let folder = place::beside_the_binary("powercut")?;
    fs::create_dir_all(&folder)?;
    let began = clock::now();
    let verdicts = thread::scope(|scope| {
        let play = |number: u64| {
            let (image, folder) = (&image, folder.join(format!("machine-{number}-seed-{}", options.seed)));
            scope.spawn(move || play(options, number, image, &folder))
        };
        let threads: Vec<_> = (0..options.machines).map(play).collect();
        threads.into_iter().map(|thread| thread.join()).collect::<Vec<_>>()
    });
    let mut all = Vec::new();
    for verdict in verdicts {
        all.push(verdict.map_err(|_| io::Error::other("a machine's thread panicked"))??);
    }
    let mut out = io::stdout().lock();
    write_table(&all, &mut out)?;
    let is_kept = all.iter().all(Verdict::is_kept);
    let word = if is_kept { "KEPT" } else { "BROKEN" };
    let cuts: u64 = all.iter().map(|verdict| verdict.cuts).sum();
    let minutes = (clock::now() - began).as_secs_f64() / 60.0;
    writeln!(out, "\n{cuts} power cuts in {minutes:.0} min; the promise is {word}")?;
    if !is_kept {
        writeln!(out, "everything lies in {}", place::shown(&folder))?;
    }
    Ok(is_kept)
}

/// One machine's part of the cuts.
fn play(options: &Options, number: u64, image: &Image, folder: &Path) -> io::Result<Verdict> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    let cuts = options.cuts / options.machines + u64::from(number < options.cuts % options.machines);
    let mut unit = Unit::new(number, options.seed, image, folder)?;
    for cut in 1..=cuts {
        if options.is_kept {
            unit.keep_flash()?;
        }
        let said = unit.cut()?;
        writeln!(io::stderr().lock(), "machine {number}, cut {cut} of {cuts}: {said}")?;
    }
    if options.is_kept {
        unit.keep_flash()?;
    }
    unit.rest()?;
    let verdict = unit.judge()?;
    if verdict.is_kept() && !options.is_kept {
        fs::remove_dir_all(folder)?;
    }
    Ok(verdict)
}

fn write_table(verdicts: &[Verdict], out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new(&[
        "machine", "cuts", "durable", "arrived", "lost", "declared", "repeated", "stated", "disorder",
        "notices",
    ])
    .with_text(9);
    for (number, verdict) in verdicts.iter().enumerate() {
        let Verdict { cuts, count, .. } = verdict;
        let numbers = [
            *cuts,
            count.durable,
            count.arrived,
            count.lost,
            count.declared,
            count.repeated_bytes,
            count.stated_bytes,
            count.disordered,
        ];
        let mut row = vec![format!("{number}: {}", verdict.kind)];
        row.extend(numbers.map(|number| number.to_string()));
        let notices: Vec<_> = count.notices.iter().map(|(name, times)| format!("{name} {times}")).collect();
        row.push(if notices.is_empty() { "-".to_owned() } else { notices.join(", ") });
        table.row(row);
    }
    table.write(out)?;
    verdicts.iter().flat_map(|verdict| &verdict.violations).try_for_each(|what| writeln!(out, "  {what}"))
}
