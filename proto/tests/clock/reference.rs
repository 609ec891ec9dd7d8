//! The interval by brute force: every fact ever heard, no thinning, exact rational arithmetic.

use driftlog_proto::clock::{Basis, DRIFT_PPB_MAX, DeviceClock};
use driftlog_proto::ids::{AckNumber, BootId, Lane};
use driftlog_proto::message::{Reading, Returned};
use driftlog_proto::time::{ClockState, Mono, Unix};
use proptest::prelude::*;

use crate::world::{BEGIN, MS, S};

const BOOT: BootId = BootId([7; 16]);

/// A round trip: the Ack is sent after `gap`, takes `down` to be heard; the message that returns
/// it is sent `idle` later and takes `up`.
type Trip = (u64, u64, u64, u64);

struct Heard {
    clock: DeviceClock,
    /// (mono, gateway time) in 1e-9 ns: g(mono) <= time, and g(mono) >= time.
    upper: Vec<(i128, i128)>,
    lower: Vec<(i128, i128)>,
    end: u64,
}

/// A device whose clock runs at the gateway's rate from 0 at `BEGIN`.
fn hear(trips: &[Trip]) -> Heard {
    let mut heard = Heard { clock: DeviceClock::new(), upper: vec![], lower: vec![], end: 0 };
    let mut now = S;
    for &(gap, down, idle, up) in trips {
        let sent = now + gap;
        let (ack, message) = (sent + down, sent + down + idle);
        let received = message + up;
        let unix = |ns: u64| Unix(BEGIN + ns as i64);
        let number = AckNumber { generation: 1, counter: 1 };
        let returned = Some(Returned { number, sent: unix(sent), heard: Mono(ack) });
        let reading = Reading { mono: Mono(message), wall: Unix(0), clock: ClockState::Unset, returned };
        heard.clock.handle_message(BOOT, &reading, unix(received));
        heard.upper.push((i128::from(message), i128::from(unix(received).0)));
        heard.lower.push((i128::from(ack), i128::from(unix(sent).0)));
        now = received;
    }
    heard.end = now;
    heard
}

/// Both ends of the interval at `x`, in nanoseconds times 1e9.
fn interval(heard: &Heard, x: u64) -> (i128, i128) {
    let e9 = 1_000_000_000;
    let spread = |mono: i128| (i128::from(x) - mono).abs() * i128::from(DRIFT_PPB_MAX);
    let upper = heard.upper.iter().map(|&(m, u)| (u + i128::from(x) - m) * e9 + spread(m)).min().unwrap();
    let lower = heard.lower.iter().map(|&(m, l)| (l + i128::from(x) - m) * e9 - spread(m)).max().unwrap();
    (lower, upper)
}

fn trip(idle: std::ops::Range<u64>) -> impl Strategy<Value = Trip> {
    (0..100 * MS, 0..500 * MS, idle, 0..500 * MS)
}

/// What the model claims at `x`, in nanoseconds times 1e9.
fn claimed(heard: &mut Heard, x: u64) -> (i128, i128) {
    let at = (Mono(x), Mono(x));
    let line = heard.clock.line(Lane::Bulk, BOOT, at, Unix(0), ClockState::Unset);
    assert_eq!(line.basis, Basis::Measured);
    let (time, bound) = (i128::from(line.time.0), i128::from(line.bound_ns));
    ((time - bound) * 1_000_000_000, (time + bound) * 1_000_000_000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn few_facts_give_exactly_the_brute_force_interval(
        trips in prop::collection::vec(trip(0..3_600 * S), 1..10),
        share in prop::collection::vec(0u64..2000, 1..20),
    ) {
        let mut heard = hear(&trips);
        for share in share {
            let x = heard.end / 1000 * share; // from the boot to as long again after the end
            let (lower, upper) = interval(&heard, x);
            let (from, to) = claimed(&mut heard, x);
            // A microsecond for the grain of each fact, and roundings.
            let grain = 1_100 * 1_000_000_000;
            prop_assert!(from <= lower && upper <= to, "the interval is covered");
            // The bound is to both sides of the estimate: it touches one end of the interval.
            prop_assert!(from >= lower - grain || to <= upper + grain, "and no more than that");
        }
    }

    #[test]
    fn thinned_facts_still_cover_it_and_are_near_it_at_the_edge(
        trips in prop::collection::vec(trip(0..60 * S), 10..400),
        share in prop::collection::vec(0u64..1200, 1..20),
    ) {
        let mut heard = hear(&trips);
        for share in share {
            let x = heard.end / 1000 * share;
            let (lower, upper) = interval(&heard, x);
            let (from, to) = claimed(&mut heard, x);
            prop_assert!(from <= lower && upper <= to, "the interval is covered");
        }
        let x = heard.end;
        let (lower, upper) = interval(&heard, x);
        let (from, to) = claimed(&mut heard, x);
        prop_assert!(to - from <= 2 * (upper - lower) + 20_000 * 1_000_000_000, "{} {}", to - from, upper - lower);
    }
}
