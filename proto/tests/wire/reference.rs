//! Blocks that refer to others: what they say comes back with them, and never without; a reader written
//! from the page alone finds the same streams.

use driftlog_proto::block::{Codec, Packer, Prefix, Reference, Scratch, unpack};
use driftlog_proto::error::Malformed;
use driftlog_proto::ids::{Chain, RunId, Seq};
use driftlog_proto::item::{self, BlockHeader, ItemHeader, seal};
use driftlog_proto::limits::{
    ITEM_BYTES_MAX, PAYLOAD_BYTES_MAX, REFERENCE_BLOCKS_MAX, REFERENCE_BYTES_MAX, REFERENCE_SEALED_BYTES_MAX,
};
use driftlog_proto::lines::{Encoder, TEXT_BYTES_MAX};
use proptest::collection::vec;
use proptest::prelude::*;
use zstd::zstd_safe::{DCtx, DParameter, FrameFormat};

use crate::block::{header, packed, packer, plain};
use crate::vectors::unhex;
use crate::zstd::Zstd;

/// A run of blocks, each of which refers to those of the strong codec right before it.
struct Log {
    blocks: Vec<Vec<u8>>,
    next: BlockHeader,
}

impl Log {
    fn new() -> Self {
        let packed = driftlog_proto::block::Packed { codec: Codec::Stored, raw_bytes: 0, bytes: 0 };
        Self { blocks: Vec::new(), next: BlockHeader { first: Seq(1000), ..header(0, 0, packed) } }
    }

    /// The header and the payload of a block, sealed behind the others.
    fn seal(
        &mut self,
        packer: &Packer<Vec<u8>>,
        codec: Codec,
        raw_bytes: u32,
        payload: &[u8],
    ) -> BlockHeader {
        let header = BlockHeader { count: packer.count(), codec: codec.number(), raw_bytes, ..self.next };
        let mut sealed = vec![0; ITEM_BYTES_MAX];
        let bytes = seal(&ItemHeader::Block(header), payload, &mut sealed).unwrap();
        sealed.truncate(bytes);
        self.next = BlockHeader { first: header.end(), prev: Chain::after(&sealed), ..header };
        self.blocks.push(sealed);
        header
    }

    fn strong(&mut self, lines: &[String], prefix: &mut Prefix) {
        let packer = filled(lines);
        let (packed, payload) = packed(&packer, Codec::Strong);
        self.seal(&packer, packed.codec, packed.raw_bytes, &payload);
        assert!(packer.append_to(prefix, &mut Encoder::new()).unwrap());
    }

    fn reference(&self, count: usize) -> Reference {
        let last = self.blocks.last().unwrap();
        let (header, _) = item::open(last).unwrap();
        let (_, seq) = header.name();
        Reference { seq, count: count as u8, checksum: item::checksum(last).unwrap() }
    }

    fn last(&self, count: usize) -> Vec<&[u8]> {
        self.blocks[self.blocks.len() - count..].iter().map(Vec::as_slice).collect()
    }
}

fn filled(lines: &[String]) -> Packer<Vec<u8>> {
    let mut packer = packer(0);
    packer.source(&driftlog_proto::block::Source { path: b"/var/log/app.log", file: 42 }).unwrap();
    lines.iter().for_each(|line| packer.push(&plain(line.as_bytes())).unwrap());
    packer
}

fn lines(from: u32, count: u32) -> Vec<String> {
    (from..from + count)
        .map(|n| format!("pump {} of node-{} reports {} bar", n % 7, n % 3, n * n % 997))
        .collect()
}

/// As it is packed behind `prefix`; `None` when that is no smaller than the columns.
fn referring(
    log: &mut Log,
    lines: &[String],
    count: usize,
    prefix: &Prefix,
) -> Option<(BlockHeader, Vec<u8>)> {
    let packer = filled(lines);
    let mut out = vec![0; PAYLOAD_BYTES_MAX];
    let (first, reference) = (log.next.first, log.reference(count));
    let packed = packer
        .pack_referring(first, &reference, prefix, &mut Encoder::new(), &mut Zstd, &mut out)
        .unwrap()?;
    out.truncate(packed.bytes);
    let header = BlockHeader {
        count: packer.count(),
        codec: packed.codec.number(),
        raw_bytes: packed.raw_bytes,
        ..log.next
    };
    assert_eq!(packed.codec, Codec::Referring);
    assert_eq!(Reference::of(&header, &out), Ok(Some(reference)));
    Some((header, out))
}

fn bodies(header: &BlockHeader, payload: &[u8], blocks: &[&[u8]]) -> Result<Vec<String>, Malformed> {
    let mut scratch = Scratch::new();
    let block = unpack(header, payload, blocks, &mut Zstd, &mut scratch)?;
    Ok(block.records().map(|record| String::from_utf8_lossy(record.body).into_owned()).collect())
}

/// Three blocks and one that refers to them.
fn four() -> (Log, Vec<String>, BlockHeader, Vec<u8>) {
    let (mut log, mut prefix) = (Log::new(), Prefix::new());
    for from in [0, 40, 80] {
        log.strong(&lines(from, 40), &mut prefix);
    }
    let said = lines(120, 40);
    let (header, payload) = referring(&mut log, &said, 3, &prefix).unwrap();
    (log, said, header, payload)
}

#[test]
fn a_block_comes_back_with_those_that_it_refers_to_and_not_without() {
    let (log, said, header, payload) = four();
    let blocks = log.last(3);
    assert_eq!(bodies(&header, &payload, &blocks), Ok(said));
    let alone = packed(&filled(&lines(120, 40)), Codec::Strong).1.len();
    assert!(payload.len() * 5 < alone * 4, "{} bytes where {alone} are needed alone", payload.len());
    let lacking: [&[&[u8]]; 5] = [
        &[],
        &blocks[..2],
        &blocks[1..],
        &[blocks[0], blocks[2], blocks[1]],
        &[blocks[0], blocks[1], blocks[1]],
    ];
    for blocks in lacking {
        assert_eq!(bodies(&header, &payload, blocks), Err(Malformed::Reference), "{} blocks", blocks.len());
    }
    for at in 0..blocks[1].len() {
        let mut changed = blocks[1].to_vec();
        changed[at] ^= 1;
        let changed: [&[u8]; 3] = [blocks[0], &changed, blocks[2]];
        assert_eq!(bodies(&header, &payload, &changed), Err(Malformed::Reference), "byte {at}");
    }
    let elsewhere = BlockHeader { run: RunId(2), ..header };
    assert_eq!(bodies(&elsewhere, &payload, &blocks), Err(Malformed::Reference));
}

#[test]
fn what_refers_to_others_is_not_referred_to() {
    let (mut log, _, header, payload) = four();
    let packer = filled(&lines(120, 40));
    log.seal(&packer, Codec::Referring, header.raw_bytes, &payload);
    let reference = log.reference(1);
    assert!(!reference.is_met_by(header.run, &log.last(1)));
    let (stored, bytes) = packed(&packer, Codec::Stored);
    log.seal(&packer, Codec::Stored, stored.raw_bytes, &bytes);
    assert!(!log.reference(1).is_met_by(header.run, &log.last(1)));
}

#[test]
fn a_reference_is_to_one_to_three_blocks_before() {
    let (_, _, header, payload) = four();
    let of = |header: &BlockHeader, payload: &[u8]| Reference::of(header, payload);
    assert_eq!(payload[1], REFERENCE_BLOCKS_MAX as u8);
    for end in 0..6 {
        assert_eq!(of(&header, &payload[..end]), Err(Malformed::Truncated), "{end} bytes");
    }
    let with = |at: usize, byte: u8| {
        let mut payload = payload.clone();
        payload[at] = byte;
        payload
    };
    assert_eq!(of(&header, &with(0, 0)), Err(Malformed::Order), "to itself");
    let low = BlockHeader { first: Seq(u64::from(payload[0]) - 1), ..header };
    assert_eq!(of(&low, &payload), Err(Malformed::Order), "to before the first record");
    for count in [0, REFERENCE_BLOCKS_MAX as u8 + 1, 255] {
        assert_eq!(of(&header, &with(1, count)), Err(Malformed::Limit("REFERENCE_BLOCKS_MAX")), "{count}");
    }
    let strong = BlockHeader { codec: Codec::Strong.number(), ..header };
    assert_eq!(of(&strong, &payload), Ok(None));
}

#[test]
fn more_bytes_than_a_reference_may_have_meet_none() {
    let (mut log, mut prefix) = (Log::new(), Prefix::new());
    let noise = |seed: u64| -> Vec<String> {
        let next = |state: &mut u64| {
            *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            Some(*state >> 16)
        };
        let words: Vec<u64> =
            std::iter::successors(Some(seed), |state| next(&mut state.clone())).take(3000).collect();
        words.chunks(8).map(|words| words.iter().map(|word| format!("{word:x}")).collect()).collect()
    };
    log.strong(&noise(1), &mut prefix);
    log.strong(&noise(2), &mut prefix);
    let run = log.next.run;
    let sizes: Vec<usize> = log.blocks.iter().map(Vec::len).collect();
    let is_over = sizes.iter().sum::<usize>() > REFERENCE_SEALED_BYTES_MAX;
    assert!(is_over && sizes.iter().all(|&bytes| bytes <= REFERENCE_SEALED_BYTES_MAX), "{sizes:?}");
    assert!(log.reference(1).is_met_by(run, &log.last(1)));
    assert!(!log.reference(2).is_met_by(run, &log.last(2)));
}

proptest! {
    #[test]
    fn any_lines_come_back_behind_any_others(
        before in vec(vec(line(), 1..60), 1..=REFERENCE_BLOCKS_MAX),
        said in vec(line(), 1..120),
    ) {
        let (mut log, mut prefix) = (Log::new(), Prefix::new());
        for lines in &before {
            log.strong(lines, &mut prefix);
        }
        // Lines that do not get smaller are stored, and nothing refers to them.
        let count = before.len();
        prop_assume!(log.reference(count).is_met_by(log.next.run, &log.last(count)));
        if let Some((header, payload)) = referring(&mut log, &said, count, &prefix) {
            prop_assert_eq!(bodies(&header, &payload, &log.last(count)), Ok(said));
        }
    }

    #[test]
    fn any_bytes_behind_a_reference_are_a_block_or_malformed(
        bytes in vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(),
    ) {
        let (log, _, header, payload) = four();
        let blocks = log.last(3);
        let forged = [&payload[..7], &bytes].concat();
        let _ = bodies(&header, &forged, &blocks);
        let mut changed = payload.clone();
        changed[at.index(payload.len())] ^= 1 << (bytes.len() % 8);
        let _ = bodies(&header, &changed, &blocks);
    }
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..30u32, 0..9u32).prop_map(|(n, m)| format!("user{n} logged in from 10.0.{m}.{n}")),
        (0..100_000u32).prop_map(|n| format!("[{n}] temperature={}.{} ok", n % 90, n % 10)),
        "[ -~]{0,40}",
    ]
}

/// The streams of a payload, read with nothing of ours but the lengths: the prefix is put together by hand.
fn streams(payload: &[u8], before: [&[u8]; 2]) -> [Vec<u8>; 2] {
    let mut lengths = [0; 4];
    let mut at = 0;
    for length in &mut lengths {
        let mut shift = 0;
        loop {
            let byte = usize::from(payload[at]);
            *length |= (byte & 0x7f) << shift;
            (at, shift) = (at + 1, shift + 7);
            if byte < 0x80 {
                break;
            }
        }
    }
    let [text_bytes, text_packed, rest_bytes, rest_packed] = lengths;
    let open = |frame: &[u8], bytes: usize, before: &[u8]| {
        if frame.len() == bytes {
            return frame.to_vec();
        }
        let mut dictionary = b"\n".to_vec();
        dictionary.extend_from_slice(&before[before.len().saturating_sub(REFERENCE_BYTES_MAX - 1)..]);
        let mut context = DCtx::create();
        context.set_parameter(DParameter::Format(FrameFormat::Magicless)).unwrap();
        let mut out = vec![0; bytes];
        let length = context.decompress_using_dict(&mut out[..], frame, &dictionary).unwrap();
        assert_eq!(length, bytes);
        out
    };
    let text = open(&payload[at..at + text_packed], text_bytes, before[0]);
    at += text_packed;
    [text, open(&payload[at..at + rest_packed], rest_bytes, before[1])]
}

/// Blocks long enough for the window to move on.
#[test]
fn a_reader_by_the_page_finds_the_same_streams() {
    let (mut log, mut prefix) = (Log::new(), Prefix::new());
    let words = |from: u32| -> Vec<String> {
        (from..from + 1400)
            .map(|n| {
                format!(
                    "event {} {}",
                    n % 5,
                    "abcdefghijklmnopqrstuvwxyz ".repeat(2).split_at((n % 40) as usize).1
                )
            })
            .collect()
    };
    for from in [0, 3000] {
        log.strong(&words(from), &mut prefix);
    }
    let said = words(6000);
    let (_, payload) = referring(&mut log, &said, 2, &prefix).unwrap();
    let mut before = [Vec::new(), Vec::new()];
    for block in log.last(2) {
        let (_, payload) = item::open(block).unwrap();
        let own = streams(payload, [b"", b""]);
        before.iter_mut().zip(own).for_each(|(all, own)| all.extend(own));
    }
    assert!(before[1].len() > REFERENCE_BYTES_MAX, "{} bytes of the rest", before[1].len());
    let by_hand = streams(&payload[7..], [&before[0], &before[1]]);
    // The same block alone has the same streams.
    let (_, alone) = packed(&filled(&said), Codec::Strong);
    assert_eq!(by_hand, streams(&alone, [b"", b""]));
    assert!(by_hand[0].len() <= TEXT_BYTES_MAX);
}

/// What a compressor writes may change with its version; what was written must stay readable.
#[test]
fn blocks_that_an_older_zstd_compressed_are_still_read() {
    let file = include_str!("../vectors/referring-v1.txt");
    let sealed: Vec<Vec<u8>> =
        ["first", "second", "referring"].map(|name| unhex(&crate::vectors::hex_of(file, name))).into();
    let [first, second, referring] = &sealed[..] else { panic!("three blocks") };
    let (ItemHeader::Block(header), payload) = item::open(referring).unwrap() else { panic!("not a block") };
    assert_eq!(bodies(&header, payload, &[first, second]), Ok(lines(80, 40)));
}
