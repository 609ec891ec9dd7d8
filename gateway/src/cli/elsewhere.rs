//! `setup`, `check --online`, `deadletter` and `audit --sink`: Kafka and the search cluster, spoken to directly.

use std::io::{BufWriter, Write};

use serde_json::Value;

use super::{Failure, Options, print, written};
use crate::audit::{Report, SpoolLane, audit_documents};
use crate::config::Config;
use crate::sink::ecs::document::{Fact, Outline};
use crate::sink::search::Which;
use crate::sink::{kafka, search};

/// A sink that is elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Elsewhere {
    Kafka,
    Search,
}

impl Elsewhere {
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            kafka::KAFKA => Some(Self::Kafka),
            search::SEARCH => Some(Self::Search),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kafka => kafka::KAFKA,
            Self::Search => search::SEARCH,
        }
    }

    fn is_on(self, config: &Config) -> bool {
        match self {
            Self::Kafka => config.kafka.is_on(),
            Self::Search => config.search.is_on(),
        }
    }

    fn setup(self, config: &Config) -> Result<Vec<String>, String> {
        match self {
            Self::Kafka => kafka::setup(&config.kafka),
            Self::Search => search::setup(&config.search),
        }
    }

    fn standing(self, config: &Config) -> Result<Vec<String>, String> {
        match self {
            Self::Kafka => kafka::standing(&config.kafka),
            Self::Search => search::standing(&config.search),
        }
    }

    /// Whether the oldest documents are still there.
    fn is_whole(self, config: &Config) -> Result<bool, String> {
        match self {
            Self::Kafka => kafka::is_whole(&config.kafka),
            Self::Search => Ok(true),
        }
    }

    /// Gives out all documents, or the dead letters.
    fn documents(
        self,
        config: &Config,
        which: Which,
        each: &mut dyn FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), String> {
        match self {
            Self::Search => search::documents(&config.search, which, each).map(drop),
            Self::Kafka => kafka::documents(&config.kafka, &mut |document| {
                let is_wanted = which == Which::All || is_letter(document);
                if is_wanted { each(document) } else { Ok(()) }
            }),
        }
    }

    fn failed(self, reason: &str) -> Failure {
        Failure::failed(format_args!("{}: {reason}", self.name()))
    }
}

fn is_letter(document: &[u8]) -> bool {
    matches!(Outline::parse(document), Ok(Outline { fact: Fact::DeadLetter { .. }, .. }))
}

/// The sinks that are asked for: one by its name, or all that are configured.
fn sinks(config: &Config, named: Option<Elsewhere>) -> Result<Vec<Elsewhere>, Failure> {
    let all = [Elsewhere::Kafka, Elsewhere::Search];
    let found: Vec<Elsewhere> = all
        .into_iter()
        .filter(|sink| sink.is_on(config) && named.is_none_or(|named| named == *sink))
        .collect();
    if found.is_empty() {
        let which =
            named.map_or_else(|| "sink elsewhere".to_owned(), |named| format!("sink `{}`", named.name()));
        let hint = "hint: `--config FILE` with kafka.brokers or search.urls tells where it is";
        return Err(Failure::failed(format_args!("there is no {which}\n{hint}")));
    }
    Ok(found)
}

fn say(sentences: &[String]) -> Result<(), Failure> {
    print(&sentences.iter().map(|sentence| format!("{sentence}\n")).collect::<String>())
}

pub(super) fn setup(config: &Config) -> Result<(), Failure> {
    for sink in sinks(config, None)? {
        say(&sink.setup(config).map_err(|reason| sink.failed(&reason))?)?;
    }
    Ok(())
}

/// What is missing at the sinks that are configured.
pub(super) fn check(config: &Config) -> Result<(), Failure> {
    let Ok(sinks) = sinks(config, None) else { return print("no sink is elsewhere\n") };
    for sink in sinks {
        say(&sink.standing(config).map_err(|reason| sink.failed(&reason))?)?;
    }
    Ok(())
}

pub(super) fn dead_letters(config: &Config, options: &Options) -> Result<(), Failure> {
    let mut count = 0;
    let mut out = BufWriter::new(std::io::stdout().lock());
    for sink in sinks(config, options.sinks.first().copied().flatten())? {
        let mut each = |document: &[u8]| {
            let line = if options.json {
                String::from_utf8_lossy(document).into_owned()
            } else {
                sentence(document)
            };
            count += 1;
            writeln!(out, "{line}").map_err(|error| error.to_string())
        };
        sink.documents(config, Which::DeadLetters, &mut each).map_err(|reason| sink.failed(&reason))?;
    }
    written(out.flush())?;
    drop(out);
    if count == 0 && !options.json { print("there is no dead letter\n") } else { Ok(()) }
}

/// Audits what a sink holds.
pub(super) fn audit(config: &Config, sink: Elsewhere, spools: &[SpoolLane]) -> Result<Report, Failure> {
    sinks(config, Some(sink))?;
    let read = |each: &mut dyn FnMut(&[u8])| {
        let mut each = |document: &[u8]| {
            each(document);
            Ok(())
        };
        sink.documents(config, Which::All, &mut each)
    };
    let is_whole = sink.is_whole(config).map_err(|reason| sink.failed(&reason))?;
    audit_documents(spools, !is_whole, read).map_err(|reason| sink.failed(&reason))
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
