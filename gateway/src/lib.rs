//! The shore of driftlog.

pub mod ledger;
pub mod sink;
