//! Faults as they strike: each draws what it needs from its own chance, and puts its end on the
//! world's agenda.

mod carrier;
mod device;
mod flash;
mod peer;
mod shore;
mod source;

use super::plan::fault::{Area, Fault};
use super::world::World;
use super::world::broker::MS;
use super::world::random::Random;

/// A fault strikes a device, or the region.
pub(crate) fn strike(world: &mut World, fault: Fault, at: usize, random: &mut Random) {
    match fault.area() {
        Area::Device => device::strike(world, fault, at, random),
        Area::Flash => flash::strike(world, fault, at, random),
        Area::Source => source::strike(world, fault, at, random),
        Area::Carrier => carrier::strike(world, fault, random),
        Area::Shore | Area::Sink => shore::strike(world, fault, random),
        Area::Peer => peer::strike(world, fault, random),
        Area::Caller => world.late_ms = [2, 50, 1_000, 8_000][random.below(4) as usize],
    }
}

/// How long a fault lasts, nanoseconds: mostly seconds, sometimes minutes.
fn duration(random: &mut Random) -> i64 {
    let ms = match random.below(8) {
        0..4 => random.within(50..5_000),
        4..7 => random.within(5_000..90_000),
        _ => random.within(90_000..1_800_000),
    };
    ms as i64 * MS
}
