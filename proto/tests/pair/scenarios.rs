//! What a device or a gateway can do to the other, one at a time.

use driftlog_proto::receiver::Notice;

use crate::device::Device;
use crate::gateway::Gateway;
use crate::line::{Chance, Line};
use crate::{Faults, pass};

struct World {
    now: u64,
    chance: Chance,
    line: Line,
    gateway: Gateway,
}

impl World {
    fn new() -> Self {
        Self { now: 1_000_000_000, chance: Chance::new(7), line: Line::default(), gateway: Gateway::new(1) }
    }

    fn pass(&mut self, device: &mut Device) {
        self.now += 50_000_000;
        pass(self.now, &Faults::NONE, &mut self.chance, &mut self.line, device, &mut self.gateway);
    }

    fn drain(&mut self, device: &mut Device) {
        for _ in 0..5_000 {
            self.pass(device);
            if device.is_drained() {
                return;
            }
        }
        panic!("did not drain: {:?} to {:?}\n{:#?}", device.base(), device.tail(), self.gateway);
    }

    fn seal(&mut self, device: &mut Device, blocks: usize) {
        (0..blocks).for_each(|_| device.seal(&mut self.chance));
    }
}

#[test]
fn a_cloned_spool_brings_a_clone_notice_and_no_identity_twice() {
    let mut world = World::new();
    let mut original = Device::new(&mut world.chance);
    world.seal(&mut original, 5);
    world.drain(&mut original);
    world.seal(&mut original, 3);
    let mut copy = original.copy();
    for _ in 0..20 {
        world.seal(&mut original, 1);
        world.seal(&mut copy, 1);
        // Both connect again now and then, as devices do.
        original.cut();
        world.pass(&mut original);
        copy.cut();
        world.pass(&mut copy);
    }
    world.drain(&mut original);
    world.drain(&mut copy);
    let notices = world.gateway.notices();
    assert!(notices.contains(&Notice::Clone), "{notices:?}");
    let ends = world.gateway.judge_runs();
    assert_eq!(ends.get(&original.tail().run), Some(&original.tail().seq));
    assert_eq!(ends.get(&copy.tail().run), Some(&copy.tail().seq));
}

#[test]
fn a_flash_that_forgot_a_published_tail_brings_a_fork_notice_and_both_histories_stand() {
    let mut world = World::new();
    let mut device = Device::new(&mut world.chance);
    world.seal(&mut device, 5);
    world.drain(&mut device);
    world.seal(&mut device, 4);
    // Published and committed, but the device has not heard so when its power goes.
    for message in device.speak(world.now, &mut world.chance) {
        world.gateway.hear(world.now, &message);
    }
    let published = device.tail();
    (0..10).for_each(|_| world.gateway.commit(0, &mut world.chance));
    world.line.retained = None;
    device.forget_tail(2, &mut world.line);
    world.seal(&mut device, 3);
    world.drain(&mut device);
    assert_eq!(world.gateway.notices(), [Notice::Fork]);
    let ends = world.gateway.judge_runs();
    assert_eq!(ends.get(&published.run), Some(&published.seq), "what was forgotten had arrived");
    assert_eq!(ends.get(&device.tail().run), Some(&device.tail().seq));
}

#[test]
fn a_wiped_device_begins_a_new_root_without_a_notice() {
    let mut world = World::new();
    let mut device = Device::new(&mut world.chance);
    world.seal(&mut device, 5);
    world.drain(&mut device);
    let before = device.tail();
    device.wipe(&mut world.chance);
    world.seal(&mut device, 5);
    world.drain(&mut device);
    assert_eq!(world.gateway.notices(), []);
    let ends = world.gateway.judge_runs();
    assert_eq!(ends.get(&before.run), Some(&before.seq));
    assert_eq!(ends.get(&device.tail().run), Some(&device.tail().seq));
}

#[test]
fn a_lost_ledger_takes_the_device_up_at_its_base_with_a_notice() {
    let mut world = World::new();
    let mut device = Device::new(&mut world.chance);
    world.seal(&mut device, 5);
    world.drain(&mut device);
    world.seal(&mut device, 5);
    world.gateway.lose_ledger();
    world.drain(&mut device);
    assert_eq!(world.gateway.notices(), [Notice::LedgerLost]);
    let ends = world.gateway.judge_runs();
    assert_eq!(ends.get(&device.tail().run), Some(&device.tail().seq));
}

#[test]
fn a_device_that_restarted_two_hundred_times_while_offline_drains_without_a_notice() {
    let mut world = World::new();
    let mut device = Device::new(&mut world.chance);
    world.seal(&mut device, 2);
    world.drain(&mut device);
    for _ in 0..200 {
        device.restart(&mut world.line);
        world.seal(&mut device, 1);
    }
    world.drain(&mut device);
    world.gateway.judge(&device);
    assert_eq!(world.gateway.notices(), []);
}

#[test]
fn a_gap_that_swallows_starts_is_declared_run_by_run() {
    let mut world = World::new();
    let mut device = Device::new(&mut world.chance);
    world.seal(&mut device, 2);
    world.drain(&mut device);
    for _ in 0..20 {
        device.restart(&mut world.line);
        world.seal(&mut device, 2);
    }
    let before = device.items();
    device.overflow();
    assert!(device.items() < before / 2 + 2);
    world.drain(&mut device);
    world.gateway.judge(&device);
}

#[test]
fn messages_of_last_week_change_nothing() {
    let mut world = World::new();
    let mut device = Device::new(&mut world.chance);
    for _ in 0..10 {
        world.seal(&mut device, 2);
        world.drain(&mut device);
        device.restart(&mut world.line);
    }
    world.now += 7 * 86_400 * 1_000_000_000;
    for _ in 0..500 {
        world.line.replay(&mut world.chance);
    }
    world.seal(&mut device, 2);
    world.drain(&mut device);
    world.gateway.judge(&device);
}

#[test]
fn what_was_forgotten_does_not_come_back_by_messages_of_last_week() {
    for has_gap in [false, true] {
        let mut world = World::new();
        let mut device = Device::new(&mut world.chance);
        world.seal(&mut device, 2);
        if has_gap {
            device.restart(&mut world.line);
            world.seal(&mut device, 2);
            device.overflow();
        }
        for _ in 0..100 {
            world.drain(&mut device);
            device.restart(&mut world.line);
            world.seal(&mut device, 1);
        }
        world.drain(&mut device);
        world.line.replay_all();
        world.seal(&mut device, 1);
        world.drain(&mut device);
        world.gateway.judge(&device);
        assert_eq!(world.gateway.notices(), []);
    }
}

#[test]
fn a_copy_from_before_what_was_forgotten_may_repeat_and_it_is_said() {
    let mut world = World::new();
    let mut device = Device::new(&mut world.chance);
    world.seal(&mut device, 2);
    world.drain(&mut device);
    let mut copy = device.copy();
    for _ in 0..100 {
        device.restart(&mut world.line);
        world.seal(&mut device, 1);
        world.drain(&mut device);
    }
    // That it forgot is remembered by the ledger.
    world.gateway.restart();
    world.seal(&mut copy, 1);
    world.drain(&mut copy);
    assert_eq!(world.gateway.notices(), [Notice::MayRepeat]);
}
