//! What the order of a lane says about time: what comes later in a lane happened later.

use serde::{Deserialize, Serialize};

use super::Basis;
use super::line::{Stretch, saturated};
use crate::ids::BootId;
use crate::time::{Mono, Unix};

/// How far a measured time may be moved so that a lane's times do not run backwards: 1 second.
const ORDER_NS_MAX: i128 = 1_000_000_000;

/// Where a lane stands in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LaneClock {
    delivered: Option<Delivered>,
    shown: Option<Shown>,
}

/// The boot of the newest record that is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Delivered {
    boot: BootId,
    /// The boot began after this.
    began_after: Option<Unix>,
    /// The newest record was written after this.
    written_after: Option<Unix>,
}

/// The end of the line that was given last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Shown {
    boot: BootId,
    mono: Mono,
    time: Unix,
}

impl LaneClock {
    /// What is committed ended between `lower` and `upper`, as far as these are known.
    pub(super) fn deliver(&mut self, boot: BootId, lower: Option<Unix>, upper: Option<Unix>) {
        let before = self.delivered;
        let known = before.and_then(|before| before.written_after);
        // A floor above what is possible is of a clock that has been stepped.
        let known = known.filter(|known| upper.is_none_or(|upper| *known <= upper));
        let began_after = match before {
            Some(before) if before.boot == boot => before.began_after,
            _ => known,
        };
        self.delivered = Some(Delivered { boot, began_after, written_after: known.max(lower) });
    }

    /// A time after which the boot of a record began that is still to be committed.
    pub(super) fn floor(&self, boot: BootId) -> Option<Unix> {
        let delivered = self.delivered?;
        if delivered.boot == boot { delivered.began_after } else { delivered.written_after }
    }

    /// The floors are of a clock that is believed no more.
    pub(super) fn forget_floors(&mut self) {
        if let Some(delivered) = &mut self.delivered {
            (delivered.began_after, delivered.written_after) = (None, None);
        }
    }

    /// A line was given that ends with `time` at `mono`.
    pub(super) fn show(&mut self, boot: BootId, mono: Mono, time: Unix) {
        self.shown = Some(Shown { boot, mono, time });
    }

    /// What was shown and is not committed will be shown again.
    pub(super) fn rewind(&mut self) {
        self.shown = None;
    }

    /// The offset at the first instant of a stretch, raised where its times would else run
    /// backwards in the lane: within the bound, the order that people see is worth more than a
    /// slightly better estimate. A measured time gives way by [`ORDER_NS_MAX`] at most.
    pub(super) fn ordered(&self, boot: BootId, stretch: &Stretch, offset: i128) -> i128 {
        let Some(shown) = self.shown_offset(boot, stretch) else { return offset };
        let Some((_, upper)) = stretch.at_first.closed() else { return offset };
        if stretch.basis == Basis::Measured && shown - offset > ORDER_NS_MAX {
            return offset;
        }
        offset.max(shown.min(upper))
    }

    fn shown_offset(&self, boot: BootId, stretch: &Stretch) -> Option<i128> {
        let shown = self.shown?;
        let since = match stretch.basis {
            Basis::Device => return None,
            _ if shown.boot == boot => stretch.first.0.checked_sub(shown.mono.0)?,
            Basis::Bounded => stretch.first.0, // the whole boot until then
            Basis::Measured => return None,
        };
        // At least this much went by.
        let since = i128::from(since) - stretch.drift.over(since);
        let time = saturated(i128::from(shown.time.0) + since);
        Some(i128::from(time.0) - i128::from(stretch.first.0))
    }
}
