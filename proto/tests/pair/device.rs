//! The device's side: an in-memory log that overflows and starts new runs, and a `Sender`.

use driftlog_proto::ids::{BootId, Lane, Place, RunId, Seq, SessionId};
use driftlog_proto::item::{self, BlockHeader, Cause, Gap, GapStarts, ItemHeader, Start};
use driftlog_proto::limits::GAP_STARTS_MAX;
use driftlog_proto::message::{self, Down, Hello, HelloLane, Item, Reading, Told, Up};
use driftlog_proto::sender::{Boundary, Kind, Log, Sender, Session, Stored};
use driftlog_proto::time::{ClockState, Mono, Unix};

use crate::line::{Chance, Line};

/// An item in the log, sealed.
#[derive(Clone)]
pub(crate) struct Sealed {
    pub stored: Stored,
    pub bytes: Vec<u8>,
    pub header: ItemHeader,
}

fn sealed(header: ItemHeader, payload: &[u8]) -> Sealed {
    let mut bytes = vec![0; 2048];
    let len = item::seal(&header, payload, &mut bytes).unwrap();
    bytes.truncate(len);
    let kind = match header {
        ItemHeader::Start(_) => Kind::Start,
        ItemHeader::Block(_) => Kind::Block,
        ItemHeader::Gap(_) => Kind::Gap,
    };
    let stored = Stored { begin: header.begin(), end: header.end(&bytes), kind, bytes: len as u32, token: 0 };
    Sealed { stored, bytes, header }
}

/// The log of the lane: what is not acknowledged, a gap in front at most.
#[derive(Clone)]
pub(crate) struct MemoryLog {
    items: Vec<Sealed>,
    base: Place,
}

impl Log for MemoryLog {
    fn item_at(&mut self, place: &Place) -> Option<Stored> {
        self.items.iter().map(|item| item.stored).find(|stored| stored.begin == *place)
    }

    fn boundary(&mut self, run: RunId, seq: Seq) -> Boundary {
        for item in &self.items {
            if item.stored.end.run == run && item.stored.end.seq == seq {
                return Boundary::At(item.stored.end.chain);
            }
            if let ItemHeader::Gap(gap) = &item.header
                && is_inside(gap, run, seq)
            {
                return Boundary::InsideGap;
            }
        }
        Boundary::Unknown
    }

    fn trim(&mut self, place: &Place) {
        if let Some(at) = self.items.iter().position(|item| item.stored.end == *place) {
            self.items.drain(..=at);
        } else {
            let at = self
                .items
                .iter()
                .position(|item| matches!(&item.header, ItemHeader::Gap(gap) if is_inside(gap, place.run, place.seq)))
                .expect("trim names a boundary or lies in a gap");
            self.items.drain(..at);
            let ItemHeader::Gap(mut gap) = self.items[0].header.clone() else { unreachable!() };
            let passed = gap.starts.iter().position(|&(run, _)| run == place.run).map_or(0, |at| at + 1);
            gap.starts = gap.starts[passed..].iter().copied().collect();
            gap.from = *place;
            self.items[0] = sealed(ItemHeader::Gap(gap), &[]);
        }
        self.base = *place;
    }
}

/// Above the gap's beginning and below its end.
fn is_inside(gap: &Gap, run: RunId, seq: Seq) -> bool {
    let runs: Vec<(RunId, Seq)> =
        std::iter::once((gap.from.run, gap.from.seq)).chain(gap.starts.iter().copied()).collect();
    runs.iter().enumerate().any(|(at, &(listed, n))| {
        let end = runs.get(at + 1).map_or(gap.to.seq, |next| next.1);
        let is_from = at == 0 && seq == n;
        let is_to = listed == gap.to.run && seq == gap.to.seq;
        listed == run && n <= seq && seq <= end && !is_from && !is_to
    })
}

/// A device with one lane.
pub(crate) struct Device {
    log: MemoryLog,
    tail: Place,
    run: RunId,
    run_has_begun: bool,
    sender: Sender,
    session: Session,
    runs: u64,
    boot: BootId,
    /// Everything that was ever sealed, for the judge.
    pub history: Vec<Sealed>,
    /// Everything that was ever dropped, for the judge.
    pub dropped: Vec<Place>,
}

impl Device {
    pub(crate) fn new(chance: &mut Chance) -> Self {
        let run = RunId(1 + chance.below(1000) * 100_000);
        Self {
            log: MemoryLog { items: Vec::new(), base: Place::ORIGIN },
            tail: Place::ORIGIN,
            run,
            run_has_begun: false,
            sender: Sender::new(Place::ORIGIN, 4000),
            session: Session::default(),
            runs: 0,
            boot: BootId([1; 16]),
            history: Vec::new(),
            dropped: Vec::new(),
        }
    }

    /// The same flash in another device: a new run from the same place on.
    pub(crate) fn copy(&self) -> Self {
        Self {
            log: self.log.clone(),
            tail: self.tail,
            run: RunId(self.run.0 + 50_000),
            run_has_begun: false,
            sender: Sender::new(self.log.base, 4000),
            session: Session::default(),
            runs: 0,
            boot: BootId([2; 16]),
            history: self.history.clone(),
            dropped: self.dropped.clone(),
        }
    }

    /// The flash forgets its newest items, though it had said that they were durable.
    pub(crate) fn forget_tail(&mut self, items: usize, line: &mut Line) {
        let keep = self.log.items.len().saturating_sub(items);
        self.log.items.truncate(keep);
        self.tail = self.log.items.last().map_or(self.log.base, |item| item.stored.end);
        self.restart(line);
    }

    /// The device is wiped.
    pub(crate) fn wipe(&mut self, chance: &mut Chance) {
        let history = std::mem::take(&mut self.history);
        *self = Self { history, ..Self::new(chance) };
        self.run = RunId(self.run.0 + 7_000_000_000);
    }

    /// How many items are on flash.
    pub(crate) fn items(&self) -> usize {
        self.log.items.len()
    }

    pub(crate) fn base(&self) -> Place {
        self.log.base
    }

    pub(crate) fn tail(&self) -> Place {
        self.tail
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.log.base == self.tail
    }

    fn append(&mut self, sealed: Sealed) {
        assert!(sealed.stored.begin == self.tail);
        self.tail = sealed.stored.end;
        self.history.push(sealed.clone());
        self.log.items.push(sealed);
    }

    pub(crate) fn seal(&mut self, chance: &mut Chance) {
        if !self.run_has_begun {
            self.run_has_begun = true;
            let start = Start { lane: Lane::Bulk, run: self.run, parent: self.tail };
            self.append(sealed(ItemHeader::Start(start), &[]));
        }
        let header = BlockHeader {
            lane: Lane::Bulk,
            run: self.run,
            first: self.tail.seq,
            prev: self.tail.chain,
            count: 1 + chance.below(5) as u32,
            boot: self.boot,
            mono: Mono(0),
            span_ns: 0,
            wall: Unix(0),
            clock: ClockState::Unset,
            codec: 0,
            raw_bytes: 0,
        };
        let payload = vec![chance.next() as u8; chance.below(900) as usize];
        self.append(sealed(ItemHeader::Block(header), &payload));
    }

    /// The agent starts again: a new run, nothing in memory. The broker may have a retained `Ack`.
    pub(crate) fn restart(&mut self, line: &mut Line) {
        self.runs += 1;
        if self.run_has_begun {
            self.run = RunId(self.run.0 + 1);
        }
        self.run_has_begun = false;
        self.sender = Sender::new(self.log.base, 4000);
        self.session = Session::default();
        if let Some(ack) = line.retained.clone() {
            self.hear(0, &ack);
        }
    }

    pub(crate) fn cut(&mut self) {
        self.session.handle_link_down();
        self.sender.handle_link_down();
    }

    /// The oldest items are dropped: a gap takes their place, merged with one that stands there.
    pub(crate) fn overflow(&mut self) {
        let count = self.log.items.len() / 2;
        let Some(last) = count.checked_sub(1).map(|at| self.log.items[at].clone()) else { return };
        let mut starts = GapStarts::new();
        for item in &self.log.items[..count] {
            match &item.header {
                ItemHeader::Start(start) => starts.push((start.run, start.parent.seq)).unwrap(),
                ItemHeader::Gap(gap) => starts.extend_from_slice(&gap.starts).unwrap(),
                ItemHeader::Block(_) => self.dropped.push(item.stored.begin),
            }
            if starts.len() + 4 > GAP_STARTS_MAX {
                return;
            }
        }
        let gap = Gap {
            lane: Lane::Bulk,
            from: self.log.base,
            to: last.stored.end,
            cause: Cause::Overflow,
            starts,
        };
        let (from, to) = (gap.from, gap.to);
        self.log.items.splice(..count, [sealed(ItemHeader::Gap(gap), &[])]);
        self.sender.handle_dropped(&from, &to, &mut self.log);
    }

    pub(crate) fn hear(&mut self, now: u64, message: &[u8]) {
        let (Down::Ack(ack), _) = message::decode(message).unwrap() else { return };
        let heard = self.session.handle_ack(Mono(now), &ack);
        if heard.is_new_generation {
            self.sender.handle_generation();
        }
        for lane in &ack.lanes {
            let echoed =
                ack.echo.filter(|echo| Some(echo.session) == self.session.id()).map(|echo| echo.mono);
            let progress = self.sender.handle_ack(Mono(now), lane, echoed, &mut self.log);
            assert!(progress.twice.is_none(), "the gateway has another history of {:?}", progress.twice);
            if heard.is_credit_valid {
                self.sender.handle_credit(lane.credit);
            }
        }
        assert!(self.sender.base() == self.log.base);
    }

    pub(crate) fn speak(&mut self, now: u64, chance: &mut Chance) -> Vec<Vec<u8>> {
        if self.session.id().is_none() {
            self.session.handle_link_up(SessionId(chance.next()));
            self.sender.handle_link_up();
        }
        let mut said = Vec::new();
        if self.session.poll_hello(Mono(now)) {
            said.push(encode(&Up::Hello(self.hello(now)), &[]));
        }
        while let Some(stored) = self.sender.poll_publish(Mono(now), &mut self.log) {
            let item = self.log.items.iter().find(|item| item.stored.begin == stored.begin).unwrap();
            let told = (stored.kind != Kind::Block).then(|| Told {
                heard: self.session.heard(),
                run: self.run,
                base: self.log.base,
            });
            let envelope = Item { session: self.session.id().unwrap(), reading: self.reading(now), told };
            said.push(encode(&Up::Item(envelope), &item.bytes));
            assert!(said.len() <= 130, "the sender does not stop");
        }
        said
    }

    fn reading(&self, now: u64) -> Reading {
        Reading {
            mono: Mono(now),
            wall: Unix(0),
            clock: ClockState::Unset,
            returned: self.session.returned(),
        }
    }

    fn hello(&self, now: u64) -> Hello {
        let lane = HelloLane { lane: Lane::Bulk, run: self.run, base: self.log.base, next: self.tail };
        Hello {
            protocol_min: 1,
            protocol_max: 1,
            agent: heapless::String::new(),
            session: self.session.id().unwrap(),
            boot: self.boot,
            reading: self.reading(now),
            heard: self.session.heard(),
            hardware_changed: false,
            labels: heapless::Vec::new(),
            lanes: [lane].into_iter().collect(),
        }
    }
}

fn encode<M: message::Message>(message: &M, tail: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 8192];
    let len = message::encode(message, tail, &mut out).unwrap();
    out.truncate(len);
    out
}
