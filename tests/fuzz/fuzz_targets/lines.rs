//! The codec for lines, both ways.
//!
//! By its first byte an input is a text (0) or streams (1): chunks of text, symbols and bits, and the
//! length of what they are said to hold.
//!
//! Asserts that a text comes back from its streams bit for bit, whatever was encoded and decoded
//! before it; that neither way takes memory; and that streams which hold a text give it again when
//! it is encoded and decoded once more.
#![no_main]

use driftlog_fuzz::{input::Input, memory};
use driftlog_proto::lines::{Decoder, Encoder, Streams};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((mode, bytes)) = data.split_first() else { return };
    let mut encoder = Box::new(Encoder::new());
    let mut decoder = Box::new(Decoder::new());
    if mode % 2 == 0 {
        comes_back(bytes, &mut encoder, &mut decoder);
        // Long enough for a list for each column.
        let long = bytes.repeat((9 * 1024usize).div_ceil(bytes.len().max(1)).min(64));
        comes_back(&long, &mut encoder, &mut decoder);
        comes_back(bytes, &mut encoder, &mut decoder);
        return;
    }
    let mut input = Input::new(bytes);
    let length = usize::from(input.word());
    let (text, symbols) = (input.chunk().to_vec(), input.chunk().to_vec());
    let streams = Streams { text: &text, symbols: &symbols, bits: input.rest() };
    let mut out = vec![0; length];
    if memory::within(0, "decoding", || decoder.decode(&streams, &mut out)).is_ok() {
        comes_back(&out, &mut encoder, &mut decoder);
    }
});

fn comes_back(raw: &[u8], encoder: &mut Encoder, decoder: &mut Decoder) {
    let Ok(streams) = memory::within(0, "encoding", || encoder.encode(raw)) else { return };
    let mut out = vec![0x5a; raw.len()];
    let decoded = memory::within(0, "decoding", || decoder.decode(&streams, &mut out));
    decoded.expect("what was encoded decodes");
    assert!(out == raw, "other lines");
}
