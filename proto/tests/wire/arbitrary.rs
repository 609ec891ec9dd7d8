//! Any message, any item, any record: what the property tests draw from.

use driftlog_proto::block::{Ending, Format, Part, Reference, Severity};
use driftlog_proto::ids::{AckNumber, BootId, Chain, Lane, Place, RunId, Seq, SessionId};
use driftlog_proto::item::{BlockHeader, Cause, Gap, ItemHeader, Start};
use driftlog_proto::limits::{BLOCK_RECORDS_MAX, RAW_BYTES_MAX, REFERENCE_BLOCKS_MAX, SEQ_MAX};
use driftlog_proto::message::{
    Ack, AckLane, Ask, Beat, BeatLane, Down, Echo, Hello, HelloLane, Item, Nack, NackReason, Range, Reading,
    Refusal, Returned, Told, Up,
};
use driftlog_proto::time::{ClockState, Mono, Unix};
use proptest::collection::vec;
use proptest::prelude::*;

pub(crate) fn lane() -> impl Strategy<Value = Lane> {
    prop_oneof![Just(Lane::Bulk), Just(Lane::Urgent)]
}

fn run() -> impl Strategy<Value = RunId> {
    (1..=u64::MAX).prop_map(RunId)
}

fn seq() -> impl Strategy<Value = Seq> {
    prop_oneof![0..1000u64, 0..=SEQ_MAX].prop_map(Seq)
}

fn place() -> impl Strategy<Value = Place> {
    (run(), seq(), any::<u64>()).prop_map(|(run, seq, chain)| Place { run, seq, chain: Chain(chain) })
}

fn ack_number() -> impl Strategy<Value = AckNumber> {
    any::<(u64, u64)>().prop_map(|(generation, counter)| AckNumber { generation, counter })
}

fn clock() -> impl Strategy<Value = ClockState> {
    prop_oneof![Just(ClockState::Unset), Just(ClockState::Unsynchronised), Just(ClockState::Synchronised)]
}

fn reading() -> impl Strategy<Value = Reading> {
    let returned = (ack_number(), any::<i64>(), any::<u64>()).prop_map(|(number, sent, heard)| Returned {
        number,
        sent: Unix(sent),
        heard: Mono(heard),
    });
    (any::<u64>(), any::<i64>(), clock(), proptest::option::of(returned)).prop_map(
        |(mono, wall, clock, returned)| Reading { mono: Mono(mono), wall: Unix(wall), clock, returned },
    )
}

fn hello() -> impl Strategy<Value = Hello> {
    let lane = |lane| {
        (run(), place(), place()).prop_map(move |(run, base, next)| HelloLane { lane, run, base, next })
    };
    let lanes = prop_oneof![
        Just(vec![]).boxed(),
        lane(Lane::Urgent).prop_map(|urgent| vec![urgent]).boxed(),
        (lane(Lane::Bulk), lane(Lane::Urgent)).prop_map(|(bulk, urgent)| vec![bulk, urgent]).boxed(),
    ];
    let labels = vec(("\\PC{0,8}", "\\PC{0,32}"), 0..=16);
    (any::<(u8, u8, u64, [u8; 16], bool)>(), "\\PC{0,8}", reading(), ack_number(), labels, lanes).prop_map(
        |(
            (protocol_min, protocol_max, session, boot, hardware_changed),
            agent,
            reading,
            heard,
            labels,
            lanes,
        )| {
            Hello {
                protocol_min,
                protocol_max,
                agent: agent.as_str().try_into().unwrap(),
                session: SessionId(session),
                boot: BootId(boot),
                reading,
                heard,
                hardware_changed,
                labels: labels
                    .iter()
                    .map(|(key, value)| {
                        (key.as_str().try_into().unwrap(), value.as_str().try_into().unwrap())
                    })
                    .collect(),
                lanes: lanes.into_iter().collect(),
            }
        },
    )
}

fn item() -> impl Strategy<Value = Item> {
    let told = (ack_number(), run(), place()).prop_map(|(heard, run, base)| Told { heard, run, base });
    (any::<u64>(), reading(), proptest::option::of(told)).prop_map(|(session, reading, told)| Item {
        session: SessionId(session),
        reading,
        told,
    })
}

fn beat() -> impl Strategy<Value = Beat> {
    let lane = (lane(), any::<(u64, u64, u64)>(), any::<[u64; Cause::ON_WIRE.len()]>(), any::<bool>())
        .prop_map(|(lane, (spool_bytes, oldest_age_ms, records), dropped, paused)| BeatLane {
            lane,
            spool_bytes,
            oldest_age_ms,
            records,
            dropped,
            paused,
        });
    (any::<(u64, u64, u64, u64)>(), reading(), vec(lane, 0..=2)).prop_map(
        |((session, uptime_ms, memory_bytes, lines_cut), reading, lanes)| Beat {
            session: SessionId(session),
            reading,
            uptime_ms,
            memory_bytes,
            lines_cut,
            lanes: one_of_each(lanes, |lane| lane.lane).into_iter().collect(),
        },
    )
}

/// At most one entry for each lane.
fn one_of_each<T>(mut lanes: Vec<T>, lane: impl Fn(&T) -> Lane) -> Vec<T> {
    lanes.dedup_by_key(|entry| lane(entry));
    lanes
}

pub(crate) fn up() -> impl Strategy<Value = Up> {
    let gone = ask().prop_map(Up::Gone);
    prop_oneof![hello().prop_map(Up::Hello), item().prop_map(Up::Item), beat().prop_map(Up::Beat), gone]
}

fn ack() -> impl Strategy<Value = Ack> {
    let echo = any::<(u64, u64, i64)>().prop_map(|(session, mono, received)| Echo {
        session: SessionId(session),
        mono: Mono(mono),
        received: Unix(received),
    });
    let range = (run(), seq(), seq()).prop_map(|(run, a, b)| Range { run, first: a.min(b), end: a.max(b) });
    let lane = (lane(), vec(place(), 0..=8), vec(range, 0..=8), any::<u32>()).prop_map(
        |(lane, runs, received, credit)| AckLane {
            lane,
            runs: runs.into_iter().collect(),
            received: received.into_iter().collect(),
            credit,
        },
    );
    (ack_number(), any::<i64>(), proptest::option::of(echo), vec(lane, 0..=2)).prop_map(
        |(number, sent, echo, lanes)| Ack {
            number,
            sent: Unix(sent),
            echo,
            lanes: one_of_each(lanes, |lane| lane.lane).into_iter().collect(),
        },
    )
}

fn nack() -> impl Strategy<Value = Nack> {
    let reason = prop_oneof![Just(NackReason::Checksum), Just(NackReason::Limit)];
    (lane(), run(), seq(), any::<u32>(), reason).prop_map(|(lane, run, seq, checksum, reason)| Nack {
        lane,
        run,
        seq,
        checksum,
        reason,
    })
}

fn ask() -> impl Strategy<Value = Ask> {
    let reference = (seq(), 1..=REFERENCE_BLOCKS_MAX as u8, any::<u32>());
    let reference = reference.prop_map(|(seq, count, checksum)| Reference { seq, count, checksum });
    (lane(), run(), reference).prop_map(|(lane, run, reference)| Ask { lane, run, reference })
}

pub(crate) fn down() -> impl Strategy<Value = Down> {
    let refusal = prop_oneof![
        any::<(u8, u8)>().prop_map(|(min, max)| Refusal::Protocol { min, max }),
        Just(Refusal::DeviceNotAllowed),
        Just(Refusal::Quarantined),
    ];
    prop_oneof![
        ack().prop_map(Down::Ack),
        nack().prop_map(Down::Nack),
        refusal.prop_map(Down::Refuse),
        ask().prop_map(Down::Ask),
    ]
}

fn start() -> impl Strategy<Value = Start> {
    (lane(), run(), prop_oneof![Just(Place::ORIGIN).boxed(), place().boxed()])
        .prop_filter("a run is not its own parent", |(_, run, parent)| *run != parent.run)
        .prop_map(|(lane, run, parent)| Start { lane, run, parent })
}

pub(crate) fn block_header() -> impl Strategy<Value = BlockHeader> {
    (
        (lane(), run(), 0..=SEQ_MAX - u64::from(BLOCK_RECORDS_MAX), any::<u64>()),
        1..=BLOCK_RECORDS_MAX,
        any::<([u8; 16], u64, u64, i64)>(),
        clock(),
        any::<u8>(),
        0..=RAW_BYTES_MAX as u32,
    )
        .prop_map(
            |((lane, run, first, prev), count, (boot, mono, span_ns, wall), clock, codec, raw_bytes)| {
                BlockHeader {
                    lane,
                    run,
                    first: Seq(first),
                    prev: Chain(prev),
                    count,
                    boot: BootId(boot),
                    mono: Mono(mono),
                    span_ns,
                    wall: Unix(wall),
                    clock,
                    codec,
                    raw_bytes,
                }
            },
        )
}

pub(crate) fn gap() -> impl Strategy<Value = Gap> {
    let starts = vec((run(), 0..1000u64), 0..=64);
    let cause = proptest::sample::select(&Cause::ON_WIRE[..]);
    (lane(), place(), starts, 0..1000u64, any::<u64>(), cause)
        .prop_map(|(lane, mut from, steps, last, chain, cause)| {
            from.seq = Seq(from.seq.0.min(SEQ_MAX - 100_000));
            let mut at = from.seq.0;
            let mut starts: heapless::Vec<(RunId, Seq), 64> = heapless::Vec::new();
            for (run, step) in steps {
                at += step;
                starts.push((run, Seq(at))).unwrap();
            }
            let run = starts.last().map_or(from.run, |(run, _)| *run);
            let to = Place { run, seq: Seq(at + last), chain: Chain(chain) };
            Gap { lane, from, to, cause, starts }
        })
        .prop_filter("neighbouring runs differ", |gap| {
            let runs: Vec<RunId> =
                std::iter::once(gap.from.run).chain(gap.starts.iter().map(|(run, _)| *run)).collect();
            runs.windows(2).all(|pair| pair[0] != pair[1])
        })
}

/// A sealed item's header and a payload that may stand with it.
pub(crate) fn item_and_payload() -> impl Strategy<Value = (ItemHeader, Vec<u8>)> {
    prop_oneof![
        start().prop_map(|start| (ItemHeader::Start(start), vec![])),
        gap().prop_map(|gap| (ItemHeader::Gap(gap), vec![])),
        (block_header(), vec(any::<u8>(), 0..600))
            .prop_map(|(header, payload)| (ItemHeader::Block(header), payload)),
    ]
}

/// A record that owns its body.
#[derive(Clone, Debug)]
pub(crate) struct Owned {
    pub(crate) mono: u64,
    pub(crate) severity: Severity,
    pub(crate) source: u16,
    pub(crate) offset: u64,
    pub(crate) ending: Ending,
    pub(crate) part: Part,
    pub(crate) cut: bool,
    pub(crate) format: Format,
    pub(crate) body: Vec<u8>,
}

pub(crate) fn record(sources: u16) -> impl Strategy<Value = Owned> {
    let body = prop_oneof![
        4 => "[a-z ]{0,80}".prop_map(String::into_bytes),
        2 => vec(any::<u8>(), 0..200),
        1 => vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(0)], 0..8),
    ];
    let part = prop_oneof![Just(Part::Whole), Just(Part::First), Just(Part::Middle), Just(Part::Last)];
    (
        prop_oneof![4 => 0..1u64 << 40, 1 => any::<u64>()],
        0..=Severity::MAX.number(),
        0..sources,
        prop_oneof![4 => 0..1u64 << 20, 1 => any::<u64>()],
        any::<(bool, bool, bool)>(),
        part,
        body,
    )
        .prop_map(|(mono, severity, source, offset, (newline, cut, json), part, body)| Owned {
            mono,
            severity: Severity::new(severity).unwrap(),
            source,
            offset,
            ending: if newline { Ending::Newline } else { Ending::None },
            part,
            cut,
            format: if json { Format::Json } else { Format::Raw },
            body,
        })
}
