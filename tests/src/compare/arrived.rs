//! A file as the archive has it, put together again from its records.

use std::collections::HashMap;

use super::document::Piece;

/// One file of one device.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    /// The path under which it was first read.
    pub(super) path: String,
    /// Its bytes; what has not arrived is zero.
    pub(super) bytes: Vec<u8>,
    /// What has arrived.
    pub(super) ranges: Ranges,
    /// Newlines that followed records.
    pub(super) lines: u64,
    /// Records that were there already.
    pub(super) doubled: u64,
    /// Records that come after a later one of the same lane.
    pub(super) disordered: u64,
    /// Where lines were cut: what follows up to the newline was left out on purpose.
    pub(super) cuts: Vec<u64>,
    /// When its records happened.
    pub(super) moments: Vec<Moment>,
    /// For each lane, where its last record began.
    pub(super) last: HashMap<String, u64>,
}

/// When one record happened and arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) offset: u64,
    pub(super) time: i64,
    pub(super) bound: Option<u64>,
    pub(super) arrived: i64,
}

impl Arrived {
    /// Puts a record in its place; `false` where that lies behind `end`, beyond which no file goes.
    pub(super) fn take(&mut self, piece: &Piece<'_>, end: u64) -> bool {
        let has_newline = piece.is_ended && !piece.is_cut;
        let length = piece.body.len() as u64 + u64::from(has_newline);
        let to = match piece.offset.checked_add(length) {
            Some(to) if to <= end => to,
            _ => return false,
        };
        self.lines += u64::from(piece.is_ended);
        match self.last.get_mut(piece.lane.as_ref()) {
            Some(last) => {
                self.disordered += u64::from(piece.offset < *last);
                *last = piece.offset;
            }
            None => drop(self.last.insert(piece.lane.clone().into_owned(), piece.offset)),
        }
        if !self.ranges.insert(piece.offset, to) {
            self.doubled += 1;
            return true;
        }
        let (from, to) = (piece.offset as usize, to as usize);
        self.bytes.resize(self.bytes.len().max(to), 0);
        if let Some(place) = self.bytes.get_mut(from..from + piece.body.len()) {
            place.copy_from_slice(&piece.body);
        }
        if let Some(last) = self.bytes.get_mut(to.wrapping_sub(1)).filter(|_| has_newline) {
            *last = b'\n';
        }
        if piece.is_cut {
            self.cuts.push(to as u64);
        }
        let Piece { offset, time, bound, arrived, .. } = *piece;
        self.moments.push(Moment { offset, time, bound, arrived });
        true
    }

    /// Whether it is this text, whole.
    pub(super) fn is(&self, text: &[u8]) -> bool {
        self.bytes == text && self.ranges.0 == [(0, text.len() as u64)]
    }

    /// How many of its bytes have arrived.
    pub(super) fn length(&self) -> u64 {
        self.ranges.0.iter().map(|(from, to)| to - from).sum()
    }

    /// How many of its bytes stand in this text at the same place.
    pub(super) fn agreement(&self, text: &[u8]) -> u64 {
        let equal = |(from, to): &(u64, u64)| {
            let range = *from as usize..*to as usize;
            let (own, other) = (self.bytes.get(range.clone()), text.get(range.start.min(text.len())..));
            own.into_iter().flatten().zip(other.into_iter().flatten()).filter(|(a, b)| a == b).count()
        };
        self.ranges.0.iter().map(|range| equal(range) as u64).sum()
    }
}

/// Ranges of offsets, rising, without touching each other.
#[derive(Debug, Default)]
pub(super) struct Ranges(pub(super) Vec<(u64, u64)>);

impl Ranges {
    /// Adds a range; `false`, changing nothing, when a part of it is there already.
    fn insert(&mut self, from: u64, to: u64) -> bool {
        if from == to {
            return true;
        }
        let at = self.0.partition_point(|(_, end)| *end < from);
        // The one before may end exactly where this begins.
        let touching = self.0.get(at).filter(|(_, end)| *end == from).map(|_| at);
        let next = if touching.is_some() { at + 1 } else { at };
        let following = self.0.get(next).copied();
        if following.is_some_and(|(start, _)| start < to) {
            return false;
        }
        let joins_next = following.filter(|(start, _)| *start == to);
        match (touching, joins_next) {
            (Some(at), Some((_, end))) => {
                self.0.remove(next);
                self.end(at, end);
            }
            (Some(at), None) => self.end(at, to),
            (None, Some((_, end))) => {
                if let Some(range) = self.0.get_mut(next) {
                    *range = (from, end);
                }
            }
            (None, None) => self.0.insert(at, (from, to)),
        }
        true
    }

    fn end(&mut self, at: usize, to: u64) {
        if let Some((_, end)) = self.0.get_mut(at) {
            *end = to;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::Random;

    #[test]
    fn ranges_agree_with_a_plain_list_of_bytes() {
        for seed in 0..200 {
            let mut random = Random::new(seed);
            let (mut ranges, mut bytes) = (Ranges::default(), [false; 64]);
            for _ in 0..40 {
                let from = random.below(60);
                let to = random.between(from, 64.min(from + 9));
                let place = &mut bytes[from as usize..to as usize];
                let is_free = !place.contains(&true);
                assert_eq!(ranges.insert(from, to), is_free, "seed {seed}: {from}..{to} in {ranges:?}");
                if is_free {
                    place.fill(true);
                }
                let covered = |at: u64| ranges.0.iter().any(|(from, to)| (*from..*to).contains(&at));
                assert!((0..64).all(|at| covered(at) == bytes[at as usize]));
                assert!(ranges.0.windows(2).all(|pair| pair[0].1 < pair[1].0), "{ranges:?}");
            }
        }
    }
}
