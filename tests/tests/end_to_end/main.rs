//! End to end with real processes: agents, gateways and brokers that are killed, robbed of their
//! memory, copied and cut off. At the end of each the archive is compared with what was written,
//! byte for byte, and audited.
//!
//! `DRIFTLOG_ROUNDS` (20 unless set) says how often the suites in [`kill`] kill; `DRIFTLOG_SEED`
//! (1 unless set) says when. `DRIFTLOG_AGENT` is the command of another agent, such as `qemu-arm-static
//! /path/of/driftlog-agent` for one that is built for ARM.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod broker;
mod corruption;
mod descriptors;
mod identity;
mod kill;
mod ledger;
mod online;
mod overflow;
mod reboot;
mod stop;
mod urgent;
mod world;
