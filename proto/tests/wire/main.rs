//! What stands on the wire and on flash: messages, sealed items and blocks.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod arbitrary;
mod block;
mod document;
mod hostile;
mod item;
mod limits;
mod message;
mod reference;
mod vectors;
mod zstd;
