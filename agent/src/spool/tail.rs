//! The tail of a frame: the source cursors that it covers, and what the spool must remember.
//!
//! ```text
//! size  what
//! 24    base: the place up to which everything is acknowledged
//! 1     bit 0: gaps and counters follow; bit 1: what came before is forgotten (a checkpoint);
//!       bit 2: copies follow
//! --    if bit 0:
//! 48    records declared lost so far, by cause: six numbers
//! 2     gaps; for each: 2 bytes length, sealed gap
//! --    if bit 2, copies of the blocks that this frame's refers to:
//! 1     how many; for each: 4 bytes length, sealed block
//! --    always:
//! 4     cursors that changed (a checkpoint: all); for each: 8 bytes key, 2 bytes length, bytes
//! 4     keys that are forgotten; for each: 8 bytes
//! ```

use std::collections::BTreeMap;

use driftlog_proto::ids::{Lane, Place};
use driftlog_proto::item::{self, Cause, ItemHeader};
use driftlog_proto::limits::{GAP_STARTS_MAX, GAPS_MAX};

use super::bytes::{Reader, put_place};
use super::gaps::{Gaps, Hole};

/// Records declared lost, by cause.
pub(crate) type Dropped = [u64; Cause::ON_WIRE.len()];
/// Source cursors by key; what is in them is the sources' business.
pub(crate) type Cursors = BTreeMap<u64, Box<[u8]>>;

/// Bytes of a sealed gap at most.
const GAP_BYTES_MAX: usize = 128 + GAP_STARTS_MAX * 20;
const HAS_GAPS: u8 = 1;
const REPLACES: u8 = 2;
const HAS_COPIES: u8 = 4;

/// Writes tails.
pub(crate) struct TailWriter<'a> {
    pub(crate) lane: Lane,
    pub(crate) base: Place,
    pub(crate) is_checkpoint: bool,
    pub(crate) gaps: Option<(&'a Gaps, &'a Dropped)>,
    /// Copies of the blocks that this frame's refers to.
    pub(crate) copies: &'a [&'a [u8]],
}

impl TailWriter<'_> {
    /// Of a frame that brings neither gaps nor copies.
    pub(crate) const fn new(lane: Lane, base: Place) -> Self {
        Self { lane, base, is_checkpoint: false, gaps: None, copies: &[] }
    }

    /// The tail with these cursors.
    pub(crate) fn encode<'c>(
        &self,
        cursors: impl Iterator<Item = (u64, &'c [u8])>,
        forget: &[u64],
        out: &mut Vec<u8>,
    ) {
        put_place(out, &self.base);
        let gaps = if self.gaps.is_some() { HAS_GAPS } else { 0 };
        let copies = if self.copies.is_empty() { 0 } else { HAS_COPIES };
        out.push(gaps + copies + if self.is_checkpoint { REPLACES } else { 0 });
        if let Some((gaps, dropped)) = self.gaps {
            for records in dropped {
                out.extend_from_slice(&records.to_le_bytes());
            }
            out.extend_from_slice(&(gaps.iter().len() as u16).to_le_bytes());
            for hole in gaps.iter() {
                let sealed = sealed_gap(hole, self.lane);
                out.extend_from_slice(&(sealed.len() as u16).to_le_bytes());
                out.extend_from_slice(&sealed);
            }
        }
        if !self.copies.is_empty() {
            out.push(self.copies.len() as u8);
            for sealed in self.copies {
                out.extend_from_slice(&(sealed.len() as u32).to_le_bytes());
                out.extend_from_slice(sealed);
            }
        }
        let at = out.len();
        out.extend_from_slice(&[0; 4]);
        let mut count = 0u32;
        for (key, cursor) in cursors {
            out.extend_from_slice(&key.to_le_bytes());
            out.extend_from_slice(&(cursor.len() as u16).to_le_bytes());
            out.extend_from_slice(cursor);
            count += 1;
        }
        if let Some(place) = out.get_mut(at..at + 4) {
            place.copy_from_slice(&count.to_le_bytes());
        }
        out.extend_from_slice(&(forget.len() as u32).to_le_bytes());
        for key in forget {
            out.extend_from_slice(&key.to_le_bytes());
        }
    }
}

/// A gap as it goes over the wire.
pub(crate) fn sealed_gap(hole: &Hole, lane: Lane) -> Vec<u8> {
    let mut out = vec![0; GAP_BYTES_MAX];
    let sealed = item::seal(&hole.header(lane), &[], &mut out);
    out.truncate(sealed.expect("a gap with its longest list fits GAP_BYTES_MAX"));
    out
}

/// A tail as it was read.
pub(crate) struct Tail<'a> {
    pub(crate) base: Place,
    pub(crate) is_checkpoint: bool,
    pub(crate) gaps: Option<(Gaps, Dropped)>,
    pub(crate) copies: Vec<&'a [u8]>,
    pub(crate) cursors: Vec<(u64, &'a [u8])>,
    pub(crate) forget: Vec<u64>,
}

impl<'a> Tail<'a> {
    /// Reads a tail; its checksum was right.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let base = reader.place()?;
        let flags = *reader.take(1)?.first()?;
        let gaps = if flags & HAS_GAPS == 0 { None } else { Some(decode_gaps(&mut reader)?) };
        let mut copies = Vec::new();
        if flags & HAS_COPIES != 0 {
            for _ in 0..*reader.take(1)?.first()? {
                let length = reader.u32()? as usize;
                copies.push(reader.take(length)?);
            }
        }
        let mut cursors = Vec::new();
        for _ in 0..reader.u32()? {
            let key = reader.u64()?;
            let length = usize::from(reader.u16()?);
            cursors.push((key, reader.take(length)?));
        }
        let mut forget = Vec::new();
        for _ in 0..reader.u32()? {
            forget.push(reader.u64()?);
        }
        let is_checkpoint = flags & REPLACES != 0;
        reader.is_empty().then_some(Self { base, is_checkpoint, gaps, copies, cursors, forget })
    }
}

fn decode_gaps(reader: &mut Reader<'_>) -> Option<(Gaps, Dropped)> {
    let mut dropped = Dropped::default();
    for records in &mut dropped {
        *records = reader.u64()?;
    }
    let count = usize::from(reader.u16()?);
    let mut gaps = Gaps::default();
    for _ in 0..count.min(GAPS_MAX) {
        let length = usize::from(reader.u16()?);
        match item::open(reader.take(length)?) {
            Ok((ItemHeader::Gap(gap), _)) => gaps.push(Hole::of(gap)),
            _ => return None,
        }
    }
    (count <= GAPS_MAX).then_some((gaps, dropped))
}

#[cfg(test)]
mod tests {
    use driftlog_proto::ids::{Chain, RunId, Seq};

    use super::super::gaps::Standing;
    use super::*;

    const BASE: Place = Place { run: RunId(1), seq: Seq(2), chain: Chain(3) };

    fn holes(count: usize) -> Gaps {
        let mut gaps = Gaps::default();
        for n in 0..count as u64 {
            let from = Place { seq: Seq((1 << 52) + 2 * n), ..BASE };
            let starts: Vec<_> =
                (0..GAP_STARTS_MAX as u64).map(|k| (RunId(u64::MAX - k), from.seq)).collect();
            let to = Place {
                run: RunId(u64::MAX - (GAP_STARTS_MAX as u64 - 1)),
                seq: Seq(from.seq.0 + 1),
                ..BASE
            };
            gaps.push(Hole { from, to, cause: Cause::Refused, starts, standing: Standing::Durable });
        }
        gaps
    }

    fn written(is_checkpoint: bool, gaps: Option<(&Gaps, &Dropped)>) -> Vec<u8> {
        let mut out = Vec::new();
        let writer = TailWriter { lane: Lane::Bulk, base: BASE, is_checkpoint, gaps, copies: &[] };
        let cursors = [(7, b"seven".as_slice()), (8, b"")];
        writer.encode(cursors.into_iter(), &[9, 10], &mut out);
        out
    }

    #[test]
    fn a_tail_says_what_was_written() {
        let (gaps, dropped) = (holes(GAPS_MAX), [1, 2, 3, 4, 5, 6]);
        for is_checkpoint in [false, true] {
            for gaps in [None, Some((&gaps, &dropped)), Some((&Gaps::default(), &dropped))] {
                let bytes = written(is_checkpoint, gaps);
                let tail = Tail::decode(&bytes).unwrap();
                assert_eq!((tail.base, tail.is_checkpoint), (BASE, is_checkpoint));
                assert_eq!(tail.gaps, gaps.map(|(gaps, dropped)| (gaps.clone(), *dropped)));
                assert_eq!(tail.cursors, [(7, b"seven".as_slice()), (8, b"")]);
                assert_eq!(tail.forget, [9, 10]);
            }
        }
    }

    #[test]
    fn a_tail_that_is_cut_or_too_long_or_has_too_many_gaps_is_none() {
        let dropped = Dropped::default();
        let bytes = written(true, Some((&holes(2), &dropped)));
        for end in 0..bytes.len() {
            assert!(Tail::decode(&bytes[..end]).is_none(), "{end} bytes");
        }
        assert!(Tail::decode(&[bytes, vec![0]].concat()).is_none());
        assert!(Tail::decode(&written(true, Some((&holes(GAPS_MAX + 1), &dropped)))).is_none());
    }
}
