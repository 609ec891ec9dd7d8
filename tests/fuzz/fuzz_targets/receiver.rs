//! A receiver, a device that says what it likes, and one or two sinks that commit, fail and reload:
//! each byte is an operation. R1 to R5 are asserted inside it.
//!
//! Asserts here
//! - each kept slot is delivered or released, once, and what is held is within its limits;
//! - in each sink no identity stands twice, a run's items follow one another without a hole, and a
//!   run begins after what its parent has committed (I1, I2, I6), but for runs that were forgotten;
//! - what is acknowledged is a run's lowest required mark (I3), at most eight of them, and marks and
//!   acknowledgements of a run never go back while it is known;
//! - each range that is hinted at is one.
#![no_main]

use std::collections::{BTreeMap, VecDeque};

use driftlog_fuzz::input::Input;
use driftlog_fuzz::liar::Liar;
use driftlog_proto::ids::{AckNumber, Lane, Place, RunId, Seq};
use driftlog_proto::limits::{ACK_RUNS_MAX, HELD_ITEMS_MAX, RUNS_MAX};
use driftlog_proto::receiver::{Notice, Output, Receiver, Run, Sinks, Step, Verdict};
use libfuzzer_sys::fuzz_target;

const OPERATIONS_MAX: usize = 400;
const ROOM: u64 = 5_000;
const BYTES: u32 = 1_000;

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let mut lane = LaneUnderTest::new(1 + input.below(2));
    for _ in 0..OPERATIONS_MAX {
        if input.is_empty() {
            break;
        }
        lane.step(&mut input);
        lane.drain();
    }
    // Whatever was said, two rounds of commits take all that may be taken.
    lane.commit_all();
    lane.commit_all();
});

/// A step on its way into a sink; `first` of a block is its first number.
#[derive(Clone, Copy, Debug)]
struct Entry {
    end: Place,
    step: Step,
    first: Seq,
}

struct LaneUnderTest {
    sinks: Sinks,
    receiver: Receiver,
    issued: AckNumber,
    /// The first number of each kept item.
    kept: BTreeMap<u32, Seq>,
    queues: Vec<VecDeque<Entry>>,
    /// For each sink how far it has each run.
    stored: Vec<BTreeMap<RunId, Seq>>,
    ledger: (Vec<Run>, bool),
    acknowledged: BTreeMap<RunId, Seq>,
    device: Liar,
}

impl LaneUnderTest {
    fn new(count: usize) -> Self {
        let sinks = Sinks { count, required: (1 << count) - 1 };
        let issued = AckNumber { generation: 1, counter: 0 };
        Self {
            sinks,
            receiver: Receiver::new(sinks, issued, Vec::new(), false),
            issued,
            kept: BTreeMap::new(),
            queues: vec![VecDeque::new(); count],
            stored: vec![BTreeMap::new(); count],
            ledger: (Vec::new(), false),
            acknowledged: BTreeMap::new(),
            device: Liar::default(),
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.below(16) {
            0..=6 => self.item(input),
            7 | 8 => self.hello(input),
            9..=11 => {
                let (sink, most) = (input.below(self.sinks.count), input.below(8));
                self.commit(sink, most);
            }
            12 => self.acknowledge(),
            13 => self.rewind(),
            14 => self.reload(),
            _ => {
                let run = self.device.place(input).run;
                self.receiver.handle_hardware_changed(run);
            }
        }
    }

    fn item(&mut self, input: &mut Input<'_>) {
        let Some((header, end)) = self.device.item(Lane::Bulk, input) else { return };
        self.device.remember(end, input);
        let told = self.device.told(end.run, self.issued, input);
        let room = ROOM.saturating_sub(self.receiver.held_bytes());
        let verdict = self.receiver.handle_item(&header, end, BYTES, told.as_ref(), self.issued, room);
        if let Verdict::Kept(slot) = verdict {
            assert!(self.kept.insert(slot, header.begin().seq).is_none(), "slot {slot} is in use");
        }
    }

    fn hello(&mut self, input: &mut Input<'_>) {
        let heard = self.device.heard(self.issued, input);
        if let Some(lane) = self.device.lane(Lane::Bulk, input) {
            self.receiver.handle_hello(&lane, heard, self.issued);
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.receiver.poll_output() {
            match output {
                Output::Release { slot } => {
                    assert!(self.kept.remove(&slot).is_some(), "slot {slot} is released and was not kept");
                }
                Output::Deliver { end, step } => {
                    let first = match step {
                        Step::Block { slot } => self.kept.remove(&slot).expect("the slot was kept"),
                        _ => end.seq,
                    };
                    self.queues.iter_mut().for_each(|queue| queue.push_back(Entry { end, step, first }));
                }
            }
        }
        // A run that was forgotten may come back at a lower base.
        let runs = self.receiver.runs();
        self.acknowledged.retain(|run, _| runs.iter().any(|known| known.run == *run));
        let held = self.receiver.held_items();
        assert_eq!(self.kept.len(), held, "slots that are neither held nor given up");
        assert!(held <= HELD_ITEMS_MAX && self.receiver.runs().len() <= RUNS_MAX);
        for range in self.receiver.received() {
            assert!(range.first <= range.end, "{range:?}");
        }
    }

    fn acknowledge(&mut self) {
        self.issued.counter += 1;
        let places = self.receiver.poll_acknowledged();
        assert!(places.len() <= ACK_RUNS_MAX);
        for place in places {
            let known = self.receiver.runs().iter().find(|run| run.run == place.run);
            let run = known.expect("acknowledged is a run that is known");
            for sink in self.sinks.required() {
                assert!(
                    run.mark(sink).is_some_and(|mark| mark.seq >= place.seq),
                    "{place} is not in sink {sink}"
                );
            }
            let last = self.acknowledged.entry(place.run).or_default();
            assert!(*last <= place.seq, "{place} after {last}");
            *last = place.seq;
        }
    }

    fn rewind(&mut self) {
        self.queues.iter_mut().for_each(VecDeque::clear);
        // What was ready and is not polled yet is void.
        self.receiver.handle_rewound(self.issued);
        self.drain();
    }

    /// The gateway is killed and reads its ledger.
    fn reload(&mut self) {
        self.queues.iter_mut().for_each(VecDeque::clear);
        self.kept.clear();
        self.issued = AckNumber { generation: self.issued.generation + 1, counter: 0 };
        let (runs, has_forgotten) = self.ledger.clone();
        self.receiver = Receiver::new(self.sinks, self.issued, runs, has_forgotten);
        self.drain();
    }

    fn commit_all(&mut self) {
        for sink in 0..self.sinks.count {
            self.commit(sink, usize::MAX);
        }
        self.drain();
        self.acknowledge();
    }

    /// A sink takes some of its queue, as the gateway's lanes give it: what lies below its own mark
    /// is passed over, and a start waits for the parent's committed mark.
    fn commit(&mut self, sink: usize, most: usize) {
        let mut taken = Vec::new();
        while taken.len() < most {
            let Some(entry) = self.queues[sink].front().copied() else { break };
            let runs = self.receiver.runs();
            if let Step::Start { parent } = entry.step
                && runs
                    .iter()
                    .any(|run| run.run == parent.run && run.mark(sink).is_none_or(|at| at.seq < parent.seq))
            {
                break;
            }
            self.queues[sink].pop_front();
            if let Some(entry) = self.beyond(sink, entry) {
                self.store(sink, &entry);
                taken.push(entry);
            }
        }
        for entry in taken {
            self.receiver.handle_stored(sink, &entry.end);
            if let Step::Notice(notice) = entry.step {
                self.receiver.handle_stated(sink, entry.end.run, notice);
            }
        }
        self.ledger = (self.receiver.in_ledger().copied().collect(), self.receiver.has_forgotten());
    }

    fn beyond(&self, sink: usize, mut entry: Entry) -> Option<Entry> {
        let mark = match self.stored[sink].get(&entry.end.run) {
            Some(seq) if self.receiver.runs().iter().any(|run| run.run == entry.end.run) => *seq,
            _ => return Some(entry),
        };
        match &mut entry.step {
            Step::Notice(_) => Some(entry),
            Step::Start { .. } => None,
            Step::Block { .. } => (entry.end.seq > mark).then_some(entry),
            Step::Gap { from, .. } => {
                *from = (*from).max(mark);
                (entry.end.seq > mark).then_some(entry)
            }
        }
    }

    /// One sink's judge.
    fn store(&mut self, sink: usize, entry: &Entry) {
        let forgotten = self.receiver.has_forgotten();
        let stored = &mut self.stored[sink];
        let run = entry.end.run;
        let at = stored.get(&run).copied();
        match entry.step {
            Step::Start { parent } => {
                assert!(at.is_none() || forgotten, "the start of {run} stands twice");
                if let Some(parent_at) = stored.get(&parent.run) {
                    assert!(*parent_at >= parent.seq || forgotten, "{run} before its parent's end");
                }
            }
            Step::Block { .. } => assert!(at == Some(entry.first) || forgotten, "{entry:?} at {at:?}"),
            Step::Gap { from, .. } => assert!(at == Some(from) || forgotten, "{entry:?} at {at:?}"),
            Step::Notice(Notice::LedgerLost | Notice::MayRepeat) => {}
            Step::Notice(_) => return,
        }
        stored.insert(run, entry.end.seq.max(at.unwrap_or_default()));
    }
}
