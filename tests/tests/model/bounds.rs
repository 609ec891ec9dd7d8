//! How far a world is explored, and the rules that can be broken on purpose.

use crate::state::Budget;

/// A rule that is broken, to see that an invariant notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Rule 1: a restart goes on under the run's old number.
    RunKept,
    /// Rule 2: an item is published before it is synced.
    PublishUnsynced,
    /// Rule 3: a gap does not say which starts it swallowed.
    GapForgetsStarts,
    /// Rule 3: what a gap replaces is overwritten before the gap is durable.
    GapNotDurable,
    /// Rule 4: what is sent again still says what had been heard at first.
    EchoNotRenewed,
    /// Rule 5: the broker's receipt frees.
    FreeOnReceipt,
    /// Rule 5: an `Ack` frees by its number alone.
    FreeByNumber,
    /// Rule 6: after loading, a run goes on at its highest mark.
    ReloadHighest,
    /// Rule 6: a sink that lacks a start does not get it after loading.
    StartNotDueAgain,
    /// Rule 6: what a best-effort sink has missed is not declared.
    BestEffortSkips,
    /// Rule 6: a gateway that was superseded may commit.
    NotFenced,
    /// Rule 6: the ledger is committed before the sink has written.
    LedgerBeforeSink,
    /// Rule 6: what the sink wrote beyond the ledger's word stays.
    SinkNotCutBack,
    /// Rules 6 and 10: a sink writes a batch in another order.
    BatchOutOfOrder,
    /// Rule 7: any echo admits.
    StaleEchoAdmits,
    /// Rule 7: a start is admitted before its parent has come as far.
    StartBeforeItsTime,
    /// Rule 7: a start is admitted whose parent is not known.
    OrphanAdmitted,
    /// Rule 8: a block above `next` is taken.
    HoleSkipped,
    /// Rule 9: a gap is taken before its run has come as far.
    GapTooEarly,
    /// Rule 10: a sink takes a start without looking at its parent's mark.
    StartAtAnyTime,
    /// Rule 11: an `Ack` names what is not committed.
    AckUncommitted,
    /// Rule 11: an `Ack` names the highest mark.
    AckHighest,
    /// Rule 11 as it was before decision 0007: an `Ack` names the oldest runs only.
    AckOldestOnly,
    /// Rule 11: an `Ack` names no run before those that the answered message named.
    AckFromNamed,
    /// Rule 12: no notice is stated.
    NothingIsNoticed,
    /// Rule 12: after loading, only a run's lowest mark is compared with where a child begins.
    ForkUnseenAfterLoading,
    /// Rule 12: a gap that reaches above a child's beginning is not looked at.
    ForkUnseenInGap,
    /// Rule 13: the children of a forgotten run are still its children when it comes back.
    OrphansCling,
    /// Rule 13: a run is admitted though its parent was forgotten to make room for it.
    ParentForgotten,
    /// Rule 12: every child is taken for a fork.
    EveryChildIsAFork,
    /// Rule 12: an echo as old as the other's first message counts for a clone.
    CloneByOldEcho,
    /// Rule 13: a run is forgotten whose children are not marked yet.
    ForgottenTooSoon,
    /// Rule 13: a run that nothing follows from is never forgotten.
    DeadEndsStay,
    /// Rule 13: a root that was forgotten and comes again carries no notice.
    RepeatsUnsaid,
    /// Rules 7 and 13: forgetting a run does not move the barrier.
    BarrierStays,
}

/// How far a world is explored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub sinks: u8,
    /// The first of the sinks are required, the rest best-effort.
    pub required: u8,
    pub budget: Budget,
    /// Appending and syncing are apart, so that a cut can come between.
    pub is_sync_apart: bool,
    /// `Ack`s are numbered one by one, at most so many a generation: only clones are found by that.
    pub is_counting: bool,
    pub acks_max: u8,
    /// A lost ledger is made anew from the sinks.
    pub is_rebuilt: bool,
    /// A gateway that crashes lives on beside the next.
    pub is_superseded: bool,
    /// Runs that a lane remembers, and runs that an `Ack` names.
    pub runs_max: usize,
    pub ack_runs_max: usize,
    /// So many runs of one block are written and committed before anything else; no `Ack` was heard.
    pub prelude: u8,
    /// The quiet phase is run from one state in so many.
    pub quiet_every: u64,
    pub broken: Option<Broken>,
}

/// Two required sinks, and nothing goes wrong but the carrier.
pub(crate) const CALM: Bounds = Bounds {
    sinks: 2,
    required: 2,
    budget: Budget {
        blocks: 3,
        cuts: 0,
        lies: 0,
        rots: 0,
        overflows: 0,
        wipes: 0,
        clones: 0,
        crashes: 0,
        rewinds: 0,
        losses: 0,
    },
    is_sync_apart: false,
    is_counting: false,
    acks_max: 0,
    is_rebuilt: false,
    is_superseded: false,
    runs_max: 6,
    ack_runs_max: 6,
    prelude: 0,
    quiet_every: 1,
    broken: None,
};

impl Bounds {
    pub(crate) fn all_sinks(&self) -> impl Iterator<Item = usize> + use<> {
        0..usize::from(self.sinks)
    }

    pub(crate) fn required(&self) -> impl Iterator<Item = usize> + use<> {
        0..usize::from(self.required)
    }

    /// There may be more runs than a table or an `Ack` holds.
    pub(crate) fn is_crowded(&self) -> bool {
        self.runs_max < CALM.runs_max || self.ack_runs_max < CALM.ack_runs_max
    }

    /// A `Hello` tells nothing to a gateway that has forgotten nothing and looks for no clone.
    pub(crate) fn needs_hello(&self) -> bool {
        self.budget.losses > 0 || self.is_crowded() || self.is_counting
    }
}
