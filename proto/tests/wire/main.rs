//! What stands on the wire and on flash: messages, sealed items and blocks.

mod arbitrary;
mod block;
mod limits;

mod hostile;
mod item;
mod message;

mod zstd;
