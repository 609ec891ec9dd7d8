//! The carrier: a set of messages. Each may come never, once, often, late, and in any order.
//!
//! A device puts on it whatever it may say as soon as it may say it, and so does the gateway: a real
//! one that says it later, or not at all, does what this one does when the message comes late or never.

use crate::bounds::{Bounds, Broken};
use crate::gateway::Record;
use crate::state::{Ack, Item, Number, Run, Up, World};

impl World {
    /// All that a device may say now: hello, then what is on the air, in the order of its log (rules 2, 4).
    pub(crate) fn said(&self, at: usize, bounds: &Bounds) -> Vec<Up> {
        let device = &self.devices[at];
        let run = if bounds.is_counting { device.run } else { 0 };
        let base_run = if bounds.is_crowded() { device.base.run } else { 0 };
        let heard = device.echo(bounds.broken);
        let hello = bounds.needs_hello().then_some(Up::Hello { run, heard, base: device.base });
        let items = device.on_air(bounds.broken).into_iter().map(|item| match item {
            Item::Block { .. } => Up::Item { item, run: 0, base_run: 0, heard: Number::default() },
            item => Up::Item { item, run, base_run, heard },
        });
        hello.into_iter().chain(items).collect()
    }

    /// A device puts all that it may say on the carrier.
    pub(crate) fn publish(&mut self, at: usize, bounds: &Bounds) {
        for up in self.said(at, bounds) {
            insert(&mut self.up, up);
        }
    }

    /// The gateway says where every run stands (rule 11). `named`: the oldest run that the message
    /// named which is answered.
    pub(crate) fn speak(&mut self, named: Option<Run>, bounds: &Bounds) {
        let ack = self.gateway.answer(named, bounds);
        if bounds.is_counting && self.gateway.issued.counter < bounds.acks_max {
            self.gateway.issued.counter += 1;
        }
        insert(&mut self.down, ack);
    }

    /// The gateway hears a message and answers it.
    pub(crate) fn deliver(&mut self, up: &Up, bounds: &Bounds) {
        self.gateway.hear(up, bounds);
        self.speak(named(self, up), bounds);
    }

    /// Takes out what can change nothing any more, so that it does not make states differ.
    pub(crate) fn prune(&mut self, bounds: &Bounds) {
        // Where one of these rules is broken, what names nothing matters too.
        if let Some(Broken::RunKept | Broken::FreeByNumber) = bounds.broken {
            return;
        }
        let barrier = self.gateway.barrier;
        let can_forget = self.left.losses > 0 || bounds.is_crowded();
        let can_go_back = self.left.crashes > 0 || self.left.rewinds > 0;
        let reached = |run: Run| {
            let record = if can_go_back {
                self.ledger.runs.iter().find(|record| record.run == run).copied()
            } else {
                self.gateway.position(run).map(|at| self.gateway.runs[at].record)
            };
            let seq = |record: &Record| record.lowest(bounds).map(|mark| mark.seq);
            let next = self.gateway.position(run).map(|at| self.gateway.runs[at].next.seq);
            (record.is_some(), if can_go_back { record.as_ref().and_then(seq) } else { next })
        };
        let is_stale = |heard: &Number| *heard < barrier && bounds.broken != Some(Broken::StaleEchoAdmits);
        let has_news = |run: &Run, heard: &Number| {
            let known = self.gateway.position(*run).map(|at| self.gateway.runs[at].record.last_echo);
            bounds.is_counting && *run != 0 && (can_go_back || known.is_none_or(|echo| echo < *heard))
        };
        let matters = |up: &Up| match up {
            Up::Hello { run, heard, base } => {
                has_news(run, heard)
                    || !is_stale(heard)
                        && base.run != 0
                        && (can_forget || reached(base.run).1.is_none_or(|seq| seq < base.seq))
            }
            Up::Item { run, heard, .. } if has_news(run, heard) => true,
            Up::Item { item: Item::Start { begin, .. }, heard, .. } => {
                !is_stale(heard) && (can_forget || !reached(begin.run).0)
            }
            Up::Item { item: Item::Block { to, .. }, .. } => {
                can_forget || reached(to.run).1.is_none_or(|seq| seq < to.seq)
            }
            // At its very end a gap may still teach the chain there.
            Up::Item { item: Item::Gap(gap), .. } => {
                can_forget || reached(gap.to.run).1.is_none_or(|seq| seq <= gap.to.seq)
            }
        };
        let kept = self.up.iter().filter(|up| matters(up)).cloned().collect();
        self.up = kept;
        self.prune_acks(bounds);
    }

    /// Of an `Ack` only what some flash can still match matters, and its number where it is fresh.
    fn prune_acks(&mut self, bounds: &Bounds) {
        let barrier = self.gateway.barrier;
        let left = &self.left;
        let can_restart =
            left.cuts > 0 || left.lies > 0 || left.rots > 0 || left.wipes > 0 || left.clones > 0;
        let heard = self.devices.iter().map(|device| device.heard).min().unwrap_or_default();
        let logs: Vec<_> = self.devices.iter().map(|device| &device.flash).collect();
        let mut kept = Vec::new();
        for ack in &self.down {
            let places = ack.places.iter().copied().filter(|place| logs.iter().any(|log| log.has(*place)));
            let places = places.collect();
            let ack = Ack { places, ..ack.clone() };
            let is_news = can_restart || ack.number > heard;
            if !ack.places.is_empty() || is_news && (ack.number >= barrier || bounds.is_counting) {
                insert(&mut kept, ack);
            }
        }
        self.down = kept;
    }
}

/// The oldest run that a message names, as the gateway has them in order.
fn named(world: &World, up: &Up) -> Option<Run> {
    let runs = match up {
        Up::Hello { base, .. } => [base.run, 0],
        Up::Item { item, base_run, .. } => [item.begin().run, *base_run],
    };
    runs.into_iter()
        .filter(|run| world.gateway.position(*run).is_some())
        .min_by_key(|run| world.gateway.position(*run))
}

/// A set, kept in order so that one content is one state.
fn insert<T: Ord>(set: &mut Vec<T>, member: T) {
    if let Err(at) = set.binary_search(&member) {
        set.insert(at, member);
    }
}
