//! What is to be read, and how often to look.

use super::discover::Patterns;

/// One `[[source]]` of type `file`.
#[derive(Clone, Debug)]
pub struct FileSource {
    /// Which files.
    pub patterns: Patterns,
    /// How long an unfinished last line waits for its end.
    pub idle_line_ms: u64,
}

/// What is to be read, and how often to look.
#[derive(Clone, Debug)]
pub struct SourcesConfig {
    /// Files, in the order of the configuration: a path belongs to the first that matches.
    pub files: Vec<FileSource>,
    /// Standard input, and how long its unfinished last line waits for its end.
    pub stdin_idle_line_ms: Option<u64>,
    /// How often open files are looked at where changes are not told; else with each search.
    pub poll_ms: u64,
    /// How often directories are searched. Sooner where changes are told.
    pub rescan_ms: u64,
}

impl SourcesConfig {
    /// The time that an unfinished last line waits for its end, unless configured.
    pub const IDLE_LINE_MS: u64 = 5_000;
    /// The time between looks, unless configured.
    pub const POLL_MS: u64 = 1_000;
    /// The time between searches, unless configured.
    pub const RESCAN_MS: u64 = 10_000;
}
