//! `setup`, `check --online` and `deadletter`: the search cluster, spoken to directly.

use std::io::{BufWriter, Write};

use serde_json::Value;

use super::{Failure, Options, print, written};
use crate::config::Config;
use crate::sink::search::{SearchConfig, Which, documents, setup as install, standing};

fn cluster(config: &Config) -> Result<&SearchConfig, Failure> {
    if config.search.is_on() {
        return Ok(&config.search);
    }
    Err(Failure::failed("there is no search sink\nhint: `--config FILE` with search.urls tells where it is"))
}

fn told(outcome: Result<Vec<String>, String>) -> Result<(), Failure> {
    let sentences = outcome.map_err(|error| Failure::failed(format_args!("search: {error}")))?;
    print(&sentences.iter().map(|sentence| format!("{sentence}\n")).collect::<String>())
}

pub(super) fn setup(config: &Config) -> Result<(), Failure> {
    told(install(cluster(config)?))
}

/// What is missing at the sinks that are configured.
pub(super) fn check(config: &Config) -> Result<(), Failure> {
    if config.search.is_on() { told(standing(&config.search)) } else { print("no sink is elsewhere\n") }
}

pub(super) fn dead_letters(config: &Config, options: &Options) -> Result<(), Failure> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut each = |document: &[u8]| {
        let line =
            if options.json { String::from_utf8_lossy(document).into_owned() } else { sentence(document) };
        writeln!(out, "{line}").map_err(|error| error.to_string())
    };
    let count = documents(cluster(config)?, Which::DeadLetters, &mut each);
    let count = count.map_err(|error| Failure::failed(format_args!("search: {error}")))?;
    written(out.flush())?;
    if count == 0 && !options.json { print("there is no dead letter\n") } else { Ok(()) }
}

/// A letter in one line: whose it is, and why.
fn sentence(document: &[u8]) -> String {
    let letter: Value = serde_json::from_slice(document).unwrap_or_default();
    let text = |path: &str| {
        letter
            .pointer(path)
            .map_or_else(String::new, |value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    };
    format!(
        "{} {} {} run {} record {}: {}",
        text("/@timestamp"),
        text("/host/id"),
        text("/driftlog/lane"),
        text("/driftlog/run"),
        text("/event/sequence"),
        text("/driftlog/deadletter/reason"),
    )
}
