//! A spool through a life of appending, acknowledging, overflowing, power cuts, a flash that fails,
//! and rot: each byte is an operation.
//!
//! Asserts after each start and at the end:
//! - what is handed out is what was sealed at its place, and nothing else, whatever was damaged;
//! - a place that was handed out never has other bytes later, unless the flash both failed and rotted: when
//!   the newest file goes, what was refused before it may show;
//! - without rot nothing that was durable is lost: it is there, acknowledged, or inside a gap that
//!   an overflow or a refusal made, and recovery finds no corruption;
//! - recovery of a recovery is the same.
#![no_main]

use std::collections::BTreeMap;

use driftlog_agent::spool::disk::{Disk, DiskErrorKind, PowerCut, SimDisk};
use driftlog_agent::spool::{Spool, SpoolError, SpoolEvent};
use driftlog_fuzz::input::Input;
use driftlog_fuzz::log::{Published, judge, walk};
use driftlog_fuzz::{log, segments};
use driftlog_proto::ids::{Place, RunId, Seq};
use driftlog_proto::item::{Cause, ItemHeader};
use driftlog_proto::sender::Boundary;
use driftlog_proto::time::Mono;
use libfuzzer_sys::fuzz_target;

const OPERATIONS_MAX: usize = 200;
const FAILING: [(&str, DiskErrorKind); 6] = [
    ("write", DiskErrorKind::Full),
    ("write", DiskErrorKind::Io),
    ("sync", DiskErrorKind::Io),
    ("create", DiskErrorKind::Full),
    ("read", DiskErrorKind::Io),
    ("sync_dir", DiskErrorKind::Io),
];

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let mut life = Life::new();
    for _ in 0..OPERATIONS_MAX {
        if input.is_empty() {
            break;
        }
        life.step(&mut input);
    }
    life.restart(None);
    life.spool().disk_mut().set_capacity(u64::MAX);
    life.restart(None);
    life.append(3, 200);
    life.check();
    assert!(life.spool().is_synced(), "the flash is well, and something waits");
});

struct Life {
    spool: Option<Spool<SimDisk>>,
    run: u64,
    /// What was damaged behind the spool's back: then things may be lost, if they are declared.
    is_rotten: bool,
    has_failed: bool,
    /// Ends of blocks that were durable and are not acknowledged.
    durable: Vec<Place>,
    /// The checksum of what was handed out under a run and number.
    published: BTreeMap<(RunId, Seq, bool), Vec<u8>>,
}

impl Life {
    fn new() -> Self {
        let (durable, published) = (Vec::new(), BTreeMap::new());
        let mut life = Self { spool: None, run: 0, is_rotten: false, has_failed: false, durable, published };
        life.open(SimDisk::new(7));
        life
    }

    fn spool(&mut self) -> &mut Spool<SimDisk> {
        self.spool.as_mut().expect("it is opened again after each end")
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.below(20) {
            0..=4 => {
                let (count, bytes) = (1 + input.below(8) as u32, usize::from(input.byte()) * 8);
                self.append(count, bytes);
            }
            5 | 6 => self.acknowledge(input.below(16)),
            7 => self.restart(None),
            8 => self.restart(Some((PowerCut::LoseAll, 0))),
            9 | 10 => self.restart(Some((PowerCut::Tear, input.byte().into()))),
            11 => {
                let operation = self.spool().disk_mut().stats().operations + 1 + input.below(12) as u64;
                self.spool().disk_mut().cut_at(operation);
            }
            12 => {
                let (operation, kind) = FAILING[input.below(FAILING.len())];
                let times = 1 + input.below(4) as u32;
                self.has_failed = true;
                self.spool().disk_mut().fail(operation, kind, times);
            }
            13 => {
                self.spool().disk_mut().heal();
                let full = if input.flag() { u64::MAX } else { 3 * u64::from(segments::SEGMENT_BYTES) };
                self.spool().disk_mut().set_capacity(full);
            }
            14 => self.refuse(input.below(16)),
            15 => {
                let key = input.byte().into();
                let bytes = input.take(8);
                let forget: &[u64] = if input.flag() { &[1] } else { &[] };
                let _ = self.spool().append_cursors(Mono(1), &[(key, bytes)], forget);
            }
            16..=18 => self.rot(input),
            _ => self.check(),
        }
        // Nobody goes on without power.
        if self.spool().disk_mut().is_off() {
            self.restart(None);
        }
    }

    fn append(&mut self, count: u32, bytes: usize) {
        let spool = self.spool();
        let sealed = log::block(spool.tail(), count, bytes);
        match spool.append(Mono(1), &sealed, &[(1, &count.to_le_bytes())], &[]) {
            Ok(()) => {
                let end = spool.next_durable();
                self.durable.push(end);
            }
            Err(SpoolError::Disk(_) | SpoolError::Full { .. } | SpoolError::GapsFull) => {}
            Err(error) => panic!("{error}"),
        }
        while let Some(event) = self.spool().poll_event() {
            if let SpoolEvent::Dropped { cause, .. } = event {
                assert!(self.is_rotten || cause != Cause::Corruption, "nothing was damaged: {event:?}");
            }
        }
    }

    /// The gateway acknowledges up to the end of an item.
    fn acknowledge(&mut self, items: usize) {
        let Ok(seen) = self.walk() else { return };
        let Some(last) = seen.get(items).or(seen.last()) else { return };
        self.spool().trim(&last.item.end);
        let passed: Vec<Place> = seen.iter().take(items + 1).map(|published| published.item.end).collect();
        if self.spool().base() == last.item.end {
            let base = last.item.end;
            let after = self.durable.iter().position(|end| *end == base);
            match after {
                Some(at) => drop(self.durable.drain(..=at)),
                None => self.durable.retain(|end| !passed.contains(end) && end.seq > base.seq),
            }
        }
    }

    fn refuse(&mut self, item: usize) {
        let Ok(seen) = self.walk() else { return };
        if let Some(published) = seen.get(item)
            && matches!(published.header, ItemHeader::Block(_))
        {
            let _ = self.spool().refuse(&published.item.begin, Cause::Refused);
        }
    }

    /// Bits flip, bytes change, files become short or vanish.
    fn rot(&mut self, input: &mut Input<'_>) {
        self.is_rotten = true;
        let disk = self.spool().disk_mut();
        let files = disk.list().unwrap_or_default();
        let Some((slot, _)) = files.get(input.below(files.len())).copied() else { return };
        let at = usize::from(input.word()) % segments::SEGMENT_BYTES as usize;
        match input.below(4) {
            0 => disk.flip(slot, at, input.byte()),
            1 => disk.overwrite(slot, at, input.chunk()),
            2 => disk.truncate(slot, at),
            _ => disk.lose(slot),
        }
    }

    fn restart(&mut self, cut: Option<(PowerCut, u64)>) {
        let Some(spool) = self.spool.take() else { return };
        let mut disk = spool.into_disk();
        match cut {
            Some((cut, seed)) => disk.power_cut(cut, seed),
            None if disk.is_off() => disk.power_cut(PowerCut::Tear, 1),
            None => {
                disk.heal();
                disk.revive();
            }
        }
        self.open(disk);
        self.check();
    }

    fn open(&mut self, disk: SimDisk) {
        self.run += 1;
        let open = |disk| Spool::open(disk, segments::config(), RunId(self.run), 1);
        let again = open(disk.clone()).expect("a spool opens whatever is in it");
        let again = open(again.into_disk()).expect("a spool opens whatever is in it");
        let spool = open(disk).expect("a spool opens whatever is in it");
        assert_eq!((spool.base(), spool.tail()), (again.base(), again.tail()), "recovered otherwise");
        let recovery = spool.recovery();
        assert!(self.is_rotten || recovery.records_lost == 0, "nothing was damaged: {recovery:?}");
        self.spool = Some(spool);
    }

    fn walk(&mut self) -> Result<Vec<Published>, SpoolError> {
        let seen = walk(self.spool())?.expect("reading comes to the end");
        judge(&seen);
        for Published { item, header, sealed } in &seen {
            if let ItemHeader::Gap(gap) = header {
                assert!(self.is_rotten || gap.cause != Cause::Corruption, "nothing was damaged: {gap:?}");
                continue;
            }
            let is_start = matches!(header, ItemHeader::Start(_));
            let known = self
                .published
                .entry((item.end.run, item.begin.seq, is_start))
                .or_insert_with(|| sealed.clone());
            let may_differ = self.is_rotten && self.has_failed;
            assert!(known == sealed || may_differ, "{item:?} has other bytes than before");
        }
        Ok(seen)
    }

    fn check(&mut self) {
        // What could not be synced once more at a start is not handed out, until it can.
        if self.walk().is_err() || self.is_rotten || !self.spool().is_synced() {
            return;
        }
        for end in self.durable.clone() {
            let found = self.spool().boundary(end.run, end.seq);
            let is_there = match found {
                Boundary::At(chain) => chain == end.chain,
                Boundary::InsideGap => true,
                Boundary::Unknown => false,
            };
            assert!(
                is_there || self.spool().base() == end,
                "what ended at {end} was durable and is lost: {found:?}"
            );
        }
    }
}
