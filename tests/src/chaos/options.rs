//! What chaos is asked for.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::{Arg, ValueExt as _};

use crate::servers::Kind;

pub(super) const HELP: &str = "\
cargo chaos - real agents, gateways and brokers, real signals, full disks, wrong clocks and bad
              lines at instants from a seed; after each round everything is counted

usage: cargo chaos [-- OPTIONS]    or    driftlog chaos [OPTIONS]

  --minutes N    begin rounds for so long (1 to 1440)
  --rounds N     so many rounds (1 to 100000; 6 unless --minutes is given)
  --seed N       the seed of the first round; each further round has the next (1 unless given)
  --broker WHICH embedded, mosquitto or rabbitmq; may repeat (all three unless given)
  --devices N    how many devices (1 to 8; 2 to 4, by the seed, unless given)
  --keep DIR     work in DIR, which must not be there yet or be empty, and leave it alone after
  --help         this text

The seed decides what is done when, not what happens: processes are not deterministic. A failed
round leaves its folder and may have to be repeated more than once. Full disks need root (mount);
where they cannot be had they are counted as skipped.

exit codes: 0 the promise was kept in each round, 1 not so, 2 wrong usage
";

/// Rounds, if nothing is said about how many or how long.
const ROUNDS: u64 = 6;
const HINT: &str = "hint: `cargo chaos --help` lists the options";

/// How chaos is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Options {
    /// No round begins after this.
    pub(super) time: Option<Duration>,
    pub(super) rounds: u64,
    pub(super) seed: u64,
    /// In turn, by the seed.
    pub(super) brokers: Vec<Kind>,
    pub(super) devices: Option<usize>,
    pub(super) keep: Option<PathBuf>,
}

/// What the arguments say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    Help,
    Run(Options),
}

impl Request {
    /// Reads the arguments behind `chaos`.
    pub(super) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let (mut time, mut rounds, mut seed, mut devices, mut keep) = (None, None, 1, None, None);
        let mut brokers = Vec::new();
        let mut parser = lexopt::Parser::from_args(args);
        let bad = |error: lexopt::Error| format!("{error}\n{HINT}");
        while let Some(arg) = parser.next().map_err(bad)? {
            match arg {
                Arg::Long("help") | Arg::Short('h') => return Ok(Self::Help),
                Arg::Long("keep") => keep = Some(parser.value().map_err(bad)?.into()),
                Arg::Long("broker") => {
                    let name = parser.value().and_then(|value| value.string()).map_err(bad)?;
                    let kind = Kind::of(&name).ok_or_else(|| unknown_broker(&name))?;
                    if !brokers.contains(&kind) {
                        brokers.push(kind);
                    }
                }
                Arg::Long(name @ ("minutes" | "rounds" | "seed" | "devices")) => {
                    let name = name.to_owned();
                    let number: u64 = parser.value().and_then(|value| value.parse()).map_err(bad)?;
                    match name.as_str() {
                        "minutes" => time = Some(Duration::from_secs(60 * within(&name, number, 1, 1440)?)),
                        "rounds" => rounds = Some(within(&name, number, 1, 100_000)?),
                        "devices" => devices = Some(within(&name, number, 1, 8)? as usize),
                        _ => seed = number,
                    }
                }
                other => return Err(bad(other.unexpected())),
            }
        }
        if brokers.is_empty() {
            brokers = Kind::ALL.to_vec();
        }
        let rounds = rounds.unwrap_or(if time.is_some() { u64::MAX } else { ROUNDS });
        Ok(Self::Run(Options { time, rounds, seed, brokers, devices, keep }))
    }
}

fn within(name: &str, number: u64, least: u64, most: u64) -> Result<u64, String> {
    match number {
        n if (least..=most).contains(&n) => Ok(n),
        n => Err(format!("--{name} {n} is not between {least} and {most}\n{HINT}")),
    }
}

fn unknown_broker(name: &str) -> String {
    format!("--broker {name} is none of embedded, mosquitto, rabbitmq\n{HINT}")
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
            time: Some(Duration::from_secs(180)),
            rounds: 4,
            seed: 9,
            brokers: vec![Kind::RabbitMq, Kind::Embedded],
            devices: Some(3),
            keep: Some("here".into()),
        };
        let args = "--minutes 3 --rounds 4 --seed 9 --broker rabbitmq --broker embedded --broker rabbitmq \
                    --devices 3 --keep here";
        assert_eq!(parse(args), Ok(Request::Run(options)));
        assert_eq!(parse("--help"), Ok(Request::Help));
    }

    #[test]
    fn without_options_all_brokers_have_six_rounds_and_a_time_alone_limits_the_time_alone() {
        let Ok(Request::Run(options)) = parse("") else { panic!("refused") };
        assert_eq!((options.rounds, options.time, options.brokers.as_slice()), (6, None, &Kind::ALL[..]));
        let Ok(Request::Run(options)) = parse("--minutes 1") else { panic!("refused") };
        assert_eq!((options.rounds, options.time), (u64::MAX, Some(Duration::from_secs(60))));
    }

    #[test]
    fn what_cannot_be_is_refused_with_a_hint() {
        assert!(parse("--devices 0").unwrap_err().starts_with("--devices 0 is not between 1 and 8\nhint:"));
        assert!(parse("--broker kafka").unwrap_err().starts_with("--broker kafka is none of embedded"));
        assert!(parse("--gently").unwrap_err().contains("hint:"));
        assert!(parse("--minutes soon").unwrap_err().contains("hint:"));
    }
}
