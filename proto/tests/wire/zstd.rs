//! zstd as agent and gateway use it, in the simplest form.

use driftlog_proto::block::{Compress, Decompress, Frame};
use zstd::zstd_safe::{CCtx, CParameter, DCtx, DParameter, FrameFormat};

pub(crate) struct Zstd;

fn format(frame: Frame) -> FrameFormat {
    match frame {
        Frame::Standard => FrameFormat::One,
        Frame::Bare => FrameFormat::Magicless,
    }
}

impl Compress for Zstd {
    fn compress(&mut self, frame: Frame, parts: &[&[u8]], out: &mut [u8]) -> Option<usize> {
        let mut context = CCtx::create();
        context.set_parameter(CParameter::Format(format(frame))).unwrap();
        context.compress2(out, &parts.concat()).ok()
    }
}

impl Decompress for Zstd {
    fn decompress(&mut self, frame: Frame, input: &[u8], out: &mut [u8]) -> Option<usize> {
        let mut context = DCtx::create();
        context.set_parameter(DParameter::Format(format(frame))).unwrap();
        context.decompress(out, input).ok()
    }
}
