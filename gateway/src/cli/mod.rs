//! The gateway's command line: what is asked for, and how it went.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 superseded.

mod archive;
mod elsewhere;
mod status;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use driftlog_proto::ids::{DeviceId, Lane};
use lexopt::{Arg, ValueExt};

use crate::RunError;
use crate::config::{Config, ConfigError};

const HELP: &str = "\
driftlog-gateway - receives a region's devices and puts every record into its sinks
                   exactly once and in order

usage: driftlog-gateway COMMAND [OPTIONS]

  run                receive; without a configuration on embedded defaults: broker on
                     127.0.0.1:1883, data in ./driftlog-data
  check              check the configuration and change nothing
      --online         and what is missing at the sinks that are elsewhere
  setup              make Kafka's topics and install index templates at the search cluster;
                     says what it did
  status [--json]    how a running gateway and its devices stand
  cat DEVICE         a device's records in order, out of the archive
      --lane LANE      only this lane: bulk or urgent
      --follow         go on as the archive grows
      --json           the documents as they stand
      --raw            only the records' own bytes
  audit              whether every record is in the archive once and in order, or declared
                     gone; exits with 1 when one is not
      --spool FILE     and what `driftlog-agent spool inspect --json` says against it;
                       may be given several times
      --sink NAME      what is in `kafka` or `search`, in place of the archive; may be given
                       several times, also `archive`: each, and where they differ
      --json           as one JSON object for each sink, and one for where they differ
  deadletter         what Kafka or the search cluster did not take for its content: a line each
      --sink NAME      only that of `kafka` or `search`
      --json           the letters as they stand, with the documents in them
  rebuild            make a new ledger from the archive, or from Kafka's topic of records, when
                     the ledger is lost; the gateway must not be running
      --force          replace a ledger that is there
      --without-marks  begin at the devices' bases: what was not yet acknowledged comes twice

  --config FILE      the configuration, for every command
  --archive DIR      the archive, for cat and audit, in place of the configuration's
  --help, -h         this text
  --version, -V      which gateway this is

exit codes: 0 done, 1 failed, 2 wrong usage or configuration,
            3 another gateway has taken over
";

/// Every command with the options that it takes beside `--config`.
const COMMANDS: &[(&str, &[&str])] = &[
    ("run", &[]),
    ("check", &["online"]),
    ("setup", &[]),
    ("status", &["json"]),
    ("cat", &["archive", "lane", "follow", "json", "raw"]),
    ("audit", &["archive", "sink", "spool", "json"]),
    ("deadletter", &["sink", "json"]),
    ("rebuild", &["force", "without-marks"]),
];

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

    fn of_run(error: RunError) -> Self {
        let code = if matches!(error, RunError::Superseded(_)) { 3 } else { 1 };
        Self { code, message: error.to_string() }
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
    Command(&'static str, Options),
}

/// How it is to be done.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    config: Option<PathBuf>,
    archive: Option<PathBuf>,
    device: Option<DeviceId>,
    lane: Option<Lane>,
    spools: Vec<PathBuf>,
    follow: bool,
    /// Where an audit looks; nowhere else than in the archive where none is given, and for none.
    sinks: Vec<Option<elsewhere::Elsewhere>>,
    online: bool,
    json: bool,
    raw: bool,
    force: bool,
    without_marks: bool,
}

impl Request {
    fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, Failure> {
        let mut parser = lexopt::Parser::from_iter(args);
        let command = match parser.next()? {
            None => return Err(Failure::usage("which command?")),
            Some(Arg::Short('h') | Arg::Long("help")) => return Ok(Self::Help),
            Some(Arg::Short('V') | Arg::Long("version")) => return Ok(Self::Version),
            Some(Arg::Value(command)) => command.to_string_lossy().into_owned(),
            Some(other) => return Err(other.unexpected().into()),
        };
        let Some((command, taken)) = COMMANDS.iter().find(|(name, _)| *name == command) else {
            return Err(Failure::usage(format_args!("there is no command `{command}`")));
        };
        let mut options = Options::default();
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Short('h') | Arg::Long("help") => return Ok(Self::Help),
                Arg::Long("config") => options.config = Some(parser.value()?.into()),
                Arg::Long(name) if taken.contains(&name) => {
                    let name = name.to_owned();
                    options.take(&name, &mut parser)?;
                }
                Arg::Value(name) if *command == "cat" && options.device.is_none() => {
                    let name = name.string()?;
                    let device = DeviceId::new(&name);
                    options.device =
                        Some(device.map_err(|error| Failure::usage(format_args!("{name:?}: {error}")))?);
                }
                other => return Err(other.unexpected().into()),
            }
        }
        if *command == "cat" && options.device.is_none() {
            return Err(Failure::usage("which device?"));
        }
        if options.json && options.raw {
            return Err(Failure::usage("--json and --raw are two different forms"));
        }
        Ok(Self::Command(command, options))
    }

    fn answer(self) -> Result<(), Failure> {
        let (command, options) = match self {
            Self::Help => return print(HELP),
            Self::Version => {
                return print(&format!("driftlog-gateway {}\n", env!("CARGO_PKG_VERSION")));
            }
            Self::Command(command, options) => (command, options),
        };
        let config = Config::load(options.config.as_deref())?;
        match command {
            "run" => {
                crate::log::start(config.log);
                crate::run(&config).map_err(Failure::of_run)
            }
            "check" => {
                let what =
                    options.config.as_deref().map_or("the embedded defaults".into(), Path::to_string_lossy);
                print(&format!("{what}: good\n"))?;
                if options.online { elsewhere::check(&config) } else { Ok(()) }
            }
            "setup" => elsewhere::setup(&config),
            "deadletter" => elsewhere::dead_letters(&config, &options),
            "status" => print(&status::ask(config.web.listen, options.json).map_err(Failure::failed)?),
            "cat" => archive::cat(&config, options),
            "audit" => archive::audit(&config, &options),
            _ => archive::rebuild(&config, &options),
        }
    }
}

impl Options {
    fn take(&mut self, name: &str, parser: &mut lexopt::Parser) -> Result<(), Failure> {
        match name {
            "archive" => self.archive = Some(parser.value()?.into()),
            "spool" => self.spools.push(parser.value()?.into()),
            "lane" => {
                let lane = parser.value()?.string()?;
                let known = Lane::from_name(&lane);
                self.lane = Some(known.ok_or_else(|| {
                    Failure::usage(format_args!("there is no lane `{lane}`: it is bulk or urgent"))
                })?);
            }
            "sink" => {
                let sink = parser.value()?.string()?;
                let elsewhere = elsewhere::Elsewhere::of(&sink);
                self.sinks.push(elsewhere);
                if elsewhere.is_none() && sink != "archive" {
                    return Err(Failure::usage(format_args!(
                        "there is no sink `{sink}`: it is archive, kafka or search"
                    )));
                }
            }
            "online" => self.online = true,
            "follow" => self.follow = true,
            "json" => self.json = true,
            "raw" => self.raw = true,
            "force" => self.force = true,
            _ => self.without_marks = true,
        }
        Ok(())
    }
}

/// Writes to stdout; whoever closes it early (`| head`) has seen enough.
fn print(text: &str) -> Result<(), Failure> {
    written(std::io::stdout().lock().write_all(text.as_bytes()))
}

fn written(outcome: std::io::Result<()>) -> Result<(), Failure> {
    match outcome {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::failed(format_args!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
