//! More than the gateway can take at once.

use std::collections::BTreeMap;

use crate::sim::world::World;
use crate::sim::world::machine::MachineConfig;

#[test]
fn a_sink_that_refuses_for_a_while_closes_the_credit_and_memory_stays_within_its_budget() {
    let mut world = World::with_device(1, |config| config.style.errors_per_mille = 10);
    world.shore.config.memory_bytes_max = 512 * 1024;
    world.shore.config.credit_bytes_max = 128 * 1024;
    world.write(0, 100);
    world.run_ms(3_000);
    world.shore.coast.faults.space(Some(0));
    for _ in 0..30 {
        world.write(0, 800);
        world.run_ms(10_000);
    }
    world.settle();
    assert!(world.shore.memory_bytes_seen > 0);
    assert!(world.shore.memory_bytes_seen <= 512 * 1024, "{}", world.shore.memory_bytes_seen);
    world.assert_complete();
}

#[test]
fn twenty_devices_at_once_are_served_fairly() {
    let mut world = World::new(2);
    for at in 0..20 {
        let mut config = MachineConfig::new(&format!("device-{at:02}"));
        config.style.long_per_mille = 0;
        world.add(config);
        // One of them has ten times as much as the others.
        world.machines[at].is_online = false;
        world.machines[at].write(if at == 7 { 20_000 } else { 2_000 });
    }
    world.run_ms(30_000);
    world.shore.commit_ms = (300, 500);
    world.machines.iter_mut().for_each(|machine| machine.is_online = true);
    while world.shore.commits < 12 {
        world.run_ms(100);
    }
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for record in world.archived().records {
        *counts.entry(record.device).or_default() += 1;
    }
    let flood = counts.remove("device-07").unwrap_or(0);
    let least = counts.values().min().copied().unwrap_or(0);
    assert_eq!(counts.len(), 19, "every device has been served");
    assert!(flood < 20_000, "the flood is not through yet: {flood}");
    assert!(least >= 1_000, "the slowest neighbour has {least} of its 2,000 lines, the flood {flood}");
    world.settle();
    world.assert_complete();
    assert!(world.shore.memory_bytes_seen <= world.shore.config.memory_bytes_max);
}
