//! Every limit of messages and items is reached, and what is beyond it is refused.

use driftlog_proto::error::{Malformed, Misuse};
use driftlog_proto::ids::{AckNumber, BootId, Chain, DeviceId, Lane, Place, RunId, Seq, SessionId};
use driftlog_proto::item::{self, BlockHeader, Cause, Gap, ItemHeader, PAYLOAD_AT};
use driftlog_proto::limits::{
    ACK_RANGES_MAX, ACK_RUNS_MAX, BLOCK_RECORDS_MAX, DEVICE_ID_BYTES_MAX, ENVELOPE_BYTES_MAX, GAP_STARTS_MAX,
    ITEM_BYTES_MAX, ITEM_OVERHEAD_BYTES_MAX, LABEL_KEY_BYTES_MAX, LABEL_VALUE_BYTES_MAX, LABELS_MAX,
    LANES_MAX, MESSAGE_BYTES_MAX, PAYLOAD_BYTES_MAX, RAW_BYTES_MAX, SEQ_MAX, VERSION_BYTES_MAX,
};
use driftlog_proto::message::{
    BeatLane, Down, Echo, HelloLane, Item, Range, Reading, Returned, Told, Up, decode, encode,
};
use driftlog_proto::time::{ClockState, Mono, Unix};
use serde::Serialize;

use crate::message::{encoded, framed};

const PLACE: Place = Place { run: RunId(u64::MAX), seq: Seq(SEQ_MAX), chain: Chain(u64::MAX) };
const NUMBER: AckNumber = AckNumber { generation: u64::MAX, counter: u64::MAX };
const READING: Reading = Reading {
    mono: Mono(u64::MAX),
    wall: Unix(i64::MIN),
    clock: ClockState::Synchronised,
    returned: Some(Returned { number: NUMBER, sent: Unix(i64::MIN), heard: Mono(u64::MAX) }),
};

/// `Up` and `Down` without bounds: what a peer that keeps no limit would write.
#[derive(Serialize)]
enum AnyUp<'a> {
    Hello(AnyHello<'a>),
    #[expect(dead_code, reason = "it keeps the number of the variant after it")]
    Item,
    Beat((SessionId, Reading, u64, u64, u64, &'a [BeatLane])),
}

#[derive(Serialize, Clone)]
struct AnyHello<'a> {
    protocol_min: u8,
    protocol_max: u8,
    agent: &'a str,
    session: SessionId,
    boot: BootId,
    reading: Reading,
    heard: AckNumber,
    hardware_changed: bool,
    labels: &'a [(&'a str, &'a str)],
    lanes: &'a [HelloLane],
}

#[derive(Serialize)]
enum AnyDown<'a> {
    Ack((AckNumber, Unix, Option<Echo>, &'a [AnyAckLane<'a>])),
}

#[derive(Serialize, Clone, Copy)]
struct AnyAckLane<'a> {
    lane: Lane,
    runs: &'a [Place],
    received: &'a [Range],
    credit: u32,
}

fn bytes<T: Serialize>(message: &T) -> Vec<u8> {
    let mut room = vec![0; 64 * 1024];
    framed(postcard::to_slice(message, &mut room).unwrap())
}

const HELLO_LANES: [HelloLane; 3] = [
    HelloLane { lane: Lane::Bulk, run: RunId(u64::MAX), base: PLACE, next: PLACE },
    HelloLane { lane: Lane::Urgent, run: RunId(u64::MAX), base: PLACE, next: PLACE },
    HelloLane { lane: Lane::Bulk, run: RunId(1), base: PLACE, next: PLACE },
];

const HELLO: AnyHello<'_> = AnyHello {
    protocol_min: 1,
    protocol_max: u8::MAX,
    agent: "1",
    session: SessionId(u64::MAX),
    boot: BootId([u8::MAX; 16]),
    reading: READING,
    heard: NUMBER,
    hardware_changed: true,
    labels: &[],
    lanes: &[],
};

fn is_hello(hello: AnyHello<'_>) -> bool {
    let bytes = bytes(&AnyUp::Hello(hello));
    match decode::<Up>(&bytes) {
        Ok((up, _)) => {
            assert_eq!(encoded(&up, b""), bytes, "it is taken as it was said");
            true
        }
        Err(error) => {
            assert!(matches!(error, Malformed::Encoding | Malformed::Limit(_)), "{error}");
            false
        }
    }
}

#[test]
fn a_hello_is_taken_at_each_limit_and_refused_beyond_it() {
    let long = "v".repeat(VERSION_BYTES_MAX + 1);
    assert!(is_hello(AnyHello { agent: &long[1..], ..HELLO }));
    assert!(!is_hello(AnyHello { agent: &long, ..HELLO }));

    assert!(is_hello(AnyHello { lanes: &HELLO_LANES[..LANES_MAX], ..HELLO }));
    assert!(!is_hello(AnyHello { lanes: &HELLO_LANES, ..HELLO }));
    assert!(!is_hello(AnyHello { lanes: &[HELLO_LANES[0]; 2], ..HELLO }), "a lane stands once");

    let (key, value) = ("k".repeat(LABEL_KEY_BYTES_MAX + 1), "v".repeat(LABEL_VALUE_BYTES_MAX + 1));
    let labels = vec![(&key[1..], &value[1..]); LABELS_MAX + 1];
    assert!(is_hello(AnyHello { labels: &labels[1..], ..HELLO }));
    assert!(!is_hello(AnyHello { labels: &labels, ..HELLO }));
    assert!(!is_hello(AnyHello { labels: &[(&key, "")], ..HELLO }));
    assert!(!is_hello(AnyHello { labels: &[("", &value)], ..HELLO }));

    let full =
        AnyHello { agent: &long[1..], lanes: &HELLO_LANES[..LANES_MAX], labels: &labels[1..], ..HELLO };
    assert!(bytes(&AnyUp::Hello(full)).len() <= 4096, "a Hello at every limit is small beside a message");
}

#[test]
fn a_record_number_of_2_to_the_53_is_the_last_that_a_message_may_name() {
    let lane = |base: u64| HelloLane { base: Place { seq: Seq(base), ..PLACE }, ..HELLO_LANES[0] };
    assert!(is_hello(AnyHello { lanes: &[lane(SEQ_MAX)], ..HELLO }));
    let beyond = bytes(&AnyUp::Hello(AnyHello { lanes: &[lane(SEQ_MAX + 1)], ..HELLO }));
    assert_eq!(decode::<Up>(&beyond), Err(Malformed::Seq));

    let ack = |seq: u64| {
        let runs = [Place { seq: Seq(seq), ..PLACE }];
        bytes(&AnyDown::Ack((NUMBER, Unix(0), None, &[AnyAckLane { runs: &runs, ..ACK_LANE }])))
    };
    assert!(decode::<Down>(&ack(SEQ_MAX)).is_ok());
    assert_eq!(decode::<Down>(&ack(SEQ_MAX + 1)), Err(Malformed::Seq));
    assert_eq!(Seq(SEQ_MAX).plus(1), Err(Malformed::Seq));
    assert_eq!(Seq(1).plus(u64::MAX), Err(Malformed::Seq), "no overflow");
}

#[test]
fn a_beat_has_at_most_one_entry_for_each_lane() {
    let lane = BeatLane {
        lane: Lane::Bulk,
        spool_bytes: u64::MAX,
        oldest_age_ms: u64::MAX,
        records: u64::MAX,
        dropped: [u64::MAX; Cause::ON_WIRE.len()],
        paused: true,
    };
    let beat = |lanes: &[BeatLane]| bytes(&AnyUp::Beat((SessionId(1), READING, 1, 2, 3, lanes)));
    let urgent = BeatLane { lane: Lane::Urgent, ..lane };
    assert!(decode::<Up>(&beat(&[lane, urgent])).is_ok());
    assert_eq!(decode::<Up>(&beat(&[lane; LANES_MAX])), Err(Malformed::Limit("LANES_MAX")));
    assert_eq!(decode::<Up>(&beat(&[lane; LANES_MAX + 1])), Err(Malformed::Encoding));
}

const ACK_LANE: AnyAckLane<'_> =
    AnyAckLane { lane: Lane::Urgent, runs: &[], received: &[], credit: u32::MAX };

#[test]
fn an_ack_is_taken_at_each_limit_and_refused_beyond_it() {
    let range = Range { run: RunId(u64::MAX), first: Seq(SEQ_MAX), end: Seq(SEQ_MAX) };
    let (runs, ranges) = ([PLACE; ACK_RUNS_MAX + 1], [range; ACK_RANGES_MAX + 1]);
    let full = AnyAckLane { runs: &runs[1..], received: &ranges[1..], ..ACK_LANE };
    let echo = Echo { session: SessionId(u64::MAX), mono: Mono(u64::MAX), received: Unix(i64::MIN) };
    let ack = |lanes: &[AnyAckLane<'_>]| bytes(&AnyDown::Ack((NUMBER, Unix(i64::MIN), Some(echo), lanes)));

    let largest = ack(&[AnyAckLane { lane: Lane::Bulk, ..full }, full]);
    assert!(decode::<Down>(&largest).is_ok());
    assert_eq!(decode::<Down>(&ack(&[full; LANES_MAX])), Err(Malformed::Limit("LANES_MAX")));
    let backwards = [Range { run: RunId(1), first: Seq(2), end: Seq(1) }];
    let backwards = ack(&[AnyAckLane { received: &backwards, ..ACK_LANE }]);
    assert_eq!(decode::<Down>(&backwards), Err(Malformed::Order));
    assert!(largest.len() <= 2048, "an Ack at every limit is small: {}", largest.len());
    for beyond in [
        ack(&[full; LANES_MAX + 1]),
        ack(&[AnyAckLane { runs: &runs, ..ACK_LANE }]),
        ack(&[AnyAckLane { received: &ranges, ..ACK_LANE }]),
    ] {
        assert_eq!(decode::<Down>(&beyond), Err(Malformed::Encoding));
    }
}

#[test]
fn the_largest_item_in_the_largest_envelope_fits_a_message() {
    let told = Some(Told { heard: NUMBER, run: RunId(u64::MAX), base: PLACE });
    let item = Up::Item(Item { session: SessionId(u64::MAX), reading: READING, told });
    assert!(encoded(&item, b"").len() <= ENVELOPE_BYTES_MAX);
    let tail = vec![0; ITEM_BYTES_MAX];
    assert_eq!(decode::<Up>(&encoded(&item, &tail)), Ok((item, &tail[..])));
}

#[test]
fn a_message_of_128_kib_is_the_largest() {
    let item = Up::Item(Item { session: SessionId(1), reading: READING, told: None });
    let tail = vec![0; MESSAGE_BYTES_MAX - encoded(&item, b"").len() + 1];
    let mut out = vec![0; MESSAGE_BYTES_MAX + 1];
    assert_eq!(encode(&item, &tail[1..], &mut out), Ok(MESSAGE_BYTES_MAX));
    assert!(decode::<Up>(&out[..MESSAGE_BYTES_MAX]).is_ok());
    assert_eq!(encode(&item, &tail, &mut out), Err(Misuse::Limit("MESSAGE_BYTES_MAX")));
    assert_eq!(decode::<Up>(&out), Err(Malformed::Limit("MESSAGE_BYTES_MAX")));
    for room in [0, 4, 5, 20, 1000] {
        assert_eq!(encode(&item, &tail[1..], &mut out[..room]), Err(Misuse::BufferTooSmall));
    }
}

#[test]
fn a_device_id_has_1_to_64_letters() {
    let longest = "a".repeat(DEVICE_ID_BYTES_MAX);
    assert_eq!(DeviceId::new(&longest).unwrap().as_str(), longest);
    for wrong in ["", &"a".repeat(DEVICE_ID_BYTES_MAX + 1), "a/b", "a+b", "pump 7", "größe", "a\0"] {
        assert_eq!(DeviceId::new(wrong), Err(Malformed::DeviceId), "{wrong:?}");
    }
}

/// A block's header in the most bytes that one can have.
const LARGEST: BlockHeader = BlockHeader {
    lane: Lane::Urgent,
    run: RunId(u64::MAX),
    first: Seq(SEQ_MAX - BLOCK_RECORDS_MAX as u64),
    prev: Chain(u64::MAX),
    count: BLOCK_RECORDS_MAX,
    boot: BootId([u8::MAX; 16]),
    mono: Mono(u64::MAX),
    span_ns: u64::MAX,
    wall: Unix(i64::MIN),
    clock: ClockState::Synchronised,
    codec: u8::MAX,
    raw_bytes: RAW_BYTES_MAX as u32,
};

#[test]
fn the_largest_payload_under_the_largest_header_fits_an_item() {
    let payload = vec![0x55; PAYLOAD_BYTES_MAX];
    let mut out = vec![0; ITEM_BYTES_MAX];
    let header = ItemHeader::Block(LARGEST);
    let bytes = item::seal(&header, &payload, &mut out).unwrap();
    assert!(bytes <= payload.len() + ITEM_OVERHEAD_BYTES_MAX);
    assert_eq!(item::open(&out[..bytes]), Ok((header.clone(), &payload[..])));

    let mut in_place = vec![0; PAYLOAD_AT + PAYLOAD_BYTES_MAX];
    in_place[PAYLOAD_AT..].copy_from_slice(&payload);
    assert_eq!(item::seal_in_place(&header, payload.len(), &mut in_place), Ok(bytes));
    assert_eq!(in_place[..bytes], out[..bytes], "both ways of sealing give the same bytes");
}

#[test]
fn a_block_header_is_refused_beyond_each_limit() {
    let open = |header: BlockHeader, payload: usize| {
        let mut out = vec![0; ITEM_BYTES_MAX];
        let bytes = item::seal(&ItemHeader::Block(header), &vec![0; payload], &mut out).unwrap();
        item::open(&out[..bytes]).map(|(header, _)| header)
    };
    assert!(open(LARGEST, PAYLOAD_BYTES_MAX).is_ok());
    assert_eq!(open(LARGEST, PAYLOAD_BYTES_MAX + 1), Err(Malformed::Limit("PAYLOAD_BYTES_MAX")));
    let beyond = [
        (BlockHeader { count: BLOCK_RECORDS_MAX + 1, ..LARGEST }, Malformed::Limit("BLOCK_RECORDS_MAX")),
        (BlockHeader { count: 0, ..LARGEST }, Malformed::Limit("BLOCK_RECORDS_MAX")),
        (BlockHeader { raw_bytes: RAW_BYTES_MAX as u32 + 1, ..LARGEST }, Malformed::Limit("RAW_BYTES_MAX")),
        (BlockHeader { first: Seq(SEQ_MAX - u64::from(BLOCK_RECORDS_MAX) + 1), ..LARGEST }, Malformed::Seq),
        (BlockHeader { run: RunId::ORIGIN, ..LARGEST }, Malformed::Run),
    ];
    for (header, error) in beyond {
        assert_eq!(open(header, 10), Err(error));
    }
}

#[test]
fn an_item_over_its_limit_is_neither_sealed_nor_opened() {
    let header = ItemHeader::Block(LARGEST);
    let mut out = vec![0; ITEM_BYTES_MAX + 1000];
    let overhead = item::seal(&header, b"", &mut out).unwrap();
    let payload = vec![0; ITEM_BYTES_MAX - overhead + 1];
    assert_eq!(item::seal(&header, &payload[1..], &mut out), Ok(ITEM_BYTES_MAX));
    assert_eq!(item::seal(&header, &payload, &mut out), Err(Misuse::Limit("ITEM_BYTES_MAX")));
    assert_eq!(item::seal_in_place(&header, payload.len(), &mut out), Err(Misuse::Limit("ITEM_BYTES_MAX")));
    assert_eq!(item::open(&out[..ITEM_BYTES_MAX + 1]), Err(Malformed::Limit("ITEM_BYTES_MAX")));
    for room in [0, 1, 50, overhead - 1] {
        assert_eq!(item::seal(&header, b"", &mut out[..room]), Err(Misuse::BufferTooSmall));
    }
}

#[test]
fn a_gap_lists_at_most_64_starts() {
    #[derive(Serialize)]
    enum AnyHeader<'a> {
        #[expect(dead_code, reason = "it keeps the number of the variant after it")]
        Start,
        #[expect(dead_code, reason = "it keeps the number of the variant after it")]
        Block,
        Gap((Lane, Place, Place, Cause, &'a [(RunId, Seq)])),
    }
    let starts: Vec<(RunId, Seq)> =
        (0..=GAP_STARTS_MAX as u64).map(|n| (RunId(u64::MAX - 1 - n), Seq(SEQ_MAX))).collect();
    let sealed = |starts: &[(RunId, Seq)]| {
        let to = Place { run: starts.last().unwrap().0, ..PLACE };
        let mut out = vec![0; 4096];
        out[0] = 1;
        let header = AnyHeader::Gap((Lane::Bulk, PLACE, to, Cause::Closed, starts));
        let end = 1 + postcard::to_slice(&header, &mut out[1..]).unwrap().len();
        out.truncate(end);
        out.extend_from_slice(&driftlog_proto::checksum::crc32c(&out).to_le_bytes());
        out
    };
    let (header, _) = item::open(&sealed(&starts[1..])).map(|(h, p)| (h, p.len())).unwrap();
    assert!(matches!(header, ItemHeader::Gap(Gap { ref starts, .. }) if starts.len() == GAP_STARTS_MAX));
    assert_eq!(item::open(&sealed(&starts)), Err(Malformed::Encoding));
}

/// The gateway declares so to one sink; no device may say it.
#[test]
fn what_one_sink_missed_never_stands_on_the_wire() {
    for cause in Cause::ALL {
        let from = Place { seq: Seq(5), ..PLACE };
        let gap = Gap { lane: Lane::Bulk, from, to: PLACE, cause, starts: heapless::Vec::new() };
        let sealed = item::seal(&ItemHeader::Gap(gap), &[], &mut [0; 256]);
        assert_eq!(sealed.is_ok(), Cause::ON_WIRE.contains(&cause), "{cause:?}");
    }
    assert_eq!(postcard::from_bytes(&[5]), Ok(Cause::Closed));
    assert!(postcard::from_bytes::<Cause>(&[6]).is_err());
}
