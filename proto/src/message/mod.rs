//! What is said between a device and its gateway.
//!
//! ```text
//! offset  size      what
//! 0       1         version (1)
//! 1       4         CRC-32C of the version and the head, little endian
//! 5       variable  head: postcard of the enum Up or Down
//! …       variable  tail: for Up::Item the sealed item, which carries its own checksum; else empty
//! ```
//!
//! Topics: `driftlog/v1/<shard>/<device>/up`, `…/ack` (retained) and `…/down`.

mod down;
mod up;

pub use down::{Ack, AckLane, Ask, Down, Echo, Nack, NackReason, Range, Refusal};
pub use up::{Beat, BeatLane, Hello, HelloLane, Item, Labels, Reading, Returned, Told, Up};

use serde::{Serialize, de::DeserializeOwned};

use crate::checksum::crc32c_seeded;
use crate::error::{Malformed, Misuse, decoding, encoding};
use crate::limits::MESSAGE_BYTES_MAX;

/// The version of every message, and the highest that this build speaks.
pub const PROTOCOL_VERSION: u8 = 1;
/// Version and checksum before the head.
const PREFIX_BYTES: usize = 5;

/// A message: `Up` or `Down`.
pub trait Message: Serialize + DeserializeOwned {
    /// Whether bytes may follow the head.
    fn has_tail(&self) -> bool;
    /// Checks what the encoding alone cannot.
    ///
    /// # Errors
    /// [`Malformed`]: which claim is not kept.
    fn check(&self) -> Result<(), Malformed>;
}

/// Writes a message and its tail into `out` and returns its length in bytes.
///
/// # Errors
/// [`Misuse::BufferTooSmall`] when `out` is too small, [`Misuse::Limit`] when the message would
/// pass [`MESSAGE_BYTES_MAX`].
pub fn encode<M: Message>(message: &M, tail: &[u8], out: &mut [u8]) -> Result<usize, Misuse> {
    let (prefix, rest) = out.split_at_mut_checked(PREFIX_BYTES).ok_or(Misuse::BufferTooSmall)?;
    let head = postcard::to_slice(message, rest).map_err(encoding)?;
    let checksum = crc32c_seeded(u32::from(PROTOCOL_VERSION), &[head]).to_le_bytes();
    for (to, from) in prefix.iter_mut().zip([PROTOCOL_VERSION].into_iter().chain(checksum)) {
        *to = from;
    }
    let at = PREFIX_BYTES + head.len();
    let end = at.checked_add(tail.len()).ok_or(Misuse::BufferTooSmall)?;
    if end > MESSAGE_BYTES_MAX {
        return Err(Misuse::Limit("MESSAGE_BYTES_MAX"));
    }
    out.get_mut(at..end).ok_or(Misuse::BufferTooSmall)?.copy_from_slice(tail);
    Ok(end)
}

/// Reads a message and its tail.
///
/// # Errors
/// [`Malformed`]: which of the bytes' claims is not kept.
pub fn decode<M: Message>(bytes: &[u8]) -> Result<(M, &[u8]), Malformed> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(Malformed::Limit("MESSAGE_BYTES_MAX"));
    }
    let (&version, rest) = bytes.split_first().ok_or(Malformed::Truncated)?;
    if version != PROTOCOL_VERSION {
        return Err(Malformed::Version(version));
    }
    let (checksum, rest) = rest.split_first_chunk::<4>().ok_or(Malformed::Truncated)?;
    let (message, tail): (M, &[u8]) = postcard::take_from_bytes(rest).map_err(decoding)?;
    let head =
        rest.len().checked_sub(tail.len()).and_then(|at| rest.get(..at)).ok_or(Malformed::Truncated)?;
    if crc32c_seeded(u32::from(PROTOCOL_VERSION), &[head]).to_le_bytes() != *checksum {
        return Err(Malformed::Checksum);
    }
    if !tail.is_empty() && !message.has_tail() {
        return Err(Malformed::TrailingBytes);
    }
    message.check()?;
    Ok((message, tail))
}
