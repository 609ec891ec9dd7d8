//! The spool on every flash that a power cut may leave behind.
//!
//! `workload` says what a program does; `device` does it with the spool and keeps account of it in a
//! `history`; `recording` writes down what it asked of the disk; `flash` and `cutting` make of this,
//! for each operation, the states in which the disk's rules allow a power cut to leave it, as far as
//! `choices` and `tears` go; `exploring` lets a program go on from each of them, whose every step is
//! judged: by `history`, and on the way in `device`. `lanes` does the same with two spools and the
//! agent's own core.
//!
//! With `DRIFTLOG_STATES=all` the bounds are wider.
#![expect(clippy::print_stderr, reason = "a state that breaks a promise says how it came about")]
#![expect(clippy::single_range_in_vec_init, reason = "what got through of a write is a list of ranges")]

mod choices;
mod cuts;
mod cutting;
mod device;
mod exploring;
mod flash;
mod history;
mod image;
mod items;
mod lanes;
mod recording;
mod tears;
mod workload;
