//! The binary that is flashed onto devices.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds it with the profile that devices get; where it lies.
pub(super) fn build() -> io::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--profile", "device", "--package", "driftlog-agent"]);
    let status = command.status()?;
    let binary = std::env::current_exe()?;
    let target = binary.parent().and_then(Path::parent).unwrap_or(Path::new("target"));
    let agent = target.join("device/driftlog-agent");
    if status.success() && agent.exists() {
        return Ok(agent);
    }
    let what =
        "the agent for devices cannot be built\nhint: run this in the repository, or name one with --agent";
    Err(io::Error::other(what))
}
