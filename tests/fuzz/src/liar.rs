//! A device that says what it likes: items that mostly follow from what it said before, with
//! something wrong about them now and then.

use driftlog_proto::ids::{AckNumber, BootId, Chain, Lane, Place, RunId, Seq};
use driftlog_proto::item::{self, BlockHeader, Cause, Gap, GapStarts, ItemHeader, Start};
use driftlog_proto::limits::SEQ_MAX;
use driftlog_proto::message::{HelloLane, Told};
use driftlog_proto::time::{ClockState, Mono, Unix};

use crate::input::Input;

/// Histories that it goes on with at most.
const TIPS_MAX: usize = 256;

/// The device.
#[derive(Clone, Debug)]
pub struct Liar {
    /// The ends of its histories.
    tips: Vec<Place>,
    /// How many numbers it made up.
    made: u64,
}

impl Default for Liar {
    fn default() -> Self {
        Self { tips: vec![Place::ORIGIN], made: 0 }
    }
}

impl Liar {
    fn make(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    /// An item, if what comes out is one: what no decoder lets through is not worth saying. Its
    /// `end` has a chain that nobody else made.
    pub fn item(&mut self, lane: Lane, input: &mut Input<'_>) -> Option<(ItemHeader, Place)> {
        let at = self.place(input);
        let (header, end) = match input.below(8) {
            0..=3 => self.block(lane, at, input),
            4 | 5 => self.start(lane, at, input),
            6 => self.gap(lane, at, input),
            _ => {
                self.tips.truncate(1 + input.below(self.tips.len()));
                return None;
            }
        };
        let mut sealed = [0; 256];
        let length = item::seal(&header, &[], &mut sealed).ok()?;
        item::open(sealed.get(..length)?).ok()?;
        Some((header, end))
    }

    /// The item was said and ends here: the device may go on from it.
    pub fn remember(&mut self, end: Place, input: &mut Input<'_>) {
        if input.flag() && self.tips.len() < TIPS_MAX {
            self.tips.push(end);
        }
    }

    /// The end of one of its histories, perhaps with something wrong about it.
    pub fn place(&mut self, input: &mut Input<'_>) -> Place {
        let back = input.below(self.tips.len().min(8));
        let mut place = self.tips[self.tips.len() - 1 - back];
        match input.byte() {
            0 => place.chain.0 ^= 1,
            1 => place.chain = Chain::ROOT,
            2 => place.run = RunId(input.number()),
            3 => place.seq = Seq(input.number()),
            4 => place.seq.0 += 1,
            5 => place.seq.0 = place.seq.0.saturating_sub(1),
            6 => {
                place = Place {
                    run: RunId(input.number()),
                    seq: Seq(input.number()),
                    chain: Chain(input.number()),
                };
            }
            7 => place = Place::ORIGIN,
            _ => {}
        }
        place
    }

    /// What it says to have heard, where `issued` is the truth.
    pub fn heard(&self, issued: AckNumber, input: &mut Input<'_>) -> AckNumber {
        match input.byte() {
            0 => AckNumber::default(),
            1 => AckNumber { generation: issued.generation, counter: input.number() },
            2 => AckNumber { generation: input.number(), counter: input.number() },
            _ => issued,
        }
    }

    /// What it says beside an item of `run`, if anything.
    pub fn told(&mut self, run: RunId, issued: AckNumber, input: &mut Input<'_>) -> Option<Told> {
        let base = if input.below(8) == 0 { self.place(input) } else { Place::ORIGIN };
        let told = Told { heard: self.heard(issued, input), run, base };
        (input.below(8) != 0 && base.seq.0 <= SEQ_MAX).then_some(told)
    }

    /// Where it says that a lane stands, if a decoder lets that through.
    pub fn lane(&mut self, lane: Lane, input: &mut Input<'_>) -> Option<HelloLane> {
        let (base, next) = (self.place(input), self.place(input));
        let is_sound = next.run != RunId::ORIGIN && base.seq.0 <= SEQ_MAX && next.seq.0 <= SEQ_MAX;
        is_sound.then_some(HelloLane { lane, run: next.run, base, next })
    }

    fn block(&mut self, lane: Lane, at: Place, input: &mut Input<'_>) -> (ItemHeader, Place) {
        let header = BlockHeader {
            lane,
            run: at.run,
            first: at.seq,
            prev: at.chain,
            count: 1 + input.below(4) as u32,
            boot: BootId([input.byte() & 3; 16]),
            mono: Mono(input.number()),
            span_ns: input.number(),
            wall: Unix(input.number().cast_signed()),
            clock: ClockState::Unset,
            codec: 0,
            raw_bytes: 0,
        };
        (ItemHeader::Block(header), Place { run: at.run, seq: header.end(), chain: Chain(self.make()) })
    }

    fn start(&mut self, lane: Lane, parent: Place, input: &mut Input<'_>) -> (ItemHeader, Place) {
        let run = RunId(if input.flag() { input.number() } else { 1000 + self.make() });
        let end = Place { run, seq: parent.seq, chain: Chain(self.make()) };
        (ItemHeader::Start(Start { lane, run, parent }), end)
    }

    fn gap(&mut self, lane: Lane, from: Place, input: &mut Input<'_>) -> (ItemHeader, Place) {
        let mut starts = GapStarts::new();
        let mut to = from;
        for _ in 0..input.below(4) {
            to.seq.0 = to.seq.0.saturating_add(input.below(4) as u64);
            to.run = RunId(2000 + self.make());
            let _ = starts.push((to.run, to.seq));
        }
        to.seq.0 = to.seq.0.saturating_add(input.below(4) as u64);
        to.chain = Chain(if input.flag() { 0 } else { self.make() });
        (ItemHeader::Gap(Gap { lane, from, to, cause: Cause::Overflow, starts }), to)
    }
}
