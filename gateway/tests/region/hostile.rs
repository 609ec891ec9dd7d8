//! Whatever comes over the wire: refused, counted, and nothing to its neighbours.

use driftlog_gateway::broker::Channel;
use driftlog_gateway::region::Refused;
use driftlog_proto::ids::Seq;
use driftlog_proto::limits::MESSAGE_BYTES_MAX;
use driftlog_proto::message::{Down, NackReason, Refusal};

use crate::fixture::{Device, Shore};

fn refused(shore: &Shore, reason: Refused) -> u64 {
    let at = Refused::ALL.iter().position(|other| *other == reason).unwrap();
    shore.region.counters().refused[at]
}

#[test]
fn a_topic_that_is_not_the_device_s_own_is_refused() {
    let mut shore = Shore::new();
    let device = Device::new("pump-1");
    let hello = device.hello();
    for topic in ["driftlog/v1/00/pump-1/up", "driftlog/v1/zz/pump-1/up", "driftlog/v1/00//up", "x", ""] {
        shore.region.handle_up(shore.now, topic, &hello);
    }
    assert_ne!(device.id.shard(), 0);
    assert_eq!(refused(&shore, Refused::Topic), 5);
    assert!(shore.said().is_empty());
}

#[test]
fn garbage_of_any_length_is_counted_and_answered_by_nothing() {
    let mut shore = Shore::new();
    let device = Device::new("pump-1");
    for len in [0, 1, 4, 5, 6, 100, MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX + 1] {
        shore.hear(&device, &vec![1; len]);
    }
    assert_eq!(refused(&shore, Refused::Malformed), 8);
    assert!(shore.said().is_empty());
}

#[test]
fn a_flipped_bit_in_an_item_brings_a_nack_that_names_it_and_the_item_is_taken_when_sent_again() {
    let mut shore = Shore::new();
    let mut device = Device::new("pump-1");
    shore.greet(&mut device);
    let start = device.start();
    shore.hear(&device, &start);
    let whole = device.block(3, 100);
    let mut broken = whole.clone();
    let at = broken.len() - 20;
    broken[at] ^= 4;
    shore.hear(&device, &broken);
    let nack = shore.said().into_iter().find_map(|(_, channel, down)| match (channel, down) {
        (Channel::Down, Down::Nack(nack)) => Some(nack),
        _ => None,
    });
    let nack = nack.expect("a Nack");
    assert_eq!((nack.run, nack.seq, nack.reason), (device.run, Seq(0), NackReason::Checksum));
    shore.hear(&device, &whole);
    shore.commit_all();
    assert_eq!(shore.region.counters().records, 3);
}

#[test]
fn a_block_that_claims_more_than_a_block_may_hold_is_refused_by_name() {
    let mut shore = Shore::new();
    let mut device = Device::new("pump-1");
    shore.greet(&mut device);
    let start = device.start();
    shore.hear(&device, &start);
    let bomb = device.block(4097, 100);
    shore.hear(&device, &bomb);
    assert_eq!(refused(&shore, Refused::Limit), 1);
    let said = shore.said();
    let nack =
        said.iter().find_map(|(_, _, down)| if let Down::Nack(nack) = down { Some(nack) } else { None });
    assert_eq!(nack.unwrap().reason, NackReason::Limit);
}

#[test]
fn forged_numbers_and_unknown_runs_are_dropped_and_harm_nobody() {
    let mut shore = Shore::new();
    let (mut liar, mut honest) = (Device::new("liar"), Device::new("honest"));
    shore.greet(&mut liar);
    shore.greet(&mut honest);
    let start = liar.start();
    shore.hear(&liar, &start);
    liar.tail.seq = Seq((1 << 53) - 10);
    let far = liar.block(5, 10);
    shore.hear(&liar, &far);
    liar.run.0 += 1;
    let unknown = liar.block(5, 10);
    shore.hear(&liar, &unknown);
    let (start, block) = (honest.start(), honest.block(4, 10));
    shore.hear(&honest, &start);
    shore.hear(&honest, &block);
    shore.commit_all();
    assert_eq!(shore.region.counters().records, 4, "the honest device's only");
    assert_eq!(shore.region.counters().dropped_unknown, 1);
}

#[test]
fn a_flood_is_cut_to_its_rate_and_the_neighbour_is_served() {
    let mut shore = Shore::with(|config| config.message_rate_max = 10);
    let (mut flooding, mut quiet) = (Device::new("flooding"), Device::new("quiet"));
    shore.greet(&mut flooding);
    shore.greet(&mut quiet);
    let hello = flooding.hello();
    for _ in 0..1000 {
        shore.hear(&flooding, &hello);
    }
    assert!(refused(&shore, Refused::Rate) > 950, "{}", refused(&shore, Refused::Rate));
    let (start, block) = (quiet.start(), quiet.block(4, 10));
    shore.hear(&quiet, &start);
    shore.hear(&quiet, &block);
    shore.commit_all();
    assert_eq!(shore.region.counters().records, 4);
}

#[test]
fn a_device_that_is_set_aside_or_speaks_another_version_is_told_so() {
    let mut shore = Shore::with(|config| {
        config.devices.allow = vec!["pump-*".to_owned()];
        config.devices.quarantine = vec!["pump-9".to_owned()];
    });
    for (name, refusal) in [("valve-1", Refusal::DeviceNotAllowed), ("pump-9", Refusal::Quarantined)] {
        let device = Device::new(name);
        let hello = device.hello();
        shore.hear(&device, &hello);
        let said = shore.said();
        assert!(
            matches!(&said[..], [(id, Channel::Down, Down::Refuse(why))] if *id == device.id && *why == refusal)
        );
    }
    let device = Device::new("pump-1");
    let mut newer = device.hello();
    newer[0] = 9;
    shore.hear(&device, &newer);
    let said = shore.said();
    assert!(matches!(&said[..], [(_, _, Down::Refuse(Refusal::Protocol { min: 1, max: 1 }))]), "{said:?}");
}
