//! What `cargo sim` is asked for.

use std::ffi::OsString;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::{Arg, ValueExt as _};

use super::plan::fault::Fault;

pub(super) const HELP: &str = "\
cargo sim - the agent's and the gateway's real cores in simulated worlds that fail in every way,
            each drawn from a seed and judged by an oracle that shares nothing with them

usage: cargo sim [-- OPTIONS]    or    driftlog sim [OPTIONS]

  --seeds FROM..TO   which worlds (0..2000 unless given); those in tests/seeds.txt come first
  --seed N           one world, and everything that happens in it
  --minutes N        goes on from the first seed for so long
  --only FAULTS      worlds with these faults alone, by name, separated by commas
  --trace            with --seed: also what agent and gateway log, there and in the shortest that fails
  --jobs N           threads (as many as there are processors unless given)
  --count FILE       adds what was run to FILE, by commit, and leaves out what FILE says was run
  --no-known         leaves out those in tests/seeds.txt
  --no-shrink        leaves a failure as long as it is
  --faults           lists the faults
  --help             this text

exit codes: 0 every world kept the promise, 1 one did not, 2 wrong usage
";

/// How worlds are to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) seeds: Range<u64>,
    pub(super) is_single: bool,
    pub(super) time: Option<Duration>,
    pub(super) only: Option<Vec<Fault>>,
    pub(super) has_trace: bool,
    pub(super) jobs: usize,
    pub(super) count: Option<PathBuf>,
    pub(super) shrinks: bool,
    /// The seeds that failed before come first.
    pub(super) has_known: bool,
}

/// What the arguments say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    Help,
    Faults,
    Run(Options),
}

const HINT: &str = "hint: `cargo sim --help` lists the options";

impl Request {
    /// Reads the arguments behind `sim`.
    pub(super) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        let mut options = Options {
            seeds: 0..2_000,
            is_single: false,
            time: None,
            only: None,
            has_trace: false,
            jobs,
            count: None,
            shrinks: true,
            has_known: true,
        };
        let mut parser = lexopt::Parser::from_args(args);
        let bad = |error: lexopt::Error| format!("{error}\n{HINT}");
        while let Some(arg) = parser.next().map_err(bad)? {
            match arg {
                Arg::Long("help") | Arg::Short('h') => return Ok(Self::Help),
                Arg::Long("faults") => return Ok(Self::Faults),
                Arg::Long("seeds") => options.seeds = seeds(&text(parser.value().map_err(bad)?))?,
                Arg::Long("seed") => {
                    let seed: u64 = parser.value().and_then(|value| value.parse()).map_err(bad)?;
                    (options.seeds, options.is_single) = (seed..seed.saturating_add(1), true);
                }
                Arg::Long("minutes") => {
                    let minutes: u64 = parser.value().and_then(|value| value.parse()).map_err(bad)?;
                    options.time = Some(Duration::from_secs(minutes.saturating_mul(60)));
                }
                Arg::Long("only") => options.only = Some(faults(&text(parser.value().map_err(bad)?))?),
                Arg::Long("trace") => options.has_trace = true,
                Arg::Long("jobs") => {
                    options.jobs = parser.value().and_then(|value| value.parse()).map_err(bad)?;
                    if !(1..=64).contains(&options.jobs) {
                        return Err(format!("--jobs {} is not between 1 and 64\n{HINT}", options.jobs));
                    }
                }
                Arg::Long("count") => options.count = Some(parser.value().map_err(bad)?.into()),
                Arg::Long("no-known") => options.has_known = false,
                Arg::Long("no-shrink") => options.shrinks = false,
                other => return Err(format!("{}\n{HINT}", other.unexpected())),
            }
        }
        options.check().map(Self::Run)
    }
}

impl Options {
    fn check(self) -> Result<Self, String> {
        let is_part = self.only.is_some() || self.is_single;
        match () {
            () if self.has_trace && !self.is_single => Err(format!("--trace goes with --seed\n{HINT}")),
            () if self.count.is_some() && is_part => Err(format!(
                "--count counts whole worlds: it goes neither with --only nor with --seed\n{HINT}"
            )),
            () => Ok(self),
        }
    }
}

fn text(value: OsString) -> String {
    value.to_string_lossy().into_owned()
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let bounds = text.split_once("..").and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    match bounds {
        Some((from, to)) if from < to => Ok(from..to),
        _ => Err(format!("--seeds {text} is no range: FROM..TO, the first and one past the last\n{HINT}")),
    }
}

fn faults(text: &str) -> Result<Vec<Fault>, String> {
    let named = |name: &str| {
        Fault::named(name).ok_or_else(|| {
            format!("--only {name}: there is no such fault\nhint: `cargo sim --faults` lists them")
        })
    };
    text.split(',').map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Request, String> {
        Request::parse(args.iter().map(OsString::from))
    }

    fn options(args: &[&str]) -> Options {
        let Ok(Request::Run(options)) = parse(args) else { panic!("{args:?} is wrong usage") };
        options
    }

    #[test]
    fn seeds_faults_and_time_are_read() {
        let options = options(&["--seeds", "5..9", "--only", "kill,loss", "--minutes", "2", "--jobs", "1"]);
        assert_eq!(options.seeds, 5..9);
        assert_eq!(options.only, Some(vec![Fault::Kill, Fault::Loss]));
        assert_eq!(options.time, Some(Duration::from_secs(120)));
    }

    #[test]
    fn one_seed_is_a_range_of_one() {
        assert_eq!(options(&["--seed", "7", "--trace"]).seeds, 7..8);
    }

    #[test]
    fn wrong_usage_says_what_is_right() {
        for (args, hint) in [
            (["--seeds", "9..5"], "FROM..TO"),
            (["--only", "rain"], "cargo sim --faults"),
            (["--jobs", "0"], "between 1 and 64"),
            (["--seeds", "all"], "FROM..TO"),
        ] {
            let error = parse(&args).unwrap_err();
            assert!(error.contains(hint), "{error}");
        }
        assert!(parse(&["--trace"]).unwrap_err().contains("--seed"));
        assert!(parse(&["--count", "f", "--only", "kill"]).unwrap_err().contains("--only"));
    }

    #[test]
    fn every_fault_has_a_name_of_its_own() {
        for fault in Fault::ALL {
            assert_eq!(Fault::named(fault.name()), Some(*fault));
            assert!(fault.text().ends_with('.'), "{}", fault.name());
        }
    }
}
