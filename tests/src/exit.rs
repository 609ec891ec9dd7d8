//! How a command of the harness ends: 0 all is well, 1 something is not or could not be done, 2 the arguments are wrong.

use std::io::{self, Write as _};
use std::process::ExitCode;

/// The exit code of `command`, which says to stderr what went wrong. `outcome` is an error when the arguments are
/// wrong, and `Ok(Ok(false))` when the command has already told what is not well.
#[must_use]
pub fn code(command: &str, outcome: Result<io::Result<bool>, String>) -> ExitCode {
    let (problem, code) = match outcome {
        Ok(Ok(true)) => return ExitCode::SUCCESS,
        Ok(Ok(false)) => return ExitCode::FAILURE,
        Ok(Err(error)) => (error.to_string(), ExitCode::FAILURE),
        Err(problem) => (problem, ExitCode::from(2)),
    };
    let _ = writeln!(io::stderr().lock(), "{command}: {problem}");
    code
}

/// Answers `--help`.
///
/// # Errors
/// When standard output cannot be written.
pub fn help(text: &str) -> io::Result<bool> {
    io::stdout().lock().write_all(text.as_bytes()).map(|()| true)
}
