//! A model of the protocol: a device and a clone of it, a carrier, a gateway with its ledger, two
//! sinks, and everything that may happen to them, explored exhaustively within small bounds.
//!
//! It states the rules of `docs/guarantees.md` once more, in a few lines each, and calls none of the
//! code that ships: it asks whether the rules are right, the simulated world whether the code follows
//! them. The invariants have the names that they have there; I7 is not built, and not modelled.
//!
//! `cargo test --package driftlog-tests --test model -- --nocapture` prints what was explored;
//! `DRIFTLOG_MODEL=deep` goes further.

#![expect(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "it tells what was explored; an index out of range is a mistake in the model"
)]

mod actions;
mod bounds;
mod broken;
mod carrier;
mod configurations;
mod device;
mod explorer;
mod gateway;
mod notices;
mod properties;
mod quiet;
mod sinks;
mod state;
mod table;

use bounds::Bounds;
use configurations as of;
use configurations::Configuration;

/// Explores a configuration and tells how much it was; a violation is told step by step.
fn holds(configuration: Configuration) {
    let Configuration { name, bounds, deep } = configuration;
    let is_deep = std::env::var("DRIFTLOG_MODEL").is_ok_and(|wish| wish == "deep");
    let bounds = if is_deep { Bounds { budget: deep, ..bounds } } else { bounds };
    match explorer::explore(&bounds) {
        Ok(explored) => println!("{name}: {explored}"),
        Err(failure) => panic!("{name}: {failure}"),
    }
}

#[test]
fn messages_lost_doubled_and_late_break_nothing() {
    holds(of::CARRIER);
}

#[test]
fn power_cuts_break_nothing() {
    holds(of::CUTS);
}

#[test]
fn crashes_of_the_gateway_break_nothing() {
    holds(of::CRASHES);
}

#[test]
fn overflow_breaks_nothing() {
    holds(of::OVERFLOW);
}

#[test]
fn rot_breaks_nothing() {
    holds(of::ROT);
}

#[test]
fn flash_that_lies_brings_a_fork_and_breaks_nothing_else() {
    holds(of::LYING_FLASH);
}

#[test]
fn flash_that_forgets_a_gap_brings_a_fork_and_breaks_nothing_else() {
    holds(of::LYING_OVERFLOW);
}

#[test]
fn a_clone_brings_a_fork_and_breaks_nothing_else() {
    holds(of::CLONE);
}

#[test]
fn what_one_copy_declares_and_the_other_still_has_is_let_go() {
    holds(of::CLONE_OVERFLOW);
}

#[test]
fn no_clone_is_noticed_where_there_is_none() {
    holds(of::CLONE_NOTICE);
}

#[test]
fn what_a_best_effort_sink_misses_is_declared() {
    holds(of::BEST_EFFORT);
}

#[test]
fn a_ledger_made_from_the_sinks_is_as_good_as_the_lost_one() {
    holds(of::REBUILD);
}

#[test]
fn a_lost_ledger_repeats_only_what_was_not_freed() {
    holds(of::BASES);
}

#[test]
fn a_wiped_device_begins_anew() {
    holds(of::WIPE);
}

#[test]
fn a_superseded_gateway_changes_nothing() {
    holds(of::TWO_GATEWAYS);
}

#[test]
fn runs_that_are_forgotten_do_not_come_again() {
    holds(of::FULL_TABLE);
}

#[test]
fn a_table_full_of_wiped_devices_takes_the_next() {
    holds(of::WIPED_TABLE);
}

#[test]
fn flash_that_forgets_runs_which_the_gateway_forgot_is_told_by_a_notice() {
    holds(of::LYING_TABLE);
}

#[test]
fn a_clone_of_a_run_that_was_forgotten_is_told_by_a_notice() {
    holds(of::CLONED_TABLE);
}
