//! zstd as agent and gateway use it, in the simplest form.

use driftlog_proto::block::{Compress, Decompress};

pub(crate) struct Zstd;

impl Compress for Zstd {
    fn compress(&mut self, parts: &[&[u8]], out: &mut [u8]) -> Option<usize> {
        zstd::zstd_safe::compress(out, &parts.concat(), 3).ok()
    }
}

impl Decompress for Zstd {
    fn decompress(&mut self, input: &[u8], out: &mut [u8]) -> Option<usize> {
        zstd::zstd_safe::decompress(out, input).ok()
    }
}
