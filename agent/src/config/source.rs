//! `[[source]]`: where lines come from.

use driftlog_proto::limits::PATH_BYTES_MAX;

use super::reader::{Given, Section};
use crate::source::{PatternError, Patterns};

/// One `[[source]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceConfig {
    /// Files that are written by others.
    File(FileSource),
    /// The agent's standard input; at most one.
    Stdin {
        /// Milliseconds after which a last line without an end is taken as it stands.
        idle_line_ms: u32,
    },
}

/// Files that are written by others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSource {
    /// Glob patterns of absolute paths; `**` matches directories at any depth.
    pub paths: Vec<String>,
    /// Glob patterns of what is not read: of a file's name, or of its whole path if they hold a `/`.
    pub exclude: Vec<String>,
    /// Milliseconds after which a last line without an end is taken as it stands.
    pub idle_line_ms: u32,
}

impl SourceConfig {
    /// Whether it is standard input.
    #[must_use]
    pub fn is_stdin(&self) -> bool {
        matches!(self, Self::Stdin { .. })
    }
}

#[derive(Clone, Copy)]
enum Kind {
    File,
    Stdin,
}

pub(super) fn read(root: &mut Section<'_, '_>) -> Vec<SourceConfig> {
    let document = root.document();
    let sections = root.sections("source");
    if sections.is_empty() {
        document.fault_without_line(
            "there is no [[source]]: nothing would be read".to_owned(),
            Some("add [[source]] with type = \"file\" and paths = [\"/var/log/*.log\"]".to_owned()),
        );
    }
    let mut sources = Vec::with_capacity(sections.len());
    for Given { value: mut section, at } in sections {
        let kinds = [("file", Some(Kind::File)), ("stdin", Some(Kind::Stdin))];
        let kind = section.word("type", &kinds, None);
        match (section.place("type"), kind) {
            (None, _) => {
                document.fault(
                    &at,
                    "this [[source]] has no `type`".to_owned(),
                    Some("type = \"file\" or type = \"stdin\"".to_owned()),
                );
                continue;
            }
            (Some(_), None) => continue,
            (Some(_), Some(Kind::File)) => sources.push(SourceConfig::File(read_file(&mut section, &at))),
            (Some(place), Some(Kind::Stdin)) if sources.iter().any(SourceConfig::is_stdin) => {
                document.fault(
                    &place,
                    "a second [[source]] of type \"stdin\"".to_owned(),
                    Some("there is one standard input: remove one of them".to_owned()),
                );
            }
            (Some(_), Some(Kind::Stdin)) => {
                sources.push(SourceConfig::Stdin { idle_line_ms: read_idle(&mut section) });
            }
        }
        section.finish();
    }
    sources
}

fn read_file(section: &mut Section<'_, '_>, at: &std::ops::Range<usize>) -> FileSource {
    let document = section.document();
    let paths = section.texts("paths");
    if paths.is_empty() {
        document.fault(
            at,
            "this [[source]] has no `paths`".to_owned(),
            Some("for example paths = [\"/var/log/*.log\"]".to_owned()),
        );
    }
    for path in &paths {
        if path.value.len() > PATH_BYTES_MAX {
            let what = format!("a path has {} bytes; at most {PATH_BYTES_MAX} are carried", path.value.len());
            document.fault(&path.at, what, None);
        }
        check(section, path, Patterns::new(&[path.value.as_str()], &[]));
    }
    let exclude = section.texts("exclude");
    for pattern in &exclude {
        check(section, pattern, Patterns::new(&[], &[pattern.value.as_str()]));
    }
    let texts = |given: Vec<Given<String>>| given.into_iter().map(|given| given.value).collect();
    FileSource { paths: texts(paths), exclude: texts(exclude), idle_line_ms: read_idle(section) }
}

fn check(section: &Section<'_, '_>, pattern: &Given<String>, outcome: Result<Patterns, PatternError>) {
    if let Err(error) = outcome {
        section.document().fault(
            &pattern.at,
            error.to_string(),
            Some(
                "a path from the root; * ? [a-z] within a name, ** for any directories, [*] for a *"
                    .to_owned(),
            ),
        );
    }
}

fn read_idle(section: &mut Section<'_, '_>) -> u32 {
    u32::try_from(section.number("idle_line_ms", 5_000, 100..=3_600_000)).unwrap_or(u32::MAX)
}
