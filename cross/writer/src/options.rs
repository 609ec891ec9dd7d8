//! What is to be written.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, ValueExt as _};

/// How to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Where the log is.
    pub(crate) folder: PathBuf,
    /// Which boot this is.
    pub(crate) mark: u64,
    pub(crate) lines: u64,
    pub(crate) lines_per_s: u64,
    /// Bytes between the level and the end of a line.
    pub(crate) filling_bytes: usize,
    /// Every so many lines one is an error; 0 for none.
    pub(crate) urgent_every: u64,
    /// A file that has reached this is rotated away.
    pub(crate) rotate_bytes: u64,
    /// So many rotated files are kept.
    pub(crate) kept: usize,
    /// Lines to write in place of numbered ones, again and again.
    pub(crate) input: Option<PathBuf>,
    /// Whether each line is synced before its number is said.
    pub(crate) is_synced: bool,
    /// Whether nothing is said of single lines.
    pub(crate) is_silent: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            folder: "/data/logs".into(),
            mark: 0,
            lines: u64::MAX,
            lines_per_s: 100,
            filling_bytes: 60,
            urgent_every: 0,
            rotate_bytes: 1 << 20,
            kept: 8,
            input: None,
            is_synced: true,
            is_silent: false,
        }
    }
}

impl Options {
    /// Reads the arguments.
    pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let mut options = Self::default();
        let mut parser = lexopt::Parser::from_args(args);
        let bad = |error: lexopt::Error| error.to_string();
        while let Some(arg) = parser.next().map_err(bad)? {
            let Arg::Long(name) = arg else { return Err(bad(arg.unexpected())) };
            let name = name.to_owned();
            match name.as_str() {
                "no-sync" => options.is_synced = false,
                "silent" => options.is_silent = true,
                "input" => options.input = Some(parser.value().map_err(bad)?.into()),
                "folder" => options.folder = parser.value().map_err(bad)?.into(),
                name => {
                    let number: u64 = parser.value().and_then(|value| value.parse()).map_err(bad)?;
                    match name {
                        "mark" => options.mark = number,
                        "lines" => options.lines = number,
                        "rate" => options.lines_per_s = number,
                        "filling" => options.filling_bytes = number as usize,
                        "urgent-every" => options.urgent_every = number,
                        "rotate-bytes" => options.rotate_bytes = number,
                        "kept" => options.kept = number as usize,
                        _ => return Err(format!("no option --{name}")),
                    }
                }
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_understood_and_others_are_refused() {
        let parse = |args: &str| Options::parse(args.split_ascii_whitespace().map(OsString::from));
        let args = "--folder /l --mark 3 --lines 9 --rate 50 --filling 7 --urgent-every 5 --rotate-bytes 99 --kept 2 --input i --no-sync --silent";
        let all = Options {
            folder: "/l".into(),
            mark: 3,
            lines: 9,
            lines_per_s: 50,
            filling_bytes: 7,
            urgent_every: 5,
            rotate_bytes: 99,
            kept: 2,
            input: Some("i".into()),
            is_synced: false,
            is_silent: true,
        };
        assert_eq!(parse(args), Ok(all));
        assert!(parse("--fast 1").unwrap_err().contains("--fast"));
        assert!(parse("there").is_err());
    }
}
