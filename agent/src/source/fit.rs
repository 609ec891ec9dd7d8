//! Holding a file's bytes against what was read of it.

use super::cursor::Cursor;
use super::files::{FileError, Files};
use super::fingerprint::{ANCHOR_BYTES_MAX, Anchor, HEAD_BYTES_MAX, Head};

/// How a file's bytes fit a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// Everything up to the cursor is as it was read.
    Whole,
    /// The cursor's bytes are gone or changed; up to this end of a line they are as they were.
    UpTo(Anchor),
    /// Nothing agrees.
    Not,
}

/// Holds a file's bytes against a cursor.
pub(crate) fn fit<F: Files>(
    files: &mut F,
    handle: &F::Handle,
    len: u64,
    cursor: &Cursor,
) -> Result<Fit, FileError> {
    let mut head = [0; HEAD_BYTES_MAX];
    let n = files.read_at(handle, 0, &mut head)?;
    let head = head.get(..n).unwrap_or_default();
    let known = usize::from(cursor.head.bytes);
    // A file shorter than its head, 1,024 bytes at most, is not worth the risk of a wrong guess.
    if head.get(..known).is_none_or(|head| Head::of(head) != cursor.head) {
        return Ok(Fit::Not);
    }
    if agrees(files, handle, len, &cursor.here)? {
        return Ok(Fit::Whole);
    }
    for anchor in cursor.earlier.newest_first().filter(|anchor| anchor.offset < cursor.here.offset) {
        if agrees(files, handle, len, anchor)? {
            return Ok(Fit::UpTo(*anchor));
        }
    }
    let known = usize::try_from(cursor.here.offset).map_or(known, |offset| known.min(offset));
    let last_line = head.get(..known).and_then(|head| head.iter().rposition(|byte| *byte == b'\n'));
    Ok(match last_line.and_then(|end| head.get(..=end)) {
        Some(before) => Fit::UpTo(Anchor::at(before.len() as u64, before)),
        None => Fit::Not,
    })
}

/// Whether everything up to a cursor is as it was read.
pub(crate) fn holds<F: Files>(
    files: &mut F,
    handle: &F::Handle,
    len: u64,
    cursor: &Cursor,
) -> Result<bool, FileError> {
    Ok(agrees(files, handle, len, &cursor.here)? && has_same_head(files, handle, cursor))
}

/// Whether a file begins as it did: bytes may repeat before a cursor, but hardly at the head too.
/// What cannot be read now shows at the next reading.
pub(crate) fn has_same_head<F: Files>(files: &mut F, handle: &F::Handle, cursor: &Cursor) -> bool {
    let mut head = [0; HEAD_BYTES_MAX];
    let head = head.get_mut(..cursor.head.bytes.into()).unwrap_or_default();
    match files.read_at(handle, 0, head) {
        Ok(n) => n == head.len() && Head::of(head) == cursor.head,
        Err(_) => true,
    }
}

fn agrees<F: Files>(files: &mut F, handle: &F::Handle, len: u64, anchor: &Anchor) -> Result<bool, FileError> {
    let reach = Anchor::reach(anchor.offset);
    let mut bytes = [0; ANCHOR_BYTES_MAX];
    let Some(bytes) = bytes.get_mut(..reach).filter(|_| anchor.offset <= len) else { return Ok(false) };
    let n = files.read_at(handle, anchor.offset - reach as u64, bytes)?;
    Ok(n == reach && Anchor::at(anchor.offset, bytes) == *anchor)
}

/// Whether a file of `len` bytes holds what an open file holds up to there: its first and its last
/// 1,024 bytes are compared.
pub(crate) fn is_beginning_of<F: Files>(
    files: &mut F,
    copy: &F::Handle,
    len: u64,
    original: &F::Handle,
) -> Result<bool, FileError> {
    if files.stat_open(original)?.len < len {
        return Ok(false);
    }
    let n = usize::try_from(len).map_or(HEAD_BYTES_MAX, |len| len.min(HEAD_BYTES_MAX));
    for offset in [0, len - n as u64] {
        let (mut a, mut b) = ([0; HEAD_BYTES_MAX], [0; HEAD_BYTES_MAX]);
        let read_a = files.read_at(copy, offset, a.get_mut(..n).unwrap_or_default())?;
        let read_b = files.read_at(original, offset, b.get_mut(..n).unwrap_or_default())?;
        if (read_a, read_b) != (n, n) || a != b {
            return Ok(false);
        }
    }
    Ok(true)
}
