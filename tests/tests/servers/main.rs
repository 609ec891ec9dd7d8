//! The gateway against real servers, which `tests/servers/` installs and starts.
//!
//! They take minutes and hundreds of megabytes, so they run only when they are asked for:
//! `cargo test --package driftlog-tests --features kafka --test servers -- --ignored --test-threads 1`.
#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

#[cfg(feature = "kafka")]
mod both;
mod guarded;
#[cfg(feature = "kafka")]
mod kafka;
mod mqtt;
mod search;
mod world;
