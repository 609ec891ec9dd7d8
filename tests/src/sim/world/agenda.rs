//! What ends by itself: each fault with a duration puts its end here.

use std::collections::BTreeMap;

use driftlog_proto::ids::BootId;

use super::World;
use super::coast::SinkKind;

/// The end of a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cure {
    Online(usize),
    FlashSpace(usize),
    FlashWritable(usize),
    FlashFast(usize),
    FlashHonest(usize),
    FilesReadable(usize),
    PathReadable(usize, String),
    Version(usize),
    HalfOpen(usize, BootId),
    Weather(Air),
    Broker,
    ShoreSpace,
    ShoreSyncs,
    ShoreFast,
    ShoreMemory,
    SinkUp(SinkKind),
    SinkFaultless(SinkKind),
}

/// A part of the weather.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Air {
    Lost,
    Doubled,
    Late,
    Delay,
    Corrupt,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Agenda {
    entries: BTreeMap<(i64, u64), Cure>,
    count: u64,
}

impl Agenda {
    pub(crate) fn put(&mut self, at: i64, cure: Cure) {
        self.count += 1;
        self.entries.insert((at, self.count), cure);
    }

    pub(crate) fn next(&self) -> i64 {
        self.entries.first_key_value().map_or(i64::MAX, |((at, _), _)| *at)
    }

    fn due(&mut self, now: i64) -> Option<Cure> {
        (self.next() <= now).then(|| self.entries.pop_first().map(|(_, cure)| cure)).flatten()
    }
}

impl World {
    /// Ends what is due to end.
    pub(super) fn cure(&mut self) {
        while let Some(cure) = self.agenda.due(self.now) {
            self.note(|| format!("ends: {cure:?}"));
            self.end(cure);
        }
    }

    /// Ends everything at once.
    pub(super) fn cure_all(&mut self) {
        while let Some(cure) = self.agenda.due(i64::MAX - 1) {
            self.end(cure);
        }
    }

    fn end(&mut self, cure: Cure) {
        match cure {
            Cure::Online(at) => self.machines[at].is_online = true,
            Cure::FlashSpace(at) => self.machines[at].each_flash(|disk| disk.set_capacity(u64::MAX)),
            Cure::FlashWritable(at) => self.machines[at].each_flash(|disk| disk.set_read_only(false)),
            Cure::FlashHonest(at) => self.machines[at].each_flash(|disk| disk.set_lying(false)),
            Cure::FlashFast(at) => self.machines[at].slow_ms = 0,
            Cure::FilesReadable(at) => self.machines[at].files.fail_reads(false),
            Cure::PathReadable(at, path) => self.machines[at].files.deny(&path, false),
            Cure::Version(at) => self.machines[at].speaks = 1,
            Cure::HalfOpen(at, boot) => {
                let now = self.now;
                let machine = &mut self.machines[at];
                if machine.boot().id == boot {
                    machine.link_down(now);
                }
            }
            Cure::Weather(air) => self.broker.clear(air),
            Cure::Broker => self.start_broker(),
            Cure::ShoreSpace => self.shore.coast.faults.space(None),
            Cure::ShoreSyncs => self.shore.coast.faults.sync_fails(false),
            Cure::ShoreFast => self.each_shore(|shore| shore.commit_ms = (2, 30)),
            Cure::ShoreMemory => self.each_shore(|shore| shore.config.memory_bytes_max = 4 << 20),
            Cure::SinkUp(kind) => {
                self.shore.coast.sink_faults.borrow_mut().entry(kind).or_default().is_down = false;
            }
            Cure::SinkFaultless(kind) => {
                let mut faults = self.shore.coast.sink_faults.borrow_mut();
                let is_down = faults.get(&kind).is_some_and(|faults| faults.is_down);
                faults.insert(kind, super::coast::SinkFaults { is_down, ..Default::default() });
            }
        }
    }
}
