//! This binary again, built with Kafka: a newcomer's `cargo demo` does without librdkafka, which takes minutes
//! to build, and who names Kafka gets it without knowing of features.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// Whether this build can speak to Kafka.
pub const HAS_KAFKA: bool = cfg!(feature = "kafka");

/// Becomes the same command of a build that has Kafka, made by cargo; returns only if that cannot be done.
pub fn with_kafka(what: &str, arguments: &[OsString]) -> io::Error {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let binary = std::env::current_exe().unwrap_or_default();
    let folder = binary.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    // A profile has a folder of its name, but for the first.
    let profile = folder.filter(|name| name != "debug").unwrap_or_else(|| "dev".to_owned());
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["run", "--profile", &profile, "--package", "driftlog-tests", "--bin", "driftlog"]);
    command.args(["--features", "kafka", "--manifest-path"]).arg(workspace.join("Cargo.toml"));
    command.arg("--").arg(what).args(arguments);
    let _ = writeln!(
        io::stderr().lock(),
        "Kafka needs librdkafka: the same with `--features kafka` (the first time it is built, which takes minutes) …"
    );
    let error = command.exec();
    let hint = format!(
        "cargo run --profile {profile} --package driftlog-tests --bin driftlog --features kafka -- {what} …"
    );
    io::Error::new(error.kind(), format!("this build has no Kafka, and cargo: {error}\nhint: {hint}"))
}
