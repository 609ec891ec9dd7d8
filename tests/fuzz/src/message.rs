//! The judge of both message decoders.

use std::fmt::Debug;

use driftlog_proto::limits::MESSAGE_BYTES_MAX;
use driftlog_proto::message::{Message, decode, encode};

use crate::{memory, mend};

/// Decodes bytes as they are (first byte odd) or with the right checksum (even), and asserts that
/// - decoding takes no memory;
/// - what is decoded encodes again, into no more bytes than it came in, and comes back the same.
///
/// Returns the message and its tail, for what only one of them promises.
///
/// # Panics
/// When one of these is not so.
#[must_use]
pub fn judge<M: Message + PartialEq + Debug>(data: &[u8]) -> Option<(M, Vec<u8>)> {
    let (mode, bytes) = data.split_first()?;
    let bytes = if mode & 1 == 1 { bytes.to_vec() } else { mend::message::<M>(bytes) };
    let (message, tail) = memory::within(0, "decoding", || decode::<M>(&bytes)).ok()?;
    let mut again = vec![0; MESSAGE_BYTES_MAX];
    let length = encode(&message, tail, &mut again).expect("what was decoded fits");
    assert!(length <= bytes.len(), "{length} bytes out of {}", bytes.len());
    assert_eq!(decode::<M>(&again[..length]), Ok((message, tail)), "not the same again");
    let (message, tail) = decode::<M>(&again[..length]).ok()?;
    Some((message, tail.to_vec()))
}
