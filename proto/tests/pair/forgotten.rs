//! A full table of runs: what is forgotten, what an `Ack` must name then, what comes back, which
//! forks are seen. A receiver alone, driven by hand.

use driftlog_proto::ids::{AckNumber, BootId, Chain, Lane, Place, RunId, Seq};
use driftlog_proto::item::{BlockHeader, Cause, Gap, GapStarts, ItemHeader, Start};
use driftlog_proto::limits::RUNS_MAX;
use driftlog_proto::message::{HelloLane, Told};
use driftlog_proto::receiver::{Notice, Output, Receiver, Run, Sinks, Step};
use driftlog_proto::time::{ClockState, Mono, Unix};

fn place(run: u64, seq: u64) -> Place {
    Place { run: RunId(run), seq: Seq(seq), chain: Chain(run) }
}

fn start(run: u64, parent: Place) -> (ItemHeader, Place) {
    let header = ItemHeader::Start(Start { lane: Lane::Bulk, run: RunId(run), parent });
    (header, place(run, parent.seq.0))
}

fn block(run: u64, first: u64) -> (ItemHeader, Place) {
    let header = BlockHeader {
        lane: Lane::Bulk,
        run: RunId(run),
        first: Seq(first),
        prev: Chain(run),
        count: 1,
        boot: BootId([1; 16]),
        mono: Mono(0),
        span_ns: 0,
        wall: Unix(0),
        clock: ClockState::Unset,
        codec: 0,
        raw_bytes: 0,
    };
    (ItemHeader::Block(header), place(run, first + 1))
}

fn gap(from: Place, to: Place) -> (ItemHeader, Place) {
    let gap = Gap { lane: Lane::Bulk, from, to, cause: Cause::Overflow, starts: GapStarts::new() };
    (ItemHeader::Gap(gap), to)
}

/// A receiver, and for each sink what it took.
struct Shore {
    receiver: Receiver,
    issued: AckNumber,
    queue: Vec<(Place, Step)>,
    taken: Vec<Vec<(Place, Step)>>,
}

impl Shore {
    fn new(count: usize) -> Self {
        Self::loaded(count, 1, Vec::new())
    }

    fn loaded(count: usize, generation: u64, runs: Vec<Run>) -> Self {
        let sinks = Sinks { count, required: (1 << count) - 1 };
        let issued = AckNumber { generation, counter: 0 };
        let receiver = Receiver::new(sinks, issued, runs, false);
        Self { receiver, issued, queue: Vec::new(), taken: vec![Vec::new(); count] }
    }

    /// An item from a device that has heard the newest `Ack`.
    fn hear(&mut self, (header, end): (ItemHeader, Place)) {
        let told = Told { heard: self.issued, run: end.run, base: header.begin() };
        self.receiver.handle_item(&header, end, 100, Some(&told), self.issued, 100_000);
        self.drain();
    }

    fn hello(&mut self, run: u64, base: Place) {
        let lane = HelloLane { lane: Lane::Bulk, run: RunId(run), base, next: base };
        self.receiver.handle_hello(&lane, self.issued, self.issued);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.receiver.poll_output() {
            if let Output::Deliver { end, step } = output {
                self.queue.push((end, step));
            }
        }
    }

    /// One sink takes all there is.
    fn commit(&mut self, sink: usize) {
        for (end, step) in self.queue.clone() {
            self.receiver.handle_stored(sink, &end);
            if let Step::Notice(notice) = step {
                self.receiver.handle_stated(sink, end.run, notice);
            }
            self.taken[sink].push((end, step));
        }
    }

    fn commit_all(&mut self) {
        (0..self.taken.len()).for_each(|sink| self.commit(sink));
        self.queue.clear();
    }

    fn ack(&mut self) -> Vec<Place> {
        self.issued.counter += 1;
        self.receiver.poll_acknowledged().to_vec()
    }

    /// Runs `1..=count`, each of one record, each the child of the one before it; all committed.
    fn chain(&mut self, count: u64) {
        for run in 1..=count {
            let parent = if run == 1 { Place::ORIGIN } else { place(run - 1, run - 1) };
            self.hear(start(run, parent));
            self.hear(block(run, run - 1));
            self.commit_all();
            self.ack();
        }
    }

    fn knows(&self, run: u64) -> bool {
        self.receiver.runs().iter().any(|known| known.run == RunId(run))
    }

    fn notices(&self, sink: usize) -> Vec<Notice> {
        let taken = self.taken[sink].iter();
        taken
            .filter_map(|(_, step)| if let Step::Notice(notice) = step { Some(*notice) } else { None })
            .collect()
    }
}

const FULL: u64 = RUNS_MAX as u64;

#[test]
fn the_first_ack_after_runs_were_forgotten_frees_them() {
    let mut shore = Shore::new(1);
    shore.chain(FULL);
    shore.hear(start(FULL + 1, place(FULL, FULL)));
    assert!(!shore.knows(1), "the oldest run was forgotten");
    shore.ack();
    // A message that names only a run of which nothing is committed yet.
    shore.hear(block(FULL + 1, FULL));
    let named = shore.ack();
    assert!(named.contains(&place(FULL, FULL)), "{named:?} frees nothing of what was forgotten");
}

#[test]
fn a_device_that_was_wiped_two_hundred_times_still_gets_through() {
    let mut shore = Shore::new(1);
    for run in 1..=200 {
        shore.hear(start(run, Place::ORIGIN));
        shore.hear(block(run, 0));
        shore.commit_all();
        assert!(shore.ack().contains(&place(run, 1)), "run {run} does not get through");
    }
}

#[test]
fn a_root_that_comes_back_after_it_was_forgotten_carries_a_notice() {
    let mut shore = Shore::new(1);
    for run in 1..=FULL + 1 {
        shore.hear(start(run, Place::ORIGIN));
        shore.hear(block(run, 0));
        shore.commit_all();
    }
    assert!(!shore.knows(1));
    shore.hear(start(1, Place::ORIGIN));
    assert!(!shore.knows(1), "it had heard nothing from behind the barrier");
    shore.ack();
    shore.hear(start(1, Place::ORIGIN));
    shore.commit_all();
    assert_eq!(shore.notices(0).last(), Some(&Notice::MayRepeat));
}

#[test]
fn an_old_copy_of_a_spool_comes_back_whatever_run_it_stands_in() {
    for old in 1..=FULL {
        let mut shore = Shore::new(1);
        shore.chain(FULL + 1);
        shore.ack();
        // The copy begins a new run where the original once was.
        shore.hello(1000, place(old, old));
        shore.hear(start(1000, place(old, old)));
        shore.ack();
        // It stays connected and says no `Hello` again.
        shore.hear(start(1000, place(old, old)));
        shore.hear(block(1000, old));
        shore.commit_all();
        assert!(shore.ack().contains(&place(1000, old + 1)), "a copy in run {old} does not get through");
        let notices = shore.notices(0);
        assert!(
            notices.contains(&Notice::Fork) || notices.contains(&Notice::MayRepeat),
            "{old}: {notices:?}"
        );
    }
}

#[test]
fn a_run_is_not_forgotten_before_its_parent() {
    // Two sinks; run 2 begins in run 1, nothing follows from it, and only these two are stored.
    let mut shore = Shore::new(2);
    shore.hear(start(1, Place::ORIGIN));
    shore.hear(block(1, 0));
    shore.hear(start(2, place(1, 1)));
    shore.commit_all();
    for run in 3..=FULL {
        shore.hear(start(run, Place::ORIGIN));
    }
    // A copy of the device writes on in run 1, which is a fork, and restarts.
    shore.hear(block(1, 1));
    shore.hear(start(FULL + 1, place(1, 2)));
    // The gateway dies when one sink has the notice and the other has not.
    shore.commit(0);
    let ledger: Vec<Run> = shore.receiver.in_ledger().copied().collect();
    let mut shore = Shore::loaded(2, 2, ledger);
    shore.hear(block(1, 1));
    shore.commit_all();
    assert!(shore.notices(1).contains(&Notice::Fork), "the second sink has both branches");
}

#[test]
fn a_gap_above_the_beginning_of_a_child_is_a_fork() {
    let mut shore = Shore::new(1);
    shore.hear(start(1, Place::ORIGIN));
    shore.hear(block(1, 0));
    shore.hear(start(2, place(1, 1)));
    shore.hear(gap(place(1, 1), place(1, 3)));
    shore.commit_all();
    assert_eq!(shore.notices(0), [Notice::Fork]);
}

#[test]
fn a_fork_is_seen_after_loading_when_only_one_sink_has_what_was_forgotten() {
    let mut shore = Shore::new(2);
    shore.hear(start(1, Place::ORIGIN));
    shore.hear(block(1, 0));
    shore.commit_all();
    shore.hear(block(1, 1));
    shore.commit(0);
    let ledger: Vec<Run> = shore.receiver.in_ledger().copied().collect();
    let mut shore = Shore::loaded(2, 2, ledger);
    shore.hear(start(2, place(1, 1)));
    shore.commit_all();
    assert_eq!(shore.notices(0), [Notice::Fork], "the first sink holds both branches");
}
