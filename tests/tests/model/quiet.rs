//! I5: once the faults stop, every log drains, and all that was sealed is delivered or declared.
//!
//! One fair schedule is run from a state: all devices speak, every message arrives in order, every sink
//! takes all it can, every `Ack` arrives; again, until nothing changes any more. Old messages that were
//! still on their way come first, or never.

use crate::bounds::Bounds;
use crate::properties::{self, Violation, missing};
use crate::sinks::Ending;
use crate::state::{Device, World};

/// More rounds than any log of these sizes needs: a run a round at worst.
const ROUNDS_MAX: usize = 24;

/// Runs the quiet phase from this state.
pub(crate) fn drains(world: &World, are_old_first: bool, bounds: &Bounds) -> Result<(), Violation> {
    let mut world = world.clone();
    world.superseded = None;
    if are_old_first {
        for up in std::mem::take(&mut world.up) {
            world.deliver(&up, bounds);
        }
    }
    world.up.clear();
    world.down.clear();
    // A log whose flash forgot its published end, or that a clone wrote on, ends below the gateway's
    // mark of its last run: what is acknowledged next is the start that its next block brings.
    if bounds.budget.lies > 0 || bounds.budget.clones > 0 {
        for at in 0..world.devices.len() {
            world.devices[at].sync();
            world.append(at, bounds);
        }
    }
    for _ in 0..ROUNDS_MAX {
        let before = world.clone();
        round(&mut world, bounds);
        properties::check(&world, bounds).map_err(in_quiet)?;
        if world == before {
            return is_drained(&world, bounds);
        }
    }
    Err(Violation { name: "I5", what: "the quiet phase does not end".to_owned() })
}

fn in_quiet(violation: Violation) -> Violation {
    Violation { what: format!("in the quiet phase, {}", violation.what), ..violation }
}

fn round(world: &mut World, bounds: &Bounds) {
    world.devices.iter_mut().for_each(Device::sync);
    world.settle(bounds);
    // The retained `Ack` is the last one; those that answered the single messages are on their way too.
    world.speak(None, bounds);
    for ack in std::mem::take(&mut world.down) {
        world.devices.iter_mut().for_each(|device| device.hear(&ack, bounds.broken));
    }
}

impl World {
    /// Every device says all that it may, all of it arrives, and every sink takes all it can.
    pub(crate) fn settle(&mut self, bounds: &Bounds) {
        for at in 0..self.devices.len() {
            for up in self.said(at, bounds) {
                self.deliver(&up, bounds);
            }
        }
        while bounds.all_sinks().any(|sink| self.commit(sink, Ending::Done, bounds)) {}
    }
}

fn is_drained(world: &World, bounds: &Bounds) -> Result<(), Violation> {
    let stuck = |what: String| Err(Violation { name: "I5", what });
    for device in &world.devices {
        let tail = device.log().tail();
        if device.base != tail {
            return stuck(format!("a log ends at {tail:?} and is free only up to {:?}", device.base));
        }
        for sink in bounds.all_sinks() {
            if let Some(missing) = missing(world, sink, tail) {
                return stuck(format!("sink {sink} never gets {missing}"));
            }
        }
    }
    Ok(())
}
