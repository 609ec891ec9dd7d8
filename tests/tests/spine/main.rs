//! The spine under a simulated world: the agent's and the gateway's real cores, and between them a
//! network, clocks, disks and a broker that fail as they are told. One thread, virtual time, every
//! choice from a seed; a failure prints it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at what it did not expect"
)]

mod carrier;
mod clocks;
mod disks;
mod identity;
mod kills;
mod lanes;
mod mixed;
mod pressure;
mod world;
