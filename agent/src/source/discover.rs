//! Which files are to be read: patterns, and the walk that finds what matches them.
//!
//! A pattern is a path whose components may hold `*`, `?` and `[…]` (within one component) or be
//! `**` (any number of directories; as the last component, every file below). Wildcards do not
//! match a leading dot. `**` does not follow links to directories, everything else does. A walk is
//! bounded in entries, depth and results; what it leaves out is said.

use std::fmt;

use super::files::{FileError, FileErrorCause, Files, Kind, Stat};
use super::names::{file_name, is_compressed, join};

/// Directory entries that one walk looks at.
pub(crate) const WALK_ENTRIES_MAX: usize = 65_536;
/// Directories below each other that a walk enters.
pub(crate) const WALK_DEPTH_MAX: usize = 32;
/// Files that one walk returns.
pub(crate) const WALK_FILES_MAX: usize = 2048;
/// Failures that one walk reports.
const WALK_FAILURES_MAX: usize = 16;

const MATCHING: glob::MatchOptions = glob::MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};
/// Exclusions reach hidden files too.
const EXCLUDING: glob::MatchOptions = glob::MatchOptions { require_literal_leading_dot: false, ..MATCHING };

/// A pattern that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    /// The pattern as written.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the pattern {:?} cannot be used: {}", self.pattern, self.reason)
    }
}

impl std::error::Error for PatternError {}

#[derive(Clone, Debug)]
enum Component {
    Literal(String),
    Wild(glob::Pattern),
    AnyDepth,
}

/// What one `[[source]]` of type `file` names: paths to read, less what is excluded.
#[derive(Clone, Debug)]
pub struct Patterns {
    paths: Vec<Vec<Component>>,
    /// Whether to match the whole path (it has a `/`) or only the last component.
    exclude: Vec<(bool, glob::Pattern)>,
}

impl Patterns {
    /// Understands patterns as written in the configuration. An exclusion without `/` is matched
    /// with the file's name, another with its whole path.
    ///
    /// # Errors
    /// [`PatternError`] for the first that is not a pattern of an absolute path.
    pub fn new<S: AsRef<str>>(paths: &[S], exclude: &[S]) -> Result<Self, PatternError> {
        Ok(Self {
            paths: paths.iter().map(|path| components(path.as_ref())).collect::<Result<_, _>>()?,
            exclude: (exclude.iter().map(AsRef::as_ref))
                .map(|text| Ok((text.contains('/'), wild(text, text)?)))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Whether a path is left out: excluded, or compressed.
    pub(crate) fn leave_out(&self, path: &str) -> bool {
        is_compressed(path)
            || self.exclude.iter().any(|(whole, pattern)| {
                pattern.matches_with(if *whole { path } else { file_name(path) }, EXCLUDING)
            })
    }
}

fn wild(text: &str, whole: &str) -> Result<glob::Pattern, PatternError> {
    glob::Pattern::new(text).map_err(|error| PatternError { pattern: whole.to_owned(), reason: error.msg })
}

fn components(text: &str) -> Result<Vec<Component>, PatternError> {
    let refused = |reason| PatternError { pattern: text.to_owned(), reason };
    let rest = text.strip_prefix('/').ok_or_else(|| refused("it is not an absolute path"))?;
    if rest.is_empty() || rest.ends_with('/') {
        return Err(refused("it names a directory; end it with /* or /** to read what is inside"));
    }
    let one = |part: &str| match part {
        ".." | "." => Err(refused("it has a component . or ..")),
        "**" => Ok(Component::AnyDepth),
        part if part.contains("**") => Err(refused("** must be a component of its own")),
        part if part.contains(['*', '?', '[']) => wild(part, text).map(Component::Wild),
        part => Ok(Component::Literal(part.to_owned())),
    };
    rest.split('/').filter(|part| !part.is_empty()).map(one).collect()
}

/// A file that a walk found.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) path: String,
    pub(crate) stat: Stat,
    /// The index of the `[[source]]` that it belongs to.
    pub(crate) source: usize,
}

/// What a walk found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Sorted by path, each path once.
    pub(crate) files: Vec<Candidate>,
    /// What could not be looked at, other than that it does not exist.
    pub(crate) failures: Vec<FileError>,
    /// Whether a bound of the walk was reached, so that there may be more.
    pub(crate) is_cut: bool,
    entries: usize,
}

impl Found {
    /// Whether this walk does not tell if there is something at a path: it failed there or at a directory
    /// above, or reached a bound.
    pub(crate) fn is_hidden(&self, path: &str) -> bool {
        let is_at_or_below = |failed: &str| {
            path.strip_prefix(failed).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.is_cut
            || self.failures.len() >= WALK_FAILURES_MAX
            || self.failures.iter().any(|failure| is_at_or_below(failure.path.trim_end_matches('/')))
    }
}

/// Finds the regular files that match.
pub(crate) fn walk<F: Files>(files: &mut F, sources: &[Patterns]) -> Found {
    let mut found = Found::default();
    for (source, patterns) in sources.iter().enumerate() {
        for path in &patterns.paths {
            Walk { files, patterns, source, found: &mut found }.enter(String::from("/"), path, 0);
        }
    }
    // Stable: of equal paths the one of the first source stays.
    found.files.sort_by(|a, b| a.path.cmp(&b.path));
    found.files.dedup_by(|later, first| later.path == first.path);
    found
}

struct Walk<'a, F> {
    files: &'a mut F,
    patterns: &'a Patterns,
    source: usize,
    found: &'a mut Found,
}

impl<F: Files> Walk<'_, F> {
    /// Follows the rest of a pattern from `path`.
    fn enter(&mut self, path: String, rest: &[Component], depth: usize) {
        if depth > WALK_DEPTH_MAX {
            self.found.is_cut = true;
            return;
        }
        match rest {
            [] => self.take(path),
            [Component::Literal(name), rest @ ..] => self.enter(join(&path, name), rest, depth + 1),
            [Component::Wild(pattern), rest @ ..] => {
                for (name, kind) in self.list(&path) {
                    if kind != Kind::Other && pattern.matches_with(&name, MATCHING) {
                        let is_last = rest.is_empty();
                        match kind {
                            Kind::File if !is_last => {}
                            Kind::Directory if is_last => {}
                            _ => self.enter(join(&path, &name), rest, depth + 1),
                        }
                    }
                }
            }
            [Component::AnyDepth, below @ ..] => self.descend(&path, rest, below, depth),
        }
    }

    /// `**`: what matches `below` here, and the same again in every directory.
    fn descend(&mut self, path: &str, rest: &[Component], below: &[Component], depth: usize) {
        for (name, kind) in self.list(path) {
            if name.starts_with('.') {
                continue;
            }
            match kind {
                Kind::Directory => self.enter(join(path, &name), rest, depth + 1),
                Kind::File | Kind::Link if below.is_empty() => self.take(join(path, &name)),
                _ => {}
            }
        }
        if !below.is_empty() {
            self.enter(path.to_owned(), below, depth + 1);
        }
    }

    fn list(&mut self, dir: &str) -> Vec<(String, Kind)> {
        let mut names = Vec::new();
        let found = &mut *self.found;
        let listed = self.files.list(dir, &mut |name, kind| {
            found.entries += 1;
            match name {
                _ if found.entries > WALK_ENTRIES_MAX => found.is_cut = true,
                Some(name) => names.push((name.to_owned(), kind)),
                None => fail(found, unreadable_name(dir)),
            }
        });
        if let Err(error) = listed {
            fail(self.found, error);
        }
        names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        names
    }

    fn take(&mut self, path: String) {
        if self.patterns.leave_out(&path) {
            return;
        }
        match self.files.stat(&path) {
            Ok(stat) if stat.kind == Kind::File => {
                if path.len() > driftlog_proto::limits::PATH_BYTES_MAX {
                    fail(self.found, FileError { operation: "follow", path, cause: FileErrorCause::Os(36) });
                } else if self.found.files.len() >= WALK_FILES_MAX {
                    self.found.is_cut = true;
                } else {
                    self.found.files.push(Candidate { path, stat, source: self.source });
                }
            }
            Ok(_) => {}
            Err(error) => fail(self.found, error),
        }
    }
}

fn unreadable_name(dir: &str) -> FileError {
    FileError {
        operation: "follow a file whose name is not UTF-8 in",
        path: dir.to_owned(),
        cause: FileErrorCause::Os(84),
    }
}

fn fail(found: &mut Found, error: FileError) {
    // What does not exist may come to exist, and a file may go between listing and looking.
    if error.cause != FileErrorCause::NotFound && found.failures.len() < WALK_FAILURES_MAX {
        found.failures.push(error);
    }
}

#[cfg(test)]
mod tests {
    use super::super::SimFiles;
    use super::*;

    fn patterns(paths: &[&str], exclude: &[&str]) -> Patterns {
        Patterns::new(paths, exclude).unwrap()
    }

    fn found(files: &SimFiles, paths: &[&str], exclude: &[&str]) -> Vec<String> {
        let found = walk(&mut files.clone(), &[patterns(paths, exclude)]);
        assert!(!found.is_cut);
        found.files.into_iter().map(|candidate| candidate.path).collect()
    }

    fn tree() -> SimFiles {
        let files = SimFiles::default();
        for path in [
            "/var/log/a.log",
            "/var/log/b.log",
            "/var/log/b.log.1",
            "/var/log/b.log.2.gz",
            "/var/log/.hidden.log",
            "/var/log/app/x",
            "/var/log/app/deep/er/y.log",
            "/var/log/app/.git/z.log",
            "/etc/passwd",
        ] {
            files.append(path, b"");
        }
        files
    }

    #[test]
    fn a_star_stays_within_a_directory_and_does_not_match_a_leading_dot() {
        assert_eq!(found(&tree(), &["/var/log/*.log"], &[]), ["/var/log/a.log", "/var/log/b.log"]);
        assert_eq!(found(&tree(), &["/*/log/[b].lo?"], &[]), ["/var/log/b.log"]);
    }

    #[test]
    fn two_stars_match_any_depth_and_every_file_at_the_end() {
        let all = ["/var/log/a.log", "/var/log/app/deep/er/y.log", "/var/log/app/x"];
        assert_eq!(found(&tree(), &["/var/log/**"], &["b*"]), all);
        assert_eq!(
            found(&tree(), &["/var/**/*.log"], &[]),
            ["/var/log/a.log", "/var/log/app/deep/er/y.log", "/var/log/b.log"]
        );
        assert_eq!(found(&tree(), &["/var/**/er/*"], &[]), ["/var/log/app/deep/er/y.log"]);
    }

    #[test]
    fn a_path_without_wildcards_is_itself() {
        assert_eq!(found(&tree(), &["/etc/passwd", "/etc/nothing"], &[]), ["/etc/passwd"]);
    }

    #[test]
    fn compressed_files_are_left_out_even_when_named() {
        assert_eq!(found(&tree(), &["/var/log/b.log*"], &[]), ["/var/log/b.log", "/var/log/b.log.1"]);
        for ending in super::super::names::COMPRESSED {
            let files = SimFiles::default();
            files.append(&format!("/a{ending}"), b"");
            assert!(found(&files, &["/*", &format!("/a{ending}")], &[]).is_empty(), "{ending}");
        }
    }

    #[test]
    fn exclusions_match_the_name_or_with_a_slash_the_whole_path() {
        assert_eq!(found(&tree(), &["/var/log/**"], &["*.log*", "x"]), [""; 0]);
        assert_eq!(
            found(&tree(), &["/var/log/**"], &["/var/log/app/**", "/var/log/b.*"]),
            ["/var/log/a.log"]
        );
    }

    #[test]
    fn a_path_that_two_sources_name_belongs_to_the_first() {
        let files = tree();
        let sources = [patterns(&["/var/log/a.log"], &[]), patterns(&["/var/log/*.log"], &[])];
        let found = walk(&mut files.clone(), &sources);
        let owners: Vec<_> = found.files.iter().map(|c| (c.path.as_str(), c.source)).collect();
        assert_eq!(owners, [("/var/log/a.log", 0), ("/var/log/b.log", 1)]);
    }

    #[test]
    fn links_to_files_are_followed() {
        let files = tree();
        files.link("/logs/current", "/var/log/a.log");
        files.link("/logs/dangling", "/nowhere");
        assert_eq!(found(&files, &["/logs/*"], &[]), ["/logs/current"]);
        assert_eq!(found(&files, &["/logs/**"], &[]), ["/logs/current"]);
    }

    #[test]
    fn a_directory_that_may_not_be_read_is_reported_and_the_rest_is_found() {
        let files = tree();
        files.deny("/var/log/app", true);
        let found = walk(&mut files.clone(), &[patterns(&["/var/log/**"], &["b*"])]);
        assert_eq!(found.files.len(), 1);
        assert_eq!(found.failures.len(), 1);
        assert_eq!(found.failures[0].to_string(), "cannot list /var/log/app: permission denied");
    }

    #[test]
    fn a_walk_returns_no_more_files_than_its_bound_and_says_so() {
        let files = SimFiles::default();
        for n in 0..=WALK_FILES_MAX {
            files.append(&format!("/many/{n}"), b"");
        }
        let found = walk(&mut files.clone(), &[patterns(&["/many/*"], &[])]);
        assert_eq!((found.files.len(), found.is_cut), (WALK_FILES_MAX, true));
    }

    #[test]
    fn a_walk_goes_no_deeper_than_its_bound_and_says_so() {
        let files = SimFiles::default();
        files.append(&format!("{}/deep", "/d".repeat(WALK_DEPTH_MAX + 2)), b"");
        files.append("/d/shallow", b"");
        let found = walk(&mut files.clone(), &[patterns(&["/**"], &[])]);
        assert_eq!((found.files.len(), found.is_cut), (1, true));
    }

    #[test]
    fn patterns_that_cannot_be_meant_are_refused_with_a_reason() {
        for (pattern, reason) in [
            ("var/log/*", "it is not an absolute path"),
            ("/var/log/", "it names a directory; end it with /* or /** to read what is inside"),
            ("/var/../etc", "it has a component . or .."),
            ("/var/a**", "** must be a component of its own"),
        ] {
            let error = Patterns::new(&[pattern], &[]).unwrap_err();
            assert_eq!((error.pattern.as_str(), error.reason), (pattern, reason));
        }
        assert!(Patterns::new(&["/var/[a"], &[]).is_err());
    }
}
