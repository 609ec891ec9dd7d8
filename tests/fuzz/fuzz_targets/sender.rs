//! A sender over a real spool, and a gateway that acknowledges, hints, refuses and grants as it
//! likes: each byte is an operation.
//!
//! Asserts that
//! - nothing is freed but up to a boundary of the own log with the same chain, or into a gap;
//! - base of sender and spool are one;
//! - no item is published twice at one instant, and no block goes on the air for which the credit has
//!   no room, but for the first;
//! - once an honest gateway answers, everything is sent and freed.
#![no_main]

use driftlog_agent::spool::disk::SimDisk;
use driftlog_agent::spool::{Spool, SpoolConfig, SpoolEvent};
use driftlog_fuzz::input::Input;
use driftlog_fuzz::{log, segments};
use driftlog_proto::ids::{Chain, Lane, Place, RunId, Seq};
use driftlog_proto::item::Cause;
use driftlog_proto::limits::IN_FLIGHT_ITEMS_MAX;
use driftlog_proto::message::{AckLane, Nack, NackReason, Range};
use driftlog_proto::sender::{Boundary, Kind, Log, NackAction, Sender, Stored};
use driftlog_proto::time::Mono;
use libfuzzer_sys::fuzz_target;

const OPERATIONS_MAX: usize = 200;
const WINDOW: u32 = 3000;

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let mut lane = LaneUnderTest::new(input.flag());
    for _ in 0..OPERATIONS_MAX {
        if input.is_empty() {
            break;
        }
        lane.step(&mut input);
    }
    lane.drain();
});

/// The spool, which checks what the sender does to it.
struct Judge {
    spool: Spool<SimDisk>,
    /// Every end of an item that was ever sealed here.
    ends: Vec<Place>,
}

impl Log for Judge {
    fn item_at(&mut self, place: &Place) -> Option<Stored> {
        Log::item_at(&mut self.spool, place)
    }

    fn boundary(&mut self, run: RunId, seq: Seq) -> Boundary {
        self.spool.boundary(run, seq)
    }

    fn trim(&mut self, place: &Place) {
        match self.spool.boundary(place.run, place.seq) {
            Boundary::At(chain) => {
                assert_eq!(chain, place.chain, "freed at {place}, which has another chain");
                assert!(self.ends.contains(place), "freed at {place}, where no item ends");
            }
            Boundary::InsideGap => {}
            Boundary::Unknown => panic!("freed at {place}, which is not in the log"),
        }
        self.spool.trim(place);
        assert_eq!(self.spool.base(), *place, "the spool keeps its base");
    }
}

struct LaneUnderTest {
    log: Judge,
    sender: Sender,
    now: Mono,
    is_linked: bool,
    run: u64,
    config: SpoolConfig,
}

impl LaneUnderTest {
    fn new(is_roomy: bool) -> Self {
        let mut config = segments::config();
        if is_roomy {
            config.bytes_max *= 16;
        }
        let spool = Spool::open(SimDisk::new(3), config, RunId(1), 1).expect("an empty flash");
        let sender = Sender::new(spool.base(), WINDOW);
        let log = Judge { spool, ends: Vec::new() };
        Self { log, sender, now: Mono(1_000_000_000), is_linked: false, run: 1, config }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.below(16) {
            0..=3 => self.append(1 + input.below(8) as u32, usize::from(input.byte()) * 8),
            4..=6 => self.acknowledge(input),
            7 | 8 => self.publish(),
            9 => self.now = self.now.plus_ms(u64::from(input.byte()) * 100),
            10 => {
                self.is_linked = input.flag();
                if self.is_linked { self.sender.handle_link_up() } else { self.sender.handle_link_down() }
            }
            11 => self.sender.handle_generation(),
            12 => self.sender.handle_credit((input.number() as u32).wrapping_mul(64)),
            13 => self.refuse(input),
            14 => self.restart(),
            _ => {
                let place = self.place(input);
                self.sender.handle_changed(&place);
            }
        }
        assert_eq!(self.sender.base(), self.log.spool.base(), "sender and spool have one base");
        assert!(self.sender.in_flight_items() <= IN_FLIGHT_ITEMS_MAX);
    }

    fn append(&mut self, count: u32, bytes: usize) {
        let spool = &mut self.log.spool;
        let (before, tail) = (spool.next_durable(), spool.tail());
        let sealed = log::block(tail, count, bytes);
        if spool.append(Mono(1), &sealed, &[], &[]).is_ok() {
            let end = Place {
                run: tail.run,
                seq: Seq(tail.seq.0 + u64::from(count)),
                chain: Chain::after(&sealed),
            };
            assert_eq!(spool.next_durable(), end);
            if before.run != tail.run {
                self.log.ends.push(tail);
            }
            self.log.ends.push(end);
        }
        self.tell();
    }

    /// Tells the sender what the spool dropped, as the agent does.
    fn tell(&mut self) {
        while let Some(event) = self.log.spool.poll_event() {
            if let SpoolEvent::Dropped { from, to, .. } = event {
                self.sender.handle_dropped(&from, &to, &mut self.log);
            }
        }
    }

    /// The agent starts again: a new run, nothing in memory.
    fn restart(&mut self) {
        self.run += 1;
        let disk = std::mem::replace(&mut self.log.spool, Self::new(false).log.spool).into_disk();
        self.log.spool = Spool::open(disk, self.config, RunId(self.run), 1).expect("a sound flash");
        self.sender = Sender::new(self.log.spool.base(), WINDOW);
        self.is_linked = false;
    }

    /// A place of the own log, perhaps with something wrong about it.
    fn place(&self, input: &mut Input<'_>) -> Place {
        let ends = &self.log.ends;
        let from_end = input.below(32).min(ends.len());
        let mut place = ends.get(ends.len() - from_end).copied().unwrap_or(self.log.spool.base());
        match input.byte() {
            0 => place.chain.0 ^= 1,
            1 => place.chain = Chain::ROOT,
            2 => place.run.0 ^= 1,
            3 => place.seq = Seq(input.number()),
            4 => place.seq.0 += 1,
            5 => place.seq.0 = place.seq.0.saturating_sub(1),
            6 => {
                place =
                    Place { run: RunId(input.number()), seq: Seq(input.number()), chain: Chain(input.long()) }
            }
            7 => place = Place::ORIGIN,
            8 => place = self.log.spool.tail(),
            _ => {}
        }
        place
    }

    fn acknowledge(&mut self, input: &mut Input<'_>) {
        let mut lane = AckLane { lane: Lane::Bulk, runs: [].into(), received: [].into(), credit: 0 };
        let shape = input.byte();
        for _ in 0..shape % 4 {
            let _ = lane.runs.push(self.place(input));
        }
        for _ in 0..shape / 4 % 3 {
            let place = self.place(input);
            let end = Seq(place.seq.0.saturating_add(input.byte().into()));
            let _ = lane.received.push(Range { run: place.run, first: place.seq, end });
        }
        let echoed = (shape & 64 != 0)
            .then(|| Mono(self.now.0.wrapping_sub(input.number().wrapping_mul(100_000_000))));
        let before = self.sender.base();
        let progress = self.sender.handle_ack(self.now, &lane, echoed, &mut self.log);
        assert_eq!(progress.advanced, self.sender.base() != before, "{progress:?} from {before}");
        if let Some(run) = progress.twice {
            assert!(lane.runs.iter().any(|place| place.run == run && place.chain != Chain::ROOT));
        }
    }

    fn refuse(&mut self, input: &mut Input<'_>) {
        let place = self.place(input);
        let reason = if input.flag() { NackReason::Limit } else { NackReason::Checksum };
        let nack = Nack { lane: Lane::Bulk, run: place.run, seq: place.seq, checksum: 0, reason };
        if let NackAction::Replace(stored) = self.sender.handle_nack(self.now, &nack) {
            if self.log.spool.refuse(&stored.begin, Cause::Refused).is_ok() {
                self.sender.handle_changed(&stored.begin);
            }
            self.tell();
        }
    }

    fn publish(&mut self) {
        let mut sent: Vec<Stored> = Vec::new();
        let mut bytes = Vec::new();
        let room = u64::from(self.sender.credit().min(WINDOW));
        let mut before = self.sender.in_flight_bytes();
        while let Some(item) = self.sender.poll_publish(self.now, &mut self.log) {
            assert!(self.is_linked, "published without a link");
            assert!(!sent.contains(&item), "{item:?} twice at one instant");
            assert!(sent.len() <= IN_FLIGHT_ITEMS_MAX, "the sender does not stop");
            let after = self.sender.in_flight_bytes();
            let needs_credit = item.kind == Kind::Block && item.begin != self.sender.base() && after > before;
            assert!(
                !needs_credit || after <= room,
                "{item:?}: {after} bytes on the air with credit for {room}"
            );
            before = after;
            if self.log.spool.read(&item, &mut bytes).is_err() {
                self.sender.handle_changed(&item.begin);
                break;
            }
            sent.push(item);
        }
    }

    /// An honest gateway acknowledges what it gets.
    fn drain(&mut self) {
        self.is_linked = true;
        self.sender.handle_link_up();
        for _ in 0..2_000 {
            if self.sender.base() == self.log.spool.next_durable() {
                return;
            }
            self.sender.handle_credit(u32::MAX);
            self.now = self.now.plus_ms(100_000);
            let Some(item) = self.sender.poll_publish(self.now, &mut self.log) else { continue };
            if self.log.spool.read(&item, &mut Vec::new()).is_err() {
                self.sender.handle_changed(&item.begin);
                continue;
            }
            let lane = AckLane {
                lane: Lane::Bulk,
                runs: [item.end].into_iter().collect(),
                received: [].into(),
                credit: 0,
            };
            self.sender.handle_ack(self.now, &lane, None, &mut self.log);
        }
        panic!("stuck at {} before {}", self.sender.base(), self.log.spool.next_durable());
    }
}
