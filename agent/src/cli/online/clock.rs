//! The clock, as the agent sees it.

use driftlog_proto::time::ClockState;

use super::Finding;
use crate::clock::Clock;
use crate::log::rfc3339;

const SUBJECT: &str = "clock";

pub(super) fn look(clock: &Clock) -> Finding {
    let now = clock.now();
    let shown = rfc3339(now.wall.0.div_euclid(1_000_000_000));
    match now.state {
        ClockState::Synchronised => Finding::right(SUBJECT, format!("{shown}, synchronised")),
        ClockState::Unsynchronised => Finding::right(
            SUBJECT,
            format!("{shown}; systemd-timesyncd does not say that it is synchronised"),
        ),
        ClockState::Unset => Finding::note(
            SUBJECT,
            format!(
                "it was never set and shows {shown}; lines keep their order, and the gateway corrects their times"
            ),
            "an NTP client sets it (systemd-timesyncd, chrony, busybox ntpd). Until then it is not known whether the broker's certificate has expired",
        ),
    }
}
