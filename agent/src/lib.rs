//! The device side of driftlog.

pub mod compress;
pub mod spool;
