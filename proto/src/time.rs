//! Instants as the caller gives them. Nothing in this crate reads a clock.

use serde::{Deserialize, Serialize};

/// The device's monotonic time: nanoseconds since boot, counting suspend (`CLOCK_BOOTTIME`).
/// The gateway uses it for its own monotonic time too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
pub struct Mono(pub u64);

impl Mono {
    /// Never: later than every instant.
    pub const FOREVER: Self = Self(u64::MAX);

    /// The instant `ms` milliseconds later.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms.saturating_mul(1_000_000)))
    }

    /// Nanoseconds from `earlier` to here; 0 when `earlier` is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Milliseconds from `earlier` to here; 0 when `earlier` is not earlier.
    #[must_use]
    pub fn ms_since(self, earlier: Self) -> u64 {
        self.since(earlier) / 1_000_000
    }
}

/// Wall-clock time: nanoseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
pub struct Unix(pub i64);

/// What the device knows about its own wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
pub enum ClockState {
    /// Never set since boot: before the year the agent was built.
    #[default]
    Unset,
    /// Set, but not kept right by a time service.
    Unsynchronised,
    /// Kept right by a time service.
    Synchronised,
}

/// What a clock showed at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Now {
    /// Monotonic time.
    pub mono: Mono,
    /// Wall-clock time of the same instant.
    pub wall: Unix,
    /// How far the wall clock can be trusted.
    pub state: ClockState,
}
