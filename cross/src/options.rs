//! What is to be built.

use std::ffi::OsString;

use lexopt::{Arg, ValueExt as _};

use crate::target::Target;

pub(crate) const HELP: &str = "\
cargo cross - static programs for other machines, within their budgets: the agent for each, the gateway
              for aarch64 and x86_64; an agent is the same bytes from any folder

usage: cargo cross [TARGET…] [OPTIONS]

  TARGET     armv7, aarch64, x86_64 or all; all unless given
  --report   the ten largest crates and functions of each program
  --twice    build what is for devices again, from a copy of the sources in another folder, and compare the bytes
  --packages .deb, .ipk and .tar.gz of what was built, with bills of materials, licences and checksums
  --help     this text

What is built lies in target/cross/TARGET. What is needed for it is installed first (cross/install).
";

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) targets: Vec<Target>,
    pub(crate) is_report: bool,
    pub(crate) is_twice: bool,
    pub(crate) is_packed: bool,
}

impl Options {
    /// Reads the arguments; nothing if help is asked for.
    pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Option<Self>, String> {
        let mut options = Self::default();
        let mut parser = lexopt::Parser::from_args(args);
        let bad = |error: lexopt::Error| format!("{error}\nhint: `cargo cross --help` lists the options");
        while let Some(arg) = parser.next().map_err(bad)? {
            match arg {
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                Arg::Long("report") => options.is_report = true,
                Arg::Long("packages") => options.is_packed = true,
                Arg::Long("twice") => options.is_twice = true,
                Arg::Value(name) => {
                    let name = name.string().map_err(bad)?;
                    match Target::ALL.into_iter().find(|target| target.name() == name) {
                        Some(target) => options.targets.push(target),
                        None if name == "all" => options.targets.extend(Target::ALL),
                        None => {
                            return Err(format!("no target `{name}`\nhint: armv7, aarch64, x86_64 or all"));
                        }
                    }
                }
                other => return Err(bad(other.unexpected())),
            }
        }
        if options.targets.is_empty() {
            options.targets.extend(Target::ALL);
        }
        Ok(Some(options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_and_options_are_understood_and_others_are_refused() {
        let parse = |args: &str| Options::parse(args.split_ascii_whitespace().map(OsString::from));
        let options = parse("armv7 --twice --report --packages").unwrap().unwrap();
        assert_eq!(
            options,
            Options { targets: vec![Target::Armv7], is_report: true, is_twice: true, is_packed: true }
        );
        assert_eq!(parse("").unwrap().unwrap().targets, Target::ALL);
        assert_eq!(parse("all").unwrap().unwrap().targets, Target::ALL);
        assert_eq!(parse("--help"), Ok(None));
        assert!(parse("mips").unwrap_err().contains("hint:"));
        assert!(parse("--thrice").unwrap_err().contains("hint:"));
    }
}
