//! What patterns lead to, for a person who configures or checks an agent: nothing is followed.

use super::discover::{Patterns, walk};
use super::files::{FileError, Files};
use super::names::{directory, file_name, join};

/// What one list of patterns leads to.
#[derive(Debug, Default)]
pub struct Survey {
    /// Files that can be opened, by path.
    pub readable: Vec<String>,
    /// What cannot be listed, looked at or opened; not what does not exist.
    pub failures: Vec<FileError>,
    /// There may be more than is searched.
    pub is_cut: bool,
}

/// Searches once and opens, for an instant, each file that matches.
pub fn survey<F: Files>(files: &mut F, patterns: &Patterns) -> Survey {
    let found = walk(files, std::slice::from_ref(patterns));
    let mut survey = Survey { readable: Vec::new(), failures: found.failures, is_cut: found.is_cut };
    for candidate in found.files {
        match files.open(&candidate.path) {
            Ok(_) => survey.readable.push(candidate.path),
            Err(error) => survey.failures.push(error),
        }
    }
    survey
}

/// Where logs usually are: of systems, of servers, of programs with a folder of their own, and what a rotation made
/// of them, so that nothing is missed that was rotated more than once while the agent was down.
const USUAL: [&str; 14] = [
    "/var/log/syslog*",
    "/var/log/messages*",
    "/var/log/secure*",
    "/var/log/cron*",
    "/var/log/maillog*",
    "/var/log/*.log*",
    "/var/log/*/*.log*",
    "/var/log/httpd/*_log*",
    "/tmp/messages*",
    "/tmp/system.log*",
    "/opt/*/log/*.log*",
    "/opt/*/logs/*.log*",
    "/srv/*/log/*.log*",
    "/srv/*/logs/*.log*",
];

/// What is in the usual places of logs.
#[derive(Debug, Default)]
pub struct Usual {
    /// Patterns, each of one directory, and how many files that can be opened match it.
    pub places: Vec<(String, usize)>,
    /// What cannot be listed, looked at or opened.
    pub failures: Vec<FileError>,
}

/// Searches the usual places of logs.
pub fn usual<F: Files>(files: &mut F) -> Usual {
    let mut usual = Usual::default();
    for pattern in USUAL {
        let patterns =
            Patterns::new(&[pattern], &[]).expect("the usual places are patterns, as a test shows");
        let found = survey(files, &patterns);
        usual.failures.extend(found.failures);
        // Sorted by path, so that a directory's files stand together.
        for group in found.readable.chunk_by(|one, other| directory(one) == directory(other)) {
            let directory = group.first().map_or("", |path| directory(path));
            // It would mean something else in a pattern, or in a configuration.
            if !directory.contains(['*', '?', '[', ']', '"', '\\']) && !directory.contains(char::is_control) {
                usual.places.push((join(directory, file_name(pattern)), group.len()));
            }
        }
    }
    usual
}

#[cfg(test)]
mod tests {
    use super::super::SimFiles;
    use super::*;

    #[test]
    fn only_places_in_which_something_is_are_found_and_what_may_not_be_read_is_named() {
        let files = SimFiles::default();
        let nothing = usual(&mut files.clone());
        assert!(nothing.places.is_empty() && nothing.failures.is_empty());
        for path in [
            "/var/log/syslog",
            "/var/log/syslog.1",
            "/var/log/auth.log",
            "/var/log/nginx/access.log",
            "/var/log/nginx/error.log",
            "/var/log/nginx/access.log.2.gz",
            "/var/log/odd[1]/a.log",
            "/var/log/pump/a.log",
            "/opt/pump/logs/pump.log",
            "/etc/passwd",
        ] {
            files.append(path, b"");
        }
        files.deny("/var/log/auth.log", true);
        let found = usual(&mut files.clone());
        let expected = [
            ("/var/log/syslog*", 2),
            ("/var/log/nginx/*.log*", 2),
            ("/var/log/pump/*.log*", 1),
            ("/opt/pump/logs/*.log*", 1),
        ];
        assert_eq!(found.places, expected.map(|(pattern, files)| (pattern.to_owned(), files)));
        assert_eq!(found.failures.len(), 1, "{:?}", found.failures);
        assert_eq!(found.failures[0].path, "/var/log/auth.log");
    }
}
