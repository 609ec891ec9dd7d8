//! A model that cannot fail proves nothing: each rule is broken once, and the invariant that it stands
//! for is found violated, by the shortest trace.

use crate::bounds::{Bounds, Broken, CALM};
use crate::configurations as of;
use crate::explorer;
use crate::state::Budget;

/// Which rule is broken, where, and which invariant notices.
type Case = (Broken, Bounds, &'static str);

/// A little of everything that a device with two required sinks meets.
const SMALL: Bounds = Bounds { budget: Budget { blocks: 2, cuts: 1, crashes: 1, ..CALM.budget }, ..CALM };
const GAP: Bounds = Bounds { budget: Budget { blocks: 3, cuts: 1, overflows: 1, ..CALM.budget }, ..CALM };
/// A gap in the middle of the log, as rot makes one.
const HOLE: Bounds = Bounds { budget: Budget { blocks: 3, rots: 1, ..CALM.budget }, ..CALM };

const TABLE: Bounds =
    Bounds { budget: Budget { blocks: 3, cuts: 2, ..CALM.budget }, ..of::FULL_TABLE.bounds };

const CASES: [Case; 35] = [
    (Broken::RunKept, of::LYING_FLASH.bounds, "I5"),
    (Broken::PublishUnsynced, of::CUTS.bounds, "I8"),
    (Broken::GapForgetsStarts, GAP, "I5"),
    (Broken::GapNotDurable, GAP, "I5"),
    (Broken::EchoNotRenewed, SMALL, "I5"),
    (Broken::FreeOnReceipt, SMALL, "I3"),
    (Broken::FreeByNumber, of::LYING_FLASH.bounds, "I3"),
    (Broken::ReloadHighest, SMALL, "I3"),
    (Broken::StartNotDueAgain, SMALL, "I3"),
    (Broken::BestEffortSkips, of::BEST_EFFORT.bounds, "I5"),
    (Broken::NotFenced, of::TWO_GATEWAYS.bounds, "I1"),
    (Broken::LedgerBeforeSink, SMALL, "I3"),
    (Broken::SinkNotCutBack, SMALL, "I1"),
    (Broken::BatchOutOfOrder, SMALL, "I2"),
    (Broken::StaleEchoAdmits, TABLE, "I8"),
    (Broken::StartBeforeItsTime, SMALL, "I5"),
    (Broken::OrphanAdmitted, SMALL, "I4"),
    (Broken::HoleSkipped, SMALL, "I3"),
    (Broken::GapTooEarly, HOLE, "I3"),
    (Broken::StartAtAnyTime, SMALL, "I6"),
    (Broken::AckUncommitted, SMALL, "I3"),
    (Broken::AckHighest, SMALL, "I3"),
    (Broken::AckOldestOnly, Bounds { runs_max: 6, ..of::LYING_TABLE.bounds }, "I5"),
    (Broken::AckFromNamed, TABLE, "I8"),
    (Broken::NothingIsNoticed, of::LYING_FLASH.bounds, "I8"),
    (Broken::ForkUnseenAfterLoading, of::LYING_FLASH.bounds, "I8"),
    (Broken::ForkUnseenInGap, of::LYING_OVERFLOW.bounds, "I8"),
    (Broken::EveryChildIsAFork, SMALL, "I8"),
    (Broken::CloneByOldEcho, of::CLONE_NOTICE.bounds, "I8"),
    (Broken::ForgottenTooSoon, TABLE, "I8"),
    (Broken::DeadEndsStay, of::WIPED_TABLE.bounds, "I5"),
    (Broken::RepeatsUnsaid, of::WIPED_TABLE.bounds, "I1"),
    (Broken::BarrierStays, TABLE, "I8"),
    (Broken::OrphansCling, of::LYING_TABLE.bounds, "I6"),
    (Broken::ParentForgotten, of::LYING_TABLE.bounds, "I8"),
];

#[test]
fn each_broken_rule_is_found_by_the_invariant_that_it_breaks() {
    let mut wrong = Vec::new();
    for (broken, bounds, name) in CASES {
        // Only I5 needs quiet phases; the others are to be found without.
        let quiet_every = if name == "I5" { 1 } else { u64::MAX };
        match explorer::explore(&Bounds { broken: Some(broken), quiet_every, ..bounds }) {
            Ok(explored) => wrong.push(format!("{broken:?} is not noticed: {explored}")),
            Err(failure) => {
                let (by, steps) = (failure.violation.name, failure.trace.len());
                println!("{broken:?}: {by} after {steps} steps: {}", failure.violation.what);
                if by != name {
                    wrong.push(format!("{broken:?} is to be noticed by {name}: {failure}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let names = ["I1", "I2", "I3", "I4", "I5", "I6", "I8"];
    assert!(names.iter().all(|name| CASES.iter().any(|case| case.2 == *name)), "an invariant never failed");
}
