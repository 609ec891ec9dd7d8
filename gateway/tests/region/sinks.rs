//! Two sinks with marks of their own: what one of them has and the other lacks.

use driftlog_gateway::ledger::Ledger as _;
use driftlog_gateway::region::{Keeping, Ranges};
use driftlog_gateway::sink::{Batch, CommitError, Notice, What};
use driftlog_proto::ids::{Chain, Place, Seq};

use crate::fixture::{Device, Shore, role};

/// A region with an archive and another sink.
fn two_sinks(is_required: bool) -> Shore {
    with(is_required, Keeping::Behind { is_indexed: false })
}

fn with(is_required: bool, keeping: Keeping) -> Shore {
    Shore::with(|config| config.sinks.push(role("other", is_required, keeping)))
}

/// The next batch of a sink; what others are given on the way is put into `others`.
fn batch_of(shore: &mut Shore, sink: usize, others: &mut Vec<Batch>) -> Batch {
    loop {
        match shore.batch().expect("a batch of this sink") {
            batch if batch.sink == sink => return batch,
            batch => others.push(batch),
        }
    }
}

/// The archive takes what there is for it; the other sink is given its batch and says nothing.
fn only_archived(shore: &mut Shore) -> Batch {
    let batch = batch_of(shore, 0, &mut Vec::new());
    shore.commit(&batch);
    batch
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
        let mut of_the_other = Vec::new();
        let of_the_archive = batch_of(&mut shore, 0, &mut of_the_other);
        shore.commit(&of_the_archive);
        let ack = shore.ack(&mut device);
        assert_eq!(ack.lanes[0].runs.first().map(|place| place.seq), acknowledged);
        if of_the_other.is_empty() {
            of_the_other.extend(shore.batch());
        }
        assert_eq!(kinds(&of_the_other), [["start", "0..5"]], "the other sink takes the same");
        shore.commit(&of_the_other[0]);
        shore.commit_all();
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
    let of_the_archive = only_archived(&mut shore);
    assert_eq!(kinds(std::slice::from_ref(&of_the_archive)), [["start", "0..5", "5..9 gone"]]);
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
    let mut taken = kinds(&batches);
    taken.sort();
    assert_eq!(taken, [vec!["9..12 gone"], vec!["start", "0..5", "5..12 gone"]]);
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
    let of_the_archive = only_archived(&mut shore);
    assert_eq!(kinds(std::slice::from_ref(&of_the_archive)), [[Notice::LedgerLost.name()]]);
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
    assert_eq!(kinds(&shore.commit_all()), [["start", "0..5"], ["start", "0..5"]]);
    let block = device.block(3, 100);
    shore.hear(&device, &block);
    only_archived(&mut shore);
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

#[test]
fn a_sink_that_stands_still_holds_back_only_the_acknowledgement() {
    let mut shore = two_sinks(true);
    let mut device = Device::new("pump-1");
    shore.greet(&mut device);
    let start = device.start();
    shore.hear(&device, &start);
    let mut archived = Vec::new();
    for _ in 0..5 {
        let block = device.block(5, 100);
        shore.hear(&device, &block);
        archived.extend(kinds(&[only_archived(&mut shore)]).concat());
    }
    assert_eq!(archived, ["start", "0..5", "5..10", "10..15", "15..20", "20..25"]);
    assert_eq!(shore.ack(&mut device).lanes[0].runs, []);
}

/// What the device freed does not come again: a sink for which nobody waited lacks it for good.
#[test]
fn what_a_sink_of_best_effort_had_not_taken_before_a_restart_is_declared_to_it() {
    for has_start in [false, true] {
        let mut shore = two_sinks(false);
        let mut device = Device::new("pump-1");
        shore.greet(&mut device);
        let start = device.start();
        shore.hear(&device, &start);
        if has_start {
            shore.commit_all();
        }
        for count in [5, 4] {
            let block = device.block(count, 100);
            shore.hear(&device, &block);
            only_archived(&mut shore);
        }
        device.base = device.tail;
        shore.restart();

        shore.greet(&mut device);
        let block = device.block(3, 100);
        shore.hear(&device, &block);
        let mut taken = kinds(&shore.commit_all()).concat();
        taken.retain(|kind| kind != "9..12");
        let expected = if has_start { vec!["0..9 gone"] } else { vec!["start", "0..9 gone"] };
        assert_eq!(taken, expected);
        assert_eq!(shore.region.status(shore.now).sinks[1].missed, 9);
        shore.restart();
        shore.greet(&mut device);
        assert!(shore.batch().is_none(), "both have come as far");
    }
}

#[test]
fn a_sink_of_best_effort_that_stands_still_holds_back_nobody_and_what_it_misses_is_declared_to_it() {
    let mut shore = Shore::with(|config| {
        config.sinks.push(role("other", false, Keeping::Behind { is_indexed: false }));
        config.memory_bytes_max = 40_000;
        config.credit_bytes_max = 10_000;
    });
    let mut device = Device::new("pump-1");
    shore.greet(&mut device);
    let start = device.start();
    shore.hear(&device, &start);
    let mut of_the_archive = Vec::new();
    let first = batch_of(&mut shore, 1, &mut of_the_archive);
    of_the_archive.iter().for_each(|batch| shore.commit(batch));
    for _ in 0..200 {
        let block = device.block(5, 1_000);
        shore.hear(&device, &block);
        while let Some(batch) = shore.batch() {
            assert_eq!(batch.sink, 0, "the other has not answered yet");
            shore.commit(&batch);
        }
        device.base = device.tail;
        assert_eq!(shore.ack(&mut device).lanes[0].runs[0].seq, device.tail.seq);
    }
    assert_eq!(shore.region.counters().dropped_no_room, 0);
    shore.commit(&first);
    let batches = shore.commit_all();
    let others: Vec<&What> = batches
        .iter()
        .filter(|batch| batch.sink == 1)
        .flat_map(|batch| &batch.entries)
        .map(|entry| &entry.what)
        .collect();
    let mut reached = Seq(0);
    for what in &others {
        let (from, to) = match what {
            What::Block { header, .. } => (header.first, header.end()),
            What::Gap { from, to, cause } => {
                assert_eq!(cause.name(), "missed");
                (*from, *to)
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(from, reached);
        reached = to;
    }
    assert_eq!(reached, Seq(1_000));
    let missed = shore.region.status(shore.now).sinks[1].missed;
    assert!((850..1_000).contains(&missed), "{missed} missed");
    assert!(others.len() < 40, "gaps that meet are one: {}", others.len());
}

#[test]
fn the_marks_of_a_sink_that_is_kept_by_itself_come_from_its_own_store() {
    let mut shore = with(true, Keeping::ByItself);
    let mut device = Device::new("pump-1");
    shore.greet(&mut device);
    let messages = [device.start(), device.block(5, 100), device.block(4, 100)];
    messages.iter().for_each(|message| shore.hear(&device, message));
    let of_the_other = batch_of(&mut shore, 1, &mut Vec::new());
    shore.commit(&of_the_other);
    // The ledger knows nothing of the run yet.
    shore.restart();
    shore.greet(&mut device);
    messages.iter().for_each(|message| shore.hear(&device, message));
    let batches = shore.commit_all();
    assert_eq!(kinds(&batches), [["start", "0..5", "5..9"]], "the archive alone takes it");
    assert_eq!(batches[0].sink, 0);
    assert_eq!(shore.ack(&mut device).lanes[0].runs[0].seq, Seq(9));
    // On another machine the store is not there: the ledger has a copy.
    shore.hear(&device, &device.hello());
    let block = device.block(1, 10);
    shore.hear(&device, &block);
    shore.commit_all();
    shore.stores = vec![(1, Default::default())];
    shore.restart();
    shore.greet(&mut device);
    messages.iter().for_each(|message| shore.hear(&device, message));
    assert!(shore.commit_all().is_empty());
}

fn indexes(batch: &Batch) -> Vec<u32> {
    batch.entries.iter().map(|entry| entry.index).collect()
}

#[test]
fn what_goes_to_an_index_is_put_down_in_the_ledger_before_it_is_written() {
    let mut shore = with(true, Keeping::Behind { is_indexed: true });
    let mut device = Device::new("pump-1");
    shore.greet(&mut device);
    for message in [device.start(), device.block(5, 100)] {
        shore.hear(&device, &message);
    }
    let mut early = Vec::new();
    let of_the_archive = batch_of(&mut shore, 0, &mut early);
    assert!(
        early.is_empty() && shore.batch().is_none(),
        "nothing is written under a range that is not durable"
    );
    shore.commit(&of_the_archive);
    let key = Ranges::key("other", &device.id, device.lane);
    let ranges = Ranges::decode(&shore.ledger.get(&key).unwrap().unwrap()).unwrap();
    let put_down: Vec<_> = ranges.iter().map(|range| (range.from.0, range.to.0, range.index)).collect();
    assert_eq!(put_down, [(0, 5, 1)]);
    let of_the_index = batch_of(&mut shore, 1, &mut Vec::new());
    assert_eq!(indexes(&of_the_index), [1, 1]);
    shore.commit(&of_the_index);
    shore.commit_all();
    assert_eq!(shore.ledger.get(&key).unwrap(), None, "the mark has passed it");
    assert_eq!(shore.ack(&mut device).lanes[0].runs[0].seq, Seq(5));
}

#[test]
fn what_is_written_again_goes_to_the_same_index_though_another_has_begun() {
    let mut shore = with(true, Keeping::Behind { is_indexed: true });
    let mut device = Device::new("pump-1");
    shore.greet(&mut device);
    let messages = [device.start(), device.block(5, 100)];
    let before = device.tail;
    let gap = device.gap(4);
    messages.iter().chain([&gap]).for_each(|message| shore.hear(&device, message));
    only_archived(&mut shore);
    let of_the_index = batch_of(&mut shore, 1, &mut Vec::new());
    assert_eq!(indexes(&of_the_index), [1, 1, 1]);
    // It has it all; then the gateway dies before the ledger says so, and a new index begins.
    shore.restart();
    shore.region.handle_index(1, 2);
    shore.greet(&mut device);
    device.tail = before;
    let grown = device.gap(7);
    let next = device.block(3, 100);
    messages.iter().chain([&grown, &next]).for_each(|message| shore.hear(&device, message));
    let batches = shore.commit_all();
    let of_the_index = batches.iter().find(|batch| batch.sink == 1).unwrap();
    assert_eq!(
        kinds(std::slice::from_ref(of_the_index)),
        [["start", "0..5", "5..9 gone", "9..12 gone", "12..15"]]
    );
    assert_eq!(indexes(of_the_index), [1, 1, 1, 2, 2]);
    assert_eq!(shore.ack(&mut device).lanes[0].runs[0].seq, Seq(15));
    shore.restart();
    assert_eq!(shore.region.index(1), Some(2), "the ledger knows the newest index");
}

#[test]
fn a_sink_behind_is_acknowledged_only_when_the_ledger_says_so() {
    let mut shore = two_sinks(true);
    let mut device = Device::new("pump-1");
    shore.greet(&mut device);
    for message in [device.start(), device.block(5, 100)] {
        shore.hear(&device, &message);
    }
    let mut others = Vec::new();
    let of_the_other = batch_of(&mut shore, 1, &mut others);
    others.iter().for_each(|batch| shore.commit(batch));
    only_if_there(&mut shore, 0);
    shore.commit(&of_the_other);
    assert_eq!(shore.ack(&mut device).lanes[0].runs, [], "it has it, and nobody would know after a crash");
    let of_the_ledger = batch_of(&mut shore, 0, &mut Vec::new());
    assert!(of_the_ledger.entries.is_empty() && !of_the_ledger.writes.is_empty());
    shore.commit(&of_the_ledger);
    assert_eq!(shore.ack(&mut device).lanes[0].runs[0].seq, Seq(5));
}

/// Whatever a sink is given now becomes durable.
fn only_if_there(shore: &mut Shore, sink: usize) {
    while let Some(batch) = shore.batch() {
        assert_eq!(batch.sink, sink);
        shore.commit(&batch);
    }
}

#[test]
fn a_required_sink_that_refuses_is_named_until_it_takes_its_batch_and_another_holds_up_nobody() {
    for is_required in [true, false] {
        let mut shore = two_sinks(is_required);
        let mut device = Device::new("pump-1");
        shore.greet(&mut device);
        for message in [device.start(), device.block(5, 100)] {
            shore.hear(&device, &message);
        }
        let batch = batch_of(&mut shore, 1, &mut Vec::new());
        let refused = Err(CommitError::Refused("its disk is full".to_owned()));
        shore.region.handle_committed(shore.now, batch.number, &refused);
        let expected = is_required.then(|| "other: its disk is full".to_owned());
        assert_eq!(shore.region.hindrance(), expected);
        let mut metrics = String::new();
        shore.region.metrics(&mut metrics, shore.now).unwrap();
        assert!(metrics.contains("driftlog_gateway_sink_up{sink=\"other\"} 0"), "{metrics}");
        assert!(metrics.contains("driftlog_gateway_sink_refusals_total{sink=\"other\"} 1"), "{metrics}");
        shore.region.handle_committed(shore.now, batch.number, &Ok(()));
        assert_eq!(shore.region.hindrance(), None);
        let status = shore.region.status(shore.now);
        let of_the_other = status.sinks.iter().find(|sink| sink.sink == "other").unwrap();
        assert_eq!((of_the_other.records, of_the_other.refusals), (5, 1));
    }
}
