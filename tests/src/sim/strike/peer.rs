//! Somebody who is no honest device: any bytes, forged numbers, floods, bombs.
//!
//! The broker's access rules keep it to its own topic; everything on that topic is its own choice.

use std::sync::OnceLock;

use driftlog_proto::block::Codec;
use driftlog_proto::ids::{AckNumber, BootId, Chain, DeviceId, Lane, Place, RunId, Seq, SessionId};
use driftlog_proto::item::{self, BlockHeader, Cause, Gap, ItemHeader, Start};
use driftlog_proto::limits::ENVELOPE_BYTES_MAX;
use driftlog_proto::message::{self, Hello, HelloLane, Item, Labels, Reading, Told, Up};
use driftlog_proto::time::{ClockState, Mono, Unix};

use super::{Fault, MS, Random, World};
use crate::sim::world::broker::{Packet, To};

pub(super) fn strike(world: &mut World, fault: Fault, random: &mut Random) {
    world.was.hostile = true;
    let count = if fault == Fault::Flood { 1_500 } else { random.within(1..40) };
    let own = topic(["evil-0", "evil-1"][random.below(2) as usize]);
    for _ in 0..count {
        let old = world.broker.some_old_message(random);
        let bytes = match fault {
            Fault::Garbage => garbage(random),
            Fault::Mutation => mutated(old.map(|(_, bytes)| bytes).unwrap_or_default(), random),
            Fault::Borrowed | Fault::WrongTopic => old.map(|(_, bytes)| bytes).unwrap_or_default(),
            Fault::Bomb => bomb(random),
            _ => forged(random),
        };
        let topic = if fault == Fault::WrongTopic { wrong_topic(random) } else { own.clone() };
        let at = world.now + random.within(0..2_000) as i64 * MS;
        world.broker.deliver_at(at, Packet { to: To::Gateway { topic }, bytes });
    }
}

fn topic(device: &str) -> String {
    let id = DeviceId::new(device).expect("a good name");
    format!("driftlog/v1/{:02x}/{device}/up", id.shard())
}

fn wrong_topic(random: &mut Random) -> String {
    match random.below(5) {
        0 => format!("driftlog/v1/{:02x}/evil-0/up", random.below(256)),
        1 => "driftlog/v1/00//up".to_owned(),
        2 => format!("driftlog/v1/00/{}/up", "x".repeat(65)),
        3 => "driftlog/v1/zz/evil-0/ack".to_owned(),
        _ => "driftlog/v2/00/\u{1f4a3}/up/up".to_owned(),
    }
}

fn garbage(random: &mut Random) -> Vec<u8> {
    let length = random.below(2_000) as usize;
    let mut bytes: Vec<u8> = (0..length).map(|_| random.number() as u8).collect();
    if let Some(version) = bytes.first_mut()
        && random.one_in(2)
    {
        *version = 1;
    }
    bytes
}

fn mutated(mut bytes: Vec<u8>, random: &mut Random) -> Vec<u8> {
    for _ in 0..random.within(1..5) {
        let length = bytes.len() as u64;
        match random.below(3) {
            0 => bytes.truncate(random.below(length + 1) as usize),
            1 => bytes.push(random.number() as u8),
            _ => {
                if let Some(byte) = bytes.get_mut(random.below(length) as usize) {
                    *byte = random.number() as u8;
                }
            }
        }
    }
    bytes
}

fn number(random: &mut Random) -> u64 {
    match random.below(4) {
        0 => random.below(10),
        1 => random.below(100_000),
        2 => (1 << 53) - random.below(3),
        _ => random.below(1 << 53),
    }
}

/// Few runs, so that they meet.
fn run(random: &mut Random) -> RunId {
    RunId(1 + random.below(6))
}

fn place(random: &mut Random) -> Place {
    if random.one_in(4) {
        return Place::ORIGIN;
    }
    Place { run: run(random), seq: Seq(number(random)), chain: Chain(random.below(3)) }
}

fn heard(random: &mut Random) -> AckNumber {
    let generation = if random.one_in(2) { u64::MAX } else { random.number() >> 20 };
    AckNumber { generation, counter: random.below(1_000) }
}

fn reading(random: &mut Random) -> Reading {
    let clock = [ClockState::Unset, ClockState::Unsynchronised, ClockState::Synchronised];
    let clock = clock[random.below(3) as usize];
    Reading { mono: Mono(random.number()), wall: Unix(random.number() as i64), clock, returned: None }
}

fn encoded(up: &Up, tail: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; tail.len() + ENVELOPE_BYTES_MAX];
    let length = message::encode(up, tail, &mut bytes).unwrap_or(0);
    bytes.truncate(length);
    bytes
}

fn forged(random: &mut Random) -> Vec<u8> {
    if random.one_in(4) {
        return forged_hello(random);
    }
    let header = match random.below(3) {
        0 => ItemHeader::Start(Start { lane: lane(random), run: run(random), parent: place(random) }),
        1 => ItemHeader::Gap(Gap {
            lane: lane(random),
            from: place(random),
            to: place(random),
            cause: Cause::ON_WIRE[random.below(Cause::ON_WIRE.len() as u64) as usize],
            starts: (0..random.below(4)).map(|_| (run(random), Seq(number(random)))).collect(),
        }),
        _ => block(random, random.clone().within(0..100) as u32, 100),
    };
    let payload = if matches!(header, ItemHeader::Block(_)) { garbage(random) } else { Vec::new() };
    sealed(&header, &payload, random)
}

fn sealed(header: &ItemHeader, payload: &[u8], random: &mut Random) -> Vec<u8> {
    let mut tail = vec![0; payload.len() + 4 * 1024];
    let length = item::seal(header, payload, &mut tail).unwrap_or(0);
    let told = Told { heard: heard(random), run: run(random), base: place(random) };
    let envelope = Item { session: SessionId(random.below(3)), reading: reading(random), told: Some(told) };
    encoded(&Up::Item(envelope), &tail[..length])
}

fn lane(random: &mut Random) -> Lane {
    if random.one_in(2) { Lane::Bulk } else { Lane::Urgent }
}

fn block(random: &mut Random, count: u32, raw_bytes: u32) -> ItemHeader {
    ItemHeader::Block(BlockHeader {
        lane: lane(random),
        run: run(random),
        first: Seq(number(random)),
        prev: Chain(random.below(3)),
        count,
        boot: BootId(random.bytes()),
        mono: Mono(random.number()),
        span_ns: random.number(),
        wall: Unix(random.number() as i64),
        clock: ClockState::Synchronised,
        codec: Codec::Zstd.number(),
        raw_bytes,
    })
}

fn forged_hello(random: &mut Random) -> Vec<u8> {
    let lanes =
        Lane::ALL.map(|lane| HelloLane { lane, run: run(random), base: place(random), next: place(random) });
    encoded(
        &Up::Hello(Hello {
            protocol_min: random.below(3) as u8,
            protocol_max: random.below(3) as u8,
            agent: "9.9.9".try_into().expect("a short text"),
            session: SessionId(random.below(3)),
            boot: BootId(random.bytes()),
            reading: reading(random),
            heard: heard(random),
            hardware_changed: random.one_in(2),
            labels: Labels::default(),
            lanes: lanes.into_iter().collect(),
        }),
        &[],
    )
}

/// A block that says it is small, or large, and unpacks to ten megabytes of nothing.
fn bomb(random: &mut Random) -> Vec<u8> {
    static PAYLOAD: OnceLock<Vec<u8>> = OnceLock::new();
    let zeros = || zstd::bulk::compress(&vec![0; 10 << 20], 1).expect("zeros compress");
    let payload = PAYLOAD.get_or_init(zeros);
    let raw_bytes = [100, 64 * 1024, 124 * 1024, u32::MAX][random.below(4) as usize];
    let header = block(random, 4096, raw_bytes);
    sealed(&header, payload, random)
}
