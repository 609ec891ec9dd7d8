//! The binary `driftlog`: agent, gateway, demo, chaos and figures in one, told apart by the first argument.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use driftlog_gateway::broker::Embedded;

const HELP: &str = "\
driftlog - agent, gateway, demo, chaos and figures in one binary

usage: driftlog WHAT [OPTIONS]

  demo       real agents and a real gateway through cut networks, kill -9 and wrong clocks
  chaos      the same with real brokers, full disks and every other fault, round after round
  figures    what it costs: processor, memory, flash, wire
  image      a virtual ARM device that logs, and a gateway at which the lines arrive
  onboard    what the agent costs on a virtual ARM device: flash and memory
  powercut   the same with a whole ARM device, whose power is cut
  planted    deliberate bugs, and which check catches each
  sim        the real cores in simulated worlds that fail in every way
  agent      what driftlog-agent is
  gateway    what driftlog-gateway is
  broker     an MQTT broker on ADDRESS:PORT that remembers nothing, for trials

`driftlog WHAT --help` says more.
";

fn main() -> ExitCode {
    driftlog_tests::process::end_with_parent();
    let mut args = std::env::args_os().skip(1);
    let what = args.next().unwrap_or_default();
    match what.to_str() {
        Some("agent") => driftlog_agent::cli::main(args),
        // The gateway skips the name of its program.
        Some("gateway") => driftlog_gateway::cli::main(std::iter::once(what).chain(args)),
        Some("figures") => driftlog_tests::figures::main(after_dashes(args)),
        Some("planted") => driftlog_tests::planted::main(after_dashes(args)),
        Some("image") => driftlog_tests::image::main(after_dashes(args)),
        Some("onboard") => driftlog_tests::onboard::main(after_dashes(args)),
        Some("powercut") => driftlog_tests::powercut::main(after_dashes(args)),
        Some("sim") => driftlog_tests::sim::main(after_dashes(args)),
        Some("floor") => driftlog_tests::figures::floor::main(args),
        Some("producer") => driftlog_tests::figures::producer::main(args),
        Some("broker") => broker(args.next()),
        Some("chaos") => driftlog_tests::chaos::main(after_dashes(args)),
        Some("demo") => driftlog_tests::demo::main(after_dashes(args)),
        Some("--help" | "-h") => {
            let _ = std::io::stdout().lock().write_all(HELP.as_bytes());
            ExitCode::SUCCESS
        }
        _ => {
            let _ = writeln!(std::io::stderr().lock(), "driftlog: which of these?\n\n{HELP}");
            ExitCode::from(2)
        }
    }
}

/// `cargo demo -- --seconds 9` says the same as `cargo demo --seconds 9`.
fn after_dashes(args: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    args.enumerate().filter(|(at, arg)| *at > 0 || arg != "--").map(|(_, arg)| arg)
}

/// The gateway's embedded broker by itself, until it is killed.
fn broker(address: Option<OsString>) -> ExitCode {
    let address = address.and_then(|address| address.to_str().and_then(|text| text.parse().ok()));
    let started = match address {
        Some(address) => Embedded::start(address).map_err(|error| error.to_string()),
        None => Err("where does the broker listen? For example 127.0.0.1:1883".to_owned()),
    };
    match started {
        Ok(_listening) => loop {
            std::thread::park();
        },
        Err(problem) => {
            let _ = writeln!(std::io::stderr().lock(), "driftlog broker: {problem}");
            ExitCode::from(2)
        }
    }
}
