//! Each workload, cut everywhere.

use driftlog_agent::spool::{Durability, SpoolConfig};

use crate::device::Step;
use crate::exploring::explore;
use crate::workload::*;

fn cut(name: &str, config: SpoolConfig, steps: &[Step]) {
    explore(name, |explorer| explorer.cut(config, steps));
}

fn kill_and_cut(name: &str, config: SpoolConfig, steps: &[Step]) {
    explore(name, |explorer| explorer.kill_and_cut(config, steps));
}

#[test]
fn what_was_appended_survives_every_cut() {
    cut("append", roomy(), APPEND);
}

#[test]
fn a_new_segment_may_be_cut_anywhere() {
    cut("roll", roomy(), ROLL);
}

#[test]
fn a_segment_that_is_written_again_may_be_cut_anywhere() {
    cut("recycle", tight(), RECYCLE);
}

#[test]
fn the_base_moves_with_frames_whatever_is_cut() {
    cut("trim", roomy(), TRIM);
}

#[test]
fn what_overflow_drops_is_declared_whatever_is_cut() {
    cut("overflow", tight(), OVERFLOW);
}

#[test]
fn a_spool_that_pauses_its_sources_may_be_cut_anywhere() {
    cut("pause", pausing(), PAUSE);
}

#[test]
fn cursors_without_records_survive_every_cut() {
    cut("cursors", roomy(), CURSORS);
}

#[test]
fn gaps_that_meet_and_merge_survive_every_cut() {
    cut("gaps", tight(), GAPS);
}

#[test]
fn a_run_that_is_started_again_may_be_cut_anywhere() {
    cut("restart", roomy(), RESTART);
    cut("restart, tight", tight(), RESTART);
}

#[test]
fn blocks_longer_than_a_segment_survive_every_cut() {
    cut("large", roomy(), LARGE);
}

#[test]
fn what_is_synced_later_is_kept_or_read_again() {
    cut("interval", lazy(roomy()), LATER);
    cut("interval, large", lazy(roomy()), LATER_LARGE);
    cut("interval, overflow", lazy(tight()), LATER_OVERFLOW);
}

#[test]
fn what_is_never_synced_is_cut_and_not_damaged() {
    cut("none", SpoolConfig { durability: Durability::None, ..roomy() }, LATER);
}

#[test]
fn a_sync_that_failed_leaves_nothing_in_doubt_that_was_promised() {
    cut("failed sync", roomy(), FAILED_SYNC);
    cut("failed sync, interval", lazy(roomy()), FAILED_LATER);
}

#[test]
fn a_write_that_failed_leaves_nothing_in_doubt_that_was_promised() {
    cut("failed write", roomy(), FAILED_WRITE);
}

#[test]
fn files_that_could_not_be_made_or_removed_cost_nothing() {
    cut("failed files", roomy(), FAILED_FILES);
    cut("failed directory", roomy(), FAILED_DIRECTORY);
}

#[test]
fn a_kill_anywhere_and_then_a_cut_anywhere_cost_nothing() {
    kill_and_cut("kill", roomy(), ROLL);
    kill_and_cut("kill, overflow", tight(), OVERFLOW);
    kill_and_cut("kill, interval", lazy(roomy()), LATER);
}

#[test]
fn a_log_that_a_lying_flash_cut_below_its_base_goes_on_at_the_base() {
    cut("lied to", roomy(), LIED_TO);
}
