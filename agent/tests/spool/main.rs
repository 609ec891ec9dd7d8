//! The spool on a simulated flash.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stderr, reason = "a failed seed can be made to say what it does")]

mod appending;
mod crash;
mod damage;
mod directory;
mod elsewhere;
mod kept;
mod limits;
mod model;
mod offline;
mod reading;
mod referred;
mod room;
mod rotten;
mod support;
mod told;
mod trouble;
mod vectors;
