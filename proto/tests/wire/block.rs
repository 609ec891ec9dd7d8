//! Blocks: what goes in comes out, bit for bit; what is full says so; what is wrong is refused.

use driftlog_proto::block::{
    Codec, Decompress, Ending, Format, Frame, Full, Packed, Packer, Part, Record, Scratch, Severity, Source,
    WORKSPACE_BYTES, unpack,
};
use driftlog_proto::error::{Malformed, Misuse};
use driftlog_proto::ids::{BootId, Chain, Lane, RunId, Seq};
use driftlog_proto::item::BlockHeader;
use driftlog_proto::limits::{
    BLOCK_RECORDS_MAX, BLOCK_SOURCES_MAX, PATH_BYTES_MAX, PAYLOAD_BYTES_MAX, RAW_BYTES_MAX, RECORD_BYTES_MAX,
};
use driftlog_proto::lines::{Encoder, SYMBOLS_BYTES_MAX, TEXT_BYTES_MAX};
use driftlog_proto::time::{ClockState, Mono, Unix};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::arbitrary::{self, Owned};
use crate::zstd::Zstd;

pub(crate) fn packer(mono: u64) -> Packer<Vec<u8>> {
    let mut packer = Packer::new(vec![0xee; WORKSPACE_BYTES]).unwrap();
    packer.open(Mono(mono));
    packer
}

pub(crate) fn packed(packer: &Packer<Vec<u8>>, codec: Codec) -> (Packed, Vec<u8>) {
    let mut out = vec![0; PAYLOAD_BYTES_MAX];
    let strong = (codec == Codec::Strong)
        .then(|| packer.pack_strong(&mut Encoder::new(), &mut Zstd, &mut out).unwrap());
    let packed = strong.flatten().unwrap_or_else(|| packer.pack(codec, &mut Zstd, &mut out).unwrap());
    assert_eq!(packed.raw_bytes as usize, packer.raw_bytes());
    assert!(packed.raw_bytes as usize <= RAW_BYTES_MAX);
    out.truncate(packed.bytes);
    (packed, out)
}

pub(crate) fn header(mono: u64, count: u32, packed: Packed) -> BlockHeader {
    BlockHeader {
        lane: Lane::Bulk,
        run: RunId(1),
        first: Seq(0),
        prev: Chain(0),
        count,
        boot: BootId([0; 16]),
        mono: Mono(mono),
        span_ns: 0,
        wall: Unix(0),
        clock: ClockState::Unset,
        codec: packed.codec.number(),
        raw_bytes: packed.raw_bytes,
    }
}

/// A record with this body and nothing remarkable.
pub(crate) fn plain(body: &[u8]) -> Record<'_> {
    Record {
        mono: Mono(0),
        severity: Severity::INFO,
        source: 0,
        offset: 0,
        ending: Ending::Newline,
        part: Part::Whole,
        cut: false,
        format: Format::Raw,
        body,
    }
}

const SYSLOG: Source<'_> = Source { path: b"/var/log/syslog", file: 7 };

fn borrowed(owned: &Owned) -> Record<'_> {
    let &Owned { mono, severity, source, offset, ending, part, cut, format, ref body } = owned;
    Record { mono: Mono(mono), severity, source, offset, ending, part, cut, format, body }
}

/// What a record comes out as: its time is a whole microsecond.
fn rounded<'a>(record: &Record<'a>) -> Record<'a> {
    Record { mono: Mono(record.mono.0 / 1000 * 1000), ..*record }
}

fn assert_comes_back(mono: u64, sources: &[Source<'_>], records: &[Record<'_>], codec: Codec) -> Packed {
    let mut packer = packer(mono);
    for (at, source) in sources.iter().enumerate() {
        assert_eq!(packer.source(source), Ok(at as u16));
    }
    for record in records {
        packer.push(record).unwrap();
    }
    let (packed, payload) = packed(&packer, codec);
    let mut scratch = Scratch::new();
    let block =
        unpack(&header(mono, packer.count(), packed), &payload, &[], &mut Zstd, &mut scratch).unwrap();
    assert!(block.sources().eq(sources.iter().copied()));
    assert_eq!(block.count(), packer.count());
    assert_eq!(block.body_bytes(), packer.body_bytes());
    let expected: Vec<Record<'_>> = records.iter().map(rounded).collect();
    assert_eq!(block.records().collect::<Vec<_>>(), expected);
    packed
}

proptest! {
    #[test]
    fn records_come_back(
        mono in prop_oneof![0..1u64 << 40, any::<u64>()],
        records in vec(arbitrary::record(3), 1..60),
    ) {
        let sources = [SYSLOG, Source { file: 8, ..SYSLOG }, Source { path: b"", file: u64::MAX }];
        let records: Vec<Record<'_>> = records.iter().map(borrowed).collect();
        for codec in [Codec::Stored, Codec::Zstd, Codec::Strong] {
            assert_comes_back(mono, &sources, &records, codec);
        }
    }

    #[test]
    fn a_push_that_finds_no_room_changes_nothing(bodies in vec(0..RECORD_BYTES_MAX, 1..40)) {
        let mut packer = packer(0);
        packer.source(&SYSLOG).unwrap();
        let body = vec![b'x'; RECORD_BYTES_MAX];
        for bytes in bodies {
            let before = (packer.count(), packer.body_bytes(), packer.raw_bytes());
            match packer.push(&plain(&body[..bytes])) {
                Ok(()) => prop_assert_eq!(packer.count(), before.0 + 1),
                Err(full) => {
                    prop_assert_eq!(full, Full { limit: "RAW_BYTES_MAX" });
                    prop_assert_eq!((packer.count(), packer.body_bytes(), packer.raw_bytes()), before);
                }
            }
        }
        let (packed, payload) = packed(&packer, Codec::Stored);
        let header = header(0, packer.count(), packed);
        prop_assert!(unpack(&header, &payload, &[], &mut Zstd, &mut Scratch::new()).is_ok());
    }
}

#[test]
fn bodies_come_back_bit_for_bit_whatever_they_are() {
    let binary: Vec<u8> = (0..RECORD_BYTES_MAX).map(|n| ((n * 31) >> 3) as u8).collect();
    let newlines = vec![b'\n'; RECORD_BYTES_MAX];
    let bodies: [&[u8]; 10] = [
        b"",
        b"a line",
        b"carriage return\r",
        b"two\nlines",
        b"\n",
        b"\0\0\0",
        b"\xff\xfe not UTF-8 \xc3\x28",
        "größe".as_bytes(),
        &binary,
        &newlines,
    ];
    for ending in [Ending::Newline, Ending::None] {
        for part in [Part::Whole, Part::First, Part::Middle, Part::Last] {
            let records = bodies.map(|body| Record { ending, part, ..plain(body) });
            for codec in [Codec::Stored, Codec::Zstd, Codec::Strong] {
                assert_comes_back(0, &[SYSLOG], &records, codec);
            }
        }
    }
}

#[test]
fn a_block_that_would_grow_is_stored() {
    let mut state = 1u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 56) as u8
    })
    .take(RECORD_BYTES_MAX)
    .collect();
    let record = Record { ending: Ending::None, ..plain(&noise) };
    let packed = assert_comes_back(0, &[SYSLOG], &[record], Codec::Zstd);
    assert_eq!(packed.codec, Codec::Stored);
    assert_eq!(packed.bytes, packed.raw_bytes as usize);
    let packed = assert_comes_back(0, &[SYSLOG], &[plain(b"x"); 100], Codec::Zstd);
    assert_eq!(packed.codec, Codec::Zstd);
}

#[test]
fn packing_twice_gives_the_same_bytes_and_opening_forgets_everything() {
    let mut packer = packer(5_000_000);
    packer.source(&SYSLOG).unwrap();
    packer.push(&plain(b"first")).unwrap();
    let first = packed(&packer, Codec::Zstd);
    assert_eq!(packed(&packer, Codec::Zstd), first);
    packer.open(Mono(0));
    assert!(packer.is_empty());
    assert_eq!((packer.count(), packer.body_bytes()), (0, 0));
    assert_eq!(packer.push(&plain(b"x")), Err(Full { limit: "BLOCK_SOURCES_MAX" }), "no source is known");
    packer.open(Mono(5_000_000));
    packer.source(&SYSLOG).unwrap();
    packer.push(&plain(b"first")).unwrap();
    assert_eq!(packed(&packer, Codec::Zstd), first, "nothing is left of what was before");
}

#[test]
fn times_are_whole_microseconds_in_either_direction() {
    let times = [1_500, 0, 999, u64::MAX, 1_000_000_999, 1_000_001_000];
    let records = times.map(|mono| Record { mono: Mono(mono), ..plain(b"x") });
    assert_comes_back(1_999, &[SYSLOG], &records, Codec::Stored);
}

#[test]
fn a_file_that_is_read_on_costs_one_byte_of_offset_for_each_line() {
    let mut packer = packer(0);
    packer.source(&SYSLOG).unwrap();
    packer.push(&Record { offset: 1 << 40, ..plain(b"0123456789") }).unwrap();
    let before = packer.raw_bytes();
    packer.push(&Record { offset: (1 << 40) + 11, ..plain(b"0123456789") }).unwrap();
    // Ten of the body, its newline, and one byte in each of six columns.
    assert_eq!(packer.raw_bytes() - before, 17);
}

#[test]
fn the_packer_needs_its_workspace_and_the_payload_its_room() {
    assert!(matches!(Packer::new(vec![0; WORKSPACE_BYTES - 1]), Err(Misuse::BufferTooSmall)));
    let mut packer = packer(0);
    let mut out = vec![0; 1000];
    assert_eq!(packer.pack(Codec::Zstd, &mut Zstd, &mut out), Err(Misuse::Limit("BLOCK_RECORDS_MAX")));
    packer.source(&SYSLOG).unwrap();
    packer.push(&plain(&[b'x'; 2000])).unwrap();
    assert!(packer.pack(Codec::Zstd, &mut Zstd, &mut out).is_ok(), "compressed it fits");
    assert_eq!(packer.pack(Codec::Stored, &mut Zstd, &mut out), Err(Misuse::BufferTooSmall));
}

// Every limit of a block, reached.

#[test]
fn a_block_holds_4096_records() {
    let mut packer = packer(0);
    packer.source(&SYSLOG).unwrap();
    for _ in 0..BLOCK_RECORDS_MAX {
        packer.push(&plain(b"")).unwrap();
    }
    assert_eq!(packer.push(&plain(b"")), Err(Full { limit: "BLOCK_RECORDS_MAX" }));
    assert_eq!(packer.count(), BLOCK_RECORDS_MAX);
    let (packed, payload) = packed(&packer, Codec::Stored);
    let header = header(0, BLOCK_RECORDS_MAX, packed);
    let mut scratch = Scratch::new();
    let block = unpack(&header, &payload, &[], &mut Zstd, &mut scratch).unwrap();
    assert_eq!(block.records().count(), 4096);
    let beyond = BlockHeader { count: BLOCK_RECORDS_MAX + 1, ..header };
    assert_eq!(
        unpack(&beyond, &payload, &[], &mut Zstd, &mut Scratch::new()).err(),
        Some(Malformed::Limit("BLOCK_RECORDS_MAX"))
    );
}

#[test]
fn a_block_names_64_sources_with_paths_of_512_bytes_beside_two_records_of_any_size() {
    let mut packer = packer(0);
    let path = vec![b'p'; PATH_BYTES_MAX + 1];
    assert_eq!(packer.source(&Source { path: &path, file: 0 }), Err(Full { limit: "PATH_BYTES_MAX" }));
    for file in 0..BLOCK_SOURCES_MAX {
        let source = Source { path: &path[1..], file: file as u64 };
        assert_eq!(packer.source(&source), Ok(file as u16));
        assert_eq!(packer.source(&source), Ok(file as u16), "it is found again");
    }
    let raw = packer.raw_bytes();
    assert_eq!(packer.source(&SYSLOG), Err(Full { limit: "BLOCK_SOURCES_MAX" }));
    assert_eq!(packer.raw_bytes(), raw);
    let body = vec![b'x'; RECORD_BYTES_MAX];
    for source in [0, 63] {
        packer.push(&Record { source, ..plain(&body) }).unwrap();
    }
    assert_eq!(packer.push(&Record { source: 64, ..plain(b"") }), Err(Full { limit: "BLOCK_SOURCES_MAX" }));
    assert_eq!(packer.push(&Record { source: 256, ..plain(b"") }), Err(Full { limit: "BLOCK_SOURCES_MAX" }));
    let (packed, payload) = packed(&packer, Codec::Stored);
    let mut scratch = Scratch::new();
    let block = unpack(&header(0, 2, packed), &payload, &[], &mut Zstd, &mut scratch).unwrap();
    assert_eq!(block.sources().count(), BLOCK_SOURCES_MAX);
}

#[test]
fn a_body_of_32_kib_is_the_largest() {
    let mut packer = packer(0);
    packer.source(&SYSLOG).unwrap();
    let body = vec![0; RECORD_BYTES_MAX + 1];
    assert_eq!(packer.push(&plain(&body)), Err(Full { limit: "RECORD_BYTES_MAX" }));
    assert_eq!(packer.push(&plain(&body[1..])), Ok(()));
}

#[test]
fn a_block_is_full_at_its_raw_bytes_and_then_fits_a_payload_even_if_it_does_not_compress() {
    let mut packer = packer(0);
    packer.source(&SYSLOG).unwrap();
    let body = vec![b'x'; RECORD_BYTES_MAX];
    let mut room = RECORD_BYTES_MAX;
    // Ever smaller records, until not even an empty one fits.
    loop {
        match packer.push(&plain(&body[..room])) {
            Ok(()) => {}
            Err(full) => {
                assert_eq!(full.limit, "RAW_BYTES_MAX");
                if room == 0 {
                    break;
                }
                room /= 2;
            }
        }
    }
    // The lengths of the columns are counted as if each took three bytes.
    assert!((RAW_BYTES_MAX - 24 - 8..=RAW_BYTES_MAX).contains(&packer.raw_bytes()), "{}", packer.raw_bytes());
    let (packed, payload) = packed(&packer, Codec::Stored);
    assert!(payload.len() <= PAYLOAD_BYTES_MAX);
    assert!(
        unpack(&header(0, packer.count(), packed), &payload, &[], &mut Zstd, &mut Scratch::new()).is_ok()
    );
}

#[test]
fn where_there_is_room_any_record_fits_and_where_there_is_none_some_do_not() {
    let path = [b'p'; PATH_BYTES_MAX];
    let body = vec![b'x'; RECORD_BYTES_MAX];
    let largest = Record { mono: Mono(u64::MAX), offset: u64::MAX / 2, source: 1, ..plain(&body) };
    let mut refused = 0;
    // Fill a block to every size around the one from which the largest record no longer fits.
    let edge = RAW_BYTES_MAX - RECORD_BYTES_MAX - 640;
    for fill in edge..edge + 80 {
        let mut packer = packer(0);
        packer.source(&SYSLOG).unwrap();
        packer.push(&plain(&body)).unwrap();
        packer.push(&plain(&body)).unwrap();
        packer.push(&plain(&body[..fill - packer.body_bytes()])).unwrap();
        let has_room = packer.has_room();
        let fits =
            packer.source(&Source { path: &path, file: 8 }).and_then(|_| packer.push(&largest)).is_ok();
        assert!(fits || !has_room, "{} bytes", packer.raw_bytes());
        refused += u32::from(!has_room);
    }
    assert!((1..80).contains(&refused), "the edge lies within: {refused}");
}

#[test]
fn there_is_no_room_without_a_free_source_or_a_free_record() {
    let mut packer = packer(0);
    assert!(packer.has_room());
    for file in 0..BLOCK_SOURCES_MAX as u64 {
        assert!(packer.has_room());
        packer.source(&Source { path: b"", file }).unwrap();
    }
    assert!(!packer.has_room());
    packer.open(Mono(0));
    packer.source(&SYSLOG).unwrap();
    for _ in 0..BLOCK_RECORDS_MAX {
        assert!(packer.has_room());
        packer.push(&plain(b"")).unwrap();
    }
    assert!(!packer.has_room());
}

#[test]
fn times_or_offsets_that_leap_about_fill_a_block_before_its_4096_records() {
    for (record, limit) in [
        (Record { mono: Mono(u64::MAX), ..plain(b"") }, "TIMES_BYTES_MAX"),
        (Record { offset: u64::MAX / 2, ..plain(b"") }, "OFFSETS_BYTES_MAX"),
    ] {
        let mut packer = packer(0);
        packer.source(&SYSLOG).unwrap();
        let mut leap = true;
        let full = loop {
            let record = if leap { record } else { plain(b"") };
            leap = !leap;
            let has_room = packer.has_room();
            if let Err(full) = packer.push(&record) {
                assert!(!has_room);
                break full;
            }
        };
        assert_eq!(full, Full { limit });
        assert!(packer.count() > 1000, "{}", packer.count());
        let (packed, payload) = packed(&packer, Codec::Stored);
        assert!(
            unpack(&header(0, packer.count(), packed), &payload, &[], &mut Zstd, &mut Scratch::new()).is_ok()
        );
    }
}

/// What claims to have decompressed to so many bytes.
struct Liar(usize);

impl Decompress for Liar {
    fn decompress(&mut self, _: Frame, _: &[u8], _: &mut [u8]) -> Option<usize> {
        Some(self.0)
    }
}

#[test]
fn what_decompresses_to_another_length_than_announced_is_refused() {
    let packed = Packed { codec: Codec::Zstd, raw_bytes: 20, bytes: 0 };
    for bytes in [0, 19, 21, usize::MAX] {
        let mut scratch = Scratch::new();
        let result = unpack(&header(0, 1, packed), b"", &[], &mut Liar(bytes), &mut scratch);
        assert_eq!(result.err(), Some(Malformed::Compression));
    }
}

#[test]
fn a_stream_that_decompresses_to_another_length_than_announced_is_refused() {
    // One entry of text and one symbol: what the frames hold does not matter.
    let payload = [20, 3, 30, 3, 0, 0, 0, 0, 0, 0];
    let packed = Packed { codec: Codec::Strong, raw_bytes: 40, bytes: payload.len() };
    for bytes in [0, 19, 21, 29, usize::MAX] {
        let mut scratch = Scratch::new();
        let result = unpack(&header(0, 1, packed), &payload, &[], &mut Liar(bytes), &mut scratch);
        assert_eq!(result.err(), Some(Malformed::Compression), "{bytes} bytes");
    }
}

#[test]
fn streams_that_are_announced_beyond_a_limit_are_refused_before_they_are_made() {
    let varint = |number: usize| {
        let mut room = [0; 10];
        postcard::to_slice(&(number as u64), &mut room).unwrap().to_vec()
    };
    for (text, rest, limit) in [
        (TEXT_BYTES_MAX + 1, 10, "TEXT_BYTES_MAX"),
        (10, RAW_BYTES_MAX + SYMBOLS_BYTES_MAX + 1, "REST_BYTES_MAX"),
    ] {
        let payload = [varint(text), varint(1), varint(rest), varint(1), vec![0, 0]].concat();
        let packed = Packed { codec: Codec::Strong, raw_bytes: 40, bytes: payload.len() };
        let mut scratch = Scratch::new();
        let result = unpack(&header(0, 1, packed), &payload, &[], &mut Liar(text), &mut scratch).err();
        assert_eq!(result, Some(Malformed::Limit(limit)));
    }
}
