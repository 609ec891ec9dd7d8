//! What a lane's next blocks may refer to: a few blocks of the segment that takes them.
//!
//! A block and those that it refers to stand in one segment, which is given back as a whole: so
//! what may be asked for is there as long as anything refers to it that is not acknowledged. Each
//! segment begins with blocks that refer to nothing.

use driftlog_proto::block::{Codec, Packed, Packer, Prefix, Reference};
use driftlog_proto::error::Misuse;
use driftlog_proto::ids::Seq;
use driftlog_proto::limits::{REFERENCE_BLOCKS_MAX, REFERENCE_SEALED_BYTES_MAX};
use driftlog_proto::lines::Encoder;

use super::room::Room;

/// Bytes of columns from which no further block is referred to: more bring nothing (measured at 4, 16 and
/// 64 KiB a block).
const ENOUGH_BYTES: usize = 12 * 1024;

/// A block as it was sealed.
#[derive(Clone, Copy, Debug)]
pub struct Sealed {
    /// The number of its first record.
    pub first: Seq,
    /// The number after its last record.
    pub end: Seq,
    /// The checksum at its end.
    pub checksum: u32,
    /// Its bytes.
    pub bytes: usize,
    /// The segment that it stands in.
    pub segment: u64,
}

/// What may be referred to: about 32 KiB.
#[derive(Debug)]
pub(super) struct Learned {
    prefix: Box<Prefix>,
    reference: Reference,
    segment: u64,
    /// The number after the last of the blocks.
    end: Seq,
    raw_bytes: usize,
    sealed_bytes: usize,
    is_copied: bool,
    /// It was tried whether referring to it is worth it.
    pub(super) is_tried: bool,
}

impl Learned {
    pub(super) fn new() -> Self {
        Self {
            prefix: Box::default(),
            reference: Reference { seq: Seq::ZERO, count: 0, checksum: 0 },
            segment: 0,
            end: Seq::ZERO,
            raw_bytes: 0,
            sealed_bytes: 0,
            is_copied: false,
            is_tried: false,
        }
    }

    /// What a block of so many bytes of columns refers to, if it comes into this segment.
    pub(super) fn usable(&self, segment: Option<u64>, raw_bytes: usize) -> Option<(&Reference, &Prefix)> {
        let is_enough = self.raw_bytes >= ENOUGH_BYTES
            || usize::from(self.reference.count) == REFERENCE_BLOCKS_MAX && raw_bytes <= 2 * self.raw_bytes;
        let is_there = self.reference.count > 0 && segment == Some(self.segment);
        (is_there && is_enough && self.sealed_bytes <= REFERENCE_SEALED_BYTES_MAX)
            .then_some((&self.reference, &*self.prefix))
    }

    /// What a block that was packed so is the first to refer to.
    pub(super) fn to_copy(&self, packed: &Packed) -> Option<Reference> {
        (packed.codec == Codec::Referring && !self.is_copied).then_some(self.reference)
    }

    /// A block was sealed that was packed so: those that follow one another from the last that
    /// refers to nothing are what is referred to.
    pub(super) fn handle_sealed(
        &mut self,
        packer: &Packer<Room>,
        packed: &Packed,
        sealed: &Sealed,
        encoder: &mut Encoder,
    ) -> Result<(), Misuse> {
        match packed.codec {
            Codec::Referring => self.is_copied = true,
            Codec::Strong => {
                let follows = self.segment == sealed.segment
                    && self.end == sealed.first
                    && self.raw_bytes < ENOUGH_BYTES
                    && (1..REFERENCE_BLOCKS_MAX).contains(&usize::from(self.reference.count));
                if !follows {
                    self.prefix.clear();
                    (self.reference.count, self.raw_bytes, self.sealed_bytes) = (0, 0, 0);
                }
                if packer.append_to(&mut self.prefix, encoder)? {
                    let count = self.reference.count + 1;
                    self.reference = Reference { seq: sealed.first, count, checksum: sealed.checksum };
                    (self.segment, self.end) = (sealed.segment, sealed.end);
                    self.raw_bytes += packed.raw_bytes as usize;
                    self.sealed_bytes += sealed.bytes;
                    (self.is_copied, self.is_tried) = (false, false);
                }
            }
            Codec::Stored | Codec::Zstd => {}
        }
        Ok(())
    }
}
