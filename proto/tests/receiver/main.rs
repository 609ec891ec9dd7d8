//! The receiver of one lane alone, item by item: what it says to each, and what comes out of it.

mod admission;
mod base;
mod commit;
mod echoes;
mod gaps;
mod held;
mod lane;
mod runs;
