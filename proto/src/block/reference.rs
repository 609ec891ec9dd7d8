//! Blocks that another one refers to: their streams stand, to the compressor, before its own.
//!
//! A block refers to blocks of its own run which follow one another and are of the strong codec
//! themselves, so that one step back is all there is. It names the last of them; the rest is
//! given by what each says was before it. A reader has them, or asks for them.

use serde::{Deserialize, Serialize};

use super::Codec;
use crate::error::Malformed;
use crate::ids::{Chain, RunId, Seq};
use crate::item::{self, BlockHeader, ItemHeader};
use crate::limits::{REFERENCE_BLOCKS_MAX, REFERENCE_BYTES_MAX, REFERENCE_SEALED_BYTES_MAX};
use crate::varint::{self, Varint};

/// What a block refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// The first number of the last of them.
    pub seq: Seq,
    /// How many: 1 to [`REFERENCE_BLOCKS_MAX`].
    pub count: u8,
    /// The checksum at the end of the last one.
    pub checksum: u32,
}

impl Reference {
    /// What a block refers to; `None` when it is read by itself.
    ///
    /// # Errors
    /// [`Malformed`] when that is not a block before it, or when it claims too many.
    pub fn of(header: &BlockHeader, payload: &[u8]) -> Result<Option<Self>, Malformed> {
        match Codec::try_from(header.codec)? {
            Codec::Referring => Self::take(header, payload).map(|(reference, _)| Some(reference)),
            Codec::Stored | Codec::Zstd | Codec::Strong => Ok(None),
        }
    }

    /// The reference in front of a payload, and what stands behind it.
    pub(super) fn take<'a>(header: &BlockHeader, payload: &'a [u8]) -> Result<(Self, &'a [u8]), Malformed> {
        let mut rest = payload;
        let back = varint::take(&mut rest).ok_or(Malformed::Truncated)?;
        let (&count, rest) = rest.split_first().ok_or(Malformed::Truncated)?;
        let (&checksum, rest) = rest.split_first_chunk().ok_or(Malformed::Truncated)?;
        if count == 0 || usize::from(count) > REFERENCE_BLOCKS_MAX {
            return Err(Malformed::Limit("REFERENCE_BLOCKS_MAX"));
        }
        let seq = header.first.0.checked_sub(back).filter(|_| back > 0).ok_or(Malformed::Order)?;
        Ok((Self { seq: Seq(seq), count, checksum: u32::from_le_bytes(checksum) }, rest))
    }

    /// Writes it to the front of `out` for a block whose first number is `first`, and returns the
    /// bytes written. `None` without room.
    pub(super) fn put(&self, first: Seq, out: &mut [u8]) -> Option<usize> {
        let back = Varint::new(first.0.checked_sub(self.seq.0)?);
        let (head, rest) = out.split_at_mut_checked(back.bytes().len())?;
        head.copy_from_slice(back.bytes());
        let (count, rest) = rest.split_first_mut()?;
        *count = self.count;
        *rest.first_chunk_mut()? = self.checksum.to_le_bytes();
        Some(back.bytes().len() + 1 + 4)
    }

    /// Whether these sealed blocks, in order, are what is referred to by a block of `run`: each whole, each of
    /// the strong codec, each following the one before.
    #[must_use]
    pub fn is_met_by<B: AsRef<[u8]>>(&self, run: RunId, blocks: &[B]) -> bool {
        let bytes: usize = blocks.iter().map(|block| block.as_ref().len()).sum();
        if blocks.len() != usize::from(self.count) || bytes > REFERENCE_SEALED_BYTES_MAX {
            return false;
        }
        let mut before: Option<(Seq, Chain)> = None;
        for (at, block) in blocks.iter().enumerate() {
            let sealed = block.as_ref();
            let Ok((ItemHeader::Block(header), _)) = item::open(sealed) else { return false };
            let follows = before.is_none_or(|before| before == (header.first, header.prev));
            let is_last = at + 1 == blocks.len();
            let is_named = header.first == self.seq && item::checksum(sealed) == Some(self.checksum);
            if header.run != run || header.codec != Codec::Strong.number() || !follows || is_last && !is_named
            {
                return false;
            }
            if !is_last {
                before = Some((header.end(), Chain::after(sealed)));
            }
        }
        true
    }
}

/// The streams of blocks that are referred to, as far as they are of use: about 32 KiB, which
/// belong into memory that is taken once.
#[derive(Clone, Debug)]
pub struct Prefix {
    pub(super) text: Window,
    pub(super) rest: Window,
}

impl Prefix {
    /// Nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { text: Window::new(), rest: Window::new() }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.text.clear();
        self.rest.clear();
    }
}

impl Default for Prefix {
    fn default() -> Self {
        Self::new()
    }
}

/// A newline, which no dictionary of zstd's begins with, and the last bytes of a stream.
#[derive(Clone, Debug)]
pub(super) struct Window {
    bytes: [u8; REFERENCE_BYTES_MAX],
    len: usize,
}

impl Window {
    const fn new() -> Self {
        let mut bytes = [0; REFERENCE_BYTES_MAX];
        bytes[0] = b'\n';
        Self { bytes, len: 1 }
    }

    fn clear(&mut self) {
        self.len = 1;
    }

    /// Appends; what has no room any longer goes at the front.
    pub(super) fn push(&mut self, new: &[u8]) {
        let most = REFERENCE_BYTES_MAX - 1;
        let new = new.get(new.len().saturating_sub(most)..).unwrap_or_default();
        let over = (self.len + new.len()).saturating_sub(REFERENCE_BYTES_MAX);
        self.bytes.copy_within(1 + over..self.len, 1);
        let start = self.len - over;
        if let Some(to) = self.bytes.get_mut(start..start + new.len()) {
            to.copy_from_slice(new);
            self.len = start + new.len();
        }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_keeps_the_last_bytes() {
        let stream: alloc::vec::Vec<u8> = (0..3 * REFERENCE_BYTES_MAX).map(|n| (n % 251) as u8).collect();
        for piece in [1, 7, 1000, REFERENCE_BYTES_MAX - 1, REFERENCE_BYTES_MAX, 2 * REFERENCE_BYTES_MAX] {
            let mut window = Window::new();
            let mut end = 0;
            for part in stream.chunks(piece) {
                window.push(part);
                end += part.len();
                let (newline, kept) = window.as_slice().split_first().unwrap();
                assert_eq!(*newline, b'\n');
                assert_eq!(kept, &stream[end - end.min(REFERENCE_BYTES_MAX - 1)..end], "pieces of {piece}");
            }
            window.clear();
            assert_eq!(window.as_slice(), b"\n");
        }
    }
}
