//! What happens to the files that a device reads.

use super::{Fault, Random, World, device, duration};
use crate::sim::world::agenda::Cure;
use crate::sim::world::machine::Machine;

pub(super) fn strike(world: &mut World, fault: Fault, at: usize, random: &mut Random) {
    let now = world.now;
    let until = now + duration(random);
    let machine = &mut world.machines[at];
    let app = random.below(machine.apps.len() as u64) as usize;
    let Machine { apps, files, .. } = machine;
    match fault {
        Fault::Burst => {
            let style = apps[app].style;
            // Many lines, or few that are long: the latter fill a spool.
            if random.one_in(2) {
                apps[app].style.long_per_mille = 900;
                apps[app].write(files, random, random.clone().within(4..24));
            } else {
                apps[app].write(files, random, random.clone().within(100..1_200));
            }
            apps[app].style = style;
        }
        Fault::PartialLine => apps[app].write_part(files, random),
        Fault::Rotation => apps[app].rotate(files),
        Fault::CopyTruncate => apps[app].copy_and_truncate(files),
        Fault::Removal => apps[app].remove(files),
        Fault::SourceFails => {
            files.fail_reads(true);
            world.agenda.put(until, Cure::FilesReadable(at));
        }
        Fault::SourceDenied => {
            let path = apps[app].path().to_owned();
            files.deny(&path, true);
            world.agenda.put(until, Cure::PathReadable(at, path));
        }
        Fault::TailLost => {
            apps[app].lose_tail(files, random.clone().within(1..3_000) as usize);
            machine.suffered.lost_source = true;
            device::cut(machine, now, random);
        }
        _ => {
            files.renumber_device(random.number());
            device::cut(machine, now, random);
        }
    }
    world.machines[at].changed();
}
