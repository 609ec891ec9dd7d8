//! A program that works with a spool as the agent does, step by step, and keeps account of it.

use std::cell::RefCell;
use std::rc::Rc;

use driftlog_agent::spool::{Durability, Overflow, Spool, SpoolConfig, SpoolError, SpoolEvent};
use driftlog_proto::ids::{Chain, Place, Seq};
use driftlog_proto::item::Cause;
use driftlog_proto::sender::Boundary;
use driftlog_proto::time::Mono;

use crate::cutting::Recording;
use crate::history::{History, LINES, LogState, Published, Stated};
use crate::image::Image;
use crate::items::{block, start, walk};
use crate::recording::{Fault, Operation, Recorder, Tape};

pub(crate) const HARDWARE: u64 = 0xface;

/// One thing that a program does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Starts, on whatever is there: for the first time or after a power cut.
    Start,
    /// Is killed and starts again.
    Restart,
    /// The same twice, and finds the same both times.
    StartAgain,
    /// Reads so many lines and appends them as a block of so many bytes.
    Append(u32, usize),
    /// Appends a cursor of another source alone.
    Cursor(u64),
    /// Forgets that cursor.
    Forget(u64),
    /// Hands everything from base to end out for publishing.
    Publish,
    /// Everything that was handed out is acknowledged.
    AcknowledgeAll,
    /// So many of the items from the base on are acknowledged.
    Acknowledge(usize),
    /// The first record of the first gap is acknowledged.
    AcknowledgeInGap,
    /// The gateway refuses this item, counted from the base.
    Refuse(usize),
    /// Syncs what is not synced.
    Sync,
    /// The next operation of this kind fails.
    Fail(Fault),
    /// From now on syncs report success and do nothing.
    Lie,
}

/// A program, its spool and what it did.
pub(crate) struct Device {
    config: SpoolConfig,
    pub(crate) tape: Rc<RefCell<Tape>>,
    spool: Option<Spool<Recorder>>,
    history: History,
    /// How many operations there were after each step, and the history then.
    marks: Vec<(usize, History)>,
    /// This run sealed something.
    has_begun: bool,
    walked: Vec<Published>,
    may_fail: bool,
    nonce: u64,
}

impl Device {
    pub(crate) fn new(image: &Image, history: History, config: SpoolConfig) -> Self {
        let marks = vec![(0, history.clone())];
        Self {
            config,
            tape: Rc::new(RefCell::new(Tape::new(image))),
            spool: None,
            history,
            marks,
            has_begun: false,
            walked: Vec::new(),
            may_fail: false,
            nonce: 0,
        }
    }

    /// Does these steps, until the process has ended.
    pub(crate) fn run(&mut self, steps: &[Step]) {
        for step in steps {
            let writes = self.writes();
            self.step(*step);
            if self.tape.borrow().has_ended() {
                return;
            }
            self.note(writes);
            let operations = self.tape.borrow().operations.len();
            self.marks.push((operations, self.history.clone()));
        }
    }

    /// The process has ended; another one may go on, of which this is known.
    pub(crate) fn revive(&mut self, history: History) {
        self.tape.borrow_mut().revive();
        let operations = self.tape.borrow().operations.len();
        self.marks = vec![(operations, history.clone())];
        self.history = history;
    }

    /// What it did, on a flash that had this on it; before `from` its power is not cut.
    pub(crate) fn recording(&self, image: Image, from: usize) -> Recording<History> {
        let operations = self.tape.borrow().operations.clone();
        Recording { image, operations, marks: self.marks.clone(), from }
    }

    fn spool(&mut self) -> &mut Spool<Recorder> {
        self.spool.as_mut().expect("a workload begins with a start")
    }

    fn writes(&self) -> usize {
        let is_write = |operation: &&Operation| matches!(operation, Operation::Write { .. });
        self.tape.borrow().operations.iter().filter(is_write).count()
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Start => self.start(true),
            Step::Restart => self.start(false),
            Step::StartAgain => self.start_again(),
            Step::Append(count, bytes) => self.append(count, bytes),
            Step::Cursor(key) => self.cursor(key, false),
            Step::Forget(key) => self.cursor(key, true),
            Step::Publish => self.publish(),
            Step::AcknowledgeAll => self.acknowledge(usize::MAX),
            Step::Acknowledge(items) => self.acknowledge(items),
            Step::AcknowledgeInGap => self.acknowledge_in_gap(),
            Step::Refuse(item) => self.refuse(item),
            Step::Sync => self.sync(),
            Step::Fail(fault) => self.fail(fault),
            Step::Lie => self.lie(),
        }
    }

    fn start(&mut self, is_cut: bool) {
        self.spool = None;
        let run = self.history.begin_run();
        let recorder = Recorder::new(&self.tape, 0);
        let spool = Spool::open(recorder, self.config, run, HARDWARE);
        self.spool = Some(spool.expect("a spool opens whatever is in it"));
        self.has_begun = false;
        if self.tape.borrow().has_ended() {
            return;
        }
        assert!(self.spool().is_synced(), "what was found is synced before anything of it is published");
        let found = self.seen();
        assert!(found.stated.base.seq <= found.end.seq, "the log does not end below its base: {found:?}");
        if !self.history.is_lied_to() {
            let recovery = self.spool().recovery();
            let damaged = recovery.damaged_frames + recovery.missing_segments + recovery.unreadable_files;
            let is_well = damaged == 0 && !recovery.cursors_lost && recovery.records_lost == 0;
            assert!(is_well, "nothing that was synced was damaged: {recovery:?}");
            assert_eq!(lines(&found), found.end.seq.0, "data and cursor are one");
        }
        self.history.resume(&found, is_cut);
        let sealed = start(self.config.lane, run, found.end);
        let end = Place { run, seq: found.end.seq, chain: Chain::after(&sealed) };
        assert_eq!(self.spool().tail(), end, "a run begins at the end of the log");
        self.history.offer(end, &sealed);
    }

    /// The state of the log as the spool tells it.
    fn seen(&mut self) -> LogState {
        let end = if self.has_begun { self.spool().tail() } else { self.spool().next_durable() };
        let cursors = self.spool().cursors().map(|(key, cursor)| (key, cursor.to_vec())).collect();
        LogState { end, cursors, stated: self.stated() }
    }

    fn stated(&mut self) -> Stated {
        let dropped = self.spool().usage().dropped;
        Stated { base: self.spool().base(), dropped }
    }

    fn start_again(&mut self) {
        self.start(false);
        let before = (self.seen(), walk(self.spool()));
        self.start(false);
        let after = (self.seen(), walk(self.spool()));
        assert_eq!(after, before, "recovering again gives the same");
    }

    fn append(&mut self, count: u32, bytes: usize) {
        let at = self.spool().tail();
        self.nonce += 1;
        let sealed = block(self.config.lane, at, count, bytes, self.nonce << 32 | self.history.runs());
        let end = Place { run: at.run, seq: Seq(at.seq.0 + u64::from(count)), chain: Chain::after(&sealed) };
        self.history.offer(end, &sealed);
        let lines = end.seq.0.to_le_bytes();
        let result = self.spool().append(Mono(0), &sealed, &[(LINES, &lines)], &[]);
        self.taken(&result, end, |cursors| drop(cursors.insert(LINES, lines.to_vec())));
        if result.is_ok() && self.config.durability == Durability::Block {
            assert!(self.spool().is_synced(), "a block that was taken is synced");
            assert_eq!(self.spool().next_durable(), end, "a block that is synced may be published");
        }
    }

    fn cursor(&mut self, key: u64, forgets: bool) {
        self.nonce += 1;
        let cursor = (self.nonce << 32 | self.history.runs()).to_le_bytes();
        let (set, forgotten) = ([(key, cursor.as_slice())], [key]);
        let (set, forgotten) = if forgets { (&[][..], &forgotten[..]) } else { (&set[..], &[][..]) };
        let result = self.spool().append_cursors(Mono(0), set, forgotten);
        let end = self.history.state().end;
        self.taken(&result, end, |cursors| match forgets {
            true => drop(cursors.remove(&key)),
            false => drop(cursors.insert(key, cursor.to_vec())),
        });
    }

    /// Notes what the spool answered to being asked for a frame that leads to this.
    fn taken(
        &mut self,
        result: &Result<(), SpoolError>,
        end: Place,
        change: impl FnOnce(&mut std::collections::BTreeMap<u64, Vec<u8>>),
    ) {
        let mut state = LogState { end, stated: self.stated(), ..self.history.state().clone() };
        change(&mut state.cursors);
        match result {
            Ok(()) => {
                self.has_begun |= end != self.history.state().end;
                self.history.push(state, true);
                let seen = self.seen();
                assert_eq!(&seen, self.history.state(), "the spool is where it was told to go");
            }
            Err(SpoolError::Full { .. })
                if self.may_fail || self.config.overflow == Overflow::PauseSources => {}
            Err(SpoolError::Disk(_)) if self.may_fail || self.tape.borrow().has_ended() => {
                self.history.push(state, false);
            }
            Err(error) => panic!("the spool takes what it can: {error}"),
        }
    }

    fn publish(&mut self) {
        self.walked = walk(self.spool());
        let (base, walked) = (self.spool().base(), std::mem::take(&mut self.walked));
        let may_forget = self.config.durability == Durability::None || self.history.is_lied_to();
        self.history.publish(base, &walked, may_forget);
        self.walked = walked;
    }

    fn acknowledge(&mut self, items: usize) {
        let base = self.spool().base();
        let from = self.walked.iter().position(|item| item.item.begin == base);
        let Some(from) = from else { return };
        let Some(last) = self.walked[from..].iter().take(items).next_back() else { return };
        let place = last.item.end;
        let boundary = self.spool().boundary(place.run, place.seq);
        assert_eq!(boundary, Boundary::At(place.chain), "the end of a published item is a boundary");
        self.trim(place);
    }

    fn acknowledge_in_gap(&mut self) {
        let Some(gap) = self.walked.iter().find_map(Published::gap) else { return };
        let place = Place { run: gap.from.run, seq: Seq(gap.from.seq.0 + 1), chain: Chain::ROOT };
        // The gap's first part belongs to the run in which it begins, if that has any record in it.
        if self.spool().boundary(place.run, place.seq) == Boundary::InsideGap {
            self.trim(place);
        }
    }

    fn trim(&mut self, place: Place) {
        self.spool().trim(&place);
        assert_eq!(self.spool().base(), place, "what is acknowledged is below the base");
    }

    fn refuse(&mut self, item: usize) {
        if let Some(refused) = self.walked.get(item).map(|item| item.item.begin) {
            let result = self.spool().refuse(&refused, Cause::Refused);
            assert!(result.is_ok() || self.tape.borrow().has_ended(), "{result:?}");
        }
    }

    fn sync(&mut self) {
        let result = self.spool().sync_now(Mono(0));
        let may_fail = self.may_fail || self.tape.borrow().has_ended();
        assert!(result.is_ok() || may_fail, "{result:?}");
    }

    fn fail(&mut self, fault: Fault) {
        self.tape.borrow_mut().fail(fault);
        self.may_fail = true;
    }

    fn lie(&mut self) {
        self.tape.borrow_mut().lie();
        self.history.note_lie();
    }

    /// Notes what the spool says of itself after a step, before which there were so many writes.
    fn note(&mut self, writes: usize) {
        while let Some(event) = self.spool().poll_event() {
            if let SpoolEvent::Dropped { from, to, cause, .. } = event {
                self.history.lose(from.seq, to.seq, cause);
            }
        }
        // A frame for the gaps' sake: what it states is new, the log's end and cursors are not.
        let stated = self.stated();
        if self.writes() > writes && self.history.state().stated != stated {
            let state = LogState { stated, ..self.history.state().clone() };
            self.history.push(state, true);
        }
        if self.spool().is_synced() {
            self.history.promise();
        } else if self.config.durability != Durability::None {
            let end = self.spool().next_durable();
            self.history.promise_up_to(end);
        }
    }
}

fn lines(state: &LogState) -> u64 {
    let cursor = state.cursors.get(&LINES);
    cursor.map_or(0, |cursor| u64::from_le_bytes(cursor.as_slice().try_into().expect("it is 8 bytes")))
}
