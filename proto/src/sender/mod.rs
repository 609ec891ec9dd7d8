//! Which items of a lane are on the air: window, credit, re-sending.
//!
//! The link may lose, double, delay and reorder whatever it is given. A sender publishes the
//! items of its log in order, again after a time-out or a new connection, and forgets one only
//! when an `Ack` names a boundary of its own log with the same chain.
//!
//! Costs: a ring of [`IN_FLIGHT_ITEMS_MAX`] entries (lengths and places, no payload).
//!
//! Invariants, checked by `Sender::check` after every change in debug builds:
//! - S1: the ring is one contiguous piece of the log that begins at the base, or above it where the
//!   gateway has all that lies between.
//! - S2: the bytes on the air are the sum over the entries that are on the air.
//! - S3: without a link nothing is on the air.

mod session;

pub use session::{HELLO_MS_MAX, HELLO_MS_MIN, Heard, Session};

use crate::ids::{Chain, Place, RunId, Seq};
use crate::limits::IN_FLIGHT_ITEMS_MAX;
use crate::message::{AckLane, Nack, NackReason, Range};
use crate::time::Mono;

/// The shortest wait before an item is sent again.
pub const RESEND_MS_MIN: u64 = 2_000;
/// The longest wait before an item is sent again.
pub const RESEND_MS_MAX: u64 = 60_000;
/// How much later a message must have been sent that the gateway has heard, for an earlier one to
/// count as lost; doubled with every try.
pub const LOST_MS: u64 = 500;
/// The wait before an item that arrived broken is sent again.
pub const NACKED_MS: u64 = 1_000;
/// How often an item is sent in one connection before it may be [unheard](Sender::unheard).
pub const UNHEARD_TRIES: u32 = 4;
/// How long the gateway's word that it holds an item delays its re-sending.
pub const HINT_MS: u64 = 30_000;

/// What kind of item an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A run begins.
    Start,
    /// Records.
    Block,
    /// Records that are gone.
    Gap,
}

/// An item of the log as the sender knows it: where it stands and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The place before it.
    pub begin: Place,
    /// The place after it.
    pub end: Place,
    /// What it is.
    pub kind: Kind,
    /// Bytes of its sealed form.
    pub bytes: u32,
    /// Where the log finds it again.
    pub token: u64,
}

/// What a log knows about a number of one of its runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// An item of the log ends here, above the base, with this chain after it.
    At(Chain),
    /// Inside a gap: above its beginning and below its end.
    InsideGap,
    /// No boundary above the base.
    Unknown,
}

/// The log of one lane: the spool, or a simulated one.
pub trait Log {
    /// The durable item that begins at `place`, if there is one yet.
    fn item_at(&mut self, place: &Place) -> Option<Stored>;
    /// What stands at number `seq` of `run`, above the base.
    fn boundary(&mut self, run: RunId, seq: Seq) -> Boundary;
    /// Where the log leaves `run` below number `seq`, above the base: the place before the next
    /// run's start. A log that never forgets what it published need not know.
    fn leaves(&mut self, _run: RunId, _seq: Seq) -> Option<Place> {
        None
    }
    /// Everything before `place` is acknowledged: it becomes the base. `place` is a boundary
    /// above the base, or lies inside a gap, whose beginning moves there.
    fn trim(&mut self, place: &Place);
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    item: Stored,
    /// On the air since then, in this connection; `None` when it is due.
    sent: Option<Mono>,
    /// It was sent more than once, so that its answer does not tell the round trip.
    is_resent: bool,
    /// How often it was sent in this connection since the base last moved.
    tries: u32,
    /// The gateway has heard what was sent well after it, and not it, in this connection.
    is_missed: bool,
    /// It is sent again then, however long the wait for an answer would be.
    again: Option<Mono>,
    /// The gateway says that it holds it; not sent again before then.
    hinted: Mono,
}

impl Flight {
    const fn due(item: Stored) -> Self {
        Self { item, sent: None, is_resent: false, tries: 0, is_missed: false, again: None, hinted: Mono(0) }
    }
}

/// What an `Ack` brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The base moved.
    pub advanced: bool,
    /// The `Ack` names one of our own boundaries with another chain: this run runs twice.
    pub twice: Option<RunId>,
}

/// What to do about a `Nack`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NackAction {
    /// It names nothing that is on the air.
    Ignore,
    /// The item will be sent again; verify the own copy first.
    SendAgain(Stored),
    /// The item breaks a limit: replace it by a gap, then call [`Sender::handle_changed`].
    Replace(Stored),
}

/// The sender of one lane.
#[derive(Debug)]
pub struct Sender {
    base: Place,
    /// Above the base: what lies between need not be sent, though it is not acknowledged.
    skipped: Option<Place>,
    ring: heapless::Deque<Flight, IN_FLIGHT_ITEMS_MAX>,
    linked: bool,
    credit: u32,
    in_flight_bytes_max: u32,
    in_flight_bytes: u64,
    /// Smoothed round trip, milliseconds (RFC 6298 section 2), 0 when there was none.
    round_trip_ms: u64,
}

impl Sender {
    /// A sender whose log is acknowledged up to `base`.
    #[must_use]
    pub const fn new(base: Place, in_flight_bytes_max: u32) -> Self {
        Self {
            base,
            skipped: None,
            ring: heapless::Deque::new(),
            linked: false,
            credit: 0,
            in_flight_bytes_max,
            in_flight_bytes: 0,
            round_trip_ms: 0,
        }
    }

    /// The place below which everything is acknowledged.
    #[must_use]
    pub const fn base(&self) -> Place {
        self.base
    }

    /// Bytes of items that are on the air.
    #[must_use]
    pub const fn in_flight_bytes(&self) -> u64 {
        self.in_flight_bytes
    }

    /// Items that are on the air.
    #[must_use]
    pub fn in_flight_items(&self) -> usize {
        self.ring.iter().filter(|flight| flight.sent.is_some()).count()
    }

    /// Bytes that the gateway is now willing to receive.
    #[must_use]
    pub const fn credit(&self) -> u32 {
        self.credit
    }

    /// The oldest item, if it was sent [`UNHEARD_TRIES`] times in this connection, and the gateway has heard
    /// what was sent well after it and not it: something between here and there does not let it pass.
    #[must_use]
    pub fn unheard(&self) -> Option<Stored> {
        let is_unheard = |flight: &&Flight| flight.is_missed && flight.tries >= UNHEARD_TRIES;
        self.ring.front().filter(is_unheard).map(|flight| flight.item)
    }

    /// There is a connection. Everything is due again; there is no credit until an `Ack` of this
    /// session brings some.
    pub fn handle_link_up(&mut self) {
        self.linked = true;
        self.credit = 0;
        self.recall();
    }

    /// The connection is gone.
    pub fn handle_link_down(&mut self) {
        self.linked = false;
        self.credit = 0;
        self.recall();
    }

    /// A gateway of a new generation speaks: it may have forgotten whatever it had not committed.
    pub fn handle_generation(&mut self) {
        if self.skipped.take().is_some() {
            self.ring.clear();
        }
        self.recall();
    }

    fn recall(&mut self) {
        for flight in &mut self.ring {
            *flight = Flight::due(flight.item);
        }
        self.in_flight_bytes = 0;
        self.check();
    }

    /// Credit from the newest `Ack` that echoes the present session.
    pub fn handle_credit(&mut self, credit: u32) {
        self.credit = credit;
    }

    /// The lane's entry of an `Ack`. Every place in it frees by itself; hints free nothing.
    ///
    /// `echoed` is when the newest message was sent that the gateway had heard of this session:
    /// what was sent well before it, and is neither acknowledged nor hinted at, was lost.
    pub fn handle_ack(
        &mut self,
        now: Mono,
        lane: &AckLane,
        echoed: Option<Mono>,
        log: &mut impl Log,
    ) -> Progress {
        let mut progress = Progress::default();
        for place in &lane.runs {
            self.handle_place(now, place, log, &mut progress);
        }
        for range in &lane.received {
            self.handle_hint(now, range);
        }
        if progress.advanced {
            self.ring.iter_mut().for_each(|flight| flight.tries = flight.tries.min(1));
        }
        if let Some(echoed) = echoed {
            self.handle_echo(now, echoed);
        }
        self.check();
        progress
    }

    fn handle_place(&mut self, now: Mono, place: &Place, log: &mut impl Log, progress: &mut Progress) {
        let mut place = *place;
        let in_ring = self.ring.iter().position(|flight| flight.item.end == place);
        if let Some(at) = in_ring {
            self.measure(now, at);
            for _ in 0..=at {
                self.ring.pop_front();
            }
        } else {
            match log.boundary(place.run, place.seq) {
                // A chain of 0 is not known to the gateway: a copy of this spool, or this one before its flash
                // forgot it, has declared what lies before. It is as good as acknowledged, as inside a gap.
                Boundary::At(chain) if chain == place.chain || place.chain == Chain::ROOT => {
                    place.chain = chain;
                    self.ring.clear();
                }
                Boundary::At(_) => {
                    progress.twice = Some(place.run);
                    return;
                }
                Boundary::InsideGap => {
                    log.trim(&place);
                    self.base = place;
                    if self.skipped.take().is_some() {
                        self.ring.clear();
                    }
                    self.shorten_gap(log);
                    progress.advanced = true;
                    return;
                }
                Boundary::Unknown => return self.skip(&place, log),
            }
        }
        log.trim(&place);
        self.base = place;
        self.skipped = None;
        self.account();
        progress.advanced = true;
    }

    /// The gateway has more of this run than the log: the flash forgot what it had published, and
    /// the log has gone on in another run. Its chain cannot be compared, so that nothing is freed;
    /// but what the log has of the run need not be sent, which may be more than the window. The next
    /// run's start is; with its acknowledgement everything before it is freed.
    fn skip(&mut self, place: &Place, log: &mut impl Log) {
        let Some(leaves) = log.leaves(place.run, place.seq).filter(|at| self.skipped != Some(*at)) else {
            return;
        };
        match self.ring.iter().position(|flight| flight.item.begin == leaves) {
            Some(at) => {
                for _ in 0..at {
                    self.ring.pop_front();
                }
            }
            None => self.ring.clear(),
        }
        self.skipped = Some(leaves);
        self.account();
    }

    /// The base moved into a gap, which now begins there; what follows it stays on the air.
    fn shorten_gap(&mut self, log: &mut impl Log) {
        let gap = log.item_at(&self.base);
        let at = gap.and_then(|gap| {
            self.ring.iter().position(|flight| flight.item.kind == Kind::Gap && flight.item.end == gap.end)
        });
        if let (Some(gap), Some(at)) = (gap, at) {
            let mut kept = None;
            for _ in 0..=at {
                kept = self.ring.pop_front();
            }
            if let Some(flight) = kept {
                // There is room: this very entry has just been taken out.
                let shortened = self.ring.push_front(Flight { item: gap, ..flight });
                debug_assert!(shortened.is_ok(), "the ring has room for what was taken out of it");
            }
        } else {
            self.ring.clear();
        }
        self.account();
    }

    /// One round trip, from an item that was sent only once (Karn's rule, RFC 6298 section 3).
    fn measure(&mut self, now: Mono, at: usize) {
        let Some(flight) = self.ring.iter().nth(at) else { return };
        if let (Some(sent), false) = (flight.sent, flight.is_resent) {
            let sample = now.ms_since(sent).min(RESEND_MS_MAX);
            self.round_trip_ms =
                if self.round_trip_ms == 0 { sample } else { (self.round_trip_ms * 7 + sample) / 8 };
        }
    }

    /// What must have been lost is sent again at once.
    fn handle_echo(&mut self, now: Mono, echoed: Mono) {
        for flight in &mut self.ring {
            let wait = LOST_MS << flight.tries.saturating_sub(1).min(5);
            if flight.sent.is_some_and(|sent| sent.plus_ms(wait) <= echoed) && now >= flight.hinted {
                flight.is_missed = true;
                flight.again = Some(now);
            }
        }
    }

    fn handle_hint(&mut self, now: Mono, range: &Range) {
        for flight in &mut self.ring {
            let item = &flight.item;
            let inside =
                item.end.run == range.run && item.begin.seq >= range.first && item.end.seq <= range.end;
            if inside && item.kind == Kind::Block && flight.sent.is_some() {
                flight.hinted = now.plus_ms(HINT_MS);
                flight.is_missed = false;
            }
        }
    }

    /// The log replaced items by a gap: forget what is no longer in it, and read on from there.
    ///
    /// `from` and `to` are the places of the gap that now stands in the log.
    pub fn handle_dropped(&mut self, from: &Place, to: &Place, log: &mut impl Log) {
        let first = self.ring.iter().position(|flight| flight.item.begin == *from);
        let after = self.ring.iter().position(|flight| flight.item.begin == *to);
        match (first, after) {
            // The usual case: the oldest are gone, the rest stays on the air.
            (Some(0), Some(after)) => {
                for _ in 0..after {
                    self.ring.pop_front();
                }
                if let Some(gap) = log.item_at(&self.base)
                    && gap.end == *to
                    && self.ring.push_front(Flight::due(gap)).is_ok()
                {
                    self.account();
                    self.check();
                    return;
                }
                self.ring.clear();
            }
            _ => {
                self.skipped = None;
                self.ring.clear();
            }
        }
        self.account();
        self.check();
    }

    /// The log changed at an item that was read before: what begins there and above is read
    /// from the log again.
    pub fn handle_changed(&mut self, begin: &Place) {
        if let Some(at) = self.ring.iter().position(|flight| flight.item.begin == *begin) {
            self.ring.truncate(at);
        }
        self.account();
        self.check();
    }

    /// The gateway could not take an item as it arrived.
    pub fn handle_nack(&mut self, now: Mono, nack: &Nack) -> NackAction {
        let named = |flight: &&mut Flight| {
            let item = &flight.item;
            let run = if item.kind == Kind::Gap { item.begin.run } else { item.end.run };
            run == nack.run && item.begin.seq == nack.seq && flight.sent.is_some()
        };
        let Some(flight) = self.ring.iter_mut().find(named) else { return NackAction::Ignore };
        match nack.reason {
            NackReason::Checksum => {
                // Soon, whatever its tries: the line is bad, not slow.
                flight.tries = flight.tries.min(1);
                flight.again = Some(now.plus_ms(NACKED_MS));
                NackAction::SendAgain(flight.item)
            }
            NackReason::Limit => NackAction::Replace(flight.item),
        }
    }

    /// The next item to publish, if one may be published now. The caller publishes it at once; when
    /// the log can no longer read it, [`handle_changed`](Self::handle_changed) says so.
    pub fn poll_publish(&mut self, now: Mono, log: &mut impl Log) -> Option<Stored> {
        if !self.linked {
            return None;
        }
        let window = u64::from(self.credit.min(self.in_flight_bytes_max));
        let wait = self.resend_ms();
        let mut outstanding = self.in_flight_bytes;
        for (at, flight) in self.ring.iter_mut().enumerate() {
            let again = flight.sent.is_some();
            if again && !is_overdue(flight, now, wait) {
                continue;
            }
            let bytes = u64::from(flight.item.bytes);
            let free = at == 0 || flight.item.kind != Kind::Block;
            if !again && !free && outstanding + bytes > window {
                return None;
            }
            if !again {
                outstanding += bytes;
            }
            flight.sent = Some(now);
            flight.is_resent = again;
            flight.tries = flight.tries.saturating_add(1);
            flight.again = None;
            self.in_flight_bytes = outstanding;
            let item = flight.item;
            self.check();
            return Some(item);
        }
        self.read_on(now, window, log)
    }

    fn read_on(&mut self, now: Mono, window: u64, log: &mut impl Log) -> Option<Stored> {
        if self.ring.is_full() {
            return None;
        }
        let place = self.ring.back().map_or(self.skipped.unwrap_or(self.base), |flight| flight.item.end);
        // Without room in the window the log is not even read, but for the very first item.
        if !self.ring.is_empty() && self.in_flight_bytes >= window {
            return None;
        }
        let item = log.item_at(&place)?;
        let free = self.ring.is_empty() || item.kind != Kind::Block;
        let fits = free || self.in_flight_bytes + u64::from(item.bytes) <= window;
        let mut flight = Flight::due(item);
        if fits {
            flight.sent = Some(now);
            flight.tries = 1;
            self.in_flight_bytes += u64::from(item.bytes);
        }
        let kept = self.ring.push_back(flight).is_ok();
        self.check();
        (fits && kept).then_some(item)
    }

    /// When [`poll_publish`](Self::poll_publish) may have something to send again.
    #[must_use]
    pub fn poll_deadline(&self) -> Mono {
        if !self.linked {
            return Mono::FOREVER;
        }
        let wait = self.resend_ms();
        self.ring
            .iter()
            .filter_map(|flight| flight.sent.map(|sent| overdue_at(flight, sent, wait)))
            .min()
            .unwrap_or(Mono::FOREVER)
    }

    fn resend_ms(&self) -> u64 {
        (self.round_trip_ms * 3).clamp(RESEND_MS_MIN, RESEND_MS_MAX)
    }

    fn account(&mut self) {
        self.in_flight_bytes = self
            .ring
            .iter()
            .filter(|flight| flight.sent.is_some())
            .map(|flight| u64::from(flight.item.bytes))
            .sum();
    }

    /// Checks S1 to S3.
    fn check(&self) {
        if !cfg!(debug_assertions) {
            return;
        }
        let mut place = self.skipped.unwrap_or(self.base);
        let mut bytes = 0;
        for flight in &self.ring {
            assert!(flight.item.begin == place, "S1: {:?} does not begin at {place:?}", flight.item);
            place = flight.item.end;
            if flight.sent.is_some() {
                bytes += u64::from(flight.item.bytes);
                assert!(self.linked, "S3: on the air without a link");
            }
        }
        assert!(bytes == self.in_flight_bytes, "S2: {bytes} on the air, {} counted", self.in_flight_bytes);
    }
}

/// When it is sent again: the wait doubles with every try, up to [`RESEND_MS_MAX`].
fn overdue_at(flight: &Flight, sent: Mono, wait_ms: u64) -> Mono {
    let doublings = flight.tries.saturating_sub(1).min(5);
    let in_vain = sent.plus_ms((wait_ms << doublings).min(RESEND_MS_MAX));
    flight.again.unwrap_or(in_vain).max(flight.hinted)
}

fn is_overdue(flight: &Flight, now: Mono, wait_ms: u64) -> bool {
    flight.sent.is_none_or(|sent| now >= overdue_at(flight, sent, wait_ms))
}
