//! `[[source]]`: where lines come from.

use driftlog_proto::limits::PATH_BYTES_MAX;

use super::reader::{Given, Section};

/// One `[[source]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceConfig {
    /// Files that are written by others.
    File(FileSource),
    /// The agent's standard input; at most one.
    Stdin,
}

/// Files that are written by others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSource {
    /// Glob patterns of absolute paths; `**` matches directories at any depth.
    pub paths: Vec<String>,
    /// Glob patterns of what is not read: of a file's name, or of its whole path if they begin with `/`.
    pub exclude: Vec<String>,
    /// Milliseconds after which a last line without an end is taken as it stands.
    pub idle_line_ms: u32,
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
            (Some(place), Some(Kind::Stdin)) if sources.contains(&SourceConfig::Stdin) => {
                document.fault(
                    &place,
                    "a second [[source]] of type \"stdin\"".to_owned(),
                    Some("there is one standard input: remove one of them".to_owned()),
                );
            }
            (Some(_), Some(Kind::Stdin)) => sources.push(SourceConfig::Stdin),
        }
        section.finish();
    }
    sources
}

fn read_file(section: &mut Section<'_, '_>, at: &std::ops::Range<usize>) -> FileSource {
    let document = section.document();
    let paths = patterns(section, "paths");
    if paths.is_empty() {
        document.fault(
            at,
            "this [[source]] has no `paths`".to_owned(),
            Some("for example paths = [\"/var/log/*.log\"]".to_owned()),
        );
    }
    let mut checked = Vec::with_capacity(paths.len());
    for path in paths {
        if !path.value.starts_with('/') {
            document.fault(
                &path.at,
                format!("the path \"{}\" depends on where the agent is started", path.value),
                Some("give it from the root, beginning with /".to_owned()),
            );
        } else if path.value.len() > PATH_BYTES_MAX {
            let what = format!("a path has {} bytes; at most {PATH_BYTES_MAX} are carried", path.value.len());
            document.fault(&path.at, what, None);
        }
        checked.push(path.value);
    }
    let exclude = patterns(section, "exclude").into_iter().map(|pattern| pattern.value).collect();
    let idle = section.number("idle_line_ms", 5_000, 100..=3_600_000);
    FileSource { paths: checked, exclude, idle_line_ms: u32::try_from(idle).unwrap_or(u32::MAX) }
}

fn patterns(section: &mut Section<'_, '_>, key: &'static str) -> Vec<Given<String>> {
    let patterns = section.texts(key);
    for pattern in &patterns {
        if let Err(error) = glob::Pattern::new(&pattern.value) {
            section.document().fault(
                &pattern.at,
                format!(
                    "\"{}\" is not a pattern: {} at character {}",
                    pattern.value,
                    error.msg,
                    error.pos + 1
                ),
                Some("write a literal * as [*] and a literal [ as [[]".to_owned()),
            );
        }
    }
    patterns
}
