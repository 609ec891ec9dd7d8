//! Everything at once, from a seed.

use crate::world::World;

#[test]
fn a_fair_day_brings_every_line_once() {
    let mut world = World::with_device(1, |_| {});
    for _ in 0..20 {
        world.write(0, 50);
        world.run_ms(500);
    }
    world.settle();
    let archived = world.assert_complete();
    assert!(archived.records.len() >= 1000, "{}", archived.records.len());
    assert_eq!(archived.compare(&world.machines[0]).lines, 1000);
}
