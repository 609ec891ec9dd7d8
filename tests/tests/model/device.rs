//! The device: appending, syncing, starting again, overflow, freeing (rules 1 to 5).

use crate::bounds::{Bounds, Broken};
use crate::state::{Ack, Device, Gap, Item, List, Log, Number, Place, Run, Seq, World};

impl Log {
    /// Whether (run, seq) lies in a gap: above its beginning and below its end.
    fn is_inside(gap: &Gap, run: Run, seq: Seq) -> bool {
        let mut begin = (gap.from.run, gap.from.seq);
        let nexts = gap.starts.iter().copied().map(Some).chain([None]);
        nexts.into_iter().any(|next| {
            let end = next.map_or(gap.to.seq, |(_, n)| n);
            let is_in = begin.0 == run && begin.1 <= seq && seq <= end;
            let is_edge =
                (gap.from.run, gap.from.seq) == (run, seq) || (gap.to.run, gap.to.seq) == (run, seq);
            begin = next.unwrap_or(begin);
            is_in && !is_edge
        })
    }

    /// Whether this is a boundary of the log, with whatever chain, or lies in one of its gaps.
    pub(crate) fn has(&self, place: Place) -> bool {
        self.items.iter().any(|item| {
            let end = item.end();
            (end.run, end.seq) == (place.run, place.seq)
                || matches!(item, Item::Gap(gap) if Self::is_inside(gap, place.run, place.seq))
        })
    }

    /// The log as it stands once everything before `place` is freed (rule 5).
    pub(crate) fn freed_to(&self, place: Place) -> Self {
        if place == self.base {
            return self.clone();
        }
        let after = |at: usize| self.items.get(at..).unwrap_or_default().to_vec();
        if let Some(at) = self.items.iter().position(|item| item.end() == place) {
            return Self { base: place, items: after(at + 1) };
        }
        let inside =
            |item: &Item| matches!(item, Item::Gap(gap) if Self::is_inside(gap, place.run, place.seq));
        let Some(at) = self.items.iter().position(inside) else { return self.clone() };
        let mut items = after(at);
        if let Some(Item::Gap(gap)) = items.first_mut() {
            let passed = gap.starts.iter().position(|&(run, _)| run == place.run).map_or(0, |at| at + 1);
            gap.starts = gap.starts.iter().skip(passed).copied().collect();
            gap.from = place;
        }
        Self { base: place, items }
    }

    /// What stands instead of the items `from..to`: everything that they held is in its list (rule 3).
    fn gap_over(&self, from: usize, to: usize, broken: Option<Broken>) -> Option<Item> {
        let mut starts = List::new();
        let gone = self.items.get(from..to)?;
        for item in gone {
            match item {
                Item::Start { parent, begin } => starts.push((begin.run, parent.seq)).ok()?,
                Item::Gap(gap) => starts.extend_from_slice(&gap.starts).ok()?,
                Item::Block { .. } => {}
            }
        }
        if broken == Some(Broken::GapForgetsStarts) {
            starts.clear();
        }
        Some(Item::Gap(Gap { from: gone.first()?.begin(), to: gone.last()?.end(), starts }))
    }

    /// Whether a cut before this item leaves whole frames: a start shares its frame with a block.
    fn is_frame(&self, at: usize) -> bool {
        !at.checked_sub(1).is_some_and(|before| matches!(self.items.get(before), Some(Item::Start { .. })))
    }
}

impl Device {
    /// The log above the base in memory.
    pub(crate) fn log(&self) -> Log {
        self.flash.freed_to(self.base)
    }

    /// What may be on the air: only what is synced (rule 2).
    pub(crate) fn on_air(&self, broken: Option<Broken>) -> Vec<Item> {
        let unsynced = self.flash.items.len() - self.synced;
        let mut items = self.log().items;
        if broken != Some(Broken::PublishUnsynced) {
            items.truncate(items.len().saturating_sub(unsynced));
        }
        items
    }

    /// The end of what is durable.
    pub(crate) fn synced_end(&self) -> Place {
        self.synced.checked_sub(1).and_then(|at| self.flash.items.get(at)).map_or(self.flash.base, Item::end)
    }

    /// Makes durable what is written, with the base as it stands now.
    pub(crate) fn sync(&mut self) {
        self.flash = self.log();
        self.synced = self.flash.items.len();
    }

    /// The agent starts again, on what it finds.
    fn restart(&mut self, broken: Option<Broken>) {
        let run = if broken == Some(Broken::RunKept) { self.run } else { 0 };
        let flash = std::mem::take(&mut self.flash);
        *self = Self { synced: flash.items.len(), base: flash.base, flash, run, ..Self::default() };
    }

    /// A power cut or a kill. What is not synced may be there or not.
    pub(crate) fn cut(&mut self, is_kept: bool, broken: Option<Broken>) {
        if !is_kept {
            self.flash.items.truncate(self.synced);
        }
        self.restart(broken);
    }

    /// A power cut on a flash that lied about its syncs: items from number `keep` on are gone.
    pub(crate) fn forget(&mut self, keep: usize, broken: Option<Broken>) {
        self.flash.items.truncate(keep);
        self.restart(broken);
    }

    /// Where the synced log can be cut into frames, but for its two ends.
    pub(crate) fn seams(&self) -> impl Iterator<Item = usize> + '_ {
        (1..self.synced).filter(|&at| self.flash.is_frame(at))
    }

    /// Damage below what is synced, found at a restart: that frame becomes a gap (rule 2).
    pub(crate) fn rot(&mut self, from: usize, to: usize, broken: Option<Broken>) {
        if let Some(gap) = self.flash.gap_over(from, to, None) {
            self.flash.items.splice(from..to, [gap]);
        }
        self.restart(broken);
    }

    /// Whether the items before `count` can be given up for a gap: at least one is not a gap, and
    /// neighbouring gaps merge.
    pub(crate) fn can_overflow(&self, count: usize) -> bool {
        let log = self.log();
        let gone = log.items.get(..count).unwrap_or_default();
        let is_gap = |item: &Item| matches!(item, Item::Gap(_));
        self.synced == self.flash.items.len()
            && log.is_frame(count)
            && log.items.get(count).is_some_and(|item| !is_gap(item))
            && !gone.iter().all(is_gap)
    }

    /// The oldest items make room; the gap is durable first (rule 3).
    pub(crate) fn overflow(&mut self, count: usize, broken: Option<Broken>) {
        let log = self.log();
        let Some(gap) = log.gap_over(0, count, broken) else { return };
        let mut items = log.items;
        items.splice(..count, [gap]);
        if broken == Some(Broken::GapNotDurable) {
            items.remove(0);
        }
        self.flash = Log { base: log.base, items };
        self.synced = self.flash.items.len();
    }

    /// An `Ack`: each place in it frees by itself (rule 5).
    pub(crate) fn hear(&mut self, ack: &Ack, broken: Option<Broken>) {
        self.heard = self.heard.max(ack.number);
        for place in &ack.places {
            self.base = self.freed_by(*place, broken).unwrap_or(self.base);
        }
    }

    fn freed_by(&self, place: Place, broken: Option<Broken>) -> Option<Place> {
        for item in self.log().items {
            let end = item.end();
            if broken == Some(Broken::FreeByNumber) && end.seq == place.seq {
                return Some(end);
            }
            if (end.run, end.seq) == (place.run, place.seq) {
                // A chain of 0 is that of numbers which the gateway has by another gap: they are declared.
                return (end.chain == place.chain || place.chain == 0).then_some(end);
            }
            if matches!(&item, Item::Gap(gap) if Log::is_inside(gap, place.run, place.seq)) {
                return Some(place);
            }
        }
        None
    }

    /// What a start or gap says that its device has heard.
    pub(crate) fn echo(&self, broken: Option<Broken>) -> Number {
        if broken == Some(Broken::EchoNotRenewed) {
            self.heard.min(Number { generation: 1, counter: 9 })
        } else {
            self.heard
        }
    }
}

impl World {
    /// Writes a block; the first of a run stands in one frame with the run's start (rule 1).
    pub(crate) fn append(&mut self, at: usize, bounds: &Bounds) {
        let Some(device) = self.devices.get_mut(at) else { return };
        let tail = device.flash.tail();
        let mut from = tail;
        if device.life == 0 {
            self.lives += 1;
            device.life = self.lives;
            if device.run == 0 || device.run != tail.run {
                self.parents.push(tail);
                device.run = u8::try_from(self.parents.len()).unwrap_or(u8::MAX);
                from = Place { run: device.run, seq: tail.seq, chain: device.life };
                device.flash.items.push(Item::Start { parent: tail, begin: from });
            }
        }
        let to = Place { run: device.run, seq: from.seq + 1, chain: device.life };
        device.flash.items.push(Item::Block { from, to });
        if !bounds.is_sync_apart {
            device.sync();
        }
    }
}
