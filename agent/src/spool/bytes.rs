//! Fixed-width little-endian numbers out of a slice, and into a vector.

use driftlog_proto::ids::{Chain, Place, RunId, Seq};

/// Bytes of a place.
pub(crate) const PLACE_BYTES: usize = 24;

/// `N` bytes at `at`, if they are there.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

pub(crate) fn put_place(out: &mut Vec<u8>, place: &Place) {
    for number in [place.run.0, place.seq.0, place.chain.0] {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

pub(crate) fn take_place(bytes: &[u8], at: usize) -> Option<Place> {
    let number = |at| array(bytes, at).map(u64::from_le_bytes);
    Some(Place { run: RunId(number(at)?), seq: Seq(number(at + 8)?), chain: Chain(number(at + 16)?) })
}

/// Reads one thing after another.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.take(2).and_then(|bytes| array(bytes, 0)).map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take(4).and_then(|bytes| array(bytes, 0)).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take(8).and_then(|bytes| array(bytes, 0)).map(u64::from_le_bytes)
    }

    pub(crate) fn place(&mut self) -> Option<Place> {
        self.take(PLACE_BYTES).and_then(|bytes| take_place(bytes, 0))
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}
