//! How long an open block waits for more lines while the link is up.
//!
//! A seal costs the flash pages and a commit of the file system's journal, whatever is in it (`docs/flash.md`). A
//! line that comes after a silence goes out soon; where lines keep coming, each block waits twice as long
//! as the one before it, up to a limit.

use driftlog_proto::time::Mono;

/// The wait of one lane's blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    ms_min: u64,
    ms_max: u64,
    ms: u64,
    sealed_at: Option<Mono>,
}

impl Pace {
    /// Waits between these.
    pub(super) const fn new(ms_min: u64, ms_max: u64) -> Self {
        Self { ms_min, ms_max, ms: ms_min, sealed_at: None }
    }

    /// Milliseconds that the open block waits.
    pub(super) const fn delay_ms(&self) -> u64 {
        self.ms
    }

    /// A block was opened by its first line.
    pub(super) fn handle_opened(&mut self, now: Mono) {
        let is_flowing = self.sealed_at.is_some_and(|at| now.ms_since(at) < self.ms_max);
        self.ms = if is_flowing { self.ms.saturating_mul(2).min(self.ms_max) } else { self.ms_min };
    }

    /// The open block was sealed.
    pub(super) fn handle_sealed(&mut self, now: Mono) {
        self.sealed_at = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The waits of blocks of which each is opened so many milliseconds after the last was sealed.
    fn waits(pace: &mut Pace, silences_ms: &[u64]) -> Vec<u64> {
        let mut now = Mono(0);
        let wait = |silence_ms: &u64| {
            now = now.plus_ms(*silence_ms);
            pace.handle_opened(now);
            now = now.plus_ms(pace.delay_ms());
            pace.handle_sealed(now);
            pace.delay_ms()
        };
        silences_ms.iter().map(wait).collect()
    }

    #[test]
    fn where_lines_keep_coming_each_block_waits_twice_as_long_up_to_the_limit() {
        assert_eq!(waits(&mut Pace::new(1_000, 5_000), &[10; 5]), [1_000, 2_000, 4_000, 5_000, 5_000]);
    }

    #[test]
    fn a_line_after_a_silence_waits_no_longer_than_the_first() {
        let mut pace = Pace::new(1_000, 5_000);
        assert_eq!(waits(&mut pace, &[0, 4_999, 5_000, 0]), [1_000, 2_000, 1_000, 2_000]);
    }

    #[test]
    fn one_limit_is_one_wait() {
        assert_eq!(waits(&mut Pace::new(200, 200), &[0, 0, 10_000]), [200; 3]);
    }
}
