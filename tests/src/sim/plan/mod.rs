//! What is done to a world: drawn whole from a seed before anything happens, so that a failure
//! can be shrunk by leaving things out.

mod draw;
pub(crate) mod fault;

use driftlog_agent::spool::{Durability, Overflow};
use driftlog_proto::block::Severity;

use super::world::shore::{ShoreConfig, Sink};
use fault::Fault;

/// A world before it begins.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) devices: Vec<DevicePlan>,
    pub(crate) shore: ShoreConfig,
    pub(crate) acts: Vec<Act>,
}

/// How a device begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DevicePlan {
    pub(crate) apps: usize,
    pub(crate) errors_per_mille: u64,
    pub(crate) long_per_mille: u64,
    pub(crate) ppm: i64,
    pub(crate) wall_offset: i64,
    pub(crate) urgent_min: Option<Severity>,
    pub(crate) overflow: Overflow,
    pub(crate) durability: Durability,
    pub(crate) spool_bytes_max: u64,
    pub(crate) keeps_births: bool,
    pub(crate) has_fixed_client_id: bool,
}

/// Something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Act {
    /// Milliseconds after the one before.
    pub(crate) after_ms: u64,
    pub(crate) what: What,
    /// Where everything about it is drawn from.
    pub(crate) chance: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A device's programs write so many lines.
    Lines {
        device: usize,
        lines: u64,
    },
    Fault {
        device: usize,
        fault: Fault,
    },
    /// A program claims a line that it never wrote: nobody can deliver it. For tests of the oracle.
    #[cfg(test)]
    Claim {
        device: usize,
    },
}

impl Act {
    /// The fault, if it is one.
    pub(crate) const fn fault(&self) -> Option<Fault> {
        match self.what {
            What::Fault { fault, .. } => Some(fault),
            _ => None,
        }
    }
}

impl Plan {
    /// The world of a seed; `only` names the faults that it may have.
    pub(crate) fn drawn(seed: u64, only: Option<&[Fault]>) -> Self {
        draw::plan(seed, only)
    }

    /// The sinks, in words.
    pub(crate) fn sinks(&self) -> String {
        let name = |sink: &Sink| sink.kind.name();
        self.shore.sinks.iter().map(name).collect::<Vec<_>>().join(" and ")
    }
}
