//! A block, read the whole way as the gateway does: sealed item, decompression, columns.
//!
//! By its first byte an input is a sealed block whose checksum is put right (0), or the columns
//! themselves, stored (1) or compressed by the agent's compressor (2), behind a count of records, or what
//! stands behind the reference to a good block (3), behind a count and the raw bytes.
//!
//! Asserts that unpacking takes no memory, and the decompressor no more than it says; that a block
//! that unpacks has exactly its records, all within the limits, and their bodies within what was
//! announced; that their documents are lines of JSON which say what the records say; and that the
//! records pack again, also behind themselves, and come out the same.
#![no_main]

use driftlog_agent::compress::Zstd as Compressor;
use driftlog_fuzz::{lines, memory, mend, packed};
use driftlog_gateway::decompress::Zstd;
use driftlog_proto::block::{
    Block, Codec, Compress, Frame, Packed, Packer, Prefix, Record, Reference, Scratch, WORKSPACE_BYTES, unpack,
};
use driftlog_proto::ids::{BootId, Chain, Lane, Place, RunId, Seq};
use driftlog_proto::item::{self, BlockHeader, ItemHeader};
use driftlog_proto::limits::{
    BLOCK_SOURCES_MAX, ITEM_BYTES_MAX, PATH_BYTES_MAX, PAYLOAD_BYTES_MAX, RECORD_BYTES_MAX,
    REFERENCE_SEALED_BYTES_MAX,
};
use driftlog_proto::lines::Encoder;
use driftlog_proto::time::{ClockState, Mono, Unix};
use libfuzzer_sys::fuzz_target;

/// Bytes that the decompressor may hold, as its documentation says.
const ZSTD_BYTES_MAX: usize = 640 * 1024;

fuzz_target!(|data: &[u8]| {
    let Some((mode, bytes)) = data.split_first() else { return };
    match mode % 4 {
        0 => {
            let sealed = mend::item(bytes);
            if let Ok((ItemHeader::Block(header), payload)) = item::open(&sealed) {
                judge(&header, payload, &[]);
            }
        }
        3 => {
            let Some((numbers, payload)) = bytes.split_first_chunk::<4>() else { return };
            let [a, b, c, d] = *numbers;
            let count = u32::from(u16::from_le_bytes([a, b]));
            let lines: [&[u8]; 3] = [b"pump 1 says 10.0.0.1", b"pump 2 says 10.0.0.7", b"stopped"];
            let first = packed::block(Place { run: RunId(1), ..Place::ORIGIN }, Codec::Strong, &lines.repeat(5));
            let (reference, next) = referring_to(&first);
            let raw_bytes = u32::from(u16::from_le_bytes([c, d]));
            let header = BlockHeader { count, raw_bytes, codec: Codec::Referring.number(), ..next };
            let mut head = vec![lines.len() as u8 * 5, reference.count];
            head.extend_from_slice(&reference.checksum.to_le_bytes());
            judge(&header, &[&head, payload].concat(), &[&first]);
        }
        codec => {
            let Some((count, columns)) = bytes.split_first_chunk::<2>() else { return };
            let mut header = header(u32::from(u16::from_le_bytes(*count)), columns.len() as u32);
            if codec == 1 {
                judge(&header, columns, &[]);
            } else {
                let mut payload = vec![0; PAYLOAD_BYTES_MAX];
                let Some(length) = Compressor::new().compress(Frame::Standard, &[columns], &mut payload)
                else {
                    return;
                };
                header.codec = Codec::Zstd.number();
                judge(&header, &payload[..length], &[]);
            }
        }
    }
});

fn header(count: u32, raw_bytes: u32) -> BlockHeader {
    BlockHeader {
        lane: Lane::Bulk,
        run: RunId(1),
        first: Seq(0),
        prev: Chain(1),
        count,
        boot: BootId([1; 16]),
        mono: Mono(1_000_000_000),
        span_ns: 0,
        wall: Unix(0),
        clock: ClockState::Unset,
        codec: Codec::Stored.number(),
        raw_bytes,
    }
}

/// The reference to a sealed block alone, and the header of what comes behind it.
fn referring_to(sealed: &[u8]) -> (Reference, BlockHeader) {
    let Ok((ItemHeader::Block(header), _)) = item::open(sealed) else { panic!("not a block") };
    let checksum = item::checksum(sealed).expect("a whole item has one");
    let reference = Reference { seq: header.first, count: 1, checksum };
    (reference, BlockHeader { first: header.end(), prev: Chain::after(sealed), ..header })
}

fn judge(header: &BlockHeader, payload: &[u8], blocks: &[&[u8]]) {
    let mut zstd = Zstd::new();
    let mut scratch = Scratch::new();
    let unpacked = memory::within(0, "unpacking", || {
        unpack(header, payload, blocks, &mut zstd, &mut scratch).ok()
    });
    let Some(block) = unpacked else {
        assert!(zstd.memory_bytes() <= ZSTD_BYTES_MAX, "{} bytes", zstd.memory_bytes());
        return;
    };
    let records: Vec<Record<'_>> = block.records().collect();
    let sources: Vec<_> = block.sources().collect();
    assert_eq!((records.len(), block.count()), (header.count as usize, header.count));
    assert!(sources.len() <= BLOCK_SOURCES_MAX);
    assert!(sources.iter().all(|source| source.path.len() <= PATH_BYTES_MAX));
    assert!(records.iter().all(|record| record.body.len() <= RECORD_BYTES_MAX));
    assert!(records.iter().all(|record| usize::from(record.source) < sources.len()));
    let bodies: usize = records.iter().map(|record| record.body.len()).sum();
    assert_eq!(bodies, block.body_bytes());
    assert!(bodies <= header.raw_bytes as usize, "{bodies} bytes of bodies out of {}", header.raw_bytes);
    pack_again(header, &block);
    lines::judge(header, payload, blocks, &records, &sources);
}

/// A packer may find hostile times and offsets too far apart to keep; what it takes comes back.
fn pack_again(header: &BlockHeader, block: &Block<'_>) {
    let mut packer = Packer::new(vec![0; WORKSPACE_BYTES]).expect("the room that it asks for");
    packer.open(header.mono);
    let sources: Vec<_> = block.sources().collect();
    let mut taken = Vec::new();
    for record in block.records() {
        let Ok(source) = packer.source(&sources[usize::from(record.source)]) else { break };
        let record = Record { source, ..record };
        if packer.push(&record).is_err() {
            break;
        }
        taken.push(record);
    }
    if taken.is_empty() {
        return;
    }
    let mut payload = vec![0; PAYLOAD_BYTES_MAX];
    let packed = packer.pack(Codec::Zstd, &mut Compressor::new(), &mut payload).expect("a block fits");
    comes_back(header, &packed, &payload, &[], &taken);
    let mut encoder = Box::new(Encoder::new());
    let strong =
        packer.pack_strong(&mut encoder, &mut Compressor::new(), &mut payload).expect("it has records");
    if let Some(packed) = strong {
        comes_back(header, &packed, &payload, &[], &taken);
        again_behind_itself(header, &packer, &packed, &payload[..packed.bytes], &taken);
    }
}

fn again_behind_itself(
    header: &BlockHeader,
    packer: &Packer<Vec<u8>>,
    packed: &Packed,
    payload: &[u8],
    taken: &[Record<'_>],
) {
    let itself = BlockHeader {
        count: taken.len() as u32,
        codec: packed.codec.number(),
        raw_bytes: packed.raw_bytes,
        run: RunId(1),
        first: Seq(1),
        ..*header
    };
    let mut sealed = vec![0; ITEM_BYTES_MAX];
    let length = item::seal(&ItemHeader::Block(itself), payload, &mut sealed).expect("it fits");
    sealed.truncate(length);
    if sealed.len() > REFERENCE_SEALED_BYTES_MAX {
        return;
    }
    let (reference, next) = referring_to(&sealed);
    let (mut prefix, mut encoder) = (Box::new(Prefix::new()), Box::new(Encoder::new()));
    assert!(packer.append_to(&mut prefix, &mut encoder).expect("it has records"));
    let mut out = vec![0; PAYLOAD_BYTES_MAX];
    let again = packer
        .pack_referring(next.first, &reference, &prefix, &mut encoder, &mut Compressor::new(), &mut out)
        .expect("it has records");
    if let Some(packed) = again {
        comes_back(&next, &packed, &out, &[&sealed], taken);
    }
}

fn comes_back(
    header: &BlockHeader,
    packed: &Packed,
    payload: &[u8],
    blocks: &[&[u8]],
    taken: &[Record<'_>],
) {
    let again = BlockHeader {
        count: taken.len() as u32,
        codec: packed.codec.number(),
        raw_bytes: packed.raw_bytes,
        ..*header
    };
    let (mut zstd, mut scratch) = (Zstd::new(), Scratch::new());
    let block =
        unpack(&again, &payload[..packed.bytes], blocks, &mut zstd, &mut scratch).expect("what was packed unpacks");
    assert!(block.records().eq(taken.iter().copied()), "other records");
}
