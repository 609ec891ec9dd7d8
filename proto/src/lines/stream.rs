//! Bytes one after another, in a fixed piece of memory.

use super::Full;
use crate::varint::Varint;

/// Bytes that are copied at once where there is room, whatever few are wanted: short copies of one
/// length are the cheapest.
pub(super) const STRIDE: usize = 16;

/// Copies the first `count` of `from` to the beginning of `to`, where what lies behind them may
/// be overwritten. `None` when there are not as many.
pub(super) fn copy(from: &[u8], to: &mut [u8], count: usize) -> Option<()> {
    match (to.first_chunk_mut::<STRIDE>(), from.first_chunk::<STRIDE>()) {
        (Some(to), Some(from)) if count <= STRIDE => *to = *from,
        _ => to.get_mut(..count)?.copy_from_slice(from.get(..count)?),
    }
    Some(())
}

/// At most `N` bytes.
pub(super) struct Stream<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Stream<N> {
    pub(super) const fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    pub(super) fn push(&mut self, byte: u8) -> Result<(), Full> {
        *self.bytes.get_mut(self.len).ok_or(Full)? = byte;
        self.len += 1;
        Ok(())
    }

    /// Appends the first `count` of `from`.
    pub(super) fn append(&mut self, from: &[u8], count: usize) -> Result<(), Full> {
        copy(from, self.bytes.get_mut(self.len..).ok_or(Full)?, count).ok_or(Full)?;
        self.len += count;
        Ok(())
    }

    pub(super) fn append_varint(&mut self, number: u64) -> Result<(), Full> {
        let varint = Varint::new(number);
        self.append(varint.bytes(), varint.bytes().len())
    }
}
