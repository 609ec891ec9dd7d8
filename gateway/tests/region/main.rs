//! The region, message by message: acknowledgement, batches, budget, restarts and hostile input.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at what it did not expect")]

mod budget;
mod commits;
mod fixture;
mod hostile;
mod presence;
mod rebuilt;
mod references;
mod sinks;
