//! How long to wait before connecting again: doubling from a least to a greatest wait, the upper
//! half of it random, so that ten thousand devices do not return in step. A connection that is made
//! and lost at once counts as a failure too.

use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    ms_min: u32,
    ms_max: u32,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(ms_min: u32, ms_max: u32) -> Self {
        Self { ms_min, ms_max, failures: 0 }
    }

    /// The wait after one more failure; `random` is any number.
    pub(crate) fn after_failure(&mut self, random: u64) -> Duration {
        let full = u64::from(self.ms_min) << self.failures.min(31);
        let full = full.min(u64::from(self.ms_max));
        self.failures = self.failures.saturating_add(1);
        Duration::from_millis(full / 2 + random % (full - full / 2 + 1))
    }

    /// The connection has proven itself.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_from_the_least_to_the_greatest_and_begins_anew_after_a_steady_connection() {
        let mut backoff = Backoff::new(500, 60_000);
        let waits: Vec<_> = (0..9).map(|_| backoff.after_failure(250).as_millis()).collect();
        assert_eq!(waits, [500, 750, 1_250, 2_250, 4_250, 8_250, 16_250, 30_250, 30_250]);
        backoff.reset();
        assert_eq!(backoff.after_failure(0).as_millis(), 250);
    }

    #[test]
    fn the_jitter_covers_the_upper_half_of_the_wait_and_no_more() {
        for random in [0, 1, 249, 250, 251, u64::MAX] {
            let wait = Backoff::new(500, 60_000).after_failure(random).as_millis();
            assert!((250..=500).contains(&wait), "{wait} for {random}");
        }
        let mut longest = Backoff::new(u32::MAX, u32::MAX);
        for _ in 0..40 {
            assert!(longest.after_failure(u64::MAX).as_millis() <= u128::from(u32::MAX));
        }
    }
}
