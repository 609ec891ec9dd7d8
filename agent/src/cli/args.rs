//! What the command line asks for.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use driftlog_proto::ids::Lane;
use lexopt::Arg::{Long, Short, Value};

use super::CONFIG_DEFAULT;
use crate::config::nearest;

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Help,
    Version,
    Run { config: PathBuf },
    Init { config: PathBuf, is_forced: bool },
    Check { config: PathBuf, is_online: bool },
    Status { config: PathBuf, json: bool },
    Spool(SpoolCommand),
}

/// What is to be done with a spool, whether or not its agent runs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SpoolCommand {
    pub(super) action: SpoolAction,
    pub(super) from: SpoolFrom,
    /// Only this lane.
    pub(super) lane: Option<Lane>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SpoolAction {
    Inspect { json: bool },
    Verify { json: bool },
    Export { format: Format },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Ndjson,
}

/// Where the spool is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SpoolFrom {
    /// The state directory of this configuration.
    Config(PathBuf),
    /// A state directory, a spool or one lane of it, from wherever.
    Directory(PathBuf),
}

/// What cannot be understood, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UsageError {
    what: String,
    hint: String,
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nhint: {}", self.what, self.hint)
    }
}

const SEE_HELP: &str = "driftlog-agent --help shows every command";
const COMMANDS: [&str; 5] = ["init", "run", "check", "status", "spool"];
const OPTIONS: [&str; 9] = ["config", "json", "dir", "format", "lane", "online", "force", "help", "version"];

fn error(what: impl Into<String>, hint: impl Into<String>) -> UsageError {
    UsageError { what: what.into(), hint: hint.into() }
}

/// An unknown word, with the one that was probably meant.
fn unknown(what: &str, word: &str, dashes: &str, known: &[&str]) -> UsageError {
    let hint = match nearest(word, known) {
        Some(known) => format!("did you mean {dashes}{known}?"),
        None => SEE_HELP.to_owned(),
    };
    error(format!("unknown {what} {dashes}{word}"), hint)
}

/// Options of all commands; each command takes those that it knows.
#[derive(Debug, Default)]
struct Options {
    words: Vec<String>,
    config: Option<PathBuf>,
    directory: Option<PathBuf>,
    format: Option<Format>,
    lane: Option<Lane>,
    json: bool,
    online: bool,
    force: bool,
}

pub(super) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut parser = lexopt::Parser::from_args(args);
    let mut options = Options::default();
    let refused = |what: lexopt::Error| error(what.to_string(), SEE_HELP);
    while let Some(arg) = parser.next().map_err(refused)? {
        match arg {
            Short('h') | Long("help") => return Ok(Command::Help),
            Short('V') | Long("version") => return Ok(Command::Version),
            Short('c') | Long("config") => options.config = Some(parser.value().map_err(refused)?.into()),
            Long("dir") => options.directory = Some(parser.value().map_err(refused)?.into()),
            Long("format") => options.format = Some(format(&parser.value().map_err(refused)?)?),
            Long("lane") => options.lane = Some(lane(&parser.value().map_err(refused)?)?),
            Long("json") => options.json = true,
            Long("online") => options.online = true,
            Long("force") => options.force = true,
            Long(name) => return Err(unknown("option", name, "--", &OPTIONS)),
            Short(letter) => return Err(error(format!("unknown option -{letter}"), SEE_HELP)),
            Value(word) => options.words.push(word.to_string_lossy().into_owned()),
        }
    }
    options.command()
}

fn format(word: &OsString) -> Result<Format, UsageError> {
    match word.to_str() {
        Some("text") => Ok(Format::Text),
        Some("ndjson") => Ok(Format::Ndjson),
        _ => Err(unknown("format", &word.to_string_lossy(), "", &["text", "ndjson"])),
    }
}

fn lane(word: &OsString) -> Result<Lane, UsageError> {
    let name = word.to_string_lossy();
    Lane::from_name(&name).ok_or_else(|| unknown("lane", &name, "", &Lane::ALL.map(Lane::name)))
}

impl Options {
    fn command(mut self) -> Result<Command, UsageError> {
        let words = std::mem::take(&mut self.words);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            [] => Err(error("there is no command", SEE_HELP)),
            ["spool", rest @ ..] => self.spool(rest),
            [name, rest @ ..] => {
                if !COMMANDS.contains(name) {
                    return Err(unknown("command", name, "", &COMMANDS));
                }
                if let Some(word) = rest.first() {
                    return Err(error(format!("`{name}` takes no \"{word}\""), SEE_HELP));
                }
                let known: &[&str] = match *name {
                    "init" => &["force"],
                    "check" => &["online"],
                    "status" => &["json"],
                    _ => &[],
                };
                self.refuse_all_but(name, known)?;
                let config = self.config.unwrap_or_else(|| CONFIG_DEFAULT.into());
                Ok(match *name {
                    "init" => Command::Init { config, is_forced: self.force },
                    "run" => Command::Run { config },
                    "check" => Command::Check { config, is_online: self.online },
                    _ => Command::Status { config, json: self.json },
                })
            }
        }
    }

    fn spool(self, words: &[&str]) -> Result<Command, UsageError> {
        let [name] = words else {
            return Err(error("`spool` takes one of inspect, verify, export", SEE_HELP));
        };
        let action = match *name {
            "inspect" => SpoolAction::Inspect { json: self.json },
            "verify" => SpoolAction::Verify { json: self.json },
            "export" => SpoolAction::Export { format: self.format.unwrap_or(Format::Text) },
            word => return Err(unknown("command spool", word, "", &["inspect", "verify", "export"])),
        };
        let known = ["dir", "lane", if *name == "export" { "format" } else { "json" }];
        self.refuse_all_but(&format!("spool {name}"), &known)?;
        let from = match (self.directory, self.config) {
            (Some(_), Some(_)) => {
                return Err(error("--dir and --config exclude each other", "give one of them"));
            }
            (Some(directory), None) => SpoolFrom::Directory(directory),
            (None, config) => SpoolFrom::Config(config.unwrap_or_else(|| CONFIG_DEFAULT.into())),
        };
        Ok(Command::Spool(SpoolCommand { action, from, lane: self.lane }))
    }

    /// Refuses options that were given and that this command does not know.
    fn refuse_all_but(&self, command: &str, known: &[&str]) -> Result<(), UsageError> {
        let given = [
            ("dir", self.directory.is_some()),
            ("format", self.format.is_some()),
            ("lane", self.lane.is_some()),
            ("json", self.json),
            ("online", self.online),
            ("force", self.force),
        ];
        match given.iter().find(|(name, is_given)| *is_given && !known.contains(name)) {
            Some((name, _)) => Err(error(format!("`{command}` takes no --{name}"), SEE_HELP)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Command, UsageError> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn a_spool_is_named_by_a_configuration_or_by_a_directory() {
        let command = |action, from, lane| Ok(Command::Spool(SpoolCommand { action, from, lane }));
        let default = || SpoolFrom::Config(CONFIG_DEFAULT.into());
        let inspect = SpoolAction::Inspect { json: true };
        assert_eq!(of("spool inspect --json"), command(inspect, default(), None));
        let verify = SpoolAction::Verify { json: false };
        let from = SpoolFrom::Directory("/mnt/spool".into());
        assert_eq!(
            of("spool verify --dir /mnt/spool --lane urgent"),
            command(verify, from, Some(Lane::Urgent))
        );
        let export = SpoolAction::Export { format: Format::Ndjson };
        let from = SpoolFrom::Config("a.toml".into());
        assert_eq!(of("spool --format=ndjson -c a.toml export"), command(export, from, None));
    }

    #[test]
    fn what_a_spool_command_does_not_know_is_refused() {
        for (line, what) in [
            ("spool", "`spool` takes one of inspect, verify, export"),
            ("spool inspct", "unknown command spool inspct"),
            ("spool export --json", "`spool export` takes no --json"),
            ("spool verify --format text", "`spool verify` takes no --format"),
            ("spool export --format xml", "unknown format xml"),
            ("spool export --lane bulky", "unknown lane bulky"),
            ("spool inspect --dir a --config b", "--dir and --config exclude each other"),
            ("status --dir a", "`status` takes no --dir"),
            ("run --json", "`run` takes no --json"),
            ("run --online", "`run` takes no --online"),
            ("check --force", "`check` takes no --force"),
            ("init --dir a", "`init` takes no --dir"),
        ] {
            assert_eq!(of(line).unwrap_err().what, what, "{line}");
        }
        assert_eq!(of("spool export --lane bulky").unwrap_err().hint, "did you mean bulk?");
        assert_eq!(of("spool inspct").unwrap_err().hint, "did you mean inspect?");
    }
}
