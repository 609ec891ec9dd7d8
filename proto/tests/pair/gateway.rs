//! The gateway's side: a `Receiver`, a ledger, one or two sinks with marks of their own, and the
//! judge of what they hold.

use std::collections::{BTreeMap, VecDeque};

use driftlog_proto::ids::{AckNumber, Place, RunId, Seq, SessionId};
use driftlog_proto::item::{self, ItemHeader};
use driftlog_proto::limits::SINKS_MAX;
use driftlog_proto::message::{self, Ack, AckLane, Down, Echo, Up};
use driftlog_proto::receiver::{Notice, Output, Receiver, Run, Sinks, Step, Verdict, notice_bit};
use driftlog_proto::time::{Mono, Unix};

use crate::device::Device;
use crate::line::Chance;

/// What a sink holds.
#[derive(Clone, Debug)]
struct Entry {
    end: Place,
    step: Step,
    block: Option<Vec<u8>>,
}

#[derive(Debug)]
pub(crate) struct Gateway {
    sinks: Sinks,
    receiver: Receiver,
    payloads: BTreeMap<u32, Vec<u8>>,
    queues: Vec<VecDeque<Entry>>,
    generation: u64,
    counter: u64,
    session: Option<(SessionId, Mono, u64)>,
    answer_due: bool,
    /// Durable.
    ledger: Vec<Run>,
    has_forgotten: bool,
    durable: Vec<Vec<Entry>>,
}

impl Gateway {
    pub(crate) fn new(count: usize) -> Self {
        let sinks = Sinks { count, required: (1 << count) - 1 };
        Self {
            sinks,
            receiver: Receiver::new(sinks, AckNumber { generation: 1, counter: 0 }, Vec::new(), false),
            payloads: BTreeMap::new(),
            queues: vec![VecDeque::new(); count],
            generation: 1,
            counter: 0,
            session: None,
            answer_due: false,
            ledger: Vec::new(),
            has_forgotten: false,
            durable: vec![Vec::new(); count],
        }
    }

    pub(crate) fn restart(&mut self) {
        self.generation += 1;
        self.counter = 0;
        self.session = None;
        let barrier = AckNumber { generation: self.generation, counter: 0 };
        self.receiver = Receiver::new(self.sinks, barrier, self.ledger.clone(), self.has_forgotten);
        self.payloads.clear();
        self.queues.iter_mut().for_each(VecDeque::clear);
        self.drain();
    }

    fn issued(&self) -> AckNumber {
        AckNumber { generation: self.generation, counter: self.counter }
    }

    pub(crate) fn hear(&mut self, now: u64, message: &[u8]) {
        let (up, tail) = message::decode::<Up>(message).unwrap();
        self.answer_due = true;
        match up {
            Up::Hello(hello) => {
                self.session = Some((hello.session, hello.reading.mono, now));
                for lane in &hello.lanes {
                    self.receiver.handle_hello(lane, hello.heard, self.issued());
                }
            }
            Up::Item(envelope) => {
                if let Some((session, mono, received)) = &mut self.session
                    && *session == envelope.session
                    && envelope.reading.mono > *mono
                {
                    (*mono, *received) = (envelope.reading.mono, now);
                }
                let (header, _) = item::open(tail).unwrap();
                let end = header.end(tail);
                let issued = self.issued();
                let room = 4000u64.saturating_sub(self.receiver.held_bytes());
                let verdict = self.receiver.handle_item(
                    &header,
                    end,
                    tail.len() as u32,
                    envelope.told.as_ref(),
                    issued,
                    room,
                );
                if let Verdict::Kept(slot) = verdict {
                    self.payloads.insert(slot, tail.to_vec());
                }
            }
            Up::Beat(_) | Up::Gone(_) => {}
        }
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.receiver.poll_output() {
            match output {
                Output::Release { slot } => {
                    self.payloads.remove(&slot);
                }
                Output::Deliver { end, step } => {
                    let block = match step {
                        Step::Block { slot } => {
                            Some(self.payloads.remove(&slot).expect("the slot's bytes are kept"))
                        }
                        _ => None,
                    };
                    for queue in &mut self.queues {
                        queue.push_back(Entry { end, step, block: block.clone() });
                    }
                }
            }
        }
        let kept = self.payloads.len();
        assert!(
            kept == self.receiver.held_items(),
            "{kept} payloads for {} held",
            self.receiver.held_items()
        );
    }

    /// Each sink commits some of its queue, or fails to.
    pub(crate) fn commit(&mut self, fails: u64, chance: &mut Chance) {
        for sink in 0..self.sinks.count {
            let most = chance.below(20);
            if chance.below(1000) < fails {
                self.queues.iter_mut().for_each(VecDeque::clear);
                self.payloads.clear();
                self.receiver.handle_rewound(self.issued());
                self.drain();
                return;
            }
            self.commit_sink(sink, most);
        }
    }

    fn commit_sink(&mut self, sink: usize, most: u64) {
        let mut marks = Vec::new();
        for _ in 0..most {
            if self.queues[sink].front().is_some_and(|entry| self.beyond_mark(sink, entry.clone()).is_none())
            {
                self.queues[sink].pop_front();
                continue;
            }
            let Some(entry) = self.queues[sink].front() else { break };
            // A sink takes a start only when its committed mark on the parent has reached N.
            if let Step::Start { parent } = entry.step {
                let known = self.receiver.runs().iter().find(|run| run.run == parent.run);
                let reached =
                    known.is_none_or(|run| run.mark(sink).is_some_and(|mark| mark.seq >= parent.seq));
                if !reached {
                    break;
                }
            }
            let Some(entry) = self.queues[sink].pop_front() else { break };
            if let Some(entry) = self.beyond_mark(sink, entry) {
                marks.push((entry.end, entry.step));
                self.durable[sink].push(entry);
            }
        }
        for (end, step) in marks {
            self.receiver.handle_stored(sink, &end);
            if let Step::Notice(notice) = step {
                self.receiver.handle_stated(sink, end.run, notice);
            }
            self.answer_due = true;
        }
        self.ledger = self.receiver.in_ledger().copied().collect();
        self.has_forgotten = self.receiver.has_forgotten();
    }

    /// Each sink skips what lies below its own mark, and notices that it has.
    fn beyond_mark(&self, sink: usize, mut entry: Entry) -> Option<Entry> {
        let run = self.receiver.runs().iter().find(|run| run.run == entry.end.run)?;
        if let Step::Notice(notice) = entry.step
            && run.notices_durable[sink] & notice_bit(notice) != 0
        {
            return None;
        }
        let Some(mark) = run.mark(sink) else { return Some(entry) };
        match &mut entry.step {
            Step::Start { .. } => return None,
            Step::Block { .. } => {
                if entry.end.seq <= mark.seq {
                    return None;
                }
            }
            Step::Gap { from, .. } => {
                if entry.end.seq <= mark.seq {
                    return None;
                }
                *from = (*from).max(mark.seq);
            }
            Step::Notice(_) => {}
        }
        Some(entry)
    }

    pub(crate) fn speak(&mut self, now: u64) -> Option<Vec<u8>> {
        if !std::mem::take(&mut self.answer_due) {
            return None;
        }
        self.counter += 1;
        let lane = AckLane {
            lane: driftlog_proto::ids::Lane::Bulk,
            runs: self.receiver.poll_acknowledged(),
            received: self.receiver.received(),
            credit: 4000,
        };
        let echo = self.session.map(|(session, mono, received)| Echo {
            session,
            mono,
            received: Unix(received as i64),
        });
        let ack =
            Ack { number: self.issued(), sent: Unix(now as i64), echo, lanes: [lane].into_iter().collect() };
        let mut out = vec![0; 4096];
        let len = message::encode(&Down::Ack(ack), &[], &mut out).unwrap();
        out.truncate(len);
        Some(out)
    }

    /// Every sink: each run's items follow one another without hole or overlap from its begin to
    /// its end, after its parent; nothing is stated that did not happen.
    pub(crate) fn judge(&self, device: &Device) -> (u64, u64) {
        let mut counts = (0, 0);
        for sink in &self.durable {
            let (sealed, arrived) = judge_sink(sink, device);
            counts.0 += sealed;
            counts.1 += arrived;
        }
        assert!(self.queues.len() <= SINKS_MAX);
        counts
    }
}

impl Gateway {
    /// The notices that the first sink holds.
    pub(crate) fn notices(&self) -> Vec<Notice> {
        let notice = |entry: &Entry| if let Step::Notice(notice) = entry.step { Some(notice) } else { None };
        self.durable[0].iter().filter_map(notice).collect()
    }

    /// The first sink holds no record of a run twice, and each run's in order and without a hole.
    pub(crate) fn judge_runs(&self) -> BTreeMap<RunId, Seq> {
        let mut at: BTreeMap<RunId, Seq> = BTreeMap::new();
        for entry in &self.durable[0] {
            let begin = match (&entry.step, &entry.block) {
                (Step::Start { parent }, _) => {
                    assert!(!at.contains_key(&entry.end.run), "a start twice");
                    parent.seq
                }
                (Step::Notice(_), _) => *at.entry(entry.end.run).or_insert(entry.end.seq),
                (Step::Gap { from, .. }, _) => *from,
                (Step::Block { .. }, block) => {
                    let (header, _) = item::open(block.as_ref().unwrap()).unwrap();
                    header.name().1
                }
            };
            assert_eq!(*at.entry(entry.end.run).or_insert(begin), begin, "doubled, lost or out of order");
            at.insert(entry.end.run, entry.end.seq.max(begin));
        }
        at
    }

    /// The ledger is lost; the sinks keep what they have.
    pub(crate) fn lose_ledger(&mut self) {
        self.ledger.clear();
        self.restart();
    }
}

fn judge_sink(sink: &[Entry], device: &Device) -> (u64, u64) {
    let mut at: BTreeMap<RunId, Seq> = BTreeMap::new();
    let mut arrived = 0;
    for entry in sink {
        let run = entry.end.run;
        match entry.step {
            Step::Start { parent } => {
                assert!(!at.contains_key(&run), "the start of {run:?} stands twice");
                if parent.run != RunId::ORIGIN {
                    assert_eq!(at.get(&parent.run), Some(&parent.seq), "{run:?} before its parent's end");
                }
                at.insert(run, parent.seq);
            }
            Step::Block { .. } => {
                let (header, _) = item::open(entry.block.as_ref().unwrap()).unwrap();
                let ItemHeader::Block(block) = header else { panic!("not a block") };
                assert_eq!(at.get(&run), Some(&block.first), "doubled, lost or out of order");
                assert!(
                    device.history.iter().any(|sealed| Some(&sealed.bytes) == entry.block.as_ref()),
                    "invented"
                );
                arrived += u64::from(block.count);
                at.insert(run, block.end());
            }
            Step::Gap { from, .. } => {
                assert_eq!(at.get(&run), Some(&from), "a gap that does not follow");
                let declared = from.0..entry.end.seq.0;
                for sealed in &device.history {
                    if let ItemHeader::Block(block) = &sealed.header
                        && block.run == run
                        && declared.contains(&block.first.0)
                    {
                        assert!(device.dropped.contains(&sealed.stored.begin), "declared, but never dropped");
                    }
                }
                at.insert(run, entry.end.seq);
            }
            // An honest device with honest flash, and a gateway that loses nothing.
            Step::Notice(notice) => panic!("{notice:?} is stated of {run:?}"),
        }
    }
    let mut sealed = 0;
    let mut ends: BTreeMap<RunId, Seq> = BTreeMap::new();
    for item in &device.history {
        if let ItemHeader::Block(block) = &item.header {
            sealed += u64::from(block.count);
        }
        ends.insert(item.stored.end.run, item.stored.end.seq);
    }
    assert_eq!(at, ends, "some run did not come to its end");
    (sealed, arrived)
}
