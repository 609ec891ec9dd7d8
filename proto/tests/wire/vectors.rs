//! Golden bytes: every message, every item and a packed block, each beside its readable twin.
//!
//! A vector never changes. Other bytes for the same value are another version of the format: give
//! it a new number, keep the old one readable, and add vectors for it in a file of its own.
//!
//! A vector that is missing is printed by the failing test as it should stand in the file.

use std::fmt::{Debug, Write};

use driftlog_proto::block::{
    Block, Codec, Ending, Format, Packed, Packer, Part, Record, Reference, Scratch, Severity, Source,
    WORKSPACE_BYTES, unpack,
};
use driftlog_proto::checksum::{crc32c, crc32c_seeded};
use driftlog_proto::ids::{AckNumber, BootId, Chain, DeviceId, Lane, Place, RunId, Seq, SessionId};
use driftlog_proto::item::{self, BlockHeader, Cause, Gap, ItemHeader, Start};
use driftlog_proto::message::{
    Ack, AckLane, Ask, Beat, BeatLane, Down, Echo, Hello, HelloLane, Item, Message, Nack, NackReason, Range,
    Reading, Refusal, Returned, Told, Up, decode,
};
use driftlog_proto::time::{ClockState, Mono, Unix};

use crate::item::sealed;
use crate::message::encoded;
use crate::zstd::Zstd;

const MESSAGES: &str = include_str!("../vectors/messages-v1.txt");
pub(crate) const ITEMS: &str = include_str!("../vectors/items-v1.txt");
pub(crate) const BLOCK: &str = include_str!("../vectors/block-v1.txt");

/// A vector as it stands in a file.
fn vector(name: &str, bytes: &[u8], twin: &str) -> String {
    let mut text = format!("== {name}\n{twin}\n--\n");
    for line in bytes.chunks(32) {
        line.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
        text.push('\n');
    }
    text
}

/// Checks the vectors of a file against what this build writes and reads.
fn assert_pinned(file: &str, pinned: &str, vectors: &[String]) {
    let (_, pinned) = pinned.split_at(pinned.find("== ").unwrap_or(pinned.len()));
    let expected = vectors.join("\n");
    for (vector, pinned) in vectors.iter().zip(pinned.split_inclusive("\n\n")) {
        let (vector, pinned) = (vector.trim_end(), pinned.trim_end());
        assert!(
            vector == pinned,
            "{file}: the bytes or the meaning of a vector have changed. That is a new version of the format: \
             devices in the field and spools on flash still have the old one. Keep this vector, raise the \
             version byte and pin the new form in a file of its own.\n\npinned:\n{pinned}\n\nnow:\n{vector}"
        );
    }
    assert!(
        pinned.trim_end() == expected.trim_end(),
        "{file}: it does not hold the vectors of this build. It should read\n\n{expected}"
    );
}

const READING: Reading = Reading {
    mono: Mono(86_400_123_456_789),
    wall: Unix(1_795_500_000_123_456_789),
    clock: ClockState::Synchronised,
    returned: None,
};
const HEARD: AckNumber = AckNumber { generation: 1_795_499_000_000, counter: 300 };
const SESSION: SessionId = SessionId(0x0123_4567_89ab_cdef);
const RUN: RunId = RunId(0xfeed_0000_dead_0001);
const CHILD: RunId = RunId(0xfeed_0000_dead_0002);
const MONO: Mono = Mono(86_400_000_000_999);
const BOOT: BootId = BootId([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255]);

fn place(run: RunId, seq: u64) -> Place {
    Place { run, seq: Seq(seq), chain: Chain(0x1122_3344_5566_7788) }
}

fn hello() -> Up {
    let labels = [("site", "north"), ("größe", "")];
    let bulk = HelloLane { lane: Lane::Bulk, run: CHILD, base: place(RUN, 1000), next: place(CHILD, 70_000) };
    let urgent = HelloLane { lane: Lane::Urgent, run: RUN, base: Place::ORIGIN, next: Place::ORIGIN };
    Up::Hello(Hello {
        protocol_min: 1,
        protocol_max: 1,
        agent: "0.1.0".try_into().unwrap(),
        session: SESSION,
        boot: BOOT,
        reading: READING,
        heard: HEARD,
        hardware_changed: true,
        labels: labels
            .map(|(key, value)| (key.try_into().unwrap(), value.try_into().unwrap()))
            .into_iter()
            .collect(),
        lanes: [bulk, urgent].into_iter().collect(),
    })
}

fn beat() -> Up {
    let lane = BeatLane {
        lane: Lane::Bulk,
        spool_bytes: 268_435_456,
        oldest_age_ms: 3_600_000,
        records: 1_000_000,
        dropped: [5, 4, 3, 2, 1, 0],
        paused: true,
    };
    Up::Beat(Beat {
        session: SESSION,
        reading: READING,
        uptime_ms: 12_345,
        memory_bytes: 4_194_304,
        lines_cut: 2,
        lanes: [lane].into_iter().collect(),
    })
}

fn ask() -> Ask {
    let reference = Reference { seq: Seq(69_000), count: 3, checksum: 0x89ab_cdef };
    Ask { lane: Lane::Urgent, run: CHILD, reference }
}

fn ups() -> Vec<(&'static str, Up, Vec<u8>)> {
    let returned =
        Returned { number: HEARD, sent: Unix(1_795_499_999_000_000_000), heard: Mono(86_400_000_000_000) };
    let plain = Item {
        session: SESSION,
        reading: Reading { clock: ClockState::Unset, wall: Unix(-1), returned: Some(returned), ..READING },
        told: None,
    };
    let told = Item {
        told: Some(Told { heard: AckNumber::default(), run: CHILD, base: Place::ORIGIN }),
        reading: Reading { clock: ClockState::Unsynchronised, ..READING },
        ..plain
    };
    vec![
        ("Up::Hello", hello(), vec![]),
        (
            "Up::Item, a block",
            Up::Item(plain),
            sealed(&block_header(Codec::Stored, 3, 5), b"\x01\x02\x03\x04\x05"),
        ),
        ("Up::Item, a start", Up::Item(told), sealed(&start(), b"")),
        ("Up::Beat", beat(), vec![]),
        ("Up::Gone", Up::Gone(ask()), vec![]),
    ]
}

fn downs() -> Vec<(&'static str, Down)> {
    let echo =
        Echo { session: SESSION, mono: Mono(86_400_123_456_789), received: Unix(1_795_500_000_223_456_789) };
    let range = Range { run: CHILD, first: Seq(70_500), end: Seq(70_600) };
    let lane = AckLane {
        lane: Lane::Bulk,
        runs: [place(RUN, 1000), Place { chain: Chain(0), ..place(CHILD, 70_000) }].into_iter().collect(),
        received: [range].into_iter().collect(),
        credit: 1_048_576,
    };
    let ack = Ack {
        number: HEARD,
        sent: Unix(1_795_500_000_323_456_789),
        echo: Some(echo),
        lanes: [lane].into_iter().collect(),
    };
    let first =
        Ack { number: AckNumber { counter: 1, ..HEARD }, echo: None, lanes: heapless::Vec::new(), ..ack };
    let nack = |reason| Nack { lane: Lane::Urgent, run: RUN, seq: Seq(128), checksum: 0xdead_beef, reason };
    vec![
        ("Down::Ack", Down::Ack(ack)),
        ("Down::Ack, of nothing", Down::Ack(first)),
        ("Down::Nack, checksum", Down::Nack(nack(NackReason::Checksum))),
        ("Down::Nack, limit", Down::Nack(nack(NackReason::Limit))),
        ("Down::Refuse, protocol", Down::Refuse(Refusal::Protocol { min: 2, max: 3 })),
        ("Down::Refuse, not allowed", Down::Refuse(Refusal::DeviceNotAllowed)),
        ("Down::Refuse, quarantined", Down::Refuse(Refusal::Quarantined)),
        ("Down::Ask", Down::Ask(ask())),
    ]
}

fn start() -> ItemHeader {
    ItemHeader::Start(Start { lane: Lane::Urgent, run: CHILD, parent: place(RUN, 1000) })
}

fn block_header(codec: Codec, count: u32, raw_bytes: u32) -> ItemHeader {
    ItemHeader::Block(BlockHeader {
        lane: Lane::Bulk,
        run: RUN,
        first: Seq(70_000),
        prev: Chain(0x8877_6655_4433_2211),
        count,
        boot: BOOT,
        mono: MONO,
        span_ns: 1_500_000_000,
        wall: Unix(1_795_500_000_000_000_000),
        clock: ClockState::Synchronised,
        codec: codec.number(),
        raw_bytes,
    })
}

fn items() -> Vec<(String, ItemHeader, Vec<u8>)> {
    let root = Start { lane: Lane::Bulk, run: RUN, parent: Place::ORIGIN };
    let mut items = vec![
        ("Start, a root".to_owned(), ItemHeader::Start(root), vec![]),
        ("Start, a child".to_owned(), start(), vec![]),
        ("Block".to_owned(), block_header(Codec::Zstd, 3, 300), b"payload\x00\xff".to_vec()),
    ];
    for cause in Cause::ON_WIRE {
        let gap = Gap {
            lane: Lane::Bulk,
            from: place(RUN, 70_000),
            to: place(CHILD, 80_000),
            cause,
            starts: [(CHILD, Seq(75_000))].into_iter().collect(),
        };
        items.push((format!("Gap, {}", cause.name()), ItemHeader::Gap(gap), vec![]));
    }
    items
}

fn records() -> [Record<'static>; 5] {
    let first = Record {
        mono: Mono(86_400_000_001_000),
        severity: Severity::INFO,
        source: 0,
        offset: 4096,
        ending: Ending::Newline,
        part: Part::Whole,
        cut: false,
        format: Format::Raw,
        body: b"pump started",
    };
    [
        first,
        Record {
            mono: Mono(86_400_000_500_000),
            severity: Severity::ERROR,
            offset: 4109,
            body: b"",
            ..first
        },
        Record {
            mono: Mono(86_399_999_000_000),
            source: 1,
            offset: 0,
            format: Format::Json,
            body: b"{\"a\":1}",
            ..first
        },
        Record { offset: 4210, ending: Ending::None, part: Part::First, body: b"\xff\x00\n", ..first },
        Record {
            offset: 4213,
            part: Part::Last,
            severity: Severity::UNSPECIFIED,
            cut: true,
            body: b"a\nb",
            ..first
        },
    ]
}

fn packer(records: &[Record<'_>]) -> Packer<Vec<u8>> {
    let mut packer = Packer::new(vec![0; WORKSPACE_BYTES]).unwrap();
    packer.open(MONO);
    packer.source(&Source { path: b"/var/log/syslog", file: 0x0102_0304_0506_0708 }).unwrap();
    packer.source(&Source { path: b"driftlog:agent", file: 0 }).unwrap();
    records.iter().for_each(|record| packer.push(record).unwrap());
    packer
}

/// A block as a person reads it: a line for each source and each record.
fn told(block: &Block<'_>) -> String {
    let mut text = String::new();
    for (index, Source { path, file }) in block.sources().enumerate() {
        writeln!(text, "source {index}: file {file:#x} \"{}\"", path.escape_ascii()).unwrap();
    }
    for record in block.records() {
        let Record { mono: Mono(mono), source, offset, ending, part, cut, format, body, .. } = record;
        let (severity, body) = (record.severity.number(), body.escape_ascii());
        writeln!(
            text,
            "mono {mono} severity {severity} source {source} offset {offset} newline {} {part:?} cut {cut} {format:?} \"{body}\"",
            ending == Ending::Newline,
        )
        .unwrap();
    }
    text.trim_end().to_owned()
}

fn message_vector<M: Message + Debug + PartialEq>(name: &str, message: &M, tail: &[u8]) -> String {
    let bytes = encoded(message, tail);
    let (read, read_tail) = decode::<M>(&bytes).unwrap();
    assert_eq!((&read, read_tail), (message, tail), "{name} is read as it was written");
    vector(name, &bytes, &format!("{read:#?}"))
}

#[test]
fn every_message_has_its_bytes() {
    let ups = ups();
    let downs = downs();
    let ups = ups.iter().map(|(name, up, tail)| message_vector(name, up, tail));
    let downs = downs.iter().map(|(name, down)| message_vector(name, down, b""));
    assert_pinned("messages-v1.txt", MESSAGES, &ups.chain(downs).collect::<Vec<_>>());
}

#[test]
fn every_item_has_its_bytes() {
    let vectors: Vec<String> = items()
        .iter()
        .map(|(name, header, payload)| {
            let sealed = sealed(header, payload);
            let (read, read_payload) = item::open(&sealed).unwrap();
            assert_eq!((&read, read_payload), (header, &payload[..]));
            vector(name, &sealed, &format!("{read:#?}\nends at {:?}", read.end(&sealed)))
        })
        .collect();
    assert_pinned("items-v1.txt", ITEMS, &vectors);
}

#[test]
fn a_packed_block_has_its_bytes() {
    let packer = packer(&records());
    let mut payload = vec![0; 1000];
    let packed = packer.pack(Codec::Stored, &mut Zstd, &mut payload).unwrap();
    let payload = &payload[..packed.bytes];
    let header = BlockHeader { mono: MONO, ..crate::block::header(0, packer.count(), packed) };
    let mut scratch = Scratch::new();
    let block = unpack(&header, payload, &[], &mut Zstd, &mut scratch).unwrap();
    assert!(block.records().eq(records()));
    assert_pinned("block-v1.txt", BLOCK, &[vector("stored, mono 86400000000999", payload, &told(&block))]);
}

/// What a compressor writes may change with its version; what was written must stay readable.
#[test]
fn a_block_that_an_older_zstd_compressed_is_still_read() {
    let frame = unhex(include_str!("../vectors/block-zstd-v1.txt"));
    let records = records().repeat(8);
    let packer = packer(&records);
    let raw_bytes = u32::try_from(packer.raw_bytes()).unwrap();
    let packed = Packed { codec: Codec::Zstd, raw_bytes, bytes: frame.len() };
    let header = BlockHeader { mono: MONO, ..crate::block::header(0, packer.count(), packed) };
    let mut scratch = Scratch::new();
    let block = unpack(&header, &frame, &[], &mut Zstd, &mut scratch).unwrap();
    assert!(block.records().eq(records));
}

/// The bytes of a vector in a file, in hex.
pub(crate) fn hex_of(file: &str, name: &str) -> String {
    let vector = file.split("== ").find(|vector| vector.starts_with(&format!("{name}\n"))).unwrap();
    let (_, hex) = vector.split_once("\n--\n").unwrap();
    hex.split_whitespace().collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::chars)
        .map(|digit| digit.to_digit(16).unwrap() as u8)
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[test]
fn checksums_chains_and_shards_are_what_they_always_were() {
    // The check value of CRC-32/ISCSI in the catalogue of parametrised CRC algorithms.
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    assert_eq!(crc32c_seeded(0xffff_ffff, &[b"1234", b"56789"]), 0xe306_9283, "the plain start value");
    assert_eq!(crc32c_seeded(1, &[b"123456789"]), 0xbb14_b209, "the seed of a message of version 1");
    // BLAKE3 of nothing begins with af1349b9f5f9a1a6.
    assert_eq!(Chain::after(b""), Chain(0xa6a1_f9f5_b949_13af));
    assert_eq!(DeviceId::new("pump-7").unwrap().shard(), 0x29);
}
