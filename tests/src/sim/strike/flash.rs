//! What happens to a device's flash.

use driftlog_agent::spool::disk::{Disk as _, DiskErrorKind, READ_TRIES};

use super::{Fault, Random, World, device, duration};
use crate::sim::world::agenda::Cure;
use crate::sim::world::machine::Machine;

pub(super) fn strike(world: &mut World, fault: Fault, at: usize, random: &mut Random) {
    let now = world.now;
    let until = now + duration(random);
    let machine = &mut world.machines[at];
    let lane = random.below(2) as usize;
    let kind = [DiskErrorKind::Full, DiskErrorKind::ReadOnly, DiskErrorKind::Io][random.below(3) as usize];
    match fault {
        Fault::LyingFlash => {
            machine.each_flash(|disk| disk.set_lying(true));
            machine.suffered.forgot = true;
            world.agenda.put(until, Cure::FlashHonest(at));
        }
        Fault::BitFlip => flip(machine, now, lane, random),
        Fault::FlashFull => {
            let room = random.within(0..700_000);
            machine.each_flash(|disk| disk.set_capacity(room));
            world.agenda.put(until, Cure::FlashSpace(at));
        }
        Fault::FlashReadOnly => {
            machine.each_flash(|disk| disk.set_read_only(true));
            world.agenda.put(until, Cure::FlashWritable(at));
        }
        Fault::FlashFails => {
            let operation = ["write", "create", "resize", "remove", "sync_dir"][random.below(5) as usize];
            machine.flash[lane].disk().fail(operation, kind, random.within(1..4) as u32);
        }
        Fault::SyncFails => machine.flash[lane].disk().fail("sync", DiskErrorKind::Io, 1),
        Fault::FlashReadFails => {
            // What passes after a few tries is no damage; what does not is as good as changed bits.
            let times = if random.one_in(3) { random.within(4..200) } else { random.within(1..4) };
            let mut disk = machine.flash[lane].disk();
            disk.fail("read", DiskErrorKind::Io, times as u32);
            machine.suffered.rot |= disk.will_fail("read") >= READ_TRIES;
        }
        _ => {
            machine.slow_ms = random.within(5..2_000);
            world.agenda.put(until, Cure::FlashFast(at));
        }
    }
}

/// A few bits of one file change, mostly while the device is off.
fn flip(machine: &mut Machine, now: i64, lane: usize, random: &mut Random) {
    let files = machine.flash[lane].disk().list().unwrap_or_default();
    if files.is_empty() {
        return;
    }
    machine.suffered.rot = true;
    for _ in 0..random.within(1..4) {
        let (slot, bytes) = files[random.below(files.len() as u64) as usize];
        let at = random.below(bytes.clamp(1, 20_000)) as usize;
        machine.flash[lane].disk().flip(slot, at, random.below(8) as u8);
    }
    if random.one_in(2) {
        device::kill(machine, now, random);
    }
}
