//! What the demo is asked for.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::{Arg, ValueExt as _};

use crate::servers::With;

pub(super) const HELP: &str = "\
cargo demo - real agents and a real gateway carry real log lines through cut networks,
             kill -9 and wrong clocks; at the end everything is counted

usage: cargo demo [-- OPTIONS]    or    driftlog demo [OPTIONS]

  --seconds N    how long the faults go on (8 to 3600; 24 unless given)
  --devices N    how many devices (1 to 32; 5 unless given)
  --seed N       another seed gives other lines and other moments (1 unless given)
  --keep DIR     work in DIR, which must not be there yet or be empty, and leave it alone after
  --input PATH   your own logs: a file, or all files below a folder, repeated line by line
  --with LIST    with real servers, which are installed and started: kafka, opensearch or
                 elasticsearch, mosquitto or rabbitmq, with commas between them
  --help         this text

exit codes: 0 every line arrived once and in order, 1 not so, 2 wrong usage
";

/// How the demo is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) time: Duration,
    pub(super) devices: usize,
    pub(super) seed: u64,
    pub(super) keep: Option<PathBuf>,
    pub(super) input: Option<PathBuf>,
    pub(super) with: With,
}

/// What the arguments say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    Help,
    Run(Options),
}

impl Request {
    /// Reads the arguments behind `demo`.
    pub(super) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let mut options = Options {
            time: Duration::from_secs(24),
            devices: 5,
            seed: 1,
            keep: None,
            input: None,
            with: With::default(),
        };
        let mut parser = lexopt::Parser::from_args(args);
        let hint = "hint: `cargo demo --help` lists the options";
        let bad = |error: lexopt::Error| format!("{error}\n{hint}");
        while let Some(arg) = parser.next().map_err(bad)? {
            match arg {
                Arg::Long("help") | Arg::Short('h') => return Ok(Self::Help),
                Arg::Long("keep") => options.keep = Some(parser.value().map_err(bad)?.into()),
                Arg::Long("input") => options.input = Some(parser.value().map_err(bad)?.into()),
                Arg::Long("with") => {
                    let list = parser.value().and_then(|value| value.string()).map_err(bad)?;
                    options.with = With::parse(&list)?;
                }
                Arg::Long(name @ ("seconds" | "devices" | "seed")) => {
                    let name = name.to_owned();
                    let number: u64 = parser.value().and_then(|value| value.parse()).map_err(bad)?;
                    let within = |least: u64, most: u64| match number {
                        n if (least..=most).contains(&n) => Ok(n),
                        n => Err(format!("--{name} {n} is not between {least} and {most}\n{hint}")),
                    };
                    match name.as_str() {
                        "seconds" => options.time = Duration::from_secs(within(8, 3600)?),
                        "devices" => options.devices = within(1, 32)? as usize,
                        _ => options.seed = number,
                    }
                }
                other => return Err(bad(other.unexpected())),
            }
        }
        Ok(Self::Run(options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &str) -> Result<Request, String> {
        Request::parse(args.split_ascii_whitespace().map(OsString::from))
    }

    #[test]
    fn every_option_is_understood() {
        let options = Options {
            time: Duration::from_secs(10),
            devices: 3,
            seed: 9,
            keep: Some("here".into()),
            input: Some("/var/log".into()),
            with: With { has_kafka: true, ..With::default() },
        };
        let args = "--seconds 10 --devices 3 --seed 9 --keep here --input /var/log --with kafka";
        assert_eq!(parse(args), Ok(Request::Run(options)));
        assert_eq!(parse("--help"), Ok(Request::Help));
    }

    #[test]
    fn a_number_out_of_range_and_an_unknown_option_are_refused_with_a_hint() {
        assert!(parse("--devices 0").unwrap_err().starts_with("--devices 0 is not between 1 and 32\nhint:"));
        assert!(parse("--fast").unwrap_err().contains("hint:"));
        assert!(parse("--seconds soon").unwrap_err().contains("hint:"));
        assert!(parse("--with postgres").unwrap_err().contains("no server"));
    }
}
