//! The simulator's own promises.

use super::oracle::Sentence;
use super::plan::fault::Fault;
use super::plan::{Act, Plan, What};
use super::play::{Failure, keep_panics, play};
use super::shrink::shrink;

#[test]
fn worlds_of_any_seed_keep_the_promise() {
    keep_panics();
    for seed in super::known_seeds().into_iter().chain(0..60) {
        let played = play(&Plan::drawn(seed, None));
        assert_eq!(played.failure, None, "seed {seed}: cargo sim --seed {seed} --trace");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_seed_another() {
    let trace = |seed| play(&Plan::drawn(seed, None)).trace;
    for seed in 100..110 {
        assert_eq!(trace(seed), trace(seed), "seed {seed}");
        assert_ne!(trace(seed), trace(seed + 1000));
    }
}

#[test]
fn every_fault_strikes_in_some_world() {
    let drawn = |fault: &Fault| {
        (0..3_000).any(|seed| Plan::drawn(seed, None).acts.iter().any(|act| act.fault() == Some(*fault)))
    };
    for fault in Fault::ALL {
        assert!(drawn(fault), "{} is never drawn", fault.name());
    }
}

#[test]
fn a_world_with_chosen_faults_has_no_others() {
    let only = [Fault::Kill, Fault::Loss];
    for seed in 0..50 {
        let plan = Plan::drawn(seed, Some(&only));
        assert!(plan.acts.iter().filter_map(Act::fault).all(|fault| only.contains(&fault)));
    }
}

/// The oracle is shown a device that lost lines which nothing declares: it must see it, and what
/// has nothing to do with it must go.
#[test]
fn a_failure_is_seen_and_shrunk_to_what_it_needs() {
    keep_panics();
    let mut plan = Plan::drawn(7, Some(&[Fault::Kill, Fault::Loss, Fault::Disconnect]));
    let lines = Act { after_ms: 5_000, what: What::Lines { device: 0, lines: 20 }, chance: 1 };
    let forged = Act { after_ms: 5_000, what: What::Claim { device: 0 }, chance: 2 };
    plan.acts.extend([lines, forged]);
    let failure = play(&plan).failure.expect("lines are missing");
    assert_eq!(failure.sentence, Some(Sentence::Declared), "{failure:?}");
    let (short, played) = shrink(&plan, &failure);
    assert!(short.acts.len() <= 2, "{:?}", short.acts);
    assert_eq!(played.failure.map(|failure| failure.sentence), Some(Some(Sentence::Declared)));
}

#[test]
fn a_failure_without_a_sentence_is_known_by_its_place() {
    let failure =
        Failure { sentence: None, text: "index out of bounds".to_owned(), at: "a.rs:1:2".to_owned() };
    assert_eq!(failure.kind(), "a.rs:1:2");
}

#[test]
fn every_sentence_begins_a_failure_of_its_own_and_is_documented() {
    let page = include_str!("../../../docs/testing.md");
    for sentence in Sentence::ALL {
        assert_eq!(Sentence::of(&format!("{}: and so on", sentence.text())), Some(sentence));
        assert!(page.contains(sentence.text()), "docs/testing.md does not list: {}", sentence.text());
    }
    for fault in Fault::ALL {
        assert!(
            page.contains(&format!("`{}`", fault.name())),
            "docs/testing.md does not list {}",
            fault.name()
        );
    }
}
