//! What is wrong with a configuration file, said so that the operator can mend it: file, line, the
//! value, the nearest key, what to do.

use std::fmt;
use std::path::{Path, PathBuf};

/// Everything that is wrong with one configuration file, in the order of its lines; never empty.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError {
    file: PathBuf,
    faults: Vec<Fault>,
}

/// One thing that is wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Counted from 1; 0 where the fault is the file itself or something that is missing in it.
    pub(crate) line: usize,
    pub(crate) what: String,
    pub(crate) hint: Option<String>,
}

impl ConfigError {
    pub(crate) fn new(file: &Path, mut faults: Vec<Fault>) -> Self {
        faults.sort_by_key(|fault| fault.line);
        Self { file: file.to_owned(), faults }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.faults.iter().enumerate() {
            let separator = if at == 0 { "" } else { "\n" };
            match fault.line {
                0 => write!(f, "{separator}error: {}: {}", self.file.display(), fault.what)?,
                line => write!(f, "{separator}error: {}:{line}: {}", self.file.display(), fault.what)?,
            }
            if let Some(hint) = &fault.hint {
                write!(f, "\nhint: {hint}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// The candidate that was probably meant: at most a third of its letters are wrong, swapped,
/// missing or too many, or one contains the other.
pub(crate) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let scored = candidates.iter().map(|candidate| (distance(word, candidate), *candidate));
    let (distance, candidate) = scored.min_by_key(|(distance, _)| *distance)?;
    if distance <= (candidate.len() / 3).max(1) {
        return Some(candidate);
    }
    let contained = |c: &&&str| word.len() >= 4 && (c.contains(word) || word.contains(**c));
    candidates.iter().find(contained).copied()
}

/// Edits (Damerau-Levenshtein, optimal string alignment) between two words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let width = b.len() + 1;
    let mut rows = vec![0usize; (a.len() + 1) * width];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i * width + j] = if i == 0 || j == 0 {
                i + j
            } else {
                let same = usize::from(a[i - 1] != b[j - 1]);
                let mut least = (rows[(i - 1) * width + j] + 1)
                    .min(rows[i * width + j - 1] + 1)
                    .min(rows[(i - 1) * width + j - 1] + same);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    least = least.min(rows[(i - 2) * width + j - 2] + 1);
                }
                least
            };
        }
    }
    rows[a.len() * width + b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_finds_its_key_and_another_word_finds_none() {
        let keys = ["url", "keep_alive_s", "username", "ca_file"];
        assert_eq!(nearest("keep_alive", &keys), Some("keep_alive_s"));
        assert_eq!(nearest("usrename", &keys), Some("username"));
        assert_eq!(nearest("ulr", &keys), Some("url"));
        assert_eq!(nearest("cafile", &keys), Some("ca_file"));
        assert_eq!(nearest("compression", &keys), None);
        assert_eq!(nearest("alive", &keys), Some("keep_alive_s"));
    }
}
