//! zstd for blocks, in little memory.
//!
//! One context with small tables is used for every block of every lane, until there is a rest. A block's
//! columns are first gathered into one buffer and then compressed in one call: zstd's own
//! streaming would copy them as well, and would keep a window and an output buffer besides
//! (measured on x86-64 for a 64 KiB block: 297 KiB of context and up to 124 KiB gathered here,
//! 489 KiB of context when streaming).

use driftlog_proto::block::{Compress, Frame};
use driftlog_proto::limits::RAW_BYTES_MAX;
use driftlog_proto::lines::SYMBOLS_BYTES_MAX;
use zstd::zstd_safe::{CCtx, CParameter, FrameFormat, ResetDirective};

/// zstd's level: higher ones cost several times the time.
const LEVEL: i32 = 3;
/// 64 KiB: about a block. A decoder needs no larger window.
const WINDOW_LOG: u32 = 16;
/// Entries of the two tables as powers of two. With 64 KiB blocks these compress as well as the
/// level's own, which take four times the memory.
const HASH_LOG: u32 = 12;
const CHAIN_LOG: u32 = 12;

/// Bytes of the parts of a frame: the columns of a block, or those but the bodies and the symbols
/// of their lines.
const GATHERED_BYTES_MAX: usize = RAW_BYTES_MAX + SYMBOLS_BYTES_MAX;

/// Compresses parts into one zstd frame each time, without content size and checksum: the block's
/// header and checksum say both.
pub struct Zstd {
    context: CCtx<'static>,
    gathered: Vec<u8>,
}

impl Zstd {
    /// Makes the context; its tables are taken at the first block and kept.
    #[must_use]
    pub fn new() -> Self {
        let mut context = CCtx::create();
        for parameter in [
            CParameter::CompressionLevel(LEVEL),
            CParameter::WindowLog(WINDOW_LOG),
            CParameter::HashLog(HASH_LOG),
            CParameter::ChainLog(CHAIN_LOG),
            CParameter::ContentSizeFlag(false),
            CParameter::ChecksumFlag(false),
            CParameter::DictIdFlag(false),
        ] {
            context.set_parameter(parameter).expect("the parameters are constants within zstd's bounds");
        }
        Self { context, gathered: Vec::with_capacity(GATHERED_BYTES_MAX) }
    }

    /// Bytes of memory that it holds.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.context.sizeof() + self.gathered.capacity()
    }
}

impl Default for Zstd {
    fn default() -> Self {
        Self::new()
    }
}

impl Compress for Zstd {
    fn compress(&mut self, frame: Frame<'_>, parts: &[&[u8]], out: &mut [u8]) -> Option<usize> {
        let (format, before) = match frame {
            Frame::Standard => (FrameFormat::One, &[][..]),
            Frame::Bare(before) => (FrameFormat::Magicless, before),
        };
        // A frame that found no room is unfinished, and while it is nothing can be set.
        self.context.reset(ResetDirective::SessionOnly).ok()?;
        self.context.set_parameter(CParameter::Format(format)).ok()?;
        // None, when it is empty: whatever was there before is forgotten.
        self.context.load_dictionary(before).ok()?;
        if let [part] = parts {
            return self.context.compress2(out, part).ok();
        }
        self.gathered.clear();
        for part in parts {
            self.gathered.extend_from_slice(part);
        }
        self.context.compress2(out, &self.gathered).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<u8> {
        (0..4000u32)
            .flat_map(|n| format!("pump {} pressure {}\n", n % 7, n * n).into_bytes())
            .take(90_000)
            .collect()
    }

    #[test]
    fn parts_become_one_frame_that_holds_them_all() {
        let columns = columns();
        let parts: Vec<&[u8]> = columns.chunks(1000).collect();
        let mut out = vec![0; RAW_BYTES_MAX];
        let bytes = Zstd::new().compress(Frame::Standard, &parts, &mut out).unwrap();
        assert!(bytes * 3 < columns.len(), "{bytes}");
        let mut back = vec![0; RAW_BYTES_MAX];
        let length = zstd::zstd_safe::decompress(&mut back[..], &out[..bytes]).unwrap();
        assert_eq!(back[..length], columns);
    }

    #[test]
    fn without_room_there_is_nothing_and_the_next_block_is_as_good_as_the_first() {
        let columns = columns();
        let mut zstd = Zstd::new();
        let mut first = vec![0; RAW_BYTES_MAX];
        let bytes = zstd.compress(Frame::Standard, &[&columns], &mut first).unwrap();
        for room in [0, 1, 100, bytes - 1] {
            assert_eq!(
                zstd.compress(Frame::Standard, &[&columns], &mut vec![0; room]),
                None,
                "{room} bytes of room"
            );
        }
        let mut again = vec![0; RAW_BYTES_MAX];
        assert_eq!(zstd.compress(Frame::Standard, &[&columns], &mut again), Some(bytes));
        assert_eq!(first, again);
    }

    #[test]
    fn the_memory_does_not_grow_with_the_blocks() {
        let columns = vec![7; RAW_BYTES_MAX];
        let mut zstd = Zstd::new();
        let mut out = vec![0; RAW_BYTES_MAX];
        zstd.compress(Frame::Standard, &[&columns], &mut out).unwrap();
        let memory = zstd.memory_bytes();
        assert!(memory <= 480 * 1024, "{memory}");
        for end in (1000..RAW_BYTES_MAX).step_by(9973) {
            zstd.compress(Frame::Standard, &[&columns[..end]], &mut out).unwrap();
            assert!(zstd.memory_bytes() <= memory);
        }
    }
}
