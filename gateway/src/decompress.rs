//! zstd for blocks, with a cap on what hostile bytes can make it take.

use driftlog_proto::block::{Decompress, Frame};
use zstd::zstd_safe::{DCtx, DParameter, FrameFormat, InBuffer, OutBuffer};

/// Bytes of the largest window that a frame may ask for, as a power of two: 128 KiB, more than a
/// block's columns may have.
const WINDOW_LOG_MAX: u32 = 17;

/// Decompresses payloads of exactly one zstd frame. A frame that asks for a larger window, names a
/// dictionary, or is followed by anything is refused. Costs at most 640 KiB, once.
pub struct Zstd {
    context: DCtx<'static>,
}

impl Zstd {
    /// Makes the context; its window is taken at the first block and kept.
    #[must_use]
    pub fn new() -> Self {
        let mut context = DCtx::create();
        context
            .set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))
            .expect("the parameter is a constant within zstd's bounds");
        Self { context }
    }

    /// Bytes of memory that it holds.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.context.sizeof()
    }
}

impl Default for Zstd {
    fn default() -> Self {
        Self::new()
    }
}

impl Decompress for Zstd {
    fn decompress(&mut self, frame: Frame<'_>, input: &[u8], out: &mut [u8]) -> Option<usize> {
        // Whatever the last payload left behind is gone: a frame begins here.
        self.context.init().ok()?;
        let (format, before) = match frame {
            Frame::Standard => (FrameFormat::One, &[][..]),
            Frame::Bare(before) => (FrameFormat::Magicless, before),
        };
        self.context.set_parameter(DParameter::Format(format)).ok()?;
        // None, when it is empty: whatever was there before is forgotten.
        self.context.load_dictionary(before).ok()?;
        let mut input_buffer = InBuffer::around(input);
        let mut out_buffer = OutBuffer::around(out);
        loop {
            let before = (input_buffer.pos(), out_buffer.pos());
            let expected = self.context.decompress_stream(&mut out_buffer, &mut input_buffer).ok()?;
            if expected == 0 {
                let is_whole = input_buffer.pos() == input.len();
                return is_whole.then(|| out_buffer.pos());
            }
            if before == (input_buffer.pos(), out_buffer.pos()) {
                return None; // It wants more input or more room than there is.
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use driftlog_proto::limits::RAW_BYTES_MAX;
    use zstd::zstd_safe::{CCtx, CParameter};

    use super::*;

    fn compressed(bytes: &[u8], parameters: &[CParameter]) -> Vec<u8> {
        let mut context = CCtx::create();
        for &parameter in parameters {
            context.set_parameter(parameter).unwrap();
        }
        let mut out = Vec::with_capacity(zstd::zstd_safe::compress_bound(bytes.len()));
        context.compress2(&mut out, bytes).unwrap();
        out
    }

    fn lines() -> Vec<u8> {
        (0..3000).flat_map(|n| format!("valve {} opened at {n}\n", n % 5).into_bytes()).collect()
    }

    #[test]
    fn a_frame_comes_back_whole_again_and_again() {
        let mut zstd = Zstd::new();
        let mut out = vec![0; RAW_BYTES_MAX];
        for sized in [true, false] {
            let frame =
                compressed(&lines(), &[CParameter::WindowLog(16), CParameter::ContentSizeFlag(sized)]);
            assert_eq!(zstd.decompress(Frame::Standard, &frame, &mut out), Some(lines().len()));
            assert_eq!(out[..lines().len()], lines());
        }
        assert_eq!(zstd.decompress(Frame::Standard, &compressed(b"", &[]), &mut out), Some(0));
    }

    #[test]
    fn what_is_cut_or_followed_by_something_is_refused_and_the_next_is_not_hurt() {
        let frame = compressed(&lines(), &[CParameter::ContentSizeFlag(false)]);
        let mut zstd = Zstd::new();
        let mut out = vec![0; RAW_BYTES_MAX];
        for end in 0..frame.len() {
            assert_eq!(zstd.decompress(Frame::Standard, &frame[..end], &mut out), None, "cut at {end}");
        }
        assert_eq!(zstd.decompress(Frame::Standard, &[&frame[..], b"x"].concat(), &mut out), None);
        assert_eq!(zstd.decompress(Frame::Standard, &[&frame[..], &frame[..]].concat(), &mut out), None);
        assert_eq!(zstd.decompress(Frame::Standard, &frame, &mut out), Some(lines().len()));
    }

    #[test]
    fn a_bomb_stops_at_the_room_that_was_announced() {
        let bomb =
            compressed(&vec![0; 64 << 20], &[CParameter::WindowLog(17), CParameter::ContentSizeFlag(false)]);
        assert!(bomb.len() < RAW_BYTES_MAX);
        let mut zstd = Zstd::new();
        assert_eq!(zstd.decompress(Frame::Standard, &bomb, &mut vec![0; RAW_BYTES_MAX]), None);
        assert!(zstd.memory_bytes() <= 640 * 1024, "{}", zstd.memory_bytes());
    }

    #[test]
    fn a_frame_that_asks_for_a_larger_window_is_refused_before_memory_is_taken() {
        let greedy =
            compressed(&vec![1; 1 << 20], &[CParameter::WindowLog(27), CParameter::ContentSizeFlag(false)]);
        let mut zstd = Zstd::new();
        let before = zstd.memory_bytes();
        assert_eq!(zstd.decompress(Frame::Standard, &greedy, &mut vec![0; RAW_BYTES_MAX]), None);
        assert_eq!(zstd.memory_bytes(), before);
    }

    #[test]
    fn garbage_is_refused() {
        let mut zstd = Zstd::new();
        let mut out = vec![0; RAW_BYTES_MAX];
        let mut frame = compressed(&lines(), &[]);
        for at in 0..64.min(frame.len()) {
            frame[at] ^= 0x5a;
            // It may still decompress to something; the item's checksum is what tells.
            let _ = zstd.decompress(Frame::Standard, &frame, &mut out);
            frame[at] ^= 0x5a;
        }
        assert_eq!(zstd.decompress(Frame::Standard, b"not a frame at all", &mut out), None);
        assert_eq!(zstd.decompress(Frame::Standard, b"", &mut out), None);
    }
}
