//! What happens in one boot, drawn from the seed.

use std::fmt;
use std::time::Duration;

use crate::corpus::Random;

/// Boots in a row after which one is long and has its gateway, so that what waits in files does not
/// grow past what is kept of them.
const POOR_MAX: u64 = 3;

/// One boot and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Whether the gateway is there.
    pub(super) has_shore: bool,
    /// Whether the gateway is killed and started again meanwhile.
    pub(super) is_shore_killed: bool,
    /// Whether the writer syncs each line.
    pub(super) is_synced: bool,
    /// Whether it writes more than the spool holds.
    pub(super) is_flood: bool,
    /// Whether the cut comes while the agent recovers.
    pub(super) is_early: bool,
    /// The cut comes so long after the device is up.
    pub(super) after: Duration,
}

/// Draws boots.
#[derive(Debug)]
pub(super) struct Plans {
    random: Random,
    poor: u64,
}

impl Plans {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), poor: 0 }
    }

    /// The next boot.
    pub(super) fn draw(&mut self) -> Plan {
        let random = &mut self.random;
        let is_early = random.once_in(4);
        let after = if is_early { random.below(1_500) } else { random.between(1_500, 9_000) };
        let mut plan = Plan {
            has_shore: !random.once_in(3),
            is_shore_killed: random.once_in(4),
            is_synced: !random.once_in(4),
            is_flood: random.once_in(4),
            is_early,
            after: Duration::from_millis(after),
        };
        if self.poor >= POOR_MAX {
            let after = Duration::from_millis(random.between(8_000, 12_000));
            plan = Plan { has_shore: true, is_flood: false, is_early: false, after, ..plan };
        }
        self.poor = if plan.has_shore && !plan.is_early { 0 } else { self.poor + 1 };
        plan
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [
            (!self.has_shore, "no gateway"),
            (self.has_shore && self.is_shore_killed, "gateway killed"),
            (!self.is_synced, "writer does not sync"),
            (self.is_flood, "flood"),
            (self.is_early, "in recovery"),
        ];
        write!(f, "after {:.1} s", self.after.as_secs_f64())?;
        words.iter().filter(|(is_so, _)| *is_so).try_for_each(|(_, word)| write!(f, ", {word}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_boot_comes_and_none_for_too_long() {
        let mut plans = Plans::new(1);
        let drawn: Vec<Plan> = (0..400).map(|_| plans.draw()).collect();
        let count = |is_so: fn(&Plan) -> bool| drawn.iter().filter(|plan| is_so(plan)).count();
        assert!(count(|plan| !plan.has_shore) > 50);
        assert!(count(|plan| !plan.is_synced) > 50);
        assert!(count(|plan| plan.is_flood) > 50);
        assert!(count(|plan| plan.is_early) > 50);
        let is_rich = |plan: &Plan| plan.has_shore && !plan.is_early;
        assert!(drawn.windows(POOR_MAX as usize + 1).all(|plans| plans.iter().any(is_rich)));
    }
}
