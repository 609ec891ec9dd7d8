//! The gateway's configuration, from any text.
//!
//! Asserts that a refused text brings an error that names the file, with a line that is in the text;
//! that an accepted one holds what is promised of its sizes; and that memory is bounded by the
//! text's length.
#![no_main]

use std::path::Path;

use driftlog_fuzz::memory;
use driftlog_gateway::config::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // Certificates and passwords are files: what stands there is not this target's business.
    if ["_file", "mqtts", "\\"].iter().any(|word| text.contains(word)) {
        return;
    }
    let bytes_max = 256 * 1024 + text.len() * 512;
    match memory::within(bytes_max, "reading", || Config::parse(Path::new("g.toml"), text)) {
        Ok(config) => {
            let (archive, receive) = (&config.archive, &config.receive);
            assert!(archive.file_bytes_max >= 1 << 20, "{archive:?}");
            let keeps = archive.retention_bytes_max;
            assert!(keeps == 0 || keeps >= archive.file_bytes_max, "{archive:?}");
            assert!(u64::from(receive.credit_bytes_max) <= receive.memory_bytes_max, "{receive:?}");
            assert!(receive.message_rate_max > 0, "{receive:?}");
        }
        Err(error) => {
            assert!(error.to_string().starts_with("g.toml"), "{error}");
            let lines = text.bytes().filter(|byte| *byte == b'\n').count() + 1;
            assert!(error.line.is_none_or(|line| (1..=lines).contains(&line)), "{error} of {lines} lines");
        }
    }
});
