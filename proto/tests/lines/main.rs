//! The codec for lines: what goes in comes out, hostile streams are refused, and a slow and obvious
//! decoder, written from `docs/block-format.md` alone, agrees on everything.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod hostile;
mod reference;
mod round_trip;
mod vectors;
