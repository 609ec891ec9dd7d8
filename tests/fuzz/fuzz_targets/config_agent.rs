//! The agent's configuration, from any text.
//!
//! Asserts that a refused text brings an error that names the file, with lines that are in the text;
//! that an accepted one holds what its documentation promises of it; and that memory is bounded by
//! the text's length.
#![no_main]

use std::path::Path;

use driftlog_agent::config::Config;
use driftlog_fuzz::memory;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // Certificates and passwords are files: what stands there is not this target's business.
    if ["_file", "mqtts", "\\"].iter().any(|word| text.contains(word)) {
        return;
    }
    let bytes_max = 256 * 1024 + text.len() * 512;
    let config =
        memory::within(bytes_max, "reading", || Config::parse(Path::new("a.toml"), text, Some("machine-7")));
    match config {
        Ok(config) => {
            assert!(!config.sources.is_empty(), "an agent without a source");
            assert!(config.state_dir.is_absolute(), "{config:?}");
            assert!(config.file_patterns().all(|pattern| pattern.starts_with('/')), "{config:?}");
        }
        Err(error) => {
            let shown = error.to_string();
            assert!(shown.starts_with("error: a.toml"), "{shown}");
            let lines = text.bytes().filter(|byte| *byte == b'\n').count() + 1;
            let named = shown
                .lines()
                .filter_map(|line| line.strip_prefix("error: a.toml:")?.split(':').next()?.parse().ok());
            named.for_each(|line: usize| {
                assert!((1..=lines).contains(&line), "line {line} of {lines}: {shown}")
            });
        }
    }
});
