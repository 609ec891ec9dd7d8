//! A device's rate: a token bucket that holds two seconds' worth.

use driftlog_proto::time::Mono;

/// Thousandths of a message.
const TOKEN: u64 = 1000;

/// How many messages a device may still send.
#[derive(Debug)]
pub(super) struct Limiter {
    tokens: u64,
    filled: Mono,
}

impl Limiter {
    pub(super) fn new(now: Mono, rate: u32) -> Self {
        Self { tokens: capacity(rate), filled: now }
    }

    /// Takes one message at a rate of `rate` a second; false when the bucket is empty.
    pub(super) fn take(&mut self, now: Mono, rate: u32) -> bool {
        let gained = now.ms_since(self.filled).saturating_mul(u64::from(rate));
        if gained > 0 {
            self.tokens = self.tokens.saturating_add(gained).min(capacity(rate));
            self.filled = now;
        }
        let has_token = self.tokens >= TOKEN;
        if has_token {
            self.tokens -= TOKEN;
        }
        has_token
    }
}

fn capacity(rate: u32) -> u64 {
    u64::from(rate) * TOKEN * 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_to_the_rate_and_a_pause_fills_the_bucket_again() {
        let mut limiter = Limiter::new(Mono(0), 10);
        let taken = (0..100).filter(|_| limiter.take(Mono(0), 10)).count();
        assert_eq!(taken, 20, "two seconds' worth");
        assert!(!limiter.take(Mono(50_000_000), 10), "half a token after 50 ms");
        assert!(limiter.take(Mono(0).plus_ms(100), 10), "one token after 100 ms");
        let later = (0..100).filter(|_| limiter.take(Mono(0).plus_ms(60_000), 10)).count();
        assert_eq!(later, 20);
    }
}
