//! The files that would be read: whether they are there and this user may.

use std::collections::BTreeSet;

use rustix::process::{Resource, getrlimit};

use super::super::files;
use super::Finding;
use crate::DESCRIPTORS_MAX;
use crate::config::{Config, SourceConfig};
use crate::source::{FILES_MAX, OsFiles, PatternError, Patterns, survey};

const SUBJECT: &str = "sources";
/// Below what was said before.
const NEXT_LINE: &str = "\n                ";
/// What is named one by one.
const SHOWN_MAX: usize = 8;

pub(super) fn look(config: &Config) -> Vec<Finding> {
    let seen = match Seen::of(config) {
        Ok(seen) => seen,
        Err(error) => return vec![Finding::wrong(SUBJECT, error.to_string(), "mend it in [[source]]")],
    };
    let troubles = [seen.failures(), seen.cut(), seen.empty(), seen.too_many(), seen.limit()];
    let mut findings: Vec<Finding> = troubles.into_iter().flatten().collect();
    if !seen.readable.is_empty() {
        findings.push(Finding::right(SUBJECT, format!("{} can be read", files(seen.readable.len()))));
    }
    if config.reads_stdin() {
        findings.push(Finding::right(SUBJECT, "standard input".to_owned()));
    }
    findings
}

/// What all patterns lead to.
#[derive(Default)]
struct Seen {
    readable: BTreeSet<String>,
    failures: BTreeSet<String>,
    /// Patterns that lead to nothing.
    empty: Vec<String>,
    /// Patterns that lead to more than is searched.
    cut: Vec<String>,
}

impl Seen {
    fn of(config: &Config) -> Result<Self, PatternError> {
        let mut seen = Self::default();
        for source in &config.sources {
            let SourceConfig::File(file) = source else { continue };
            for path in &file.paths {
                let found = survey(&mut OsFiles, &Patterns::new(std::slice::from_ref(path), &file.exclude)?);
                if found.readable.is_empty() && found.failures.is_empty() {
                    seen.empty.push(path.clone());
                }
                if found.is_cut {
                    seen.cut.push(path.clone());
                }
                seen.readable.extend(found.readable);
                seen.failures.extend(found.failures.iter().map(ToString::to_string));
            }
        }
        Ok(seen)
    }

    fn failures(&self) -> Option<Finding> {
        let more = self.failures.len().saturating_sub(SHOWN_MAX);
        let mut lines: Vec<String> = self.failures.iter().take(SHOWN_MAX).cloned().collect();
        lines.extend((more > 0).then(|| format!("and {more} more")));
        let hint = "the agent's user must be allowed to read it (on Debian the group adm may); or make the pattern narrower";
        (!lines.is_empty()).then(|| Finding::wrong(SUBJECT, lines.join(NEXT_LINE), hint))
    }

    fn cut(&self) -> Option<Finding> {
        let what = || format!("{} leads to more directories or files than are searched", self.cut.join(", "));
        (!self.cut.is_empty()).then(|| Finding::wrong(SUBJECT, what(), "make the pattern narrower"))
    }

    fn empty(&self) -> Option<Finding> {
        let what = || format!("there is nothing yet at {}", self.empty.join(", "));
        let hint = "it is read as soon as it is there; is the path right?";
        (!self.empty.is_empty()).then(|| Finding::note(SUBJECT, what(), hint))
    }

    fn too_many(&self) -> Option<Finding> {
        let count = self.readable.len();
        let what = || format!("{count} files match; {FILES_MAX} are followed, those written last");
        let hint = "make the patterns narrower, or exclude old files";
        (count > FILES_MAX).then(|| Finding::note(SUBJECT, what(), hint))
    }

    /// The system's limit of what may be open.
    fn limit(&self) -> Option<Finding> {
        let limit = getrlimit(Resource::Nofile).current?;
        let needed = (DESCRIPTORS_MAX - FILES_MAX + self.readable.len().min(FILES_MAX)) as u64;
        let what = || format!("the limit of open files is {limit}, and {needed} may be open");
        let hint = "raise it: ulimit -n, LimitNOFILE= in the service";
        (limit < needed).then(|| Finding::wrong(SUBJECT, what(), hint))
    }
}
