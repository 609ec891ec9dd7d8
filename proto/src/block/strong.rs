//! The strong codec: the bodies as the streams of [`lines`](crate::lines), beside the other
//! columns.
//!
//! ```text
//! four varints   bytes of the text, the same as it stands here, bytes of the rest, the same as
//!                it stands here
//! text           the text of the lines
//! rest           the lengths of the columns, the columns but the bodies, the symbols of the lines
//! bits           the bits of the lines, to the end of the payload
//! ```
//!
//! Text and rest are each a zstd frame without its magic number where that makes them fewer bytes.
//! What comes out is the columns as the plain codec has them, and is checked as they are.

use alloc::boxed::Box;
use alloc::vec;

use super::pack::Packer;
use super::{COLUMNS, Codec, Column, Compress, Decompress, Frame, LENGTHS_BYTES_MAX, Packed};
use crate::error::{Malformed, Misuse};
use crate::limits::{PAYLOAD_BYTES_MAX, RAW_BYTES_MAX};
use crate::lines::{Decoder, Encoder, SYMBOLS_BYTES_MAX, Streams, TEXT_BYTES_MAX};
use crate::varint::{self, Varint};

/// Bytes of the rest before compression.
const REST_BYTES_MAX: usize = RAW_BYTES_MAX + SYMBOLS_BYTES_MAX;
/// Bytes of the four lengths in front, each below 2^21.
const HEAD_BYTES_MAX: usize = 4 * 3;

const _: () = assert!(TEXT_BYTES_MAX < 1 << 21 && REST_BYTES_MAX < 1 << 21, "a length must fit three bytes");

/// What is needed to unpack blocks, made once: about 500 KiB.
pub struct Scratch {
    pub(super) columns: Box<[u8]>,
    text: Box<[u8]>,
    rest: Box<[u8]>,
    decoder: Box<Decoder>,
}

impl Scratch {
    /// Takes the memory.
    #[must_use]
    pub fn new() -> Self {
        Self {
            columns: vec![0; RAW_BYTES_MAX].into(),
            text: vec![0; TEXT_BYTES_MAX].into(),
            rest: vec![0; REST_BYTES_MAX].into(),
            decoder: Box::new(Decoder::new()),
        }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Packer<B> {
    /// Writes the block's payload in the strong codec to the beginning of `out`. `None` when its
    /// lines do not fit the `encoder`'s streams, or when the payload would be no smaller than the
    /// columns or than `out`. The records stay until [`open`](Self::open).
    ///
    /// # Errors
    /// [`Misuse::Limit`] when there is no record.
    pub fn pack_strong<C: Compress + ?Sized>(
        &self,
        encoder: &mut Encoder,
        compress: &mut C,
        out: &mut [u8],
    ) -> Result<Option<Packed>, Misuse> {
        if self.is_empty() {
            return Err(Misuse::Limit("BLOCK_RECORDS_MAX"));
        }
        let raw_bytes = self.raw_bytes();
        let raw = u32::try_from(raw_bytes).map_err(|_| Misuse::Limit("RAW_BYTES_MAX"))?;
        let mut lengths = [0; LENGTHS_BYTES_MAX];
        let [lengths, sources, bodies, others @ ..] = self.parts(&mut lengths)?;
        let Ok(streams) = encoder.encode(bodies) else { return Ok(None) };
        let [a, b, c, d, e, f] = others;
        let rest = [lengths, sources, a, b, c, d, e, f, streams.symbols];
        let room = out.len().min(raw_bytes.saturating_sub(1)).min(PAYLOAD_BYTES_MAX);
        let bytes = out.get_mut(..room).and_then(|out| write(&streams, &rest, compress, out));
        Ok(bytes.map(|bytes| Packed { codec: Codec::Strong, raw_bytes: raw, bytes }))
    }
}

/// Bytes of the payload; `None` when it does not fit.
fn write<C: Compress + ?Sized>(
    streams: &Streams<'_>,
    rest: &[&[u8]],
    compress: &mut C,
    out: &mut [u8],
) -> Option<usize> {
    // The frames first, behind where the head is longest; then all comes together.
    let text_packed = frame(&[streams.text], compress, out.get_mut(HEAD_BYTES_MAX..)?)?;
    let rest_packed = frame(rest, compress, out.get_mut(HEAD_BYTES_MAX + text_packed..)?)?;
    let rest_bytes: usize = rest.iter().map(|part| part.len()).sum();
    let mut head = 0;
    for length in [streams.text.len(), text_packed, rest_bytes, rest_packed] {
        let varint = Varint::new(length as u64);
        let end = head + varint.bytes().len();
        out.get_mut(head..end)?.copy_from_slice(varint.bytes());
        head = end;
    }
    let frames = HEAD_BYTES_MAX..HEAD_BYTES_MAX + text_packed + rest_packed;
    let end = head + frames.len();
    out.copy_within(frames, head);
    let bytes = end + streams.bits.len();
    out.get_mut(end..bytes)?.copy_from_slice(streams.bits);
    Some(bytes)
}

/// Writes the parts compressed, or as they are when that is no more.
fn frame<C: Compress + ?Sized>(parts: &[&[u8]], compress: &mut C, out: &mut [u8]) -> Option<usize> {
    let bytes: usize = parts.iter().map(|part| part.len()).sum();
    let room = out.len().min(bytes.saturating_sub(1));
    if let Some(packed) = compress.compress(Frame::Bare, parts, out.get_mut(..room)?) {
        return Some(packed);
    }
    let mut rest = out;
    for part in parts {
        let (to, after) = rest.split_at_mut_checked(part.len())?;
        to.copy_from_slice(part);
        rest = after;
    }
    Some(bytes)
}

/// Makes the columns of a payload and returns them, `raw_bytes` long.
pub(super) fn unpack<'a, D: Decompress + ?Sized>(
    raw_bytes: usize,
    payload: &[u8],
    decompress: &mut D,
    scratch: &'a mut Scratch,
) -> Result<&'a [u8], Malformed> {
    let Scratch { columns, text, rest, decoder } = scratch;
    let mut payload = payload;
    let mut length = || varint::take(&mut payload).and_then(|length| usize::try_from(length).ok());
    let lengths = [length(), length(), length(), length()].map(|length| length.ok_or(Malformed::Truncated));
    let [text_bytes, text_packed, rest_bytes, rest_packed] = lengths;
    let (text_frame, payload) = payload.split_at_checked(text_packed?).ok_or(Malformed::Truncated)?;
    let (rest_frame, bits) = payload.split_at_checked(rest_packed?).ok_or(Malformed::Truncated)?;
    let text = text.get_mut(..text_bytes?).ok_or(Malformed::Limit("TEXT_BYTES_MAX"))?;
    let rest = rest.get_mut(..rest_bytes?).ok_or(Malformed::Limit("REST_BYTES_MAX"))?;
    open(text_frame, text, decompress)?;
    open(rest_frame, rest, decompress)?;
    let columns = columns.get_mut(..raw_bytes).ok_or(Malformed::Limit("RAW_BYTES_MAX"))?;
    columns_of(text, rest, bits, decoder, columns)?;
    Ok(columns)
}

/// Fills `to` with what a frame holds.
fn open<D: Decompress + ?Sized>(frame: &[u8], to: &mut [u8], decompress: &mut D) -> Result<(), Malformed> {
    if frame.len() == to.len() {
        to.copy_from_slice(frame);
        return Ok(());
    }
    let is_whole = decompress.decompress(Frame::Bare, frame, to) == Some(to.len());
    is_whole.then_some(()).ok_or(Malformed::Compression)
}

/// Fills `out` with the columns as the plain codec has them.
fn columns_of(
    text: &[u8],
    rest: &[u8],
    bits: &[u8],
    decoder: &mut Decoder,
    out: &mut [u8],
) -> Result<(), Malformed> {
    let mut symbols = rest;
    let mut lengths = [0; COLUMNS];
    for length in &mut lengths {
        let bytes = varint::take(&mut symbols).and_then(|length| usize::try_from(length).ok());
        *length = bytes.ok_or(Malformed::Truncated)?;
    }
    let (head, _) = rest.split_at_checked(rest.len() - symbols.len()).ok_or(Malformed::Truncated)?;
    let mut out = out;
    put(&mut out, head)?;
    let mut bodies = &mut [][..];
    for (column, length) in Column::ALL.into_iter().zip(lengths) {
        if column == Column::Bodies {
            bodies = out.split_off_mut(..length).ok_or(Malformed::Truncated)?;
        } else {
            let (bytes, behind) = symbols.split_at_checked(length).ok_or(Malformed::Truncated)?;
            put(&mut out, bytes)?;
            symbols = behind;
        }
    }
    if !out.is_empty() {
        return Err(Malformed::Truncated);
    }
    decoder.decode(&Streams { text, symbols, bits }, bodies)
}

fn put(out: &mut &mut [u8], bytes: &[u8]) -> Result<(), Malformed> {
    let to = out.split_off_mut(..bytes.len()).ok_or(Malformed::Columns("bodies"))?;
    to.copy_from_slice(bytes);
    Ok(())
}
