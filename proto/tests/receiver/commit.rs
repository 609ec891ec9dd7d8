//! Marks, and going back to them (rules 6 and 10).

use driftlog_proto::ids::{Place, RunId};
use driftlog_proto::receiver::{Dropped, Notice, Run, Verdict};

use crate::lane::*;

/// Two runs in two sinks: the parent with records 0 to 4, the child from 4 on.
fn two_sinks() -> Lane {
    let mut lane = Lane::new(TWO);
    lane.keep(&[root(1), block(1, 0, 2), block(1, 2, 4), start(2, place(1, 4)), block(2, 4, 6)]);
    lane.out();
    lane
}

#[test]
fn a_mark_never_decreases() {
    let mut lane = two_sinks();
    lane.store(place(1, 4));
    lane.store(place(1, 2));
    assert_eq!(lane.run(1).mark(0), Some(place(1, 4)));
    // At the same number the later word counts: a gap's end may have learnt its chain.
    lane.store(unchained(place(1, 4)));
    assert_eq!(lane.run(1).mark(0), Some(unchained(place(1, 4))));
    lane.receiver.handle_stored(9, &place(1, 4));
    lane.store(place(7, 4));
    assert_eq!((lane.run(1).mark(1), lane.run(1).mark(9)), (None, None));
}

#[test]
fn what_is_acknowledged_is_the_lowest_mark_of_all_required_sinks() {
    let mut lane = two_sinks();
    lane.store(place(1, 4));
    assert!(lane.receiver.poll_acknowledged().is_empty(), "the other has nothing");
    lane.receiver.handle_stored(1, &place(1, 2));
    assert_eq!(lane.receiver.poll_acknowledged().as_slice(), [place(1, 2)]);
    lane.receiver.handle_stored(1, &unchained(place(1, 4)));
    assert_eq!(lane.receiver.poll_acknowledged().as_slice(), [place(1, 4)], "of equals the first");
    // A sink that is not required holds nothing up.
    let required = |required| {
        let sinks = driftlog_proto::receiver::Sinks { count: 3, required };
        sinks.required().collect::<Vec<_>>()
    };
    assert_eq!(required(0b101), [0, 2]);
    assert_eq!(required(0b1010), [1], "there is no fourth");
    assert_eq!(driftlog_proto::receiver::Sinks { count: 9, required: 255 }.required().count(), 4);
}

#[test]
fn a_rewind_goes_back_to_the_lowest_required_mark_and_lets_everything_go() {
    let mut lane = two_sinks();
    lane.store(place(1, 4));
    lane.receiver.handle_stored(1, &place(1, 2));
    lane.store(place(2, 4));
    lane.keep(&[block(2, 8, 9), block(1, 7, 8)]);
    lane.out();
    lane.receiver.handle_rewound(lane.issued);
    assert_eq!((lane.receiver.held_items(), lane.receiver.held_bytes()), (0, 0));
    assert_eq!(lane.run(1).next, place(1, 2));
    assert_eq!(lane.run(2).next, place(2, 4), "to its begin where a required sink has nothing");
    assert!(!lane.run(1).is_start_due);
    let released = lane.released;
    assert_eq!((lane.out(), lane.released - released), (Vec::new(), 2), "its start waits for the parent");
    lane.keep(&[block(1, 2, 4)]);
    assert_eq!(lane.out(), [Out::Block(place(1, 4)), Out::Start(place(2, 4))]);
    lane.keep(&[block(2, 4, 6)]);
    assert_eq!(lane.out(), [Out::Block(place(2, 6))]);
}

#[test]
fn outputs_that_were_not_taken_are_forgotten_by_a_rewind() {
    let mut lane = Lane::new(ONE);
    lane.keep(&[root(1)]);
    lane.receiver.handle_rewound(lane.issued);
    assert!(lane.out().is_empty());
    assert!(lane.known().is_empty(), "no sink has a mark of it");
    lane.keep(&[root(1)]);
    assert_eq!(lane.out(), [Out::Start(place(1, 0))]);
}

#[test]
fn a_run_with_a_mark_in_one_sink_survives_a_rewind_and_its_start_is_due_in_the_other() {
    let mut lane = Lane::new(TWO);
    lane.keep(&[root(1), block(1, 0, 2)]);
    lane.store(place(1, 0));
    lane.out();
    assert_eq!(lane.receiver.in_ledger().map(|run| run.run.0).collect::<Vec<_>>(), [1]);
    lane.receiver.handle_rewound(lane.issued);
    assert_eq!(lane.out(), [Out::Start(place(1, 0))], "again, to the sink without it");
    assert!(!lane.run(1).is_start_due);
    assert_eq!(lane.run(1).next, place(1, 0));
}

#[test]
fn a_run_without_a_mark_is_not_in_the_ledger() {
    let mut lane = two_sinks();
    lane.receiver.handle_stored(1, &place(1, 0));
    assert_eq!(lane.receiver.in_ledger().map(|run| run.run.0).collect::<Vec<_>>(), [1]);
    assert_eq!(lane.known(), [1, 2]);
}

/// Loaded from a ledger in which a parent and two descendants lack their starts in the second sink.
fn three_starts_due() -> Lane {
    let marked = |item: Item, parent, mark| {
        let mut run = Run::new(item.1.run, parent, item.1, number(0, 1));
        run.marks[0] = Some(mark);
        run
    };
    let one = marked(root(1), Place::ORIGIN, place(1, 3));
    let two = marked(start(2, place(1, 3)), place(1, 3), place(2, 5));
    let three = marked(start(3, place(2, 5)), place(2, 5), place(3, 5));
    Lane::loaded(TWO, vec![one, two, three])
}

#[test]
fn starts_that_are_due_after_loading_wait_for_their_parents() {
    let mut lane = three_starts_due();
    assert_eq!(lane.out(), [Out::Start(place(1, 0))], "the others stand above what was committed of it");
    assert!(lane.run(2).is_start_due && lane.run(3).is_start_due);
    // Neither items of a run whose start is due, nor a start of a child of it, have their turn.
    lane.keep(&[block(2, 3, 5), start(4, place(2, 3)), gap(place(2, 3), place(2, 4), &[])]);
    assert!(lane.out().is_empty());
    lane.keep(&[block(1, 0, 3)]);
    let out = lane.out();
    assert_eq!(out[..2], [Out::Block(place(1, 3)), Out::Start(place(2, 3))]);
    assert!(out.contains(&Out::Start(place(4, 3))) && out.contains(&Out::Block(place(2, 5))), "{out:?}");
    assert!(out.contains(&Out::Start(place(3, 5))));
}

#[test]
fn a_run_that_was_taken_up_with_a_notice_gets_its_notice_again_and_not_a_start() {
    let mut lane = Lane::new(TWO);
    lane.hello(4, place(4, 30), number(1, 5));
    lane.store(place(4, 30));
    lane.receiver.handle_stated(0, place(4, 0).run, Notice::LedgerLost);
    lane.out();
    lane.receiver.handle_rewound(lane.issued);
    assert_eq!(lane.out(), [Out::Notice(Notice::LedgerLost, 4)]);
    // One that began with a start gets that.
    let mut lane = Lane::new(TWO);
    lane.keep(&[root(1), block(1, 0, 2), start(2, place(1, 2)), block(1, 2, 3)]);
    lane.store(place(1, 0));
    lane.receiver.handle_stated(0, place(1, 0).run, Notice::Fork);
    lane.out();
    lane.receiver.handle_rewound(lane.issued);
    assert_eq!(lane.out(), [Out::Start(place(1, 0))]);
}

#[test]
fn a_notice_is_stated_again_after_a_rewind_unless_every_sink_has_it() {
    let twice = |durable: &[usize]| {
        let mut lane = Lane::new(TWO);
        lane.keep(&[root(1), block(1, 0, 4)]);
        for sink in [0, 1] {
            lane.receiver.handle_stored(sink, &place(1, 4));
        }
        let contradiction = block_between(otherwise(place(1, 4)), place(1, 5));
        assert!(matches!(lane.hear(&contradiction), Verdict::Dropped(_)));
        for sink in durable {
            lane.receiver.handle_stated(*sink, place(1, 0).run, Notice::RunTwice);
        }
        lane.out();
        lane.receiver.handle_rewound(lane.issued);
        lane.hear(&contradiction);
        lane.out()
    };
    assert_eq!(twice(&[]), [Out::Notice(Notice::RunTwice, 1)]);
    assert_eq!(twice(&[0]), [Out::Notice(Notice::RunTwice, 1)]);
    assert_eq!(twice(&[0, 1]), []);
    let mut lane = Lane::new(ONE);
    lane.keep(&[root(1)]);
    lane.receiver.handle_stated(0, place(1, 0).run, Notice::Fork);
    lane.receiver.handle_stated(0, place(1, 0).run, Notice::RunTwice);
    lane.receiver.handle_stated(0, place(1, 0).run, Notice::RunTwice);
    assert_eq!(lane.run(1).notices_durable, [1 | 16, 0, 0, 0]);
}

#[test]
#[should_panic(expected = "R3: RunId(0000000000000001) stands twice")]
fn a_ledger_with_a_run_twice_is_not_loaded() {
    let run = Run::new(place(1, 0).run, Place::ORIGIN, place(1, 0), number(0, 1));
    Lane::loaded(ONE, vec![run, run]);
}

#[test]
#[should_panic(expected = "R3: a parent after")]
fn a_ledger_with_a_child_before_its_parent_is_not_loaded() {
    let parent = Run::new(place(1, 0).run, Place::ORIGIN, place(1, 0), number(0, 1));
    let child = Run::new(place(2, 0).run, place(1, 3), place(2, 3), number(0, 1));
    Lane::loaded(ONE, vec![child, parent]);
}

#[test]
#[should_panic(expected = "R4: RunId(0000000000000002) is marked before its parent")]
fn a_ledger_with_a_child_marked_before_its_parent_is_not_loaded() {
    let mut parent = Run::new(place(1, 0).run, Place::ORIGIN, place(1, 0), number(0, 1));
    parent.marks[0] = Some(place(1, 2));
    let mut child = Run::new(place(2, 0).run, place(1, 3), place(2, 3), number(0, 1));
    child.marks[0] = Some(place(2, 3));
    Lane::loaded(ONE, vec![parent, child]);
}

#[test]
fn a_fork_that_the_ledger_shows_is_stated_after_loading_unless_it_was() {
    let loaded = |at: u64, begins: &[u64], is_durable: bool| {
        let mut parent = Run::new(place(1, 0).run, Place::ORIGIN, place(1, 0), number(0, 1));
        parent.marks[0] = Some(place(1, at));
        parent.notices_durable[0] = u8::from(is_durable);
        let children = begins.iter().zip(2..).map(|(n, run)| {
            let begin = place(run, *n);
            Run::new(begin.run, place(1, *n), begin, number(0, 1))
        });
        let runs = std::iter::once(parent).chain(children).collect();
        Lane::loaded(ONE, runs).out().contains(&Out::Notice(Notice::Fork, 1))
    };
    assert!(!loaded(4, &[], false) && !loaded(4, &[4], false), "a child at the end is none");
    assert!(!loaded(4, &[6], false), "nor one that is still to come");
    assert!(loaded(4, &[3], false));
    assert!(loaded(4, &[4, 4], false) && loaded(4, &[4, 4, 4], false));
    assert!(!loaded(4, &[3], true) && !loaded(4, &[4, 4], true));
}

#[test]
fn a_fork_that_is_found_at_loading_follows_a_start_that_is_due() {
    // The second sink lacks the parent's start; the first is further than the second will ever be.
    let loaded = |durable: [u8; 2]| {
        let mut parent = Run::new(place(1, 0).run, Place::ORIGIN, place(1, 0), number(0, 1));
        parent.marks[0] = Some(place(1, 4));
        parent.notices_durable[..2].copy_from_slice(&durable);
        let child = Run::new(place(2, 3).run, place(1, 3), place(2, 3), number(0, 1));
        Lane::loaded(TWO, vec![parent, child]).out()
    };
    let (start, fork) = (Out::Start(place(1, 0)), Out::Notice(Notice::Fork, 1));
    assert_eq!(loaded([0, 0]), [start, fork]);
    assert_eq!(loaded([1, 0]), [start, fork], "one sink has it, the other does not");
    assert_eq!(loaded([1 | 16, 1 | 2]), [start], "both have it; what only one has is stated when it is seen");
}

/// A simulated world: the start of the child was committed, then the gateway died; the fork's
/// notice was never stated.
#[test]
fn a_fork_is_stated_after_a_crash_between_the_child_s_start_and_the_notice() {
    let run = |run: u64, parent, begin, marks: [Option<u64>; 2]| {
        let mut known = Run::new(RunId(run), parent, begin, number(1, 1));
        for (mark, seq) in known.marks.iter_mut().zip(marks) {
            *mark = seq.map(|seq| place(run, seq));
        }
        known
    };
    for (marks, is_forked) in [([Some(6); 2], true), ([Some(6), Some(4)], true), ([Some(4); 2], false)] {
        let parent = run(1, Place::ORIGIN, place(1, 0), marks);
        let child = run(2, place(1, 4), place(2, 4), [Some(4); 2]);
        let mut lane = Lane::loaded(TWO, vec![parent, child]);
        let stated = lane.out().contains(&Out::Notice(Notice::Fork, 1));
        assert_eq!(stated, is_forked, "marks {marks:?}");
    }
}

#[test]
fn a_block_across_what_another_sink_has_already_is_not_taken() {
    let rewound = || {
        let mut lane = two_sinks();
        lane.store(place(1, 2));
        lane.receiver.handle_stored(1, &place(1, 0));
        lane.receiver.handle_rewound(lane.issued);
        assert_eq!(lane.run(1).next, place(1, 0), "the second sink has nothing of the run yet");
        lane
    };
    // The first sink would get the records 0 and 1 twice.
    assert_eq!(rewound().hear(&block(1, 0, 3)), Verdict::Dropped(Dropped::RunTwice));
    let other = block_between(place(1, 0), otherwise(place(1, 2)));
    assert_eq!(rewound().hear(&other), Verdict::Dropped(Dropped::RunTwice), "others under the same numbers");
    // The same again, and what follows.
    rewound().keep(&[block(1, 0, 2), block(1, 2, 4)]);
}

/// Found by fuzzing: a gap reached a sink that had no start of its run, and the starts before it never came.
#[test]
fn with_a_base_its_ancestors_count_as_acknowledged_and_all_starts_that_are_due_follow() {
    let mut lane = three_starts_due();
    lane.out();
    lane.hello(3, place(3, 6), number(1, 5));
    let told = [
        Out::Gap(0, place(1, 3)),
        Out::Start(place(2, 3)),
        Out::Gap(3, place(2, 5)),
        Out::Start(place(3, 5)),
        Out::Gap(5, place(3, 6)),
    ];
    assert_eq!(lane.out(), told);
    assert!(!lane.run(2).is_start_due && !lane.run(3).is_start_due);
}
