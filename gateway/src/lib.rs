//! The shore of driftlog.

pub mod decompress;
pub mod ledger;
pub mod sink;
