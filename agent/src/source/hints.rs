//! How far hints (inotify) can be relied on: where every change is told, open files are looked at seldom.
//!
//! Not everything is told even where every directory is watched: what is written through a link, from another machine,
//! or by way of mapped memory. A change that a look finds and of which nothing is told within the second after it
//! shows that; then files are looked at often for [`UNTOLD_MS`], as they are where nothing is watched.

use driftlog_proto::time::Mono;

/// How long hints are not relied on after a change of which nothing was told.
pub(crate) const UNTOLD_MS: u64 = 60 * 60 * 1000;

/// Whether hints come, and whether all do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hints {
    is_watched: bool,
    /// One came since the last look.
    is_told: bool,
    /// The last look saw a change of which nothing was told; a hint may still be on its way.
    is_doubtful: bool,
    untold_at: Option<Mono>,
}

impl Hints {
    /// Whether every directory is watched.
    pub(crate) fn handle_watched(&mut self, is_watched: bool) {
        self.is_watched = is_watched;
    }

    /// A hint came.
    pub(crate) fn handle_changed(&mut self) {
        (self.is_told, self.is_doubtful) = (true, false);
    }

    /// Open files were looked at.
    pub(crate) fn handle_look(&mut self, now: Mono, has_changed: bool) {
        if self.is_doubtful {
            self.untold_at = Some(now);
        }
        self.is_doubtful = has_changed && !self.is_told;
        self.is_told = false;
    }

    /// Whether a change will be told.
    pub(crate) fn suffice(&self, now: Mono) -> bool {
        let is_trusted = self.untold_at.is_none_or(|at| now.ms_since(at) >= UNTOLD_MS);
        self.is_watched && !self.is_doubtful && is_trusted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn watched() -> Hints {
        let mut hints = Hints::default();
        assert!(!hints.suffice(Mono(0)), "nobody said that anything is watched");
        hints.handle_watched(true);
        hints
    }

    #[test]
    fn hints_suffice_while_every_change_is_told_also_a_moment_after_it_was_seen() {
        let mut hints = watched();
        for second in 1..100 {
            let now = Mono(second * SECOND);
            if second % 3 == 0 {
                hints.handle_changed();
            }
            hints.handle_look(now, second % 3 == 0);
            assert!(hints.suffice(now));
        }
        hints.handle_look(Mono(200 * SECOND), true);
        assert!(!hints.suffice(Mono(200 * SECOND)), "a hint may be on its way");
        hints.handle_changed();
        assert!(hints.suffice(Mono(200 * SECOND)));
        hints.handle_watched(false);
        assert!(!hints.suffice(Mono(200 * SECOND)));
    }

    #[test]
    fn a_change_that_is_not_told_is_a_reason_not_to_rely_on_hints_for_an_hour() {
        let mut hints = watched();
        hints.handle_look(Mono(0), true);
        hints.handle_look(Mono(SECOND), false);
        hints.handle_changed();
        let end = Mono(SECOND).plus_ms(UNTOLD_MS);
        assert!(!hints.suffice(Mono(end.0 - 1)) && hints.suffice(end));
    }
}
