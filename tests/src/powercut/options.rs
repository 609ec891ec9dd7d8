//! What is asked for.

use std::ffi::OsString;

use lexopt::{Arg, ValueExt as _};

pub(super) const HELP: &str = "\
cargo powercut - cuts the power of virtual ARM devices at instants from a seed, and counts what arrived

usage: cargo powercut [-- OPTIONS]    or    driftlog powercut [OPTIONS]

  --cuts N      so many, over all machines (1 to 100000; 10 unless given)
  --machines N  so many at once (1 to 16; 2 unless given)
  --seed N      another seed cuts elsewhere (1 unless given)
  --keep        leave everything there, and the flash as each boot found it (flash-N)
  --help        this text

The kernel, the tools and the programs for ARM are fetched and built first, where they are not there.
In a device a writer appends numbered lines, syncs each and says its number on the console; on the
machines 1 and 2 of each four it does not in some boots. Files are rotated; spools are of 1 MiB and run full in some boots
(machines with an even number pause their sources then, the others drop the oldest); the gateway is away in
some; some cuts come while the agent recovers. A failed run leaves its folder, with every console.

exit codes: 0 the promise was kept, 1 not so, 2 wrong usage
";

/// How much to cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) cuts: u64,
    pub(super) machines: u64,
    pub(super) seed: u64,
    pub(super) is_kept: bool,
}

impl Options {
    /// Reads the arguments behind `powercut`; nothing if help is asked for.
    pub(super) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Option<Self>, String> {
        let mut options = Self { cuts: 10, machines: 2, seed: 1, is_kept: false };
        let mut parser = lexopt::Parser::from_args(args);
        let bad =
            |error: lexopt::Error| format!("{error}\nhint: `cargo powercut -- --help` lists the options");
        while let Some(arg) = parser.next().map_err(bad)? {
            let name = match arg {
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                Arg::Long("keep") => {
                    options.is_kept = true;
                    continue;
                }
                Arg::Long(name @ ("cuts" | "machines" | "seed")) => name.to_owned(),
                other => return Err(bad(other.unexpected())),
            };
            let number: u64 = parser.value().and_then(|value| value.parse()).map_err(bad)?;
            match name.as_str() {
                "cuts" => options.cuts = number.clamp(1, 100_000),
                "machines" => options.machines = number.clamp(1, 16),
                _ => options.seed = number,
            }
        }
        Ok(Some(options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_understood_and_others_are_refused() {
        let parse = |args: &str| Options::parse(args.split_ascii_whitespace().map(OsString::from));
        let options = parse("--cuts 300 --machines 3 --seed 7 --keep").unwrap().unwrap();
        assert_eq!(options, Options { cuts: 300, machines: 3, seed: 7, is_kept: true });
        assert_eq!(parse("--help"), Ok(None));
        assert!(parse("--volts 5").unwrap_err().contains("hint:"));
    }
}
