//! A device that lies harms its own times and nothing else.

use driftlog_proto::clock::{DeviceClock, ENCODED_BYTES_MAX, Heard, MONO_MAX};
use driftlog_proto::ids::{AckNumber, BootId, Lane};
use driftlog_proto::message::{Reading, Returned};
use driftlog_proto::time::{ClockState, Mono, Unix};
use proptest::prelude::*;

use crate::world::{BEGIN, MS, S, World};

fn number(edges: &'static [i64]) -> impl Strategy<Value = i64> {
    let near = edges.iter().flat_map(|edge| [edge.saturating_sub(1), *edge, edge.saturating_add(1)]);
    prop_oneof![
        prop::sample::select(near.collect::<Vec<_>>()),
        any::<i64>(),
        BEGIN..BEGIN + 1_000_000_000_000
    ]
}

fn time() -> impl Strategy<Value = Unix> {
    const EDGES: &[i64] =
        &[0, i64::MIN, i64::MAX, BEGIN, 1_767_225_600_000_000_000, 7_258_118_400_000_000_000];
    number(EDGES).prop_map(Unix)
}

fn mono() -> impl Strategy<Value = Mono> {
    let edges = vec![0, 1, MONO_MAX.0 - 1, MONO_MAX.0, MONO_MAX.0 + 1, u64::MAX - 1, u64::MAX];
    prop_oneof![prop::sample::select(edges), any::<u64>(), 0..1_000_000_000_000u64].prop_map(Mono)
}

fn state() -> impl Strategy<Value = ClockState> {
    use ClockState::{Synchronised, Unset, Unsynchronised};
    prop::sample::select(vec![Unset, Unsynchronised, Synchronised])
}

fn reading() -> impl Strategy<Value = Reading> {
    let number = AckNumber { generation: u64::MAX, counter: 0 };
    let returned = (time(), mono()).prop_map(move |(sent, heard)| Returned { number, sent, heard });
    (mono(), time(), state(), prop::option::of(returned)).prop_map(|(mono, wall, clock, returned)| Reading {
        mono,
        wall,
        clock,
        returned,
    })
}

fn boot() -> impl Strategy<Value = BootId> {
    (0u8..6).prop_map(|n| BootId([n; 16]))
}

fn lane() -> impl Strategy<Value = Lane> {
    prop::sample::select(Lane::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_reading_panics_overflows_or_takes_more_room(
        said in prop::collection::vec((boot(), reading(), time(), lane(), mono(), mono()), 1..60),
    ) {
        let mut clock = DeviceClock::new();
        for (boot, reading, received, lane, first, last) in said {
            let before = clock.clone();
            if clock.handle_message(boot, &reading, received) == Heard::Refused {
                prop_assert_eq!(&clock, &before, "a refused reading changes nothing");
            }
            let line = clock.line(lane, boot, (first, last), reading.wall, reading.clock);
            for mono in [first, last, Mono(0), Mono::FOREVER] {
                let _ = line.time(mono);
            }
            clock.handle_delivered(lane, boot, last);
            let _ = clock.summary();
            let bytes = clock.encode();
            prop_assert!(bytes.len() <= ENCODED_BYTES_MAX, "{}", bytes.len());
            prop_assert_eq!(DeviceClock::decode(&bytes), Some(clock.clone()));
        }
    }

    #[test]
    fn damaged_bytes_are_refused_and_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        at in 0usize..400,
        bit in 0u8..8,
    ) {
        let _ = DeviceClock::decode(&bytes);
        let mut world = World::new();
        for _ in 0..20 {
            world.exchange(30 * MS);
            world.run(100 * S);
        }
        let mut bytes = world.clock.encode();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        if let Some(mut clock) = DeviceClock::decode(&bytes) {
            // Damage that still reads as a sound clock is caught by the ledger's own checksums.
            let _ = clock.handle_message(world.boot, &world.reading(), Unix(world.now));
            let _ = clock.line(Lane::Bulk, world.boot, (Mono(0), world.mono()), Unix(0), ClockState::Unset);
        }
        bytes.truncate(at);
        prop_assert_eq!(DeviceClock::decode(&bytes), None);
    }
}

fn refused(reading: Reading) {
    let mut clock = DeviceClock::new();
    assert_eq!(clock.handle_message(BootId([1; 16]), &reading, Unix(BEGIN)), Heard::Refused);
    assert_eq!(clock, DeviceClock::new());
}

const FAIR: Reading = Reading { mono: Mono(S), wall: Unix(0), clock: ClockState::Unset, returned: None };

#[test]
fn an_ack_heard_after_the_message_that_returns_it_is_no_fact() {
    let number = AckNumber { generation: 1, counter: 1 };
    let returned = |heard| Some(Returned { number, sent: Unix(BEGIN - 1_000_000_000), heard: Mono(heard) });
    refused(Reading { returned: returned(S + 1), ..FAIR });
    refused(Reading { returned: returned(u64::MAX), ..FAIR });
    let fair = Reading { returned: returned(S), ..FAIR };
    assert_eq!(DeviceClock::new().handle_message(BootId([1; 16]), &fair, Unix(BEGIN)), Heard::Consistent);
}

#[test]
fn a_boot_of_more_than_a_century_is_no_fact() {
    refused(Reading { mono: Mono(MONO_MAX.0 + 1), ..FAIR });
    refused(Reading { mono: Mono::FOREVER, ..FAIR });
}

#[test]
fn an_ack_from_the_future_is_left_out_and_the_message_counts() {
    let number = AckNumber { generation: u64::MAX, counter: u64::MAX };
    let boot = BootId([1; 16]);
    for sent in [BEGIN + 3_600_000_000_000, i64::MAX, i64::MIN, 0] {
        let returned = Some(Returned { number, sent: Unix(sent), heard: Mono(0) });
        let (mut lied, mut fair) = (DeviceClock::new(), DeviceClock::new());
        let reading = Reading { returned, ..FAIR };
        assert_eq!(lied.handle_message(boot, &reading, Unix(BEGIN)), Heard::Consistent);
        fair.handle_message(boot, &FAIR, Unix(BEGIN));
        assert_eq!(lied, fair);
    }
}

#[test]
fn one_absurd_reading_is_survived_once_the_device_tells_the_truth_again() {
    let mut world = World::new();
    for _ in 0..10 {
        world.exchange(10 * MS);
        world.run(10 * S);
    }
    let year = 365 * 86_400 * S;
    let absurd = Reading { mono: Mono(50 * year), ..FAIR };
    world.clock.handle_message(world.boot, &absurd, Unix(world.now));
    for _ in 0..10 {
        world.exchange(10 * MS);
        world.run(10 * S);
    }
    world.write(Lane::Bulk, S);
    world.deliver(Lane::Bulk, 1);
    let (block, line) = *world.lines.last().unwrap();
    let error = line.time(block.mono.0).0.abs_diff(block.truth.0);
    assert!(error < 50 * MS, "{error} {line:?}");
    assert!(line.bound_ns > 25 * year, "nothing is promised for this boot any more: {line:?}");
}
