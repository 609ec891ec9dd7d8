//! What the command line asks for.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use lexopt::Arg::{Long, Short, Value};

use super::CONFIG_DEFAULT;
use crate::config::nearest;

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Help,
    Version,
    Run { config: PathBuf },
    Check { config: PathBuf },
    Status { config: PathBuf, json: bool },
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
const COMMANDS: [&str; 3] = ["run", "check", "status"];

fn error(what: impl Into<String>, hint: impl Into<String>) -> UsageError {
    UsageError { what: what.into(), hint: hint.into() }
}

/// Options of all commands; each command takes what it knows and refuses the rest.
#[derive(Debug, Default)]
struct Options {
    words: Vec<String>,
    config: Option<PathBuf>,
    json: bool,
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
            Long("json") => options.json = true,
            Long(name) => {
                let name = name.to_owned();
                return Err(unknown("option --", &name, &["config", "json", "help", "version"]));
            }
            Short(letter) => return Err(error(format!("unknown option -{letter}"), SEE_HELP)),
            Value(word) => options.words.push(word.to_string_lossy().into_owned()),
        }
    }
    options.command()
}

fn unknown(what: &str, word: &str, known: &[&str]) -> UsageError {
    let dashes = if what.ends_with("--") { "--" } else { "" };
    let hint = nearest(word, known).map(|known| format!("did you mean {dashes}{known}?"));
    error(format!("unknown {what}{word}"), hint.unwrap_or_else(|| SEE_HELP.to_owned()))
}

impl Options {
    fn command(self) -> Result<Command, UsageError> {
        let words: Vec<_> = self.words.iter().map(String::as_str).collect();
        let Some((command, rest)) = words.split_first() else {
            return Err(error("there is no command", SEE_HELP));
        };
        if let Some(word) = rest.first() {
            return Err(error(format!("`{command}` takes no \"{word}\""), SEE_HELP));
        }
        let is_status = *command == "status";
        let config = self.config.unwrap_or_else(|| CONFIG_DEFAULT.into());
        if self.json && !is_status {
            return Err(error(format!("`{command}` takes no --json"), SEE_HELP));
        }
        match *command {
            "run" => Ok(Command::Run { config }),
            "check" => Ok(Command::Check { config }),
            "status" => Ok(Command::Status { config, json: self.json }),
            word => Err(unknown("command ", word, &COMMANDS)),
        }
    }
}
