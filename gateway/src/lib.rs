//! The shore of driftlog.

pub mod ledger;
pub mod region;
pub mod sink;
