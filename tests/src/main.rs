//! The binary `driftlog`: agent, gateway, demo and figures in one, told apart by the first argument.

use std::io::Write as _;
use std::process::ExitCode;

const HELP: &str = "\
driftlog - agent, gateway, demo and figures in one binary

usage: driftlog WHAT [OPTIONS]

  demo       real agents and a real gateway through cut networks, kill -9 and wrong clocks
  figures    what it costs: processor, memory, flash, wire
  agent      what driftlog-agent is
  gateway    what driftlog-gateway is

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
        Some("demo") => driftlog_tests::demo::main(args),
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
