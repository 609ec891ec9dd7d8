//! A receiver by itself, where two sinks are not equally far.

use driftlog_proto::ids::{AckNumber, BootId, Chain, Lane, Place, RunId, Seq};
use driftlog_proto::item::{BlockHeader, ItemHeader, Start};
use driftlog_proto::message::Told;
use driftlog_proto::receiver::{Dropped, Receiver, Sinks, Verdict};
use driftlog_proto::time::{ClockState, Mono, Unix};

const RUN: RunId = RunId(7);
const NOW: AckNumber = AckNumber { generation: 1, counter: 1 };

fn place(seq: u64, chain: u64) -> Place {
    Place { run: RUN, seq: Seq(seq), chain: Chain(chain) }
}

fn hear_block(receiver: &mut Receiver, from: Place, to: Place) -> Verdict {
    let header = ItemHeader::Block(BlockHeader {
        lane: Lane::Bulk,
        run: RUN,
        first: from.seq,
        prev: from.chain,
        count: (to.seq.0 - from.seq.0) as u32,
        boot: BootId::default(),
        mono: Mono(0),
        span_ns: 0,
        wall: Unix(0),
        clock: ClockState::Unset,
        codec: 0,
        raw_bytes: 0,
    });
    receiver.handle_item(&header, to, 100, None, NOW, 10_000)
}

/// The first sink has the run's first two records, the second has only its start, and a commit
/// failed: the receiver waits for the two records again.
fn rewound() -> Receiver {
    let sinks = Sinks { count: 2, required: 0b11 };
    let barrier = AckNumber { generation: 1, counter: 0 };
    let mut receiver = Receiver::new(sinks, barrier, Vec::new(), false);
    let start = ItemHeader::Start(Start { lane: Lane::Bulk, run: RUN, parent: Place::ORIGIN });
    let told = Told { heard: NOW, run: RUN, base: Place::ORIGIN };
    receiver.handle_item(&start, place(0, 1), 100, Some(&told), NOW, 10_000);
    assert!(matches!(hear_block(&mut receiver, place(0, 1), place(2, 2)), Verdict::Kept(_)));
    receiver.handle_stored(0, &place(0, 1));
    receiver.handle_stored(1, &place(0, 1));
    receiver.handle_stored(0, &place(2, 2));
    receiver.handle_rewound(NOW);
    receiver
}

#[test]
fn a_block_across_what_another_sink_has_already_is_not_taken() {
    // The first sink would get the records 0 and 1 twice.
    let across = hear_block(&mut rewound(), place(0, 1), place(3, 3));
    assert_eq!(across, Verdict::Dropped(Dropped::RunTwice));
    let other = hear_block(&mut rewound(), place(0, 1), place(2, 9));
    assert_eq!(other, Verdict::Dropped(Dropped::RunTwice), "other records under the same numbers");
    let mut receiver = rewound();
    assert!(
        matches!(hear_block(&mut receiver, place(0, 1), place(2, 2)), Verdict::Kept(_)),
        "the same again"
    );
    assert!(matches!(hear_block(&mut receiver, place(2, 2), place(3, 3)), Verdict::Kept(_)), "what follows");
}
