//! zstd as agent and gateway use it, in the simplest form.

use driftlog_proto::block::{Compress, Decompress, Frame};
use zstd::zstd_safe::{CCtx, CParameter, DCtx, DParameter, FrameFormat};

pub(crate) struct Zstd;

fn format(frame: Frame<'_>) -> (FrameFormat, &[u8]) {
    match frame {
        Frame::Standard => (FrameFormat::One, &[]),
        Frame::Bare(before) => (FrameFormat::Magicless, before),
    }
}

impl Compress for Zstd {
    fn compress(&mut self, frame: Frame<'_>, parts: &[&[u8]], out: &mut [u8]) -> Option<usize> {
        let mut context = CCtx::create();
        let (format, before) = format(frame);
        context.set_parameter(CParameter::Format(format)).unwrap();
        context.load_dictionary(before).unwrap();
        context.compress2(out, &parts.concat()).ok()
    }
}

impl Decompress for Zstd {
    fn decompress(&mut self, frame: Frame<'_>, input: &[u8], out: &mut [u8]) -> Option<usize> {
        let mut context = DCtx::create();
        let (format, before) = format(frame);
        context.set_parameter(DParameter::Format(format)).unwrap();
        context.load_dictionary(before).unwrap();
        context.decompress(out, input).ok()
    }
}
