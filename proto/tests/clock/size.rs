//! How much memory a device's clock takes, and how many bytes in the ledger.

use driftlog_proto::clock::{DeviceClock, ENCODED_BYTES_MAX};
use driftlog_proto::ids::Lane;

use crate::world::{MS, S, Step, World};

#[test]
fn a_device_in_its_first_boot_takes_few_bytes() {
    let mut world = World::new();
    for n in 0..20_000u64 {
        world.exchange((5 + n * 7919 % 60) * MS);
        world.run(60 * S);
    }
    let bytes = world.clock.encode().len();
    assert!(bytes <= 320, "{bytes}");
    assert!(size_of::<DeviceClock>() <= 320, "{}", size_of::<DeviceClock>());
}

#[test]
fn a_device_that_reboots_for_ever_does_not_take_more() {
    let mut world = World::new();
    let mut most = 0;
    for n in 0..300u64 {
        for _ in 0..30 {
            world.exchange((5 + n * 7919 % 60) * MS);
            world.run((n % 7 + 1) * 1000 * S);
        }
        for lane in Lane::ALL {
            world.write(lane, S);
            world.deliver(lane, 1);
            world.commit(lane);
        }
        world.step(&Step::Reload);
        most = most.max(world.clock.encode().len());
        world.reboot(60 * S);
    }
    assert!(most <= 900, "{most}");
    assert!(most <= ENCODED_BYTES_MAX);
    world.check().unwrap();
}
