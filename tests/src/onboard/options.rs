//! What is to be measured.

use std::ffi::OsString;

use lexopt::{Arg, ValueExt as _};

pub(super) const HELP: &str = "\
cargo onboard - what the agent costs on a virtual ARM device: bytes that reach its flash, and memory

usage: cargo onboard [-- OPTIONS]    or    driftlog onboard [OPTIONS]

  --only WHAT     flash or memory; both unless given
  --with TEXT     of the flash, only file systems and spools whose names have this in them
  --seconds N     log for so long at each rate (10 to 3600; 60 unless given)
  --backlog-mb N  megabytes in the spool when memory is measured (1 to 1024; 256 unless given)
  --help          this text

Memory is measured over TLS, with mosquitto, which is installed if it is not there.
";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Both,
    Flash,
    Memory,
}

/// How to measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) what: What,
    pub(super) with: String,
    pub(super) seconds: u64,
    pub(super) backlog_mb: u64,
}

impl Options {
    /// Reads the arguments behind `onboard`; nothing if help is asked for.
    pub(super) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Option<Self>, String> {
        let mut options = Self { what: What::Both, with: String::new(), seconds: 60, backlog_mb: 256 };
        let mut parser = lexopt::Parser::from_args(args);
        let bad =
            |error: lexopt::Error| format!("{error}\nhint: `cargo onboard -- --help` lists the options");
        while let Some(arg) = parser.next().map_err(bad)? {
            match arg {
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                Arg::Long("only") => {
                    let what = parser.value().and_then(|value| value.string()).map_err(bad)?;
                    options.what = match what.as_str() {
                        "flash" => What::Flash,
                        "memory" => What::Memory,
                        _ => return Err(format!("--only {what} is neither flash nor memory")),
                    };
                }
                Arg::Long("with") => {
                    options.with = parser.value().and_then(|value| value.string()).map_err(bad)?;
                }
                Arg::Long(name @ ("seconds" | "backlog-mb")) => {
                    let is_time = name == "seconds";
                    let number: u64 = parser.value().and_then(|value| value.parse()).map_err(bad)?;
                    match is_time {
                        true => options.seconds = number.clamp(10, 3_600),
                        false => options.backlog_mb = number.clamp(1, 1_024),
                    }
                }
                other => return Err(bad(other.unexpected())),
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
        let options = parse("--only flash --with lazytime --seconds 30 --backlog-mb 64").unwrap().unwrap();
        assert_eq!(
            options,
            Options { what: What::Flash, with: "lazytime".to_owned(), seconds: 30, backlog_mb: 64 }
        );
        assert_eq!(parse("--help"), Ok(None));
        assert!(parse("--only wire").unwrap_err().contains("flash"));
        assert!(parse("--wire").unwrap_err().contains("hint:"));
    }
}
