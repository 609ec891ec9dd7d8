//! The gateway's command line: what is asked for, and how it went.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.

mod status;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::Arg;

use crate::config::{Config, ConfigError};

const HELP: &str = "\
driftlog-gateway - receives a region's devices and puts every record into its sinks
                   exactly once and in order

usage: driftlog-gateway COMMAND [OPTIONS]

  run       [--config FILE]            receive; without a file on embedded defaults:
                                       broker on 127.0.0.1:1883, data in ./driftlog-data
  check     [--config FILE]            check the configuration and change nothing
  status    [--config FILE] [--json]   how a running gateway and its devices stand

  --help, -h                           this text
  --version, -V                        which gateway this is

exit codes: 0 done, 1 failed, 2 wrong usage or configuration
";

/// Every command.
const COMMANDS: &[&str] = &["run", "check", "status"];

/// Does what the arguments ask for; the first one is the program's name.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let outcome = Request::parse(args).and_then(|request| request.answer());
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // There is nobody left to tell when stderr is closed.
            let _ = writeln!(std::io::stderr().lock(), "driftlog-gateway: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

/// What went wrong, and the exit code that says so.
#[derive(Debug, PartialEq, Eq)]
struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    fn failed(error: impl Display) -> Self {
        Self { code: 1, message: error.to_string() }
    }

    fn usage(problem: impl Display) -> Self {
        let hint = "hint: `driftlog-gateway --help` lists the commands and their options";
        Self { code: 2, message: format!("{problem}\n{hint}") }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self { code: 2, message: error.to_string() }
    }
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Self::usage(error)
    }
}

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Request {
    Help,
    Version,
    Run { config: Option<PathBuf> },
    Check { config: Option<PathBuf> },
    Status { config: Option<PathBuf>, json: bool },
}

impl Request {
    fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, Failure> {
        let mut parser = lexopt::Parser::from_iter(args);
        let command = loop {
            match parser.next()? {
                None => return Err(Failure::usage("which command?")),
                Some(Arg::Short('h') | Arg::Long("help")) => return Ok(Self::Help),
                Some(Arg::Short('V') | Arg::Long("version")) => return Ok(Self::Version),
                Some(Arg::Value(command)) => break command,
                Some(other) => return Err(other.unexpected().into()),
            }
        };
        let command = command.to_string_lossy().into_owned();
        if !COMMANDS.contains(&command.as_str()) {
            return Err(Failure::usage(format_args!("there is no command `{command}`")));
        }
        let mut config = None;
        let mut json = false;
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Short('h') | Arg::Long("help") => return Ok(Self::Help),
                Arg::Long("config") => config = Some(PathBuf::from(parser.value()?)),
                Arg::Long("json") if command == "status" => json = true,
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(match command.as_str() {
            "run" => Self::Run { config },
            "check" => Self::Check { config },
            _ => Self::Status { config, json },
        })
    }

    fn answer(self) -> Result<(), Failure> {
        match self {
            Self::Help => print(HELP),
            Self::Version => print(&format!("driftlog-gateway {}\n", env!("CARGO_PKG_VERSION"))),
            Self::Run { config } => {
                let config = Config::load(config.as_deref())?;
                crate::log::start(config.log);
                crate::run(&config).map_err(Failure::failed)
            }
            Self::Check { config } => {
                Config::load(config.as_deref())?;
                let what =
                    config.map_or("the embedded defaults".to_owned(), |path| path.display().to_string());
                print(&format!("{what}: good\n"))
            }
            Self::Status { config, json } => {
                let config = Config::load(config.as_deref())?;
                print(&status::ask(config.web.listen, json).map_err(Failure::failed)?)
            }
        }
    }
}

/// Writes to stdout; whoever closes it early (`| head`) has seen enough.
fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::failed(format_args!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
