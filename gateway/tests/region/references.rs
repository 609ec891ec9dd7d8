//! Blocks that refer to others: they wait for them, and the device is asked for what is lacking.

use driftlog_gateway::sink::{Batch, What};
use driftlog_proto::block::{Codec, Reference};
use driftlog_proto::ids::Seq;
use driftlog_proto::item::{self, Cause, ItemHeader};
use driftlog_proto::message::{Ack, Ask, Down, Up};

use crate::fixture::{Device, Shore, encode};

/// A device with a start that is heard.
fn begun() -> (Shore, Device) {
    begun_at(Shore::new())
}

fn begun_at(mut shore: Shore) -> (Shore, Device) {
    let mut device = Device::new("pump-1");
    shore.greet(&mut device);
    let start = device.start();
    shore.hear(&device, &start);
    (shore, device)
}

fn strong(device: &mut Device, bytes: usize) -> Vec<u8> {
    device.sealed_payload(5, Codec::Strong, &vec![7; bytes])
}

/// What refers to these blocks, which end with the last one.
fn reference(blocks: &[&[u8]]) -> Reference {
    let last = blocks[blocks.len() - 1];
    let (ItemHeader::Block(header), _) = item::open(last).unwrap() else { panic!("not a block") };
    Reference { seq: header.first, count: blocks.len() as u8, checksum: item::checksum(last).unwrap() }
}

fn referring(device: &mut Device, reference: &Reference) -> Vec<u8> {
    let back = device.tail.seq.since(reference.seq);
    assert!(back < 128, "one byte is enough here");
    let mut payload = vec![back as u8, reference.count];
    payload.extend_from_slice(&reference.checksum.to_le_bytes());
    device.sealed_payload(3, Codec::Referring, &payload)
}

fn hear(shore: &mut Shore, device: &Device, sealed: &[u8]) {
    let message = device.carry(sealed);
    shore.hear(device, &message);
}

/// The blocks that go to the sink, with what they refer to.
fn with_what(batches: &[Batch]) -> Vec<(Seq, Vec<Vec<u8>>)> {
    let entries = batches.iter().flat_map(|batch| &batch.entries);
    entries
        .filter_map(|entry| match &entry.what {
            What::Block { header, refers_to, .. } => {
                Some((header.first, refers_to.iter().map(|block| block.to_vec()).collect()))
            }
            _ => None,
        })
        .collect()
}

fn asks(shore: &mut Shore) -> Vec<Ask> {
    let said = shore.said().into_iter();
    said.filter_map(|(_, _, down)| if let Down::Ask(ask) = down { Some(ask) } else { None }).collect()
}

fn acknowledged(ack: &Ack) -> Option<Seq> {
    ack.lanes.first().and_then(|lane| lane.runs.last()).map(|place| place.seq)
}

/// One block and one that refers to it; the gateway starts again in between.
fn restarted() -> (Shore, Device, Vec<u8>, Vec<u8>, Ask) {
    restarted_at(Shore::new())
}

fn restarted_at(shore: Shore) -> (Shore, Device, Vec<u8>, Vec<u8>, Ask) {
    let (mut shore, mut device) = begun_at(shore);
    let first = strong(&mut device, 100);
    hear(&mut shore, &device, &first);
    shore.commit_all();
    shore.restart();
    let reference = reference(&[&first]);
    let second = referring(&mut device, &reference);
    let ask = Ask { lane: device.lane, run: device.run, reference };
    (shore, device, first, second, ask)
}

#[test]
fn a_block_goes_to_the_sink_with_those_that_it_refers_to() {
    let (mut shore, mut device) = begun();
    let blocks: Vec<Vec<u8>> = [100, 200, 300].map(|bytes| strong(&mut device, bytes)).into();
    let [first, second, third] = &blocks[..] else { panic!("three blocks") };
    let all = referring(&mut device, &reference(&[first, second, third]));
    let one = referring(&mut device, &reference(&[second]));
    // In another order than they were sealed in.
    for sealed in [&all, third, &one, first, second] {
        hear(&mut shore, &device, sealed);
    }
    let taken = with_what(&shore.commit_all());
    let refer_to: Vec<_> = taken.into_iter().map(|(_, blocks)| blocks).collect();
    assert_eq!(refer_to, [vec![], vec![], vec![], blocks.clone(), vec![second.clone()]]);
    assert_eq!(asks(&mut shore), []);
    let counted = shore.region.counters().blocks;
    assert_eq!(counted.map(|blocks| blocks.count), [0, 0, 3, 2, 0], "by codec");
    let strong_bytes: usize = blocks.iter().map(Vec::len).sum();
    assert_eq!(counted[2].sealed_bytes, strong_bytes as u64);
    assert!(counted[2].raw_bytes > 0 && counted[0].raw_bytes == 0, "{counted:?}");
}

#[test]
fn what_is_lacking_after_a_restart_is_asked_for_and_waited_for() {
    let (mut shore, mut device, first, second, ask) = restarted();
    hear(&mut shore, &device, &second);
    assert!(shore.batch().is_none(), "the sink would have to make a dead letter of it");
    assert_eq!(asks(&mut shore), [ask]);
    assert_eq!(shore.region.counters().asks, 1);
    hear(&mut shore, &device, &first);
    let third = referring(&mut device, &ask.reference);
    hear(&mut shore, &device, &third);
    let taken = with_what(&shore.commit_all());
    assert_eq!(taken, [(Seq(5), vec![first.clone()]), (Seq(8), vec![first])]);
    assert_eq!(acknowledged(&shore.ack(&mut device)), Some(Seq(11)));
}

#[test]
fn what_waits_may_fill_the_memory_and_is_answered_all_the_same() {
    let (mut shore, device, first, second, ask) =
        restarted_at(Shore::with(|config| config.memory_bytes_max = 1));
    hear(&mut shore, &device, &second);
    assert_eq!(asks(&mut shore), [ask]);
    hear(&mut shore, &device, &first);
    assert_eq!(shore.region.counters().dropped_no_room, 1, "there is none");
    assert_eq!(with_what(&shore.commit_all()), [(Seq(5), vec![first])]);
}

#[test]
fn it_is_asked_for_again_only_after_a_while() {
    let (mut shore, device, _, second, ask) = restarted();
    hear(&mut shore, &device, &second);
    assert_eq!(asks(&mut shore), [ask]);
    hear(&mut shore, &device, &second);
    assert_eq!(asks(&mut shore), []);
    shore.pass(2_000);
    assert_eq!(asks(&mut shore), [], "nobody is there to answer");
    hear(&mut shore, &device, &second);
    assert_eq!(asks(&mut shore), [ask]);
}

#[test]
fn what_is_gone_everywhere_is_declared_with_all_that_refers_to_it_and_nothing_else() {
    let (mut shore, mut device, _, second, ask) = restarted();
    let third = referring(&mut device, &ask.reference);
    let fourth = strong(&mut device, 50);
    for sealed in [&second, &third, &fourth] {
        hear(&mut shore, &device, sealed);
    }
    let other = Ask { reference: Reference { checksum: 1, ..ask.reference }, ..ask };
    shore.hear(&device, &encode(&Up::Gone(other), &[]));
    assert!(shore.batch().is_none(), "that was not asked for");
    shore.hear(&device, &encode(&Up::Gone(ask), &[]));
    let batches = shore.commit_all();
    let gaps: Vec<_> = batches
        .iter()
        .flat_map(|batch| &batch.entries)
        .filter_map(|entry| match entry.what {
            What::Gap { from, to, cause } => Some((from, to, cause)),
            _ => None,
        })
        .collect();
    assert_eq!(gaps, [(Seq(5), Seq(8), Cause::Corruption), (Seq(8), Seq(11), Cause::Corruption)]);
    assert_eq!(with_what(&batches), [(Seq(11), vec![])]);
    assert_eq!(
        (shore.region.counters().gone, shore.region.counters().lost[Cause::Corruption.index()]),
        (1, 6)
    );
    assert_eq!(acknowledged(&shore.ack(&mut device)), Some(Seq(16)));
}

#[test]
fn what_is_asked_for_in_vain_for_a_quarter_of_an_hour_is_given_up() {
    let (mut shore, device, _, second, ask) = restarted();
    for minute in 0..15 {
        hear(&mut shore, &device, &second);
        assert_eq!(asks(&mut shore), [ask], "minute {minute}");
        assert!(shore.batch().is_none());
        shore.pass(60_000);
    }
    hear(&mut shore, &device, &second);
    assert_eq!(asks(&mut shore), []);
    let batches = shore.commit_all();
    assert!(matches!(batches[0].entries[0].what, What::Gap { cause: Cause::Corruption, .. }));
    assert_eq!(shore.region.counters().gone, 1);
}

#[test]
fn several_that_are_lacking_are_asked_for_one_after_the_other() {
    let (mut shore, mut device) = begun();
    let blocks: Vec<Vec<u8>> = [100, 200, 300].map(|bytes| strong(&mut device, bytes)).into();
    blocks.iter().for_each(|sealed| hear(&mut shore, &device, sealed));
    shore.commit_all();
    shore.restart();
    let two = reference(&[&blocks[0], &blocks[1]]);
    let one = reference(&[&blocks[2]]);
    for reference in [two, one] {
        let sealed = referring(&mut device, &reference);
        hear(&mut shore, &device, &sealed);
    }
    assert_eq!(asks(&mut shore).iter().map(|ask| ask.reference).collect::<Vec<_>>(), [two]);
    // One of the two alone, and one that was not asked for, do not do.
    hear(&mut shore, &device, &blocks[1]);
    hear(&mut shore, &device, &blocks[2]);
    assert!(shore.batch().is_none());
    hear(&mut shore, &device, &blocks[0]);
    hear(&mut shore, &device, &blocks[1]);
    assert_eq!(with_what(&shore.commit_all()).len(), 1);
    assert_eq!(asks(&mut shore).iter().map(|ask| ask.reference).collect::<Vec<_>>(), [one]);
    hear(&mut shore, &device, &blocks[2]);
    assert_eq!(with_what(&shore.commit_all()), [(Seq(18), vec![blocks[2].clone()])]);
}

#[test]
fn without_memory_to_spare_nothing_is_kept_and_the_device_is_asked() {
    let mut shore = Shore::with(|config| config.memory_bytes_max = 4_000);
    let (mut device, mut other) = (Device::new("pump-1"), Device::new("pump-2"));
    for device in [&mut device, &mut other] {
        shore.greet(device);
        let start = device.start();
        shore.hear(device, &start);
    }
    // Held above a hole, it fills more than half of the memory.
    let _ = other.sealed_block(5, 100);
    let large = other.sealed_block(5, 2_500);
    hear(&mut shore, &other, &large);
    let first = strong(&mut device, 100);
    hear(&mut shore, &device, &first);
    shore.commit_all();
    let reference = reference(&[&first]);
    let second = referring(&mut device, &reference);
    hear(&mut shore, &device, &second);
    assert_eq!(asks(&mut shore).len(), 1);
    hear(&mut shore, &device, &first);
    assert_eq!(with_what(&shore.commit_all()), [(Seq(5), vec![first])]);
}
