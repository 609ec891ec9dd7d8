//! CRC-32C (Castagnoli, RFC 3720 section 12.1), plain and seeded.

use crc::{CRC_32_ISCSI, Crc, Table};

static CRC32C: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// CRC-32C of `bytes`.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    CRC32C.checksum(bytes)
}

/// CRC-32C of the parts one after another, begun from `seed` instead of the standard start
/// value: the same bytes under another seed have another checksum.
#[must_use]
pub fn crc32c_seeded(seed: u32, parts: &[&[u8]]) -> u32 {
    let mut digest = CRC32C.digest_with_initial(seed);
    for part in parts {
        digest.update(part);
    }
    digest.finalize()
}
