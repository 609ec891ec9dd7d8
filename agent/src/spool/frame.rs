//! Frames: what is appended to a segment in one write.
//!
//! ```text
//! offset  size  what
//! 0       4     CRC-32C of bytes 4 to 64
//! 4       4     CRC-32C of the items
//! 8       4     CRC-32C of the tail
//! 12      4     low 32 bits of the segment's index
//! 16      4     offset of this frame in the segment
//! 20      4     offset below which the segment was synced when this was written
//! 24      1     kind: 1 checkpoint, 2 frame
//! 25      1     zero
//! 26      2     bytes of the sealed start; 0 if there is none
//! 28      4     bytes of the sealed block; 0 if there is none
//! 32      4     bytes of the tail
//! 36      4     records in the block
//! 40      8     number of the first record, or of the next one if there is no block
//! 48      8     chain before the first item
//! 56      8     chain after the last item
//! 64      …     sealed start, sealed block, tail; zeros up to a multiple of 16
//! ```
//!
//! All checksums begin from the segment's salt. The three of them let damage be told apart: with
//! a good header it is known exactly what a damaged item was; a good tail keeps the cursors.

use driftlog_proto::checksum::crc32c_seeded;
use driftlog_proto::ids::{Chain, Place, RunId, Seq};
use driftlog_proto::limits::{BLOCK_RECORDS_MAX, ITEM_BYTES_MAX, SEQ_MAX};

use super::bytes::array;

/// Bytes of a frame's header.
pub(crate) const FRAME_HEADER_BYTES: usize = 64;
/// Frames begin at multiples of this.
pub(crate) const FRAME_ALIGN: usize = 16;
/// Bytes of a sealed start at most.
pub(crate) const START_BYTES_MAX: usize = 128;
/// Bytes of a tail at most: a checkpoint with all cursors and gaps.
pub(crate) const TAIL_BYTES_MAX: usize = 1024 * 1024;

const CHECKPOINT: u8 = 1;
const PLAIN: u8 = 2;

/// What stands at the head of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) items_checksum: u32,
    pub(crate) tail_checksum: u32,
    pub(crate) offset: u32,
    pub(crate) synced: u32,
    pub(crate) is_checkpoint: bool,
    pub(crate) start_bytes: u32,
    pub(crate) block_bytes: u32,
    pub(crate) tail_bytes: u32,
    pub(crate) count: u32,
    pub(crate) first: Seq,
    pub(crate) previous: Chain,
    pub(crate) end: Chain,
}

impl FrameHeader {
    /// Reads a header that must be that of a frame at `offset` of the segment with this index.
    pub(crate) fn decode(bytes: &[u8], salt: u32, index: u64, offset: u32) -> Option<Self> {
        let number = |at| array(bytes, at).map(u32::from_le_bytes);
        let long = |at| array(bytes, at).map(u64::from_le_bytes);
        // Cheap comparisons first: resynchronising tries this at every sixteenth byte.
        if number(16)? != offset || number(12)? != index as u32 {
            return None;
        }
        if number(0)? != crc32c_seeded(salt, &[bytes.get(4..FRAME_HEADER_BYTES)?]) {
            return None;
        }
        let kind = *bytes.get(24)?;
        let header = Self {
            items_checksum: number(4)?,
            tail_checksum: number(8)?,
            offset,
            synced: number(20)?,
            is_checkpoint: kind == CHECKPOINT,
            start_bytes: u32::from(u16::from_le_bytes(array(bytes, 26)?)),
            block_bytes: number(28)?,
            tail_bytes: number(32)?,
            count: number(36)?,
            first: Seq(long(40)?),
            previous: Chain(long(48)?),
            end: Chain(long(56)?),
        };
        let is_sound = (kind == CHECKPOINT || kind == PLAIN)
            && header.start_bytes as usize <= START_BYTES_MAX
            && header.block_bytes as usize <= ITEM_BYTES_MAX
            && header.tail_bytes as usize <= TAIL_BYTES_MAX
            && header.count <= BLOCK_RECORDS_MAX
            && (header.count == 0) == (header.block_bytes == 0)
            && header.first.plus(u64::from(header.count)).is_ok_and(|seq| seq.0 <= SEQ_MAX);
        is_sound.then_some(header)
    }

    fn encode(&self, salt: u32, index: u64) -> [u8; FRAME_HEADER_BYTES] {
        let mut out = Vec::with_capacity(FRAME_HEADER_BYTES);
        for number in [0, self.items_checksum, self.tail_checksum, index as u32, self.offset, self.synced] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.push(if self.is_checkpoint { CHECKPOINT } else { PLAIN });
        out.push(0);
        out.extend_from_slice(&(self.start_bytes as u16).to_le_bytes());
        for number in [self.block_bytes, self.tail_bytes, self.count] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.first.0, self.previous.0, self.end.0] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let mut header: [u8; FRAME_HEADER_BYTES] = array(&out, 0).unwrap_or([0; FRAME_HEADER_BYTES]);
        let (checksum, covered) = header.split_at_mut(4);
        checksum.copy_from_slice(&crc32c_seeded(salt, &[covered]).to_le_bytes());
        header
    }

    /// Bytes of start and block.
    pub(crate) const fn items_bytes(&self) -> u32 {
        self.start_bytes + self.block_bytes
    }

    /// Where the frame behind this one begins.
    pub(crate) const fn next_offset(&self) -> u32 {
        self.offset + frame_bytes(self.items_bytes() as usize, self.tail_bytes as usize) as u32
    }

    /// Whether it carries an item.
    pub(crate) const fn has_items(&self) -> bool {
        self.items_bytes() > 0
    }

    /// The place after its last item.
    pub(crate) fn end_place(&self, run: RunId) -> Place {
        Place { run, seq: Seq(self.first.0 + u64::from(self.count)), chain: self.end }
    }
}

/// Bytes of a frame with items and tail of these lengths.
pub(crate) const fn frame_bytes(items: usize, tail: usize) -> usize {
    (FRAME_HEADER_BYTES + items + tail).next_multiple_of(FRAME_ALIGN)
}

/// What a frame is made of.
pub(crate) struct Frame<'a> {
    pub(crate) is_checkpoint: bool,
    pub(crate) start: &'a [u8],
    pub(crate) block: &'a [u8],
    pub(crate) tail: &'a [u8],
    pub(crate) count: u32,
    pub(crate) first: Seq,
    pub(crate) previous: Chain,
    pub(crate) end: Chain,
}

impl Frame<'_> {
    /// Bytes that it takes up in a segment.
    pub(crate) const fn bytes(&self) -> usize {
        frame_bytes(self.start.len() + self.block.len(), self.tail.len())
    }

    /// Appends the frame to `out`; it will stand at `offset` of the segment.
    pub(crate) fn encode(&self, salt: u32, index: u64, offset: u32, synced: u32, out: &mut Vec<u8>) {
        let header = FrameHeader {
            items_checksum: crc32c_seeded(salt, &[self.start, self.block]),
            tail_checksum: crc32c_seeded(salt, &[self.tail]),
            offset,
            synced,
            is_checkpoint: self.is_checkpoint,
            start_bytes: self.start.len() as u32,
            block_bytes: self.block.len() as u32,
            tail_bytes: self.tail.len() as u32,
            count: self.count,
            first: self.first,
            previous: self.previous,
            end: self.end,
        };
        let from = out.len();
        out.extend_from_slice(&header.encode(salt, index));
        out.extend_from_slice(self.start);
        out.extend_from_slice(self.block);
        out.extend_from_slice(self.tail);
        out.resize(from + self.bytes(), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: u32 = 0x5a17;
    const INDEX: u64 = 0x1_0000_0007;
    const OFFSET: u32 = 4096;

    /// The longest frame that there can be.
    fn longest() -> FrameHeader {
        FrameHeader {
            items_checksum: 1,
            tail_checksum: 2,
            offset: OFFSET,
            synced: 3,
            is_checkpoint: false,
            start_bytes: START_BYTES_MAX as u32,
            block_bytes: ITEM_BYTES_MAX as u32,
            tail_bytes: TAIL_BYTES_MAX as u32,
            count: BLOCK_RECORDS_MAX,
            first: Seq(SEQ_MAX - u64::from(BLOCK_RECORDS_MAX)),
            previous: Chain(5),
            end: Chain(6),
        }
    }

    fn decoded(header: &FrameHeader) -> Option<FrameHeader> {
        FrameHeader::decode(&header.encode(SALT, INDEX), SALT, INDEX, OFFSET)
    }

    #[test]
    fn a_header_at_every_limit_is_read_and_one_above_any_is_not() {
        let most = longest();
        assert_eq!(decoded(&most), Some(most.clone()));
        let checkpoint = FrameHeader { is_checkpoint: true, ..most.clone() };
        assert_eq!(decoded(&checkpoint), Some(checkpoint));
        for above in [
            FrameHeader { start_bytes: most.start_bytes + 1, ..most.clone() },
            FrameHeader { block_bytes: most.block_bytes + 1, ..most.clone() },
            FrameHeader { tail_bytes: most.tail_bytes + 1, ..most.clone() },
            FrameHeader { count: most.count + 1, first: Seq(0), ..most.clone() },
            FrameHeader { first: Seq(most.first.0 + 1), ..most.clone() },
            FrameHeader { count: 0, ..most.clone() },
            FrameHeader { block_bytes: 0, ..most.clone() },
        ] {
            assert_eq!(decoded(&above), None, "{above:?}");
        }
        let nothing = FrameHeader { start_bytes: 0, block_bytes: 0, tail_bytes: 0, count: 0, ..most };
        assert_eq!(decoded(&nothing), Some(nothing));
    }

    #[test]
    fn a_header_of_another_place_life_or_kind_is_none() {
        let header = longest();
        let bytes = header.encode(SALT, INDEX);
        let decode = |bytes: &[u8], salt, index, offset| FrameHeader::decode(bytes, salt, index, offset);
        assert_eq!(decode(&bytes, SALT, INDEX, OFFSET), Some(header));
        assert_eq!(decode(&bytes, SALT + 1, INDEX, OFFSET), None);
        assert_eq!(decode(&bytes, SALT, INDEX + 1, OFFSET), None);
        assert_eq!(decode(&bytes, SALT, INDEX, OFFSET + 16), None);
        assert_eq!(decode(&bytes[..63], SALT, INDEX, OFFSET), None);
        for at in 0..FRAME_HEADER_BYTES {
            let mut rotten = bytes;
            rotten[at] ^= 4;
            assert_eq!(decode(&rotten, SALT, INDEX, OFFSET), None, "byte {at}");
        }
        // A kind of another version, with its checksum right.
        let mut other = bytes;
        other[24] = 3;
        let checksum = crc32c_seeded(SALT, &[&other[4..]]).to_le_bytes();
        other[..4].copy_from_slice(&checksum);
        assert_eq!(decode(&other, SALT, INDEX, OFFSET), None);
    }

    #[test]
    fn a_frame_takes_up_its_header_items_and_tail_in_whole_sixteens() {
        assert_eq!(
            [(0, 0), (0, 1), (15, 1), (15, 2)].map(|(items, tail)| frame_bytes(items, tail)),
            [64, 80, 80, 96]
        );
        let frame = Frame {
            is_checkpoint: false,
            start: &[1; 20],
            block: &[2; 30],
            tail: &[3; 40],
            count: 4,
            first: Seq(10),
            previous: Chain(5),
            end: Chain(6),
        };
        let mut out = vec![9; 7];
        frame.encode(SALT, INDEX, OFFSET, 3, &mut out);
        assert_eq!((frame.bytes(), out.len()), (160, 167));
        let header = FrameHeader::decode(&out[7..], SALT, INDEX, OFFSET).unwrap();
        assert_eq!(
            (header.items_bytes(), header.next_offset(), header.has_items()),
            (50, OFFSET + 160, true)
        );
        assert_eq!(header.end_place(RunId(8)), Place { run: RunId(8), seq: Seq(14), chain: Chain(6) });
        assert_eq!(out[7 + 64..], [[1; 20].as_slice(), &[2; 30], &[3; 40], &[0; 6]].concat());
        let empty = FrameHeader { start_bytes: 0, block_bytes: 0, count: 0, ..header };
        assert!(!empty.has_items());
    }
}
