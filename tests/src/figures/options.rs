//! What the figures are asked for.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, ValueExt as _};

use crate::servers::{Kind, With};

pub(super) const HELP: &str = "\
cargo figures - what driftlog costs: processor, memory, flash, wire; numbers to steer by

usage: cargo figures [-- OPTIONS]    or    driftlog figures [OPTIONS]
       cargo figures codec    how small blocks become; `cargo figures codec --help`

  --runs N       medians of so many runs (1 to 99; 3 unless given)
  --mb N         megabytes of log in each run (1 to 1000; 64 unless given)
  --seed N       another seed gives other lines (1 unless given)
  --input PATH   your own logs: a file, or all files below a folder, repeated up to --mb
  --flash DIR    put the spool there and count what its whole block device writes, file system
                 included; nothing else should write to that device meanwhile
  --agent FILE   measure this agent; else the one that is flashed onto devices, which is built
                 first (`cargo build --profile device --package driftlog-agent`)
  --with LIST    instead, the gateway's way to sinks on servers, which are installed and started:
                 kafka, opensearch or elasticsearch, with a comma between two
  --quick        leave out what takes long: the recovery of a spool of 256 MB
  --help         this text
";

/// How to measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) runs: usize,
    pub(super) bytes: u64,
    pub(super) seed: u64,
    pub(super) input: Option<PathBuf>,
    pub(super) flash: Option<PathBuf>,
    pub(super) agent: Option<PathBuf>,
    pub(super) is_quick: bool,
    pub(super) with: Option<With>,
}

impl Options {
    /// Reads the arguments behind `figures`; nothing if help is asked for.
    pub(super) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Option<Self>, String> {
        let mut options = Self {
            runs: 3,
            bytes: 64_000_000,
            seed: 1,
            input: None,
            flash: None,
            agent: None,
            is_quick: false,
            with: None,
        };
        let mut parser = lexopt::Parser::from_args(args);
        let bad =
            |error: lexopt::Error| format!("{error}\nhint: `cargo figures -- --help` lists the options");
        while let Some(arg) = parser.next().map_err(bad)? {
            match arg {
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                Arg::Long("quick") => options.is_quick = true,
                Arg::Long("with") => {
                    let names = parser.value().and_then(|value| value.string()).map_err(bad)?;
                    options.with = Some(servers(&names)?);
                }
                Arg::Long("input") => options.input = Some(parser.value().map_err(bad)?.into()),
                Arg::Long("flash") => options.flash = Some(parser.value().map_err(bad)?.into()),
                Arg::Long("agent") => options.agent = Some(parser.value().map_err(bad)?.into()),
                Arg::Long("seed") => {
                    options.seed = parser.value().and_then(|value| value.parse()).map_err(bad)?;
                }
                Arg::Long("runs") => {
                    let runs: usize = parser.value().and_then(|value| value.parse()).map_err(bad)?;
                    options.runs = runs.clamp(1, 99);
                }
                Arg::Long("mb") => {
                    let mb: u64 = parser.value().and_then(|value| value.parse()).map_err(bad)?;
                    options.bytes = mb.clamp(1, 1000) * 1_000_000;
                }
                other => return Err(bad(other.unexpected())),
            }
        }
        Ok(Some(options))
    }
}

/// The servers of a list; the broker is one of the figures' own.
fn servers(names: &str) -> Result<With, String> {
    match With::parse(names)? {
        with if with.broker == Kind::Embedded => Ok(with),
        with => Err(format!("{} is no sink: the figures have a broker of their own", with.broker)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_understood_and_others_are_refused() {
        let parse = |args: &str| Options::parse(args.split_ascii_whitespace().map(OsString::from));
        let args = "--runs 5 --mb 10 --seed 2 --input in --flash /mnt --agent a --quick";
        let options = parse(args).unwrap().unwrap();
        assert_eq!((options.runs, options.bytes, options.seed, options.is_quick), (5, 10_000_000, 2, true));
        let options = parse("--with kafka,opensearch").unwrap().unwrap();
        assert!(options.with.is_some_and(|with| with.has_kafka && with.search.is_some()));
        assert!(parse("--with postgres").unwrap_err().contains("no server"));
        assert!(parse("--with mosquitto").unwrap_err().contains("no sink"));
        assert_eq!(parse("--help"), Ok(None));
        assert!(parse("--fast").unwrap_err().contains("hint:"));
    }
}
