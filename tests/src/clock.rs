//! The one room in which the harness reads a clock: it plays the world, so it has to know the time.
#![expect(clippy::disallowed_methods, reason = "this is the one room of the harness that reads the clock")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Now, for measuring what passes.
#[must_use]
pub fn now() -> Instant {
    Instant::now()
}

/// Nanoseconds since 1970 by this machine's wall clock.
#[must_use]
pub fn wall_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Asks `is_so` again and again until it says yes or the time is over; whether it said yes.
pub fn wait_until(limit: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let end = now() + limit;
    loop {
        if is_so() {
            return true;
        }
        if now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
