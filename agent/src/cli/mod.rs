//! The command line: what was asked for, and what the shell's exit code says about it.
//!
//! Exit codes: 0 done, 1 failed, 2 usage or configuration.

mod args;
mod init;
mod online;
mod room;
mod spool;
mod status;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::Core;
use crate::config::Config;
use crate::pipeline::Device;
use args::Command;

/// Where the configuration is when the command line does not say.
pub const CONFIG_DEFAULT: &str = "/etc/driftlog/agent.toml";

const DONE: u8 = 0;
const FAILED: u8 = 1;
const USAGE: u8 = 2;

const HELP: &str = "\
driftlog-agent spools the logs of a device to flash and sends them when it can.

usage:
  driftlog-agent init   [--config FILE] [--force] write a configuration for this machine; with --force over another
  driftlog-agent run    [--config FILE]           run until SIGTERM
  driftlog-agent check  [--config FILE] [--online]
                                                  validate the configuration, touch nothing; with --online try
                                                  clock, sources, spool and broker too; exit 1 when one is wrong
  driftlog-agent status [--config FILE] [--json]  what is spooled, sent, acknowledged, dropped and why
  driftlog-agent spool inspect [--config FILE | --dir DIR] [--lane LANE] [--json]
                                                  what a spool holds; needs no agent, changes nothing
  driftlog-agent spool verify  [--config FILE | --dir DIR] [--lane LANE] [--json]
                                                  reads all of it; exit 1 when something is damaged
  driftlog-agent spool export  [--config FILE | --dir DIR] [--lane LANE] [--format text|ndjson]
                                                  the log lines that are not acknowledged, to stdout
  driftlog-agent --version
  driftlog-agent --help

The configuration is /etc/driftlog/agent.toml unless --config says otherwise.
Exit codes: 0 done, 1 failed, 2 usage or configuration.
";

/// Does what the arguments say; they are those after the program's name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    main_with::<Device>(args)
}

/// As [`main`], with another core.
pub fn main_with<C: Core>(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let code = match args::parse(args) {
        Err(error) => fail(USAGE, format_args!("error: {error}")),
        Ok(Command::Help) => say(HELP),
        Ok(Command::Version) => say(concat!("driftlog-agent ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Command::Run { config }) => configured(&config, |config| match crate::run::<C>(config) {
            Ok(()) => DONE,
            Err(error) => fail(FAILED, format_args!("error: {error}")),
        }),
        Ok(Command::Init { config, is_forced }) => init::run(&config, is_forced),
        Ok(Command::Check { config, is_online }) => {
            configured(&config, |config| match say(&summary(config)) {
                DONE if is_online => online::check(config),
                code => code,
            })
        }
        Ok(Command::Spool(command)) => spool::run(&command),
        Ok(Command::Status { config, json }) => configured(&config, |config| status::show(config, json)),
    };
    ExitCode::from(code)
}

fn configured(file: &Path, then: impl FnOnce(&Config) -> u8) -> u8 {
    match Config::load(file) {
        Ok(config) => then(&config),
        Err(error) => fail(USAGE, error),
    }
}

fn summary(config: &Config) -> String {
    let broker = &config.broker;
    let (scheme, sources) = (if broker.tls.is_some() { "mqtts" } else { "mqtt" }, config.sources.len());
    format!(
        "the configuration is valid\ndevice   {}\nstate    {}\nbroker   {scheme}://{}:{}\nsources  {sources}\n",
        config.device_id,
        config.state_dir.display(),
        broker.host,
        broker.port
    )
}

/// So many files, in words.
fn files(count: usize) -> String {
    format!("{count} {}", if count == 1 { "file" } else { "files" })
}

/// Prints a result. A reader that went away (`| head`) is no failure.
fn say(text: &str) -> u8 {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => FAILED,
        _ => DONE,
    }
}

fn fail(code: u8, message: impl Display) -> u8 {
    // Nobody can be told when stderr is gone; the exit code still says it.
    let _ = writeln!(io::stderr().lock(), "{message}");
    code
}
