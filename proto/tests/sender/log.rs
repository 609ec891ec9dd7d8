//! A log in memory, a sender in front of it, and short words for both.

use driftlog_proto::ids::{Chain, Lane, Place, RunId, Seq};
use driftlog_proto::message::{AckLane, Nack, NackReason, Range};
use driftlog_proto::sender::{Boundary, Kind, Log, NackAction, Progress, Sender, Stored};
use driftlog_proto::time::Mono;

/// The run of everything that names no other.
pub(crate) const RUN: RunId = RunId(1);

/// The place before record `seq` of [`RUN`].
pub(crate) fn place(seq: u64) -> Place {
    place_in(RUN, seq)
}

pub(crate) fn place_in(run: RunId, seq: u64) -> Place {
    Place { run, seq: Seq(seq), chain: Chain(1000 * run.0 + seq) }
}

pub(crate) fn at(ms: u64) -> Mono {
    Mono(1_000_000 * ms)
}

/// A block of one record.
pub(crate) fn block(seq: u64, bytes: u32) -> Stored {
    Stored { begin: place(seq), end: place(seq + 1), kind: Kind::Block, bytes, token: 0 }
}

pub(crate) fn gap(from: u64, to: u64, bytes: u32) -> Stored {
    Stored { begin: place(from), end: place(to), kind: Kind::Gap, bytes, token: 0 }
}

/// So many blocks of these bytes.
pub(crate) fn blocks(count: u64, bytes: u32) -> Vec<Stored> {
    (0..count).map(|seq| block(seq, bytes)).collect()
}

/// Items one behind the other.
pub(crate) struct Items {
    pub(crate) items: Vec<Stored>,
    /// How often an item was asked for.
    pub(crate) asked: usize,
    /// Every place up to which it was trimmed.
    pub(crate) trimmed: Vec<Place>,
}

impl Log for Items {
    fn item_at(&mut self, place: &Place) -> Option<Stored> {
        self.asked += 1;
        self.items.iter().find(|item| item.begin == *place).copied()
    }

    fn boundary(&mut self, run: RunId, seq: Seq) -> Boundary {
        let is_around = |item: &&Stored| {
            item.kind == Kind::Gap && item.begin.seq < seq && seq < item.end.seq && run == RUN
        };
        if self.items.iter().any(|item| is_around(&item)) {
            return Boundary::InsideGap;
        }
        let end = self.items.iter().find(|item| (item.end.run, item.end.seq) == (run, seq));
        end.map_or(Boundary::Unknown, |item| Boundary::At(item.end.chain))
    }

    fn trim(&mut self, place: &Place) {
        self.trimmed.push(*place);
        self.items.retain(|item| item.end.seq > place.seq);
        if let Some(first) = self.items.first_mut().filter(|first| first.begin.seq < place.seq) {
            first.begin = *place;
        }
    }
}

/// A sender and its log.
pub(crate) struct World {
    pub(crate) sender: Sender,
    pub(crate) log: Items,
}

impl World {
    /// Connected, with credit for so many bytes.
    pub(crate) fn new(items: Vec<Stored>, credit: u32) -> Self {
        let mut sender = Sender::new(items[0].begin, 1_000_000);
        sender.handle_link_up();
        sender.handle_credit(credit);
        Self { sender, log: Items { items, asked: 0, trimmed: Vec::new() } }
    }

    /// Publishes what may be published; gives the first numbers.
    pub(crate) fn publish(&mut self, ms: u64) -> Vec<u64> {
        let mut published = Vec::new();
        while let Some(item) = self.sender.poll_publish(at(ms), &mut self.log) {
            published.push(item.begin.seq.0);
            assert!(published.len() < 1000, "the sender does not stop");
        }
        published
    }

    pub(crate) fn ack(&mut self, ms: u64, places: &[Place]) -> Progress {
        self.ack_all(ms, places, &[], None)
    }

    /// The gateway holds these numbers of [`RUN`].
    pub(crate) fn hint(&mut self, ms: u64, first: u64, end: u64) {
        let range = Range { run: RUN, first: Seq(first), end: Seq(end) };
        let progress = self.ack_all(ms, &[], &[range], None);
        assert_eq!(progress, Progress::default(), "a hint frees nothing");
    }

    /// The gateway has heard of what was sent at `echoed`.
    pub(crate) fn echo(&mut self, ms: u64, echoed: u64) {
        self.ack_all(ms, &[], &[], Some(at(echoed)));
    }

    pub(crate) fn ack_all(
        &mut self,
        ms: u64,
        places: &[Place],
        received: &[Range],
        echoed: Option<Mono>,
    ) -> Progress {
        let lane = AckLane {
            lane: Lane::Bulk,
            runs: places.iter().copied().collect(),
            received: received.iter().copied().collect(),
            credit: 0,
        };
        self.sender.handle_ack(at(ms), &lane, echoed, &mut self.log)
    }

    pub(crate) fn nack(&mut self, ms: u64, run: RunId, seq: u64, reason: NackReason) -> NackAction {
        let nack = Nack { lane: Lane::Bulk, run, seq: Seq(seq), checksum: 0, reason };
        self.sender.handle_nack(at(ms), &nack)
    }
}
