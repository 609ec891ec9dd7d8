//! The gateway's command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    driftlog_gateway::cli::main(std::env::args_os())
}
