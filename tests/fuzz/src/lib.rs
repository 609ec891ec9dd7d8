//! What fuzz targets share: how bytes become inputs, and the judges that more than one target asks.
//!
//! A target is one file in `fuzz_targets`; its head says what it asserts beside "no panic". What
//! runs is the code that ships, on the simulated disk, files, ledger and archive of its own crates.
//! An input is read front to back and never refused, so that a changed byte changes one thing.

pub mod histories;
pub mod input;
pub mod liar;
pub mod lines;
pub mod log;
pub mod memory;
pub mod mend;
pub mod message;
pub mod packed;
pub mod segments;

#[global_allocator]
static MEMORY: memory::Counted = memory::Counted;

/// The invariants of senders and receivers are debug assertions: without them a target that runs
/// for hours proves nothing.
const _: () = assert!(cfg!(debug_assertions), "fuzz targets are built with debug assertions");
