//! What is wrong with a configuration: for the operator to put right.

use std::fmt;
use std::path::{Path, PathBuf};

/// A mistake in a configuration: where, what, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1, where there is one to show.
    pub line: Option<usize>,
    /// The key, such as `broker.listen`, where there is one.
    pub key: Option<String>,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl ConfigError {
    pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        let hint = "give the path of a TOML file, or leave --config out to run on embedded defaults";
        Self {
            file: path.to_owned(),
            line: None,
            key: None,
            problem: format!("cannot read the configuration: {error}"),
            hint: Some(hint.to_owned()),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ": {key}")?;
        }
        write!(f, ": {}", self.problem)?;
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
