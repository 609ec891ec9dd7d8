//! Single faults with a known outcome: agent's and gateway's real cores in a simulated world.

mod carrier;
mod clocks;
mod disks;
mod identity;
mod kills;
mod lanes;
mod pressure;
mod references;

use crate::sim::world::World;

#[test]
fn a_fair_day_brings_every_line_once() {
    let mut world = World::with_device(1, |_| {});
    for _ in 0..20 {
        world.write(0, 50);
        world.run_ms(500);
    }
    world.settle();
    let archived = world.assert_complete();
    assert_eq!(archived.compare(&world.machines[0]).lines, 1000);
}
