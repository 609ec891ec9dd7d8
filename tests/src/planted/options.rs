//! What `cargo planted` is asked for.

use std::ffi::OsString;

use lexopt::{Arg, ValueExt as _};

use super::list::Bug;

pub(super) const HELP: &str = "\
cargo planted - plants deliberate bugs in a copy of the source and shows which check catches each

usage: cargo planted [-- OPTIONS]    or    driftlog planted [OPTIONS]

  --list         show the bugs and end
  --only TEXT    only the bugs with this in their name; more than once: any of them
  --draw N       only N of the bugs, drawn by the commit: each commit tries others
  --seeds N      at most so many simulated worlds (1000 unless given)
  --expected     only the check that the list names for a bug, not the others when that passes
  --blind        without debug assertions: what is found by its outcome alone
  --jobs N       so many bugs at once (1 unless given)
  --markdown     the table as it stands in docs/testing.md
  --help         this text

exit codes: 0 every bug was caught, 1 one was not or a check fails without a bug, 2 usage
";

/// Jobs at most: more do not help, and the limits of time would be wrong.
const JOBS_MAX: usize = 64;

/// What to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) is_list: bool,
    pub(super) only: Vec<String>,
    pub(super) draw: Option<usize>,
    pub(super) seeds: Option<u64>,
    pub(super) is_expected: bool,
    pub(super) is_blind: bool,
    pub(super) jobs: usize,
    pub(super) is_markdown: bool,
}

impl Options {
    /// Reads the arguments behind `planted`; nothing if help is asked for.
    pub(super) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Option<Self>, String> {
        let mut options = Self { jobs: 1, ..Self::default() };
        let mut parser = lexopt::Parser::from_args(args);
        let bad =
            |error: lexopt::Error| format!("{error}\nhint: `cargo planted -- --help` lists the options");
        while let Some(arg) = parser.next().map_err(bad)? {
            match arg {
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                Arg::Long("list") => options.is_list = true,
                Arg::Long("expected") => options.is_expected = true,
                Arg::Long("blind") => options.is_blind = true,
                Arg::Long("markdown") => options.is_markdown = true,
                Arg::Long("only") => {
                    options.only.push(parser.value().and_then(|value| value.string()).map_err(bad)?);
                }
                Arg::Long("seeds") => {
                    options.seeds =
                        Some(parser.value().and_then(|value| value.parse::<u64>()).map_err(bad)?.max(1));
                }
                Arg::Long("draw") => {
                    let count: usize = parser.value().and_then(|value| value.parse()).map_err(bad)?;
                    options.draw = Some(count.max(1));
                }
                Arg::Long("jobs") => {
                    let jobs: usize = parser.value().and_then(|value| value.parse()).map_err(bad)?;
                    options.jobs = jobs.clamp(1, JOBS_MAX);
                }
                other => return Err(bad(other.unexpected())),
            }
        }
        Ok(Some(options))
    }

    pub(super) fn is_chosen(&self, bug: &Bug) -> bool {
        self.only.is_empty() || self.only.iter().any(|text| bug.name.contains(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_understood_and_others_are_refused() {
        let parse = |args: &str| Options::parse(args.split_ascii_whitespace().map(OsString::from));
        let args = "--list --only a --only b --draw 0 --seeds 7 --expected --blind --jobs 0 --markdown";
        let options = parse(args).unwrap().unwrap();
        let expected = Options {
            is_list: true,
            only: vec!["a".to_owned(), "b".to_owned()],
            draw: Some(1),
            seeds: Some(7),
            is_expected: true,
            is_blind: true,
            jobs: 1,
            is_markdown: true,
        };
        assert_eq!(options, expected);
        assert_eq!(parse("--help"), Ok(None));
        assert!(parse("--fast").unwrap_err().contains("hint:"));
    }
}
