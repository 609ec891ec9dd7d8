//! Two sinks with marks of their own: what one of them has and the other lacks.

use driftlog_gateway::region::SinkRole;
use driftlog_gateway::sink::{Batch, Notice, What};
use driftlog_proto::ids::{Chain, Place, Seq};

use crate::fixture::{Device, Shore};

/// A region with an archive and another sink, whose batches come in turn.
fn two_sinks(is_required: bool) -> Shore {
    Shore::with(|config| config.sinks.push(SinkRole { name: "other".to_owned(), is_required }))
}

/// A batch becomes durable.
fn commit(shore: &mut Shore, batch: &Batch) {
    use driftlog_gateway::ledger::Ledger as _;
    shore.ledger.commit(&batch.writes).unwrap();
    shore.region.handle_committed(shore.now, batch.number, &Ok(()));
}

fn kinds(batches: &[Batch]) -> Vec<Vec<String>> {
    let kind = |what: &What| match what {
        What::Start { .. } => "start".to_owned(),
        What::Block { header, .. } => format!("{}..{}", header.first, header.end()),
        What::Gap { from, to, .. } => format!("{from}..{to} gone"),
        What::Notice(notice) => notice.name().to_owned(),
    };
    batches.iter().map(|batch| batch.entries.iter().map(|entry| kind(&entry.what)).collect()).collect()
}

#[test]
fn an_ack_waits_for_every_required_sink_and_for_no_other() {
    for (is_required, acknowledged) in [(true, None), (false, Some(Seq(5)))] {
        let mut shore = two_sinks(is_required);
        let mut device = Device::new("pump-1");
        shore.greet(&mut device);
        for message in [device.start(), device.block(5, 100)] {
            shore.hear(&device, &message);
        }
        let of_the_archive = shore.batch().unwrap();
        commit(&mut shore, &of_the_archive);
        let ack = shore.ack(&mut device);
        assert_eq!(ack.lanes[0].runs.first().map(|place| place.seq), acknowledged);
        assert_eq!(kinds(&shore.commit_all()), [["start", "0..5"]], "the other sink takes the same");
        assert_eq!(shore.ack(&mut device).lanes[0].runs[0].seq, Seq(5));
    }
}

#[test]
fn after_a_kill_between_two_commits_only_the_sink_that_lacks_it_takes_it() {
    let mut shore = two_sinks(true);
    let mut device = Device::new("pump-1");
    shore.greet(&mut device);
    let block = [device.start(), device.block(5, 100)];
    let before = device.tail;
    let gap = device.gap(4);
    block.iter().chain([&gap]).for_each(|message| shore.hear(&device, message));
    let of_the_archive = shore.batch().unwrap();
    assert_eq!(kinds(std::slice::from_ref(&of_the_archive)), [["start", "0..5", "5..9 gone"]]);
    commit(&mut shore, &of_the_archive);
    shore.restart();

    shore.greet(&mut device);
    device.tail = before;
    let grown = device.gap(7);
    block.iter().chain([&grown]).for_each(|message| shore.hear(&device, message));
    let now = shore.now.wall;
    let batches = shore.commit_all();
    assert!(
        batches.iter().flat_map(|batch| &batch.entries).all(|entry| entry.received.0 > now.0 - 1_000_000_000)
    );
    assert_eq!(kinds(&batches), [vec!["9..12 gone"], vec!["start", "0..5", "5..12 gone"]]);
    assert_eq!(shore.ack(&mut device).lanes[0].runs[0].seq, Seq(12));
}

#[test]
fn a_notice_that_one_sink_has_is_stated_to_the_other_alone() {
    let mut shore = two_sinks(true);
    let mut device = Device::new("pump-1");
    device.base = Place { run: device.run, seq: Seq(40), chain: Chain(5) };
    device.tail = device.base;
    shore.greet(&mut device);
    shore.greet(&mut device);
    let of_the_archive = shore.batch().unwrap();
    assert_eq!(kinds(std::slice::from_ref(&of_the_archive)), [[Notice::LedgerLost.name()]]);
    commit(&mut shore, &of_the_archive);
    shore.restart();

    shore.greet(&mut device);
    assert_eq!(kinds(&shore.commit_all()), [[Notice::LedgerLost.name()]]);
    shore.restart();
    shore.greet(&mut device);
    assert!(shore.batch().is_none(), "both have it");
}

/// A simulated world: a notice stands where the slowest sink is; to the one that was further it
/// brought the block after that again.
#[test]
fn a_notice_does_not_take_a_sink_back_below_its_mark() {
    let mut shore = two_sinks(true);
    let mut device = Device::new("pump-1");
    shore.greet(&mut device);
    let start = device.start();
    device.base = device.tail;
    for message in [start, device.block(5, 100)] {
        shore.hear(&device, &message);
    }
    let of_one = shore.batch().unwrap();
    commit(&mut shore, &of_one);
    assert_eq!(kinds(&shore.commit_all()), [["start", "0..5"]]);
    let block = device.block(3, 100);
    shore.hear(&device, &block);
    let of_one = shore.batch().unwrap();
    commit(&mut shore, &of_one);
    shore.restart();

    // The spool was moved to other hardware: a notice, where the slower sink is.
    device.is_moved = true;
    shore.greet(&mut device);
    shore.hear(&device, &block);
    let batches = shore.commit_all();
    let blocks: usize = kinds(&batches).iter().flatten().filter(|kind| *kind == "5..8").count();
    assert_eq!(blocks, 1, "only the slower sink takes it: {:?}", kinds(&batches));
    assert_eq!(kinds(&batches).iter().flatten().filter(|kind| *kind == "hardware_changed").count(), 2);
}
