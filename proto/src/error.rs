//! Errors, named by who must act: the bytes ([`Malformed`]) or the caller ([`Misuse`]).
//! What a peer does against the protocol with well-formed bytes is a
//! a verdict of the receiver, not an error.

use core::fmt;

/// The bytes are not what they claim to be. Nothing was changed by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// They end before what they announce.
    Truncated,
    /// There is more than they announce.
    TrailingBytes,
    /// A version that this build does not speak.
    Version(u8),
    /// The checksum does not match.
    Checksum,
    /// Not a message of this version: an unknown variant, a bad integer, text that is not UTF-8.
    Encoding,
    /// A named limit of [`limits`](crate::limits) is exceeded.
    Limit(&'static str),
    /// Not a device id: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    DeviceId,
    /// A record number that is not below 2^53.
    Seq,
    /// A run that is 0, or the origin where a run is needed.
    Run,
    /// A gap or a list of starts whose numbers run backwards.
    Order,
    /// A codec number that this build does not know.
    Codec(u8),
    /// A block that refers to others, without them.
    Reference,
    /// A compressed payload that does not decompress to the announced length.
    Compression,
    /// A block whose columns contradict each other or the header.
    Columns(&'static str),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the bytes end too early"),
            Self::TrailingBytes => f.write_str("there are bytes after the end"),
            Self::Version(v) => write!(f, "unknown version {v}"),
            Self::Checksum => f.write_str("the checksum does not match"),
            Self::Encoding => f.write_str("not a known message"),
            Self::Limit(name) => write!(f, "over the limit {name}"),
            Self::DeviceId => f.write_str("not a device id (1 to 64 of A-Z a-z 0-9 . _ -)"),
            Self::Seq => f.write_str("a record number that is not below 2^53"),
            Self::Run => f.write_str("a run that is 0"),
            Self::Order => f.write_str("places that run backwards"),
            Self::Codec(c) => write!(f, "unknown codec {c}"),
            Self::Reference => f.write_str("the blocks that it refers to are not there"),
            Self::Compression => f.write_str("the payload does not decompress to its announced length"),
            Self::Columns(which) => write!(f, "the column {which} contradicts the header"),
        }
    }
}

impl core::error::Error for Malformed {}

/// The caller asked for something that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misuse {
    /// The buffer is too small for what is to be written.
    BufferTooSmall,
    /// A value is over a named limit of [`limits`](crate::limits).
    Limit(&'static str),
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BufferTooSmall => f.write_str("the buffer is too small"),
            Self::Limit(name) => write!(f, "over the limit {name}"),
        }
    }
}

impl core::error::Error for Misuse {}

pub(crate) fn decoding(error: postcard::Error) -> Malformed {
    match error {
        postcard::Error::DeserializeUnexpectedEnd => Malformed::Truncated,
        _ => Malformed::Encoding,
    }
}

pub(crate) fn encoding(_: postcard::Error) -> Misuse {
    Misuse::BufferTooSmall
}
