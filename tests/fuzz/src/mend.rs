//! Puts checksums right, so that changed bytes get as far as what stands behind them.

use driftlog_proto::checksum::{crc32c, crc32c_seeded};
use driftlog_proto::ids::Chain;
use driftlog_proto::message::{Message, PROTOCOL_VERSION};

/// A message around these bytes: version, the right checksum over as much of them as is a head.
#[must_use]
pub fn message<M: Message>(bytes: &[u8]) -> Vec<u8> {
    let tail = postcard::take_from_bytes::<M>(bytes).map_or(&[][..], |(_, tail)| tail);
    let head = &bytes[..bytes.len() - tail.len()];
    let checksum = crc32c_seeded(u32::from(PROTOCOL_VERSION), &[head]);
    [&[PROTOCOL_VERSION][..], &checksum.to_le_bytes(), bytes].concat()
}

/// These bytes with the right checksum behind them: a sealed item, perhaps.
#[must_use]
pub fn item(bytes: &[u8]) -> Vec<u8> {
    [bytes, &crc32c(bytes).to_le_bytes()].concat()
}

/// What of a segment file is put right (bits).
pub const HEADERS: u8 = 1;
/// Frame headers, and the checksums of items and tails in them.
pub const FRAMES: u8 = 2;
/// The checksums that sealed items end with, and the chains that follow from them.
pub const ITEMS: u8 = 4;

const HEADER_BYTES: usize = 512;
const FRAMES_AT: usize = 1024;
const FRAME_BYTES: usize = 64;

/// Puts right what `what` says of a segment file (docs/spool-format.md has the tables).
pub fn segment(file: &mut [u8], what: u8) {
    if what & HEADERS != 0 {
        for at in [0, HEADER_BYTES] {
            let Some(copy) = file.get_mut(at..at + HEADER_BYTES) else { break };
            copy[..8].copy_from_slice(b"driftspl");
            copy[8..10].copy_from_slice(&1u16.to_le_bytes());
            put(copy, HEADER_BYTES - 4, crc32c(&copy[..HEADER_BYTES - 4]));
        }
    }
    if what & (FRAMES | ITEMS) != 0 && file.len() >= FRAMES_AT {
        let (salt, index) = (number(file, 12), number(file, 16));
        let mut at = FRAMES_AT;
        while let Some(bytes) = frame(file, at, (salt, index), what) {
            at = (at + bytes).next_multiple_of(16);
        }
    }
}

/// Mends the frame at `at` and returns its bytes; `None` where there is none.
fn frame(file: &mut [u8], at: usize, (salt, index): (u32, u32), what: u8) -> Option<usize> {
    let header = file.get(at..at + FRAME_BYTES)?;
    if !matches!(header[24], 1 | 2) {
        return None;
    }
    let start = usize::from(u16::from_le_bytes([header[26], header[27]]));
    let block = number(header, 28) as usize;
    let tail = number(header, 32) as usize;
    let bytes = FRAME_BYTES.checked_add(start)?.checked_add(block)?.checked_add(tail)?;
    let frame = file.get_mut(at..at.checked_add(bytes)?)?;
    let (header, body) = frame.split_at_mut(FRAME_BYTES);
    let (items, tail) = body.split_at_mut(start + block);
    let (start, block) = items.split_at_mut(start);
    if what & ITEMS != 0 {
        for item in [&mut *start, &mut *block] {
            if let Some(end) = item.len().checked_sub(4) {
                put(item, end, crc32c(&item[..end]));
                header[56..64].copy_from_slice(&Chain::after(item).0.to_le_bytes());
            }
        }
    }
    if what & FRAMES != 0 {
        put(header, 4, crc32c_seeded(salt, &[start, block]));
        put(header, 8, crc32c_seeded(salt, &[tail]));
        put(header, 12, index);
        put(header, 16, at as u32);
        put(header, 0, crc32c_seeded(salt, &[&header[4..]]));
    }
    Some(bytes)
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]))
}

fn put(bytes: &mut [u8], at: usize, number: u32) {
    bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
}
