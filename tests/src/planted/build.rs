//! One build of the copy, with all bugs in it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::checks::{Check, Program};
use super::options::Options;
use super::seed::seed;

/// The program of a check, and the folder in which cargo would run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Built {
    pub(super) program: PathBuf,
    pub(super) folder: PathBuf,
}

/// Builds every program that these checks need.
///
/// # Errors
/// When cargo cannot build the copy: most likely a snippet does not compile as it becomes.
pub(super) fn build(
    place: &Path,
    checks: &[&Check],
    options: &Options,
) -> io::Result<BTreeMap<Program, Built>> {
    let target = place.join(if options.is_blind { "target-blind" } else { "target" });
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.current_dir(place.join("work")).env("CARGO_TARGET_DIR", &target);
    command.args(["test", "--no-run", "--message-format=json-render-diagnostics"]);
    command.args(targets(checks));
    // It is built once and then only when a bug or the source changes.
    command.env("CARGO_PROFILE_DEV_DEBUG", "false").env("CARGO_INCREMENTAL", "0");
    if options.is_blind {
        command.env("CARGO_PROFILE_DEV_DEBUG_ASSERTIONS", "false");
    } else {
        seed(&target)?;
    }
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        // Else it has but warnings, of parentheses and the like around the choices.
        io::stderr().lock().write_all(&output.stderr)?;
        let hint = "hint: the errors above are in the copy; a bug may be written as Rust does not take it";
        return Err(io::Error::other(format!("cargo cannot build {}\n{hint}", place.join("work").display())));
    }
    let messages: Vec<Value> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    let find = |program: Program| {
        let built = messages.iter().find_map(|message| built(message, program));
        let missing =
            || io::Error::other(format!("cargo built no {:?} of {}", program.suite, program.package));
        Ok((program, built.ok_or_else(missing)?))
    };
    checks.iter().map(|check| find(check.program)).collect()
}

/// What cargo is to build, each said once: it takes no option twice.
fn targets(checks: &[&Check]) -> BTreeSet<String> {
    let target = |program: Program| match program.suite {
        None => "--lib".to_owned(),
        // A package's binaries come along with any of its suites.
        Some(_) if program.is_binary => "--test=documents".to_owned(),
        Some(suite) => format!("--test={suite}"),
    };
    let package = |program: Program| format!("--package={}", program.package);
    checks.iter().flat_map(|check| [package(check.program), target(check.program)]).collect()
}

/// What a message of cargo says about a program, if it is about this one.
fn built(message: &Value, program: Program) -> Option<Built> {
    let manifest = Path::new(message["manifest_path"].as_str()?);
    let folder = manifest.parent()?;
    let target = &message["target"];
    let is_of = |kind: &str| target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|k| k == kind));
    let is_it = match program.suite {
        None => is_of("lib"),
        Some(suite) if program.is_binary => is_of("bin") && target["name"] == suite,
        Some(suite) => is_of("test") && target["name"] == suite,
    };
    let is_test = message["profile"]["test"] == !program.is_binary;
    let is_of_package = folder
        .file_name()
        .is_some_and(|name| format!("driftlog-{}", name.to_string_lossy()) == program.package);
    let executable = message["executable"].as_str()?;
    (is_it && is_test && is_of_package)
        .then(|| Built { program: PathBuf::from(executable), folder: folder.to_path_buf() })
}
