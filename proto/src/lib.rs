//! What a driftlog device and its gateway agree on.
//!
//! Everything here is bytes and arithmetic: no I/O, no clock, no allocation on the device's side,
//! no `unsafe`. It builds for a bare ARM target, which proves it.
//!
//! Read in this order: [`ids`] (the words), [`item`] (what a log consists of), [`block`] (what is
//! inside a block), [`message`] (what is said), then the state machines [`sender`], [`receiver`]
//! and [`clock`].
//!
//! The call rule of every state machine: inputs are `handle_*`, outputs are `poll_*`. After any
//! `handle_*` drain `poll_*`, then sleep until `poll_deadline()`. Early, late and repeated
//! wake-ups are harmless.
#![no_std]

extern crate alloc;

pub mod block;
pub mod checksum;
pub mod clock;
pub mod error;
pub mod ids;
pub mod item;
pub mod limits;
pub mod lines;
pub mod message;
pub mod receiver;
pub mod sender;
pub mod time;
mod varint;
