//! How far a file was read, as it lies in the spool beside the records.
//!
//! A cursor is found again by what it names (file system, inode, when the file was made) and
//! believed only when the bytes agree (head, and the bytes just before the offset). Layout:
//! `docs/sources.md`, "The cursor on flash". A changed layout is a new version.

use driftlog_proto::ids::BootId;
use serde::{Deserialize, Serialize};

use super::files::Stat;
use super::fingerprint::{Anchor, Anchors, Fnv, Head};
use super::line::Within;

/// The version of a cursor's bytes.
const CURSOR_VERSION: u8 = 2;
/// Bytes of a cursor.
pub const CURSOR_BYTES_MAX: usize = 1024;

/// The place in a file after which nothing was read yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// Where the file was last seen.
    pub(crate) path: String,
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    /// When it was made; 0 if the file system does not say.
    pub(crate) born: u64,
    /// When it had last been written when it was first seen: what was written later may be its copy.
    pub(crate) written: u64,
    /// The boot in which it was last read: within one boot a file never loses bytes by itself.
    pub(crate) boot: BootId,
    pub(crate) within: Within,
    pub(crate) head: Head,
    /// The offset, and the bytes before it.
    pub(crate) here: Anchor,
    /// Earlier ends of lines, for a file that became shorter in a power cut.
    pub(crate) earlier: Anchors,
}

impl Cursor {
    /// At the beginning of a file.
    pub(crate) fn start(path: String, stat: &Stat, boot: BootId) -> Self {
        Self {
            path,
            dev: stat.dev,
            ino: stat.ino,
            born: stat.born,
            written: stat.written,
            boot,
            within: Within::Start,
            head: Head::EMPTY,
            here: Anchor::START,
            earlier: Anchors::default(),
        }
    }

    /// Writes the cursor and returns its bytes.
    pub(crate) fn encode<'a>(&self, buf: &'a mut [u8; CURSOR_BYTES_MAX]) -> &'a [u8] {
        let (version, rest) = buf.split_at_mut(1);
        version.fill(CURSOR_VERSION);
        let length = postcard::to_slice(self, rest)
            .expect(
                "a path within PATH_BYTES_MAX and bounded lists: the longest cursor fits, as a test shows",
            )
            .len();
        buf.get(..=length).unwrap_or_default()
    }

    /// Reads a cursor; `None` if it is not one of this version.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        if *version != CURSOR_VERSION {
            return None;
        }
        let (cursor, rest): (Self, _) = postcard::take_from_bytes(rest).ok()?;
        let is_sound = rest.is_empty()
            && cursor.path.len() <= driftlog_proto::limits::PATH_BYTES_MAX
            && match cursor.within {
                Within::Line { begun, .. } => begun < cursor.here.offset,
                Within::Start | Within::Cut => true,
            };
        is_sound.then_some(cursor)
    }

    /// Whether a file may be this one, by what the file system says. Device numbers are not kept
    /// over a reboot.
    pub(crate) fn may_be(&self, stat: &Stat, boot: BootId) -> bool {
        self.ino == stat.ino
            && (self.dev == stat.dev || self.boot != boot)
            && (self.born == stat.born || self.born == 0 || stat.born == 0)
    }
}

/// The key of a file: from what is the same at every first reading of it, so that a restart before
/// its first cursor is sealed finds the same key. What a file holds once it was truncated is told apart by
/// the key of what it held before, which stands before its first line; `generation` tells apart what is
/// known and has equal beginnings for all that.
pub(crate) fn file_key(stat: (u64, u64), first_line: &[u8], generation: u64) -> u64 {
    let hash = Fnv::EMPTY.and_number(stat.0).and_number(stat.1).and_number(generation).and(first_line);
    hash.mixed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn longest() -> Cursor {
        let mut earlier = Anchors::default();
        for n in 0..20 {
            earlier.push(Anchor::at(u64::MAX - 100 + n, &[n as u8; 64]));
        }
        Cursor {
            path: "p".repeat(driftlog_proto::limits::PATH_BYTES_MAX),
            dev: u64::MAX,
            ino: u64::MAX,
            born: u64::MAX,
            written: u64::MAX,
            boot: BootId([0xff; 16]),
            within: Within::Line { begun: u64::MAX - 1, severity: 24 },
            head: Head::of(&[7; 2000]),
            here: Anchor::at(u64::MAX, &[9; 64]),
            earlier,
        }
    }

    #[test]
    fn the_longest_cursor_fits_and_comes_back_as_it_was() {
        let cursor = longest();
        let mut buf = [0; CURSOR_BYTES_MAX];
        let bytes = cursor.encode(&mut buf);
        assert_eq!(Cursor::decode(bytes), Some(cursor));
    }

    #[test]
    fn a_cursor_that_is_cut_short_or_of_another_version_is_no_cursor() {
        let mut buf = [0; CURSOR_BYTES_MAX];
        let bytes = longest().encode(&mut buf).to_vec();
        for n in 0..bytes.len() {
            assert_eq!(Cursor::decode(&bytes[..n]), None, "cut at {n}");
        }
        let mut other = bytes.clone();
        other[0] = 1;
        assert_eq!(Cursor::decode(&other), None);
        let mut more = bytes;
        more.push(0);
        assert_eq!(Cursor::decode(&more), None);
    }

    #[test]
    fn a_cursor_has_these_bytes() {
        let stat = Stat {
            kind: super::super::files::Kind::File,
            dev: 2049,
            ino: 12,
            born: 0,
            len: 0,
            written: 7,
            links: 1,
        };
        let mut cursor = Cursor::start("/a".into(), &stat, BootId([1; 16]));
        cursor.head = Head::of(b"x\n");
        cursor.here = Anchor::at(2, b"x\n");
        cursor.earlier.push(cursor.here);
        let mut buf = [0; CURSOR_BYTES_MAX];
        let hex: String = cursor.encode(&mut buf).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "02022f6181100c0007\
             01010101010101010101010101010101\
             000297d6b4acfbc0b7f8080297d6b4acfbc0b7f808010297d6b4acfbc0b7f808"
        );
    }

    #[test]
    fn keys_differ_by_inode_birth_first_line_and_generation() {
        let key = file_key((1, 2), b"line", 0);
        assert_eq!(key, file_key((1, 2), b"line", 0));
        for other in [
            file_key((2, 2), b"line", 0),
            file_key((1, 3), b"line", 0),
            file_key((1, 2), b"lines", 0),
            file_key((1, 2), b"line", 1),
        ] {
            assert_ne!(key, other);
        }
    }
}
