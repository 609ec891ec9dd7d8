//! The sender of one lane alone, to the byte and to the millisecond: what it publishes, when it does
//! so again, and what an acknowledgement does to it.

#![expect(clippy::indexing_slicing, reason = "a test stops at what it did not expect")]

mod acknowledged;
mod changed;
mod log;
mod resend;
mod session;
mod window;
