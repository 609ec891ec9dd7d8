//! `driftlog-agent`: see the library.

fn main() -> std::process::ExitCode {
    driftlog_agent::cli::main(std::env::args_os().skip(1))
}
