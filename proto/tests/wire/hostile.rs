//! Bytes that nobody honest would write: never a panic, never more work than the limits allow.

use driftlog_proto::block::{Codec, Packed, Packer, Scratch, Source, unpack};
use driftlog_proto::error::Malformed;
use driftlog_proto::item::{self, BlockHeader};
use driftlog_proto::limits::{
    BLOCK_RECORDS_MAX, BLOCK_SOURCES_MAX, PATH_BYTES_MAX, PAYLOAD_BYTES_MAX, RAW_BYTES_MAX, RECORD_BYTES_MAX,
};
use driftlog_proto::message::{Down, Up, decode};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::arbitrary;
use crate::block::{header, packed, packer, plain};
use crate::item::sealed;
use crate::message::{encoded, framed};
use crate::zstd::Zstd;

/// Reads a payload in every way there is; the first error, or how many records there are.
fn read(header: &BlockHeader, payload: &[u8]) -> Result<usize, Malformed> {
    let mut scratch = Scratch::new();
    let block = unpack(header, payload, &[], &mut Zstd, &mut scratch)?;
    assert_eq!(block.records().count(), header.count as usize, "a sound block has all its records");
    let bodies: usize = block.records().map(|record| record.body.len()).sum();
    assert_eq!(bodies, block.body_bytes());
    let sources = block.sources().count();
    assert!(block.records().all(|record| usize::from(record.source) < sources));
    Ok(block.records().count())
}

fn stored(count: u32, raw: &[u8]) -> Result<usize, Malformed> {
    let packed = Packed { codec: Codec::Stored, raw_bytes: raw.len() as u32, bytes: raw.len() };
    read(&header(0, count, packed), raw)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_a_message_or_malformed(bytes in vec(any::<u8>(), 0..300)) {
        let _ = decode::<Up>(&bytes);
        let _ = decode::<Down>(&bytes);
        // Behind a good prefix they get as far as the decoder.
        let bytes = framed(&bytes);
        let _ = decode::<Up>(&bytes);
        let _ = decode::<Down>(&bytes);
    }

    #[test]
    fn any_bytes_are_an_item_or_malformed(bytes in vec(any::<u8>(), 0..300), kind in 0..3u8) {
        let _ = item::open(&bytes);
        let _ = item::peek(&bytes);
        let _ = item::checksum(&bytes);
        let mut forged = [&[1, kind][..], &bytes].concat();
        forged.extend_from_slice(&driftlog_proto::checksum::crc32c(&forged).to_le_bytes());
        let _ = item::open(&forged);
    }

    #[test]
    fn any_bytes_are_a_block_or_malformed(
        raw in vec(prop_oneof![0..4u8, any::<u8>()], 0..300),
        mut header in arbitrary::block_header(),
    ) {
        header.codec %= 4;
        let _ = read(&header, &raw);
        header.codec = 0;
        header.raw_bytes = raw.len() as u32;
        let _ = read(&header, &raw);
        header.count = header.count % 4 + 1;
        let _ = read(&header, &raw);
    }

    #[test]
    fn a_changed_message_or_item_is_read_or_refused(
        up in arbitrary::up(),
        (header, payload) in arbitrary::item_and_payload(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut head = encoded(&up, b"").split_off(5);
        let changed = at.index(head.len());
        head[changed] = byte;
        let _ = decode::<Up>(&framed(&head));
        let mut body = sealed(&header, &payload);
        body.truncate(body.len() - 4);
        let changed = at.index(body.len());
        body[changed] = byte;
        body.extend_from_slice(&driftlog_proto::checksum::crc32c(&body).to_le_bytes());
        let _ = item::open(&body);
    }
}

/// A small sound block: two sources, three records.
fn sound() -> Packer<Vec<u8>> {
    let mut packer = packer(0);
    packer.source(&Source { path: b"/a", file: 1 }).unwrap();
    packer.source(&Source { path: b"/b", file: 2 }).unwrap();
    for body in [&b"one"[..], b"two\nlines", b""] {
        packer.push(&plain(body)).unwrap();
    }
    packer
}

#[test]
fn a_block_cut_anywhere_or_with_a_byte_more_is_malformed() {
    for codec in [Codec::Stored, Codec::Zstd, Codec::Strong] {
        let mut packer = sound();
        (0..50).for_each(|_| packer.push(&plain(b"the same line")).unwrap());
        let (packed, payload) = packed(&packer, codec);
        assert_eq!(packed.codec, codec);
        let header = header(0, packer.count(), packed);
        assert_eq!(read(&header, &payload), Ok(53));
        for end in 0..payload.len() {
            assert!(read(&header, &payload[..end]).is_err(), "cut at {end}");
            // A header that agrees with the cut does not help.
            assert!(
                codec != Codec::Stored || stored(packer.count(), &payload[..end]).is_err(),
                "cut at {end}"
            );
        }
        assert!(read(&header, &[&payload[..], &[0]].concat()).is_err());
        for count in [1, packer.count() - 1, packer.count() + 1, BLOCK_RECORDS_MAX] {
            assert!(read(&BlockHeader { count, ..header }, &payload).is_err(), "{count} announced");
        }
    }
}

#[test]
fn every_changed_byte_of_a_block_is_read_or_refused() {
    for codec in [Codec::Stored, Codec::Zstd, Codec::Strong] {
        let mut packer = sound();
        (0..20).for_each(|_| packer.push(&plain(b"the same line")).unwrap());
        let (packed, payload) = packed(&packer, codec);
        let header = header(0, packer.count(), packed);
        for at in 0..payload.len() {
            for byte in 0..=u8::MAX {
                let mut changed = payload.clone();
                changed[at] = byte;
                let _ = read(&header, &changed);
            }
        }
    }
}

#[test]
fn an_unknown_codec_is_said_to_be_one() {
    for codec in 4..=u8::MAX {
        let packed = Packed { codec: Codec::Stored, raw_bytes: 0, bytes: 0 };
        let header = BlockHeader { codec, ..header(0, 1, packed) };
        assert_eq!(read(&header, b""), Err(Malformed::Codec(codec)));
    }
}

#[test]
fn claims_beyond_the_limits_are_refused_before_anything_is_read() {
    let packed = Packed { codec: Codec::Zstd, raw_bytes: 10, bytes: 0 };
    let sound = header(0, 1, packed);
    let beyond = BlockHeader { raw_bytes: RAW_BYTES_MAX as u32 + 1, ..sound };
    assert_eq!(read(&beyond, b""), Err(Malformed::Limit("RAW_BYTES_MAX")));
    for count in [0, BLOCK_RECORDS_MAX + 1, u32::MAX] {
        assert_eq!(read(&BlockHeader { count, ..sound }, b""), Err(Malformed::Limit("BLOCK_RECORDS_MAX")));
    }
    let payload = vec![0; PAYLOAD_BYTES_MAX + 1];
    assert_eq!(read(&sound, &payload), Err(Malformed::Limit("PAYLOAD_BYTES_MAX")));
}

#[test]
fn a_stored_block_has_exactly_the_bytes_that_were_announced() {
    let packer = sound();
    let (packed, payload) = packed(&packer, Codec::Stored);
    let sound = header(0, packer.count(), packed);
    let announced = |raw_bytes: u32| read(&BlockHeader { raw_bytes, ..sound }, &payload);
    assert_eq!(announced(packed.raw_bytes), Ok(3));
    assert_eq!(announced(packed.raw_bytes + 1), Err(Malformed::Truncated));
    assert_eq!(announced(packed.raw_bytes - 1), Err(Malformed::TrailingBytes));
    assert_eq!(stored(1, &vec![0; RAW_BYTES_MAX + 1]), Err(Malformed::Limit("RAW_BYTES_MAX")));
}

#[test]
fn a_bomb_is_refused() {
    let mut bomb = vec![0; PAYLOAD_BYTES_MAX];
    let bytes = zstd::zstd_safe::compress(&mut bomb[..], &vec![0u8; 16 << 20], 3).unwrap();
    let packed = Packed { codec: Codec::Zstd, raw_bytes: RAW_BYTES_MAX as u32, bytes };
    assert_eq!(read(&header(0, 4096, packed), &bomb[..bytes]), Err(Malformed::Compression));
}

/// The columns of a block of one record, to be made wrong one at a time.
#[derive(Clone)]
struct Columns([Vec<u8>; 8]);

const SOURCES: usize = 0;
const BODIES: usize = 1;
const LENGTHS: usize = 2;
const TIMES: usize = 3;
const SEVERITIES: usize = 4;
const INDEXES: usize = 5;
const FLAGS: usize = 6;
const OFFSETS: usize = 7;

fn varint(value: u64) -> Vec<u8> {
    let mut room = [0; 10];
    postcard::to_slice(&value, &mut room).unwrap().to_vec()
}

fn source(path: &[u8]) -> Vec<u8> {
    [&varint(path.len() as u64)[..], path, &[0; 8]].concat()
}

impl Columns {
    fn sound() -> Self {
        let columns = [&source(b"/a")[..], b"body\n", &[0], &[0], &[9], &[0], &[0], &[0]];
        Self(columns.map(<[u8]>::to_vec))
    }

    fn with(&self, column: usize, bytes: &[u8]) -> Self {
        let mut changed = self.clone();
        changed.0[column] = bytes.to_vec();
        changed
    }

    fn read(&self) -> Result<usize, Malformed> {
        let lengths: Vec<u8> = self.0.iter().flat_map(|column| varint(column.len() as u64)).collect();
        stored(1, &[lengths, self.0.concat()].concat())
    }
}

#[test]
fn each_column_that_contradicts_itself_is_named() {
    let sound = Columns::sound();
    assert_eq!(sound.read(), Ok(1));
    let wrong: [(usize, &[u8], &str); 17] = [
        (SOURCES, b"\x02/a", "sources"),
        (BODIES, b"body", "bodies"),
        (BODIES, b"body\n!", "bodies"),
        (LENGTHS, b"", "lengths"),
        (LENGTHS, b"\x00\x00", "lengths"),
        (LENGTHS, b"\x80", "lengths"),
        (LENGTHS, b"\x07", "bodies"),
        (TIMES, b"", "times"),
        (TIMES, b"\x01", "times"),
        (TIMES, b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", "times"),
        (SEVERITIES, &[25], "severities"),
        (SEVERITIES, &[9, 9], "severities"),
        (INDEXES, &[1], "source indexes"),
        (INDEXES, &[255], "source indexes"),
        (FLAGS, &[32], "flags"),
        (FLAGS, &[1], "lengths"),
        (OFFSETS, &[0xff; 10], "offsets"),
    ];
    for (column, bytes, name) in wrong {
        assert_eq!(sound.with(column, bytes).read(), Err(Malformed::Columns(name)), "{name} {bytes:x?}");
    }
    assert_eq!(sound.with(SOURCES, b"").read(), Err(Malformed::Columns("source indexes")));
}

#[test]
fn sources_paths_and_bodies_beyond_their_limits_are_refused() {
    let sound = Columns::sound();
    let sources = |count: usize, path: usize| {
        let source = source(&vec![b'p'; path]);
        sound.with(SOURCES, &source.repeat(count)).read()
    };
    assert_eq!(sources(BLOCK_SOURCES_MAX, PATH_BYTES_MAX), Ok(1));
    assert_eq!(sources(BLOCK_SOURCES_MAX + 1, 0), Err(Malformed::Limit("BLOCK_SOURCES_MAX")));
    assert_eq!(sources(1, PATH_BYTES_MAX + 1), Err(Malformed::Limit("PATH_BYTES_MAX")));

    let body = |bytes: usize, length: u64| {
        let body = [&vec![b'x'; bytes][..], b"\n"].concat();
        let bodies = if length == 0 { &body[..] } else { &body[..bytes] };
        sound.with(BODIES, bodies).with(LENGTHS, &varint(length)).read()
    };
    assert_eq!(body(RECORD_BYTES_MAX, 0), Ok(1));
    assert_eq!(body(RECORD_BYTES_MAX, RECORD_BYTES_MAX as u64 + 1), Ok(1));
    let beyond = Err(Malformed::Limit("RECORD_BYTES_MAX"));
    assert_eq!(body(RECORD_BYTES_MAX + 1, 0), beyond);
    assert_eq!(body(RECORD_BYTES_MAX + 1, RECORD_BYTES_MAX as u64 + 2), beyond);
}

#[test]
fn lengths_of_columns_that_lie_are_refused() {
    assert_eq!(stored(1, b""), Err(Malformed::Truncated));
    assert_eq!(stored(1, &[0xff; 10]), Err(Malformed::Truncated));
    assert_eq!(stored(1, &[0, 0, 0, 0, 0, 0, 0, 1]), Err(Malformed::Truncated));
    assert_eq!(stored(1, &[0, 0, 0, 0, 0, 0, 0, 0, 0]), Err(Malformed::TrailingBytes));
    let endless = [&[0; 7][..], &varint(u64::MAX)].concat();
    assert_eq!(stored(1, &endless), Err(Malformed::Truncated));
}
