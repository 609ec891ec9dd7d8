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
//! A block that refers to others has its [`Reference`] before all this: a varint, how far back the
//! first number of the last of them is; a byte, how many; four bytes, the checksum of the last.
//!
//! Text and rest are each a zstd frame without its magic number where that makes them fewer bytes;
//! the same streams of the blocks referred to are before it, raw.
//! What comes out is the columns as the plain codec has them, and is checked as they are.

use alloc::boxed::Box;
use alloc::vec;

use super::pack::Packer;
use super::reference::{Prefix, Reference};
use super::{COLUMNS, Codec, Column, Compress, Decompress, Frame, LENGTHS_BYTES_MAX, Packed};
use crate::error::{Malformed, Misuse};
use crate::ids::Seq;
use crate::item::{self, BlockHeader, ItemHeader};
use crate::limits::{PAYLOAD_BYTES_MAX, RAW_BYTES_MAX};
use crate::lines::{Decoder, Encoder, SYMBOLS_BYTES_MAX, Streams, TEXT_BYTES_MAX};
use crate::varint::{self, Varint};

/// Bytes of the rest before compression.
const REST_BYTES_MAX: usize = RAW_BYTES_MAX + SYMBOLS_BYTES_MAX;
/// Bytes of the four lengths in front, each below 2^21.
const HEAD_BYTES_MAX: usize = 4 * 3;

const _: () = assert!(TEXT_BYTES_MAX < 1 << 21 && REST_BYTES_MAX < 1 << 21, "a length must fit three bytes");

/// What is needed to unpack blocks, made once: about 530 KiB.
pub struct Scratch {
    pub(super) columns: Box<[u8]>,
    text: Box<[u8]>,
    rest: Box<[u8]>,
    decoder: Box<Decoder>,
    prefix: Box<Prefix>,
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
            prefix: Box::new(Prefix::new()),
        }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

/// What becomes of a block's streams and of the parts of its rest, and the bytes written.
type Write<'w> = dyn FnMut(&Streams<'_>, &[&[u8]], &mut [u8]) -> Option<usize> + 'w;

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
        self.pack_streams(encoder, &mut |streams, rest, out| write(streams, rest, None, compress, out), out)
            .map(|packed| packed.map(|(raw_bytes, bytes)| Packed { codec: Codec::Strong, raw_bytes, bytes }))
    }

    /// As [`pack_strong`](Self::pack_strong), for a block whose first number is `first` and which
    /// refers to others, whose streams are `prefix`. `None` also when they do not come before it.
    ///
    /// # Errors
    /// [`Misuse::Limit`] when there is no record.
    pub fn pack_referring<C: Compress + ?Sized>(
        &self,
        first: Seq,
        reference: &Reference,
        prefix: &Prefix,
        encoder: &mut Encoder,
        compress: &mut C,
        out: &mut [u8],
    ) -> Result<Option<Packed>, Misuse> {
        let mut write = |streams: &Streams<'_>, rest: &[&[u8]], out: &mut [u8]| {
            let head = reference.put(first, out)?;
            Some(head + write(streams, rest, Some(prefix), compress, out.get_mut(head..)?)?)
        };
        self.pack_streams(encoder, &mut write, out).map(|packed| {
            packed.map(|(raw_bytes, bytes)| Packed { codec: Codec::Referring, raw_bytes, bytes })
        })
    }

    /// Appends the block's streams to those that a later block may refer to. False when its lines
    /// do not fit the `encoder`'s; then nothing was changed.
    ///
    /// # Errors
    /// [`Misuse::Limit`] when there is no record.
    pub fn append_to(&self, prefix: &mut Prefix, encoder: &mut Encoder) -> Result<bool, Misuse> {
        let mut append = |streams: &Streams<'_>, rest: &[&[u8]], _: &mut [u8]| {
            prefix.text.push(streams.text);
            rest.iter().for_each(|part| prefix.rest.push(part));
            Some(0)
        };
        // Of the payload nothing is written, so that any room will do.
        Ok(self.pack_streams(encoder, &mut append, &mut [])?.is_some())
    }

    /// The streams of the block to `write`, which writes them to `out` and says how many bytes that
    /// took. With the bytes of the columns.
    fn pack_streams(
        &self,
        encoder: &mut Encoder,
        write: &mut Write<'_>,
        out: &mut [u8],
    ) -> Result<Option<(u32, usize)>, Misuse> {
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
        let bytes = out.get_mut(..room).and_then(|out| write(&streams, &rest, out));
        Ok(bytes.map(|bytes| (raw, bytes)))
    }
}

/// Bytes of the payload; `None` when it does not fit.
fn write<C: Compress + ?Sized>(
    streams: &Streams<'_>,
    rest: &[&[u8]],
    prefix: Option<&Prefix>,
    compress: &mut C,
    out: &mut [u8],
) -> Option<usize> {
    let (before_text, before_rest) =
        prefix.map_or((&[][..], &[][..]), |prefix| (prefix.text.as_slice(), prefix.rest.as_slice()));
    // The frames first, behind where the head is longest; then all comes together.
    let text_packed = frame(before_text, &[streams.text], compress, out.get_mut(HEAD_BYTES_MAX..)?)?;
    let rest_packed = frame(before_rest, rest, compress, out.get_mut(HEAD_BYTES_MAX + text_packed..)?)?;
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
fn frame<C: Compress + ?Sized>(
    before: &[u8],
    parts: &[&[u8]],
    compress: &mut C,
    out: &mut [u8],
) -> Option<usize> {
    let bytes: usize = parts.iter().map(|part| part.len()).sum();
    let room = out.len().min(bytes.saturating_sub(1));
    if let Some(packed) = compress.compress(Frame::Bare(before), parts, out.get_mut(..room)?) {
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
    let Scratch { columns, text, rest, decoder, .. } = scratch;
    let Opened { text, rest, bits } = open(payload, None, decompress, text, rest)?;
    let columns = columns.get_mut(..raw_bytes).ok_or(Malformed::Limit("RAW_BYTES_MAX"))?;
    columns_of(text, rest, bits, decoder, columns)?;
    Ok(columns)
}

/// As [`unpack`], for a block that refers to others: these, sealed, in order.
pub(super) fn unpack_referring<'a, D: Decompress + ?Sized>(
    header: &BlockHeader,
    payload: &[u8],
    blocks: &[&[u8]],
    decompress: &mut D,
    scratch: &'a mut Scratch,
) -> Result<&'a [u8], Malformed> {
    let (reference, payload) = Reference::take(header, payload)?;
    if !reference.is_met_by(header.run, blocks) {
        return Err(Malformed::Reference);
    }
    let Scratch { columns, text, rest, decoder, prefix } = scratch;
    prefix.clear();
    for block in blocks {
        let (ItemHeader::Block(_), payload) = item::open(block)? else { return Err(Malformed::Reference) };
        let Opened { text, rest, .. } = open(payload, None, decompress, text, rest)?;
        prefix.text.push(text);
        prefix.rest.push(rest);
    }
    let Opened { text, rest, bits } = open(payload, Some(prefix), decompress, text, rest)?;
    let columns = columns.get_mut(..header.raw_bytes as usize).ok_or(Malformed::Limit("RAW_BYTES_MAX"))?;
    columns_of(text, rest, bits, decoder, columns)?;
    Ok(columns)
}

/// A payload, decompressed.
struct Opened<'a, 'p> {
    text: &'a [u8],
    rest: &'a [u8],
    bits: &'p [u8],
}

fn open<'a, 'p, D: Decompress + ?Sized>(
    payload: &'p [u8],
    prefix: Option<&Prefix>,
    decompress: &mut D,
    text: &'a mut [u8],
    rest: &'a mut [u8],
) -> Result<Opened<'a, 'p>, Malformed> {
    let mut payload = payload;
    let mut length = || varint::take(&mut payload).and_then(|length| usize::try_from(length).ok());
    let lengths = [length(), length(), length(), length()].map(|length| length.ok_or(Malformed::Truncated));
    let [text_bytes, text_packed, rest_bytes, rest_packed] = lengths;
    let (text_frame, payload) = payload.split_at_checked(text_packed?).ok_or(Malformed::Truncated)?;
    let (rest_frame, bits) = payload.split_at_checked(rest_packed?).ok_or(Malformed::Truncated)?;
    let text = text.get_mut(..text_bytes?).ok_or(Malformed::Limit("TEXT_BYTES_MAX"))?;
    let rest = rest.get_mut(..rest_bytes?).ok_or(Malformed::Limit("REST_BYTES_MAX"))?;
    let (before_text, before_rest) =
        prefix.map_or((&[][..], &[][..]), |prefix| (prefix.text.as_slice(), prefix.rest.as_slice()));
    fill(text_frame, before_text, text, decompress)?;
    fill(rest_frame, before_rest, rest, decompress)?;
    Ok(Opened { text, rest, bits })
}

/// Fills `to` with what a frame holds.
fn fill<D: Decompress + ?Sized>(
    frame: &[u8],
    before: &[u8],
    to: &mut [u8],
    decompress: &mut D,
) -> Result<(), Malformed> {
    if frame.len() == to.len() {
        to.copy_from_slice(frame);
        return Ok(());
    }
    let is_whole = decompress.decompress(Frame::Bare(before), frame, to) == Some(to.len());
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
