//! `cargo planted`: a proof that cannot fail proves nothing, so it is made to fail on purpose.
//!
//! `tests/planted/` lists deliberate bugs, each a snippet of the shipped source and what it
//! becomes. They are planted in a copy of the tracked files below `target/planted`, all of them in
//! one build, each behind a choice at run time; then each bug in turn is switched on and the checks
//! run until one of them fails. The shipped source holds nothing of it: a test sees to that, and
//! that every snippet still stands exactly once in its file.
//!
//! Costs: one build of the workspace with its tests, then seconds for each bug.

mod build;
mod checks;
mod copy;
mod draw;
mod list;
mod options;
mod report;
mod run;
mod seed;
#[cfg(test)]
mod tests;
mod verdict;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use list::Bug;
use options::{HELP, Options};
use report::Row;
use run::{Bench, Ran};
use verdict::Verdict;

use crate::exit;

/// Runs the command; the arguments are those behind `planted`.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let outcome = Options::parse(args).map(|options| match options {
        Some(options) => run(&options),
        None => exit::help(HELP),
    });
    exit::code("planted", outcome)
}

/// The workspace that this binary was built from.
fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_path_buf()
}

/// Progress goes to stderr: stdout holds the table alone.
fn tell(what: &str) -> io::Result<()> {
    writeln!(io::stderr().lock(), "{what}")
}

/// Whether everything was caught and the unchanged source passes.
fn run(options: &Options) -> io::Result<bool> {
    let root = root();
    let bugs = list::read(&root)?;
    let mut chosen: Vec<(usize, &Bug)> =
        bugs.iter().enumerate().filter(|(_, bug)| options.is_chosen(bug)).collect();
    if let Some(count) = options.draw {
        draw::draw(&mut chosen, count, draw::commit(&root)?);
    }
    if options.is_list {
        report::list(&mut io::stdout().lock(), &chosen)?;
        return Ok(true);
    }
    if chosen.is_empty() {
        return Err(io::Error::other("no bug has such a name\nhint: `cargo planted --list` shows them"));
    }
    let place = root.join("target/planted");
    copy::make(&root, &place.join("work"), &bugs)?;
    let checks = checks::needed(chosen.iter().map(|(_, bug)| *bug), options);
    tell(&format!("building one copy with {} bugs, of which {} are tried …", bugs.len(), chosen.len()))?;
    let programs = build::build(&place, &checks, options)?;
    let bench = Bench::new(&place, programs)?;
    tell(&format!("with no bug planted, all {} checks must pass …", checks.len()))?;
    let Some(bench) = bench.with_limits(&checks, options)? else { return Ok(false) };
    tell(&format!("now with one bug at a time, {} in all …", chosen.len()))?;
    let rows = try_all(&bench, &chosen, options)?;
    report::write(&mut io::stdout().lock(), &rows, options)?;
    Ok(rows.iter().all(|row| row.verdict.is_some()))
}

/// Tries the bugs, so many at once as there are jobs; the rows stand in the order of the list.
fn try_all<'b>(bench: &Bench, chosen: &[(usize, &'b Bug)], options: &Options) -> io::Result<Vec<Row<'b>>> {
    let next = AtomicUsize::new(0);
    let rows: Mutex<Vec<(usize, io::Result<Row<'b>>)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                while let Some((number, bug)) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let row = try_one(bench, *number, bug, options);
                    if let Ok(mut rows) = rows.lock() {
                        rows.push((*number, row));
                        let told = rows.last().map(|(_, row)| told(row, rows.len(), chosen.len()));
                        // Progress that nobody can read is no reason to stop.
                        let _ = told.map(|told| tell(&told));
                    }
                }
            });
        }
    });
    let mut rows = rows.into_inner().map_err(|_| io::Error::other("a job ended unexpectedly"))?;
    rows.sort_by_key(|(number, _)| *number);
    rows.into_iter().map(|(_, row)| row).collect()
}

/// How far it has come, and what became of the bug that was tried last.
fn told(row: &io::Result<Row<'_>>, done: usize, of: usize) -> String {
    match row {
        Ok(row) => {
            let what = row.verdict.as_ref().map_or("NOT CAUGHT".to_owned(), Verdict::to_string);
            format!("  {done}/{of} {}: {what}, {:.1} s", row.bug.name, row.took.as_secs_f64())
        }
        Err(error) => format!("  {done}/{of}: {error}"),
    }
}

/// Runs one check after another until one of them catches the bug.
fn try_one<'b>(bench: &Bench, number: usize, bug: &'b Bug, options: &Options) -> io::Result<Row<'b>> {
    let mut ran = Ran::default();
    for check in checks::tried_for(bug, options) {
        let next = bench.run(check, number + 1, options.seeds)?;
        ran = Ran { verdict: next.verdict, cpu: ran.cpu + next.cpu };
        if ran.verdict.is_some() {
            break;
        }
    }
    Ok(Row { bug, verdict: ran.verdict, took: ran.cpu })
}
