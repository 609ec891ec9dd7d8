//! What a device says on its serial line.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock;

/// The file in which it stands.
#[derive(Clone, Debug)]
pub struct Console(PathBuf);

impl Console {
    pub(super) fn new(file: PathBuf) -> Self {
        Self(file)
    }

    /// Where it stands.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.0
    }

    /// The lines so far that ended, without what ends them.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let text = fs::read(&self.0).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        // The last line may not be whole.
        let ended = text.rfind('\n').map_or("", |end| text.get(..end).unwrap_or_default());
        ended.lines().map(|line| line.trim_end_matches('\r').to_owned()).collect()
    }

    /// The newest line that begins so, without that beginning.
    #[must_use]
    pub fn newest(&self, beginning: &str) -> Option<String> {
        self.lines().iter().rev().find_map(|line| line.strip_prefix(beginning).map(str::to_owned))
    }

    /// Waits until a line begins so; whether one did.
    #[must_use]
    pub fn wait_for(&self, beginning: &str, limit: Duration) -> bool {
        clock::wait_until(limit, || self.newest(beginning).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_not_whole_was_not_said() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("console");
        fs::write(&file, "D 1 1\r\nD 1 2\r\nD 1").unwrap();
        let console = Console::new(file);
        assert_eq!(console.lines(), ["D 1 1", "D 1 2"]);
        assert_eq!(console.newest("D 1 ").as_deref(), Some("2"));
        assert!(!console.wait_for("W ", Duration::ZERO));
    }
}
