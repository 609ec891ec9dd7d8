//! A spool's directory out of any bytes.
//!
//! ```text
//! for each file: 1 byte slot, 1 byte what is put right and how long it is, chunk: its bytes
//! ```

use driftlog_agent::spool::disk::{Disk, SimDisk};
use driftlog_agent::spool::{Durability, Overflow, SpoolConfig};
use driftlog_proto::ids::Lane;

use crate::input::{Input, put_chunk};
use crate::mend;

/// Bytes of a segment.
pub const SEGMENT_BYTES: u32 = 4096;
/// Files at most.
const FILES_MAX: usize = 8;
/// The bit that keeps a file as long as its bytes are; otherwise zeros follow up to a segment.
const EXACT: u8 = 8;

/// A small spool of the bulk lane.
#[must_use]
pub const fn config() -> SpoolConfig {
    SpoolConfig {
        lane: Lane::Bulk,
        bytes_max: 8 * SEGMENT_BYTES as u64,
        segment_bytes: SEGMENT_BYTES,
        durability: Durability::Block,
        overflow: Overflow::DropOldest,
    }
}

/// The files that an input describes, durable.
///
/// # Panics
/// When the simulated disk refuses.
#[must_use]
pub fn disk(input: &mut Input<'_>) -> SimDisk {
    let mut disk = SimDisk::new(1);
    for _ in 0..FILES_MAX {
        if input.is_empty() {
            break;
        }
        let (slot, what) = (u32::from(input.byte()), input.byte());
        let mut bytes = input.chunk().to_vec();
        mend::segment(&mut bytes, what);
        if what & EXACT == 0 {
            bytes.resize(bytes.len().max(SEGMENT_BYTES as usize), 0);
        }
        // A slot that is named twice keeps its first file.
        if disk.create(slot, bytes.len() as u64).is_ok() {
            disk.write_at(slot, 0, &bytes).expect("a simulated disk without faults");
            disk.sync(slot).expect("a simulated disk without faults");
        }
    }
    disk.sync_dir().expect("a simulated disk without faults");
    disk
}

/// An input that describes these files, everything in them put right.
#[must_use]
pub fn seed(disk: &SimDisk) -> Vec<u8> {
    let mut out = Vec::new();
    let files = disk.clone().list().unwrap_or_default();
    for (slot, _) in files.iter().take(FILES_MAX) {
        let bytes = disk.content(*slot).unwrap_or_default();
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        out.extend_from_slice(&[*slot as u8, mend::HEADERS | mend::FRAMES | mend::ITEMS]);
        put_chunk(&mut out, &bytes[..used]);
    }
    out
}
