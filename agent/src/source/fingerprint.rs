//! What bytes looked like: 64-bit fingerprints of a file's head and of the bytes before an offset.
//!
//! FNV-1a with a final mix. It tells files apart that differ by accident. Who may write a log file
//! can make it say anything, so a stronger hash would protect nobody.

use serde::{Deserialize, Serialize};

/// Bytes of a file's head that identify it.
pub(crate) const HEAD_BYTES_MAX: usize = 1024;
/// Bytes before an offset that an anchor covers: more than the usual line, since lines often end
/// alike (an access log's with the browser's name).
pub(crate) const ANCHOR_BYTES_MAX: usize = 256;
/// Anchors that a cursor holds.
pub(crate) const ANCHORS_MAX: usize = 8;

const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// FNV-1a over bytes that come in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fnv(u64);

impl Fnv {
    pub(crate) const EMPTY: Self = Self(OFFSET_BASIS);

    pub(crate) fn and(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME)))
    }

    pub(crate) fn and_number(self, number: u64) -> Self {
        self.and(&number.to_le_bytes())
    }

    /// The hash with every bit depending on every byte (the mix of `MurmurHash3`), for numbers that
    /// serve as keys.
    pub(crate) fn mixed(self) -> u64 {
        let mut x = self.0;
        x = (x ^ (x >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        x = (x ^ (x >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        x ^ (x >> 33)
    }
}

/// The fingerprint of the first bytes of a file that were read, [`HEAD_BYTES_MAX`] at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) bytes: u16,
    hash: Fnv,
}

impl Head {
    pub(crate) const EMPTY: Self = Self { bytes: 0, hash: Fnv::EMPTY };

    /// The head of a file that begins with `bytes`.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut head = Self::EMPTY;
        head.extend(0, bytes);
        head
    }

    /// Takes what is not yet covered out of `read`, which stands at offset `at` of the file.
    pub(crate) fn extend(&mut self, at: u64, read: &[u8]) {
        let covered = usize::from(self.bytes);
        let Some(skip) = (covered as u64).checked_sub(at).and_then(|n| usize::try_from(n).ok()) else {
            return;
        };
        let Some(new) = read.get(skip..) else { return };
        let new = new.get(..HEAD_BYTES_MAX - covered).unwrap_or(new);
        self.hash = self.hash.and(new);
        self.bytes += new.len() as u16;
    }
}

/// A boundary in a file: an offset and the fingerprint of the up to [`ANCHOR_BYTES_MAX`] bytes
/// before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Anchor {
    pub(crate) offset: u64,
    hash: Fnv,
}

impl Anchor {
    pub(crate) const START: Self = Self { offset: 0, hash: Fnv::EMPTY };

    /// The anchor at `offset`, where `before` ends. Uses the last bytes of `before` only.
    pub(crate) fn at(offset: u64, before: &[u8]) -> Self {
        let from = before.len().saturating_sub(Self::reach(offset));
        Self { offset, hash: Fnv::EMPTY.and(before.get(from..).unwrap_or_default()) }
    }

    /// How many bytes before `offset` an anchor there covers.
    pub(crate) fn reach(offset: u64) -> usize {
        usize::try_from(offset).map_or(ANCHOR_BYTES_MAX, |n| n.min(ANCHOR_BYTES_MAX))
    }
}

/// Where a file was when it was read, newest last: at most [`ANCHORS_MAX`], thinned so that they
/// lie the further apart the older they are. The oldest stays.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Anchors(heapless::Vec<Anchor, ANCHORS_MAX>);

impl Anchors {
    /// Adds a newer anchor, forgetting one between oldest and newest when there is no room.
    pub(crate) fn push(&mut self, anchor: Anchor) {
        if self.0.last().is_some_and(|last| last.offset >= anchor.offset) {
            return;
        }
        if self.0.is_full() {
            self.thin(anchor.offset);
        }
        // There is room now: `thin` removes one.
        let _ = self.0.push(anchor);
    }

    /// Those that lie no further than `offset`.
    pub(crate) fn up_to(&self, offset: u64) -> Self {
        Self(self.0.iter().filter(|anchor| anchor.offset <= offset).copied().collect())
    }

    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &Anchor> {
        self.0.iter().rev()
    }

    /// Removes the anchor whose neighbours, seen from `newest`, are the closest in proportion.
    fn thin(&mut self, newest: u64) {
        let distance = |anchor: &Anchor| (newest - anchor.offset).max(1) as f64;
        let gain = |window: &[Anchor]| match window {
            [before, _, after] => distance(before) / distance(after),
            _ => f64::INFINITY,
        };
        let closest = (self.0.windows(3).enumerate())
            .min_by(|(_, a), (_, b)| gain(a).total_cmp(&gain(b)))
            .map_or(0, |(index, _)| index + 1);
        self.0.remove(closest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_taken_in_pieces_equals_the_head_taken_at_once() {
        let bytes: Vec<u8> = (0..3000u32).map(|n| n as u8).collect();
        for cut in [0, 1, 500, 1023, 1024, 1025, 3000] {
            let mut head = Head::EMPTY;
            head.extend(0, &bytes[..cut]);
            head.extend(cut as u64, &bytes[cut..]);
            assert_eq!(head, Head::of(&bytes), "cut at {cut}");
            assert_eq!(head.bytes, 1024);
        }
    }

    #[test]
    fn a_head_takes_bytes_that_overlap_what_it_has_only_once() {
        let mut head = Head::of(b"abc");
        head.extend(1, b"bcdef");
        assert_eq!(head, Head::of(b"abcdef"));
    }

    #[test]
    fn an_anchor_sees_only_the_bytes_just_before_it() {
        let near = [7u8; ANCHOR_BYTES_MAX];
        let mut far = vec![1u8; 100];
        far.extend_from_slice(&near);
        assert_eq!(Anchor::at(1000, &near), Anchor::at(1000, &far));
        assert_ne!(Anchor::at(1000, &near), Anchor::at(1000, &near[1..]));
        assert_eq!(Anchor::at(3, b"abc"), Anchor::at(3, b"xabc"));
    }

    #[test]
    fn anchors_thin_out_towards_the_past_and_keep_the_oldest() {
        let mut anchors = Anchors::default();
        for n in 1..=10_000u64 {
            anchors.push(Anchor::at(n * 100, b""));
        }
        let offsets: Vec<u64> = anchors.newest_first().map(|a| a.offset).collect();
        assert_eq!(offsets.len(), ANCHORS_MAX);
        assert_eq!((offsets[0], offsets[ANCHORS_MAX - 1]), (1_000_000, 100));
        let near = 1_000_000 - offsets[1];
        assert!(near <= 10_000, "an anchor is near: {offsets:?}");
        assert!(offsets.windows(2).all(|w| w[0] > w[1]));
    }

    #[test]
    fn an_anchor_that_is_not_newer_changes_nothing() {
        let mut anchors = Anchors::default();
        anchors.push(Anchor::at(5, b"hello"));
        anchors.push(Anchor::at(5, b"other"));
        anchors.push(Anchor::at(4, b"hell"));
        assert_eq!(anchors.newest_first().collect::<Vec<_>>(), [&Anchor::at(5, b"hello")]);
    }
}
