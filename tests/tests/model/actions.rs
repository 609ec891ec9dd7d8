//! Everything that can happen next.

use std::fmt;

use crate::bounds::{Bounds, Broken};
use crate::gateway::Memory;
use crate::sinks::Ending;
use crate::state::{Ack, Device, Up, World};

/// One thing that happens.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Append(usize),
    Sync(usize),
    /// A cut or kill; `is_kept`: what was not synced is there all the same.
    Cut {
        at: usize,
        is_kept: bool,
    },
    /// A cut, and items from this number on are gone though they were synced.
    Lie {
        at: usize,
        keep: usize,
    },
    Rot {
        at: usize,
        from: usize,
        to: usize,
    },
    Overflow {
        at: usize,
        count: usize,
    },
    Wipe(usize),
    Clone,
    Hear {
        at: usize,
        ack: Ack,
    },
    Deliver(Up),
    Commit(usize),
    /// The superseded gateway commits.
    CommitLate(usize),
    Crash,
    CrashInCommit(usize),
    /// A commit fails and the receiver goes back to the marks.
    Rewind,
    LoseLedger,
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |at: usize| if at == 0 { "device" } else { "clone" };
        match self {
            Self::Append(at) => write!(f, "{} seals a block", of(*at)),
            Self::Sync(at) => write!(f, "{} syncs", of(*at)),
            Self::Cut { at, is_kept: true } => write!(f, "{} starts again", of(*at)),
            Self::Cut { at, is_kept: false } => write!(f, "{} loses power and what is not synced", of(*at)),
            Self::Lie { at, keep } => {
                write!(f, "{} starts again; its flash has forgotten all but {keep} items", of(*at))
            }
            Self::Rot { at, from, to } => {
                write!(f, "{} starts again; items {from}..{to} have rotted", of(*at))
            }
            Self::Overflow { at, count } => write!(f, "{} gives up its oldest {count} items", of(*at)),
            Self::Wipe(at) => write!(f, "{} is wiped", of(*at)),
            Self::Clone => write!(f, "the device is cloned"),
            Self::Hear { at, ack } => write!(f, "{} hears {:?} {:?}", of(*at), ack.number, ack.places),
            Self::Deliver(Up::Hello { run, heard, base }) => {
                write!(f, "the gateway hears hello, base {base:?}, run {run}, echo {heard:?}")
            }
            Self::Deliver(Up::Item { item, heard, .. }) => {
                write!(f, "the gateway hears {item:?}, echo {heard:?}")
            }
            Self::Commit(sink) => write!(f, "sink {sink} commits a step"),
            Self::CommitLate(sink) => write!(f, "the superseded gateway commits a step to sink {sink}"),
            Self::Crash => write!(f, "the gateway crashes and reads its ledger"),
            Self::CrashInCommit(sink) => write!(f, "the gateway crashes in a commit of sink {sink}"),
            Self::Rewind => write!(f, "a commit fails and the gateway goes back to its marks"),
            Self::LoseLedger => write!(f, "the ledger is lost"),
        }
    }
}

impl World {
    /// All that can happen now.
    pub(crate) fn actions(&self, bounds: &Bounds) -> Vec<Action> {
        let mut actions = Vec::new();
        for (at, device) in self.devices.iter().enumerate() {
            self.actions_of_device(at, device, &mut actions);
            actions.extend(self.down.iter().map(|ack| Action::Hear { at, ack: ack.clone() }));
        }
        actions.extend(self.up.iter().cloned().map(Action::Deliver));
        actions.extend(bounds.all_sinks().map(Action::Commit));
        if self.superseded.is_some() {
            actions.extend(bounds.all_sinks().map(Action::CommitLate));
        }
        if self.left.crashes > 0 {
            actions.push(Action::Crash);
            actions.extend(bounds.all_sinks().map(Action::CrashInCommit));
        }
        if self.left.rewinds > 0 {
            actions.push(Action::Rewind);
        }
        if self.left.losses > 0 {
            actions.push(Action::LoseLedger);
        }
        actions
    }

    fn actions_of_device(&self, at: usize, device: &Device, actions: &mut Vec<Action>) {
        let left = &self.left;
        let is_synced = device.synced == device.flash.items.len();
        if left.blocks > 0 && is_synced {
            actions.push(Action::Append(at));
        }
        if !is_synced {
            actions.push(Action::Sync(at));
        }
        if left.cuts > 0 {
            actions.push(Action::Cut { at, is_kept: true });
            if !is_synced {
                actions.push(Action::Cut { at, is_kept: false });
            }
        }
        if left.lies > 0 && device.synced > 0 {
            let ends = std::iter::once(0).chain(device.seams());
            actions.extend(ends.map(|keep| Action::Lie { at, keep }));
        }
        if left.rots > 0 {
            let seams: Vec<usize> = std::iter::once(0).chain(device.seams()).collect();
            let frames = seams.windows(2);
            actions.extend(frames.map(|frame| Action::Rot { at, from: frame[0], to: frame[1] }));
        }
        if left.overflows > 0 {
            let counts = (1..device.flash.items.len()).filter(|&count| device.can_overflow(count));
            actions.extend(counts.map(|count| Action::Overflow { at, count }));
        }
        if left.wipes > 0 {
            actions.push(Action::Wipe(at));
        }
        if left.clones > 0 {
            actions.push(Action::Clone);
        }
    }

    /// What is after it; `None` where it cannot happen or changes nothing.
    pub(crate) fn after(&self, action: &Action, bounds: &Bounds) -> Option<Self> {
        let mut world = self.clone();
        match action {
            Action::Deliver(up) => world.deliver(up, bounds),
            Action::Commit(sink) => {
                if !world.commit(*sink, Ending::Done, bounds) {
                    return None;
                }
                world.speak(None, bounds);
            }
            Action::CommitLate(sink) => {
                if !world.commit_late(*sink, bounds) {
                    return None;
                }
            }
            Action::CrashInCommit(sink) => {
                if !world.commit(*sink, Ending::Killed, bounds) {
                    return None;
                }
                world.left.crashes -= 1;
                world.load(bounds);
            }
            Action::Crash => {
                world.left.crashes -= 1;
                world.load(bounds);
            }
            Action::Rewind => {
                world.left.rewinds -= 1;
                world.gateway.go_back(bounds);
            }
            Action::LoseLedger => {
                world.left.losses -= 1;
                if bounds.is_rebuilt {
                    world.rebuild();
                } else {
                    world.forget_ledger();
                }
                world.load(bounds);
            }
            device => world.happen(device, bounds),
        }
        for at in 0..world.devices.len() {
            world.publish(at, bounds);
        }
        if bounds.broken == Some(Broken::FreeOnReceipt) {
            world.devices.iter_mut().for_each(|device| device.base = device.synced_end());
        }
        world.prune(bounds);
        (world != *self).then_some(world)
    }

    fn load(&mut self, bounds: &Bounds) {
        self.ledger.generation += 1;
        let old = std::mem::replace(&mut self.gateway, Memory::load(&self.ledger, bounds));
        self.superseded = bounds.is_superseded.then_some(old);
        self.speak(None, bounds);
    }

    fn happen(&mut self, action: &Action, bounds: &Bounds) {
        let broken = bounds.broken;
        let left = &mut self.left;
        match action {
            Action::Append(at) => {
                left.blocks -= 1;
                self.append(*at, bounds);
            }
            Action::Sync(at) => self.devices[*at].sync(),
            Action::Cut { at, is_kept } => {
                left.cuts -= 1;
                self.devices[*at].cut(*is_kept, broken);
            }
            Action::Lie { at, keep } => {
                left.lies -= 1;
                self.devices[*at].forget(*keep, broken);
            }
            Action::Rot { at, from, to } => {
                left.rots -= 1;
                self.devices[*at].rot(*from, *to, broken);
            }
            Action::Overflow { at, count } => {
                left.overflows -= 1;
                self.devices[*at].overflow(*count, broken);
            }
            Action::Wipe(at) => {
                left.wipes -= 1;
                self.devices[*at] = Device::default();
            }
            Action::Clone => {
                left.clones -= 1;
                let mut clone = self.devices[0].clone();
                clone.cut(false, None);
                self.devices.push(clone);
            }
            Action::Hear { at, ack } => self.devices[*at].hear(ack, broken),
            _ => {}
        }
    }
}
