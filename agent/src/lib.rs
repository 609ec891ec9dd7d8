//! The device side of driftlog.
