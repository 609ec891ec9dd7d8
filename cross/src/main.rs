//! `cargo cross`: builds the programs for devices and says what they weigh.
//!
//! Everything is static (musl) and built from source, Rust's library included, so that it can be
//! optimised for size and does not hold the path of any folder: two builds give the same bytes.

mod budget;
mod build;
mod elf;
mod materials;
mod options;
mod packages;
mod place;
mod report;
mod target;
mod twice;

use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;

use budget::Budgets;
use options::{HELP, Options};
use place::Place;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args_os().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            let _ = io::stdout().lock().write_all(HELP.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            let _ = writeln!(io::stderr().lock(), "cross: {problem}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr().lock(), "cross: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> io::Result<()> {
    let place = Place::of_this_repository()?;
    place.install("build")?;
    let budgets = Budgets::read(&place.root.join("cross/budgets.toml"))?;
    let mut is_over = false;
    for &target in &options.targets {
        let built = build::build(&place, target, &target.recipes().iter().collect::<Vec<_>>())?;
        if options.is_twice {
            twice::check(&place, target, &built)?;
        }
        let mut out = io::stdout().lock();
        for program in &built {
            let bytes = fs::metadata(&program.stripped)?.len();
            let weighed = budgets.weigh(target, program.name, bytes);
            is_over |= weighed.is_over();
            writeln!(out, "{weighed}  {}", place.shown(&program.stripped))?;
            if options.is_report {
                report::write(&fs::read(&program.symbols)?, &mut out)?;
            }
        }
    }
    if is_over {
        let hint =
            "hint: `cargo cross TARGET --report` shows the largest parts; budgets are in cross/budgets.toml";
        return Err(io::Error::other(format!("a program is over its budget\n{hint}")));
    }
    if options.is_packed { packages::make(&place, &options.targets) } else { Ok(()) }
}
