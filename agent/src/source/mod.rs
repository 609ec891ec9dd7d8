//! Where lines come from.

pub mod watch;
