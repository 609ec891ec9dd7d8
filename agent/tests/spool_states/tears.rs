//! What of one write may get through: it is torn between sectors, and within one.

use std::ops::Range;

/// The flash writes so many bytes at once.
const SECTOR_BYTES: usize = 512;
/// Up to so many sectors every subset of them is tried; of more: each prefix, each suffix, each
/// one alone, and each one missing.
const SECTORS_OF_EVERY_SUBSET: usize = 4;

/// A sector also breaks within after these, which hold what comes first in a header.
const PART_BYTES: usize = 64;

/// The pieces of a write that got through, counted from its beginning.
pub(crate) type Kept = Vec<Range<usize>>;

/// Everything that may become of a write of so many bytes at `at`: nothing first, then all of it. A
/// sector may also break within: after its first `bytes` bytes, after twice as many, and so on.
pub(crate) fn tears(at: usize, length: usize, bytes: usize) -> Vec<Kept> {
    let sectors = sectors(at, length);
    let count = sectors.len();
    let mut kept = vec![Vec::new(), vec![0..length]];
    if count <= SECTORS_OF_EVERY_SUBSET {
        for subset in 1..(1usize << count) - 1 {
            kept.push((0..count).filter(|n| subset >> n & 1 == 1).map(|n| sectors[n].clone()).collect());
        }
    } else {
        for n in 0..count {
            kept.push(sectors[..n].to_vec());
            kept.push(sectors[n..].to_vec());
            kept.push(vec![sectors[n].clone()]);
            kept.push([&sectors[..n], &sectors[n + 1..]].concat());
        }
    }
    // Prefixes that end within a sector; the first byte alone, and all but the last.
    let within = |sector: &Range<usize>| (sector.start + bytes..sector.end).step_by(bytes);
    kept.extend(sectors.iter().flat_map(within).chain([1, length - 1]).map(|end| vec![0..end]));
    // One sector in part, all others whole.
    for (n, sector) in sectors.iter().enumerate() {
        let first = (sector.len() > PART_BYTES).then_some(sector.start + PART_BYTES);
        for end in first.into_iter().chain(within(sector)) {
            let part = sector.start..end;
            kept.push([&sectors[..n], std::slice::from_ref(&part), &sectors[n + 1..]].concat());
        }
    }
    kept
}

/// Sectors lie where they lie in the file, not where the write begins.
fn sectors(at: usize, length: usize) -> Vec<Range<usize>> {
    let mut sectors = Vec::new();
    let mut from = 0;
    while from < length {
        let to = length.min(from + SECTOR_BYTES - (at + from) % SECTOR_BYTES);
        sectors.push(from..to);
        from = to;
    }
    sectors
}

#[test]
fn a_write_over_three_sectors_is_torn_in_every_way() {
    let kept = tears(400, 800, 256);
    assert_eq!(sectors(400, 800), [0..112, 112..624, 624..800]);
    let subsets: [Kept; 8] = [
        vec![],
        vec![0..800],
        vec![0..112],
        vec![112..624],
        vec![0..112, 112..624],
        vec![624..800],
        vec![0..112, 624..800],
        vec![112..624, 624..800],
    ];
    assert_eq!(kept[..8], subsets);
    assert_eq!(kept[8..11], [vec![0..368], vec![0..1], vec![0..799]]);
    let in_part: [Kept; 4] = [
        vec![0..64, 112..624, 624..800],
        vec![0..112, 112..176, 624..800],
        vec![0..112, 112..368, 624..800],
        vec![0..112, 112..624, 624..688],
    ];
    assert_eq!(kept[11..], in_part);
}
