//! `cargo image`: a virtual ARM device that logs, and a gateway on this host at which the lines arrive.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use crate::clock;
use crate::compare::read_lines;
use crate::exit;
use crate::machine::{Flash, Image, Machine};
use crate::place;
use crate::process::Programs;
use crate::shore::{GatewaySettings, Shore};

const HELP: &str = "\
cargo image - builds the image of an ARM device, boots it, and shows its lines as they arrive at a gateway here

usage: cargo image [-- OPTIONS]    or    driftlog image [OPTIONS]

  --build-only  only build the kernel and the first root, in target/cross/image
  --console     a shell on the device's console instead of the lines; Ctrl-A x cuts the power
  --lines N     end, well, when so many lines have arrived
  --help        this text

In the device a writer logs a line each second into /data/logs, and the agent sends it. Ctrl-C cuts the power.
";
const FLASH_MB: u64 = 64;
/// Time for a kernel to come up and for lines to arrive.
const LINES_WAIT: Duration = Duration::from_secs(300);

#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    is_build_only: bool,
    has_console: bool,
    lines: Option<usize>,
}

/// Builds and boots; the arguments are those behind `image`.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let outcome = parse(args).map(|options| match options {
        Some(options) => run(&options).map(|()| true),
        None => exit::help(HELP),
    });
    exit::code("image", outcome)
}

fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Option<Options>, String> {
    use lexopt::{Arg, ValueExt as _};
    let mut options = Options::default();
    let mut parser = lexopt::Parser::from_args(args);
    let bad = |error: lexopt::Error| format!("{error}\nhint: `cargo image -- --help` lists the options");
    while let Some(arg) = parser.next().map_err(bad)? {
        match arg {
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            Arg::Long("build-only") => options.is_build_only = true,
            Arg::Long("console") => options.has_console = true,
            Arg::Long("lines") => {
                options.lines = Some(parser.value().and_then(|value| value.parse()).map_err(bad)?);
            }
            other => return Err(bad(other.unexpected())),
        }
    }
    Ok(Some(options))
}

fn run(options: &Options) -> io::Result<()> {
    let image = Image::build()?;
    if options.is_build_only {
        return Ok(());
    }
    let folder = place::beside_the_binary("image")?;
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let mut shore =
        Shore::new(&Programs::in_myself()?, &folder.join("gateway"), &GatewaySettings::default())?;
    shore.start()?;
    shore.wait_ready()?;
    let config = include_str!("../../../cross/image/agent.toml");
    let config = config.replace(":1883", &format!(":{}", shore.broker().port()));
    let brought = [("etc/driftlog/agent.toml", config.as_str())];
    let mut machine = Machine::new("the device", &folder, &image, Flash::new(FLASH_MB))?;
    let mut err = io::stderr().lock();
    writeln!(err, "the gateway, and later the device's flash and console, are in {}", place::shown(&folder))?;
    if options.has_console {
        return machine.use_here(&brought);
    }
    let console = machine.switch_on(&brought)?;
    writeln!(err, "the device boots; its lines as they arrive:")?;
    follow(&shore, &mut machine, options.lines)?;
    writeln!(err, "its console: {}", place::shown(console.file()))
}

/// Shows lines as they arrive.
fn follow(shore: &Shore, machine: &mut Machine, lines: Option<usize>) -> io::Result<()> {
    let (mut shown, began) = (0, clock::now());
    loop {
        // A file of the archive may be closed, and so be gone, between looking and reading.
        let arrived = messages(&shore.archive()).unwrap_or_default();
        let mut out = io::stdout().lock();
        for message in arrived.iter().skip(shown) {
            writeln!(out, "{message}")?;
        }
        shown = arrived.len().max(shown);
        machine.check()?;
        match lines {
            Some(lines) if shown >= lines => return Ok(()),
            Some(_) if clock::now() >= began + LINES_WAIT => {
                return Err(io::Error::other(format!(
                    "only {shown} lines have arrived after {LINES_WAIT:?}"
                )));
            }
            _ => std::thread::sleep(Duration::from_millis(200)),
        }
    }
}

/// The lines that are in an archive.
fn messages(archive: &Path) -> io::Result<Vec<String>> {
    let mut messages = Vec::new();
    read_lines(archive, |line| {
        let document: Value = serde_json::from_slice(line)?;
        if document["driftlog"]["kind"] == "record" {
            messages.push(document["message"].as_str().unwrap_or_default().to_owned());
        }
        Ok(())
    })?;
    Ok(messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_understood_and_others_are_refused() {
        let parse = |args: &str| parse(args.split_ascii_whitespace().map(OsString::from));
        let all = Options { is_build_only: true, has_console: true, lines: Some(3) };
        assert_eq!(parse("--build-only --console --lines 3"), Ok(Some(all)));
        assert_eq!(parse("--help"), Ok(None));
        assert!(parse("--flash").unwrap_err().contains("hint:"));
    }
}
