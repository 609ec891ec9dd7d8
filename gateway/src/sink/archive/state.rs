//! What the ledger knows of the archive, and how its files are named.
//!
//! ```text
//! key                        value (a version byte, then postcard)
//! archive/id                 the archive's id: 16 bytes, without version
//! archive/state              Head: the next file's number, the open file and its committed length
//! archive/file/<12 digits>   Closed: day, length, compressed length, whether it is leaving
//! ```
//!
//! A file's number is counted over the whole archive and says the order; its folder says the UTC
//! day on which the first of it was received. (The two orders differ only where the gateway's
//! clock was set back.)

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::ledger::Write;
use crate::sink::ecs::time::Day;

/// The archive's name among the sinks, and the prefix of its keys in the ledger.
pub const ARCHIVE: &str = "archive";
/// The key of the archive's id.
pub const ID_KEY: &[u8] = b"archive/id";
/// The key of [`Head`].
pub const HEAD_KEY: &[u8] = b"archive/state";
/// The prefix of the keys of [`Closed`].
pub const CLOSED_PREFIX: &[u8] = b"archive/file/";
/// The file that carries the archive's id.
pub const ID_FILE: &str = "ID";
/// The version of the values.
const VERSION: u8 = 1;

/// What ties an archive and a ledger together: random, made once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchiveId(pub [u8; 16]);

impl std::fmt::Display for ArchiveId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl ArchiveId {
    /// Reads what stands in the file `ID`.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?.trim_end();
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(|id| Self(id.to_be_bytes()))
    }
}

/// How a file's bytes are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stored {
    /// As lines.
    Plain,
    /// Compressed with zstd.
    Zstd,
}

/// Which file: its number and day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileName {
    /// Counted over the whole archive, from 1.
    pub number: u64,
    /// The UTC day of its first entry's arrival.
    pub day: Day,
}

impl FileName {
    /// Its path below the archive.
    #[must_use]
    pub fn path(self, stored: Stored) -> String {
        let end = if stored == Stored::Zstd { ".zst" } else { "" };
        format!("{}/{:06}.ndjson{end}", self.day, self.number)
    }

    /// Its path while it is being compressed.
    #[must_use]
    pub(crate) fn part_path(self) -> String {
        format!("{}.part", self.path(Stored::Zstd))
    }

    /// Reads a path; `None` for what is not a file of an archive.
    #[must_use]
    pub fn parse(path: &str) -> Option<(Self, FileKind)> {
        let (folder, file) = path.split_once('/')?;
        let day = Day::parse(folder)?;
        let (number, end) = file.split_once('.')?;
        let kind = match end {
            "ndjson" => FileKind::Whole(Stored::Plain),
            "ndjson.zst" => FileKind::Whole(Stored::Zstd),
            "ndjson.zst.part" => FileKind::Part,
            _ => return None,
        };
        if number.len() < 6 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some((Self { number: number.parse().ok()?, day }, kind))
    }
}

/// What a path's ending says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A file of the archive.
    Whole(Stored),
    /// One that is being compressed: to be ignored.
    Part,
}

/// The end of the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The number of the next file.
    pub next: u64,
    /// The file that grows, if there is one.
    pub open: Option<Open>,
}

impl Default for Head {
    fn default() -> Self {
        Self { next: 1, open: None }
    }
}

/// The file that grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Which.
    pub name: FileName,
    /// Its committed length: what lies beyond is not in the archive.
    pub bytes: u64,
}

/// A file that does not grow any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// Which.
    pub name: FileName,
    /// Bytes of its lines.
    pub bytes: u64,
    /// Bytes as compressed; `None` while it is plain.
    pub compressed_bytes: Option<u64>,
    /// Retention has given it up: it is being removed.
    pub is_leaving: bool,
}

impl Closed {
    /// How its bytes are kept.
    #[must_use]
    pub fn stored(&self) -> Stored {
        if self.compressed_bytes.is_some() { Stored::Zstd } else { Stored::Plain }
    }

    /// Bytes that it takes on the disk.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        self.compressed_bytes.unwrap_or(self.bytes)
    }

    /// The ledger's write of this.
    #[must_use]
    pub fn write(&self) -> Write {
        Write { key: Self::key(self.name.number), value: Some(encode(self)) }
    }

    /// The ledger's write that forgets it.
    #[must_use]
    pub(crate) fn forget(&self) -> Write {
        Write { key: Self::key(self.name.number), value: None }
    }

    fn key(number: u64) -> Vec<u8> {
        let mut key = CLOSED_PREFIX.to_vec();
        key.extend_from_slice(format!("{number:012}").as_bytes());
        key
    }
}

impl Head {
    /// The ledger's write of this.
    #[must_use]
    pub fn write(&self) -> Write {
        Write { key: HEAD_KEY.to_vec(), value: Some(encode(self)) }
    }
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // Encoding into a growing vector cannot fail: there is no limit to meet.
    postcard::to_extend(value, vec![VERSION]).unwrap_or_default()
}

/// Reads a value of the archive's; `None` when it is of another version or damaged.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    match bytes.split_first()? {
        (&VERSION, rest) => postcard::from_bytes(rest).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_path_says_its_day_number_and_form() {
        let name = FileName { number: 12, day: Day::parse("2026-11-23").unwrap() };
        assert_eq!(name.path(Stored::Plain), "2026-11-23/000012.ndjson");
        assert_eq!(name.path(Stored::Zstd), "2026-11-23/000012.ndjson.zst");
        for (path, kind) in [
            (name.path(Stored::Plain), FileKind::Whole(Stored::Plain)),
            (name.path(Stored::Zstd), FileKind::Whole(Stored::Zstd)),
            (name.part_path(), FileKind::Part),
        ] {
            assert_eq!(FileName::parse(&path), Some((name, kind)));
        }
        for other in ["ID", "2026-11-23/notes.txt", "cut/000001.ndjson", "2026-13-01/000001.ndjson"] {
            assert_eq!(FileName::parse(other), None, "{other}");
        }
    }

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let id = ArchiveId([0xab; 16]);
        assert_eq!(ArchiveId::parse(format!("{id}\n").as_bytes()), Some(id));
        assert_eq!(ArchiveId::parse(b"abc"), None);
    }
}
