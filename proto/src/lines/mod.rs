//! A codec for lines of text that machines write: templates, and numbers by their columns.
//!
//! It makes of a text three streams that a general compressor does well with, and of the streams
//! the text again, bit for bit, whatever its bytes are. It compresses nothing itself.
//!
//! A line is its *template*, the text that stays, and its *variables*, the words with a digit.
//! Each file here is one step:
//!
//! 1. `scan`: where the variables of a line are.
//! 2. `templates`: each template stands once in the text, and is then known by its number.
//! 3. `columns`: a variable's column is chosen by the words around it, not by its template, so
//!    that `port=` shares one wherever it occurs. A column remembers its last value.
//! 4. `symbols`: one byte for each thing said: which template, what of a column has changed, and
//!    the bits of large numbers beside it.
//!
//! [`Encoder`] and [`Decoder`] run the same model over the same text, so that nothing about it is
//! sent. `docs/block-format.md` is the specification. Neither allocates: each is a fixed piece of
//! memory ([`Encoder`] about 345 KiB, [`Decoder`] about 65 KiB), to be made once and kept.

mod columns;
mod decode;
mod encode;
mod scan;
mod stream;
mod symbols;
mod templates;

pub use decode::Decoder;
pub use encode::{Encoder, Full};

/// Bytes of the text that one [`Encoder::encode`] takes.
pub const LINES_BYTES_MAX: usize = 128 * 1024;
/// Bytes of the stream of templates and other text.
pub const TEXT_BYTES_MAX: usize = 128 * 1024;
/// Bytes of the stream of symbols.
pub const SYMBOLS_BYTES_MAX: usize = 48 * 1024;
/// Bytes of the stream of bits.
pub const BITS_BYTES_MAX: usize = 48 * 1024;
/// Templates of one text; a line that would need one more is a literal.
pub const TEMPLATES_MAX: usize = 512;
/// Variables in all templates together; a line whose template has no room is a literal.
pub const SLOTS_MAX: usize = 4096;
/// Variables in one line; one with more is a literal.
pub const VARIABLES_MAX: usize = 128;
/// Columns of one text; what would need one more shares the last.
pub const COLUMNS_MAX: usize = 512;

/// What an [`Encoder`] made of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams<'a> {
    /// Templates, variables that are no number and lines without a template, each ended by a
    /// newline, in the order in which they are needed.
    pub text: &'a [u8],
    /// One byte for each thing said.
    pub symbols: &'a [u8],
    /// The bits of large numbers, lowest first.
    pub bits: &'a [u8],
}

/// Stands in a template for a variable.
const VARIABLE: u8 = 1;
/// Stands in a template before a byte of the line that is one of these two.
const ESCAPE: u8 = 2;

/// Bytes of the text that is encoded, or of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// The numbers are below [`LINES_BYTES_MAX`], so nothing is cut.
    const fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    const fn range(self) -> core::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Its bytes; nothing when it lies beyond `text`.
    fn of(self, text: &[u8]) -> &[u8] {
        text.get(self.range()).unwrap_or_default()
    }

    const fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }
}

/// One step of FNV-1a (Fowler, Noll, Vo; 32 bits).
const fn fnv(hash: u32, byte: u8) -> u32 {
    (hash ^ byte as u32).wrapping_mul(0x0100_0193)
}

/// Where FNV-1a begins.
const FNV_START: u32 = 0x811c_9dc5;
