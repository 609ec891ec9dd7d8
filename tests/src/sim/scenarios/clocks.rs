//! Clocks that are wrong: the world knows the true time and holds every stated bound against it.

use crate::sim::world::World;
use crate::sim::world::broker::SECOND;
use crate::sim::world::machine::MachineConfig;

const YEAR: i64 = 365 * 86_400 * SECOND;

fn with_clocks(ppm: i64, wall_offset: i64) -> World {
    World::with_device(ppm.unsigned_abs(), |config: &mut MachineConfig| {
        config.ppm = ppm;
        config.wall_offset = wall_offset;
    })
}

/// Lines through a day with an hour offline, then a reboot.
fn a_day(world: &mut World, jump: i64) {
    for hour in 0..6 {
        world.write(0, 30);
        world.run_ms(600_000);
        if hour == 2 {
            world.machines[0].is_online = false;
            world.machines[0].config.wall_offset += jump;
        }
        world.write(0, 30);
        world.run_ms(600_000);
        world.machines[0].is_online = true;
    }
    let now = world.now;
    world.machines[0].power_cut(now);
    world.machines[0].start_at = now;
    world.write(0, 30);
    world.settle();
}

#[test]
fn corrected_times_lie_within_their_bound_whatever_the_clock_does() {
    let since_1970 = -(1_795_435_200 * SECOND);
    for (ppm, offset, jump) in
        [(0, since_1970, 0), (500, 0, YEAR), (-500, 0, -YEAR), (500, since_1970, 50 * YEAR), (0, 0, 0)]
    {
        let mut world = with_clocks(ppm, offset);
        a_day(&mut world, jump);
        let archived = world.assert_complete();
        let measured = archived.assert_times(&world.machines[0]);
        assert_eq!(measured, archived.records.len() as u64, "each boot had an exchange");
        let worst = archived.records.iter().map(|record| record.bound).max().unwrap();
        // Ten minutes offline at 500 ppm are 0.3 s to either side.
        assert!(worst < 2_000_000_000, "ppm {ppm}: a bound of {worst} ns");
    }
}

#[test]
fn boots_that_never_had_an_exchange_are_bounded_by_their_neighbours() {
    let mut world = with_clocks(300, -(1_795_435_200 * SECOND));
    world.write(0, 20);
    world.run_ms(5_000);
    world.machines[0].is_online = false;
    for _ in 0..5 {
        let now = world.now;
        world.machines[0].power_cut(now);
        world.machines[0].start_at = now;
        world.write(0, 20);
        world.run_ms(60_000);
    }
    world.settle();
    let archived = world.assert_complete();
    let bounded = archived.records.iter().filter(|record| record.basis == "bounded").count();
    assert!(bounded >= 80, "{bounded}");
}
