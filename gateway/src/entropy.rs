//! Random bytes from the system.

use std::io::{self, Read};

/// Sixteen random bytes.
///
/// # Errors
/// When the system gives none.
pub(crate) fn bytes() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
