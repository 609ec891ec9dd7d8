//! Blocks as the agent makes them: lines, packed, compressed and sealed.

use driftlog_agent::compress::Zstd;
use driftlog_proto::block::{Codec, Ending, Format, Packer, Part, Record, Severity, Source, WORKSPACE_BYTES};
use driftlog_proto::ids::{BootId, Lane, Place};
use driftlog_proto::item::{self, BlockHeader, ItemHeader};
use driftlog_proto::limits::{ITEM_BYTES_MAX, PAYLOAD_BYTES_MAX};
use driftlog_proto::lines::Encoder;
use driftlog_proto::time::{ClockState, Mono, Unix};

/// A sealed block with these lines of one file.
///
/// # Panics
/// When they do not fit a block.
#[must_use]
pub fn block(at: Place, codec: Codec, lines: &[&[u8]]) -> Vec<u8> {
    let opened = Mono(5_000_000_000 + at.seq.0);
    let mut packer = Packer::new(vec![0; WORKSPACE_BYTES]).expect("the room that it asks for");
    packer.open(opened);
    let source = packer.source(&Source { path: b"/log/app.log", file: 42 }).expect("a block takes a source");
    let mut offset = 0;
    for (body, mono) in lines.iter().zip(opened.0..) {
        let (severity, format) = (Severity::WARN, Format::Raw);
        let (ending, part) = (Ending::Newline, Part::Whole);
        let record =
            Record { mono: Mono(mono), severity, source, offset, ending, part, cut: false, format, body };
        packer.push(&record).expect("the lines fit a block");
        offset += body.len() as u64 + 1;
    }
    let mut payload = vec![0; PAYLOAD_BYTES_MAX];
    let mut encoder = Box::new(Encoder::new());
    let strong = match codec {
        Codec::Strong => {
            packer.pack_strong(&mut encoder, &mut Zstd::new(), &mut payload).expect("it has records")
        }
        Codec::Stored | Codec::Zstd | Codec::Referring => None,
    };
    let plain = |payload: &mut [u8]| packer.pack(codec, &mut Zstd::new(), payload).expect("a block fits");
    let packed = strong.unwrap_or_else(|| plain(&mut payload));
    let header = BlockHeader {
        lane: Lane::Bulk,
        run: at.run,
        first: at.seq,
        prev: at.chain,
        count: packer.count(),
        boot: BootId([1; 16]),
        mono: opened,
        span_ns: lines.len() as u64,
        wall: Unix(1_700_000_000_000_000_000),
        clock: ClockState::Unsynchronised,
        codec: packed.codec.number(),
        raw_bytes: packed.raw_bytes,
    };
    let mut sealed = vec![0; ITEM_BYTES_MAX];
    let length =
        item::seal(&ItemHeader::Block(header), &payload[..packed.bytes], &mut sealed).expect("it fits");
    sealed.truncate(length);
    sealed
}
