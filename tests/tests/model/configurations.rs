//! What is explored: each configuration mixes a few of the faults, so that all of them end in seconds.
//!
//! `DRIFTLOG_MODEL=deep` gives each a second budget, for hours by hand.

use crate::bounds::{Bounds, CALM};
use crate::state::Budget;

/// One configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Configuration {
    pub name: &'static str,
    pub bounds: Bounds,
    /// The budget of `DRIFTLOG_MODEL=deep`.
    pub deep: Budget,
}

const NONE: Budget = CALM.budget;
const TWO: Budget = Budget { blocks: 2, ..NONE };
const ONE_SINK: Bounds = Bounds { sinks: 1, required: 1, ..CALM };
/// A table of two runs and an `Ack` of two, so that runs are forgotten.
const CROWDED: Bounds = Bounds { runs_max: 2, ack_runs_max: 2, ..ONE_SINK };
/// A table of three runs that is full already; the device has heard that of none.
const FILLED: Bounds = Bounds { runs_max: 3, prelude: 3, ..CROWDED };

pub(crate) const CARRIER: Configuration =
    Configuration { name: "carrier", bounds: CALM, deep: Budget { blocks: 6, ..NONE } };

pub(crate) const CUTS: Configuration = Configuration {
    name: "cuts",
    bounds: Bounds { is_sync_apart: true, budget: Budget { cuts: 2, ..NONE }, quiet_every: 4, ..CALM },
    deep: Budget { blocks: 4, cuts: 3, ..NONE },
};

pub(crate) const CRASHES: Configuration = Configuration {
    name: "crashes",
    bounds: Bounds { budget: Budget { cuts: 1, crashes: 2, rewinds: 1, ..TWO }, quiet_every: 4, ..CALM },
    deep: Budget { cuts: 2, crashes: 2, rewinds: 1, ..NONE },
};

pub(crate) const OVERFLOW: Configuration = Configuration {
    name: "overflow",
    bounds: Bounds { budget: Budget { cuts: 2, overflows: 2, ..NONE }, quiet_every: 8, ..ONE_SINK },
    deep: Budget { blocks: 4, cuts: 2, overflows: 2, crashes: 1, ..NONE },
};

pub(crate) const ROT: Configuration = Configuration {
    name: "rot",
    bounds: Bounds { budget: Budget { rots: 2, overflows: 1, ..NONE }, quiet_every: 8, ..CALM },
    deep: Budget { blocks: 4, rots: 2, overflows: 2, crashes: 1, ..NONE },
};

pub(crate) const LYING_FLASH: Configuration = Configuration {
    name: "lying flash",
    bounds: Bounds { budget: Budget { lies: 1, crashes: 1, ..NONE }, quiet_every: 8, ..CALM },
    deep: Budget { lies: 2, crashes: 1, overflows: 1, ..NONE },
};

pub(crate) const LYING_OVERFLOW: Configuration = Configuration {
    name: "lying flash, overflow",
    bounds: Bounds { budget: Budget { lies: 1, overflows: 1, ..NONE }, quiet_every: 8, ..ONE_SINK },
    deep: Budget { blocks: 4, lies: 2, overflows: 1, ..NONE },
};

pub(crate) const CLONE: Configuration = Configuration {
    name: "clone",
    bounds: Bounds { budget: Budget { clones: 1, crashes: 1, ..NONE }, quiet_every: 8, ..ONE_SINK },
    deep: Budget { clones: 1, cuts: 1, crashes: 1, overflows: 1, ..NONE },
};

/// What one copy declares lost the other may still have.
pub(crate) const CLONE_OVERFLOW: Configuration = Configuration {
    name: "clone, overflow",
    bounds: Bounds { budget: Budget { clones: 1, overflows: 1, ..NONE }, quiet_every: 8, ..ONE_SINK },
    deep: Budget { clones: 1, overflows: 2, cuts: 1, ..NONE },
};

pub(crate) const CLONE_NOTICE: Configuration = Configuration {
    name: "clone notices",
    bounds: Bounds {
        is_counting: true,
        acks_max: 2,
        budget: Budget { cuts: 1, ..TWO },
        quiet_every: 64,
        ..ONE_SINK
    },
    deep: Budget { cuts: 2, crashes: 1, ..NONE },
};

pub(crate) const BEST_EFFORT: Configuration = Configuration {
    name: "best effort",
    bounds: Bounds {
        required: 1,
        budget: Budget { cuts: 1, crashes: 1, overflows: 1, ..TWO },
        quiet_every: 8,
        ..CALM
    },
    deep: Budget { cuts: 1, crashes: 2, overflows: 1, ..NONE },
};

pub(crate) const REBUILD: Configuration = Configuration {
    name: "ledger rebuilt",
    bounds: Bounds {
        is_rebuilt: true,
        budget: Budget { cuts: 1, losses: 1, crashes: 1, ..TWO },
        quiet_every: 8,
        ..CALM
    },
    deep: Budget { cuts: 1, losses: 2, lies: 1, ..NONE },
};

pub(crate) const BASES: Configuration = Configuration {
    name: "ledger lost",
    bounds: Bounds { budget: Budget { cuts: 1, losses: 1, ..TWO }, quiet_every: 8, ..CALM },
    deep: Budget { cuts: 2, losses: 1, ..NONE },
};

pub(crate) const WIPE: Configuration = Configuration {
    name: "wipe",
    bounds: Bounds { budget: Budget { wipes: 1, cuts: 1, crashes: 1, ..NONE }, quiet_every: 8, ..ONE_SINK },
    deep: Budget { blocks: 4, wipes: 2, cuts: 1, crashes: 1, ..NONE },
};

pub(crate) const TWO_GATEWAYS: Configuration = Configuration {
    name: "two gateways",
    bounds: Bounds {
        is_superseded: true,
        budget: Budget { cuts: 1, crashes: 1, ..TWO },
        quiet_every: 8,
        ..CALM
    },
    deep: Budget { cuts: 1, crashes: 2, ..NONE },
};

pub(crate) const FULL_TABLE: Configuration = Configuration {
    name: "full table",
    bounds: Bounds { budget: Budget { cuts: 2, crashes: 1, ..NONE }, quiet_every: 8, ..CROWDED },
    deep: Budget { blocks: 4, cuts: 3, crashes: 1, overflows: 1, ..NONE },
};

pub(crate) const WIPED_TABLE: Configuration = Configuration {
    name: "full table, wipes",
    bounds: Bounds { budget: Budget { wipes: 2, ..NONE }, quiet_every: 8, ..CROWDED },
    deep: Budget { blocks: 4, wipes: 2, cuts: 1, ..NONE },
};

pub(crate) const LYING_TABLE: Configuration = Configuration {
    name: "full table, lying flash",
    bounds: Bounds { budget: Budget { lies: 1, blocks: 1, ..NONE }, quiet_every: 8, ..FILLED },
    deep: Budget { lies: 1, cuts: 1, ..NONE },
};

pub(crate) const CLONED_TABLE: Configuration = Configuration {
    name: "full table, clone",
    bounds: Bounds { budget: Budget { clones: 1, blocks: 1, ..NONE }, quiet_every: 8, ..FILLED },
    deep: Budget { clones: 1, ..TWO },
};
