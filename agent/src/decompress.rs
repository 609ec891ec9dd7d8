//! zstd backwards, for `driftlog-agent spool export`: a device packs and never unpacks otherwise.

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
