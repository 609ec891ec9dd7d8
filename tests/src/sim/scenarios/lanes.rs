//! Two lanes of one device.

use driftlog_proto::block::Severity;

use crate::sim::world::World;
use crate::sim::world::broker::SECOND;
use crate::sim::world::random::Random;

#[test]
fn an_urgent_line_overtakes_a_backlog() {
    let mut world = World::with_device(1, |config| config.style.long_per_mille = 0);
    world.machines[0].apps[0].style.errors_per_mille = 0;
    world.machines[0].apps[1].style.errors_per_mille = 1000;
    world.machines[0].is_online = false;
    let machine = &mut world.machines[0];
    machine.apps[0].write(&machine.files, &mut Random::new(1), 20_000);
    world.run_ms(30_000);
    let machine = &mut world.machines[0];
    machine.apps[1].write(&machine.files, &mut Random::new(2), 20);
    world.run_ms(20_000);
    world.shore.commit_ms = (200, 400);
    world.machines[0].is_online = true;
    let count = |world: &World, lane: &str| {
        world.archived().records.iter().filter(|record| record.lane == lane).count()
    };
    let until = world.now + 10 * SECOND;
    while count(&world, "urgent") < 20 {
        world.run_ms(50);
        assert!(world.now < until, "what is urgent does not come");
    }
    let backlog = count(&world, "bulk");
    assert!(backlog < 10_000, "{backlog} of the backlog came before it");
    world.settle();
    world.assert_complete();
}

#[test]
fn a_changed_urgent_severity_neither_loses_nor_doubles_a_line() {
    let mins = [Some(Severity::ERROR), Some(Severity::WARN), None, Some(Severity::FATAL)];
    for seed in 0..16 {
        let mut random = Random::new(seed);
        let mut world = World::with_device(seed, |config| config.style.errors_per_mille = 300);
        for _ in 0..10 {
            world.write(0, random.below(40));
            world.run_ms(random.within(10..3_000));
            let min = mins[random.below(4) as usize];
            let now = world.now;
            let machine = &mut world.machines[0];
            machine.config.urgent_min = min;
            machine.loses_power = random.one_in(2);
            match random.below(3) {
                0 => machine.fuse.burn_after(random.below(10)),
                1 => machine.kill(),
                _ => machine.power_cut(now),
            }
            machine.start_at = now;
        }
        world.settle();
        world.assert_complete();
    }
}
