//! The shore of driftlog.

pub mod audit;
pub mod cat;
pub mod decompress;
pub mod ledger;
pub mod region;
pub mod rebuild;
pub mod sink;
