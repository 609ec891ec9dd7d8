//! Streams that no encoder made: never a panic, and both decoders judge alike.

use driftlog_proto::lines::{
    BITS_BYTES_MAX, Decoder, Encoder, LINES_BYTES_MAX, SYMBOLS_BYTES_MAX, Streams, TEXT_BYTES_MAX,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::reference;

/// What the streams hold, by the decoder; the reference must agree.
fn judged(text: &[u8], symbols: &[u8], bits: &[u8], bytes: usize) -> Option<Vec<u8>> {
    let mut out = vec![0; bytes];
    let mut decoder = Box::new(Decoder::new());
    let fast = decoder.decode(&Streams { text, symbols, bits }, &mut out).ok().map(|()| out);
    let slow = reference::decode(text, symbols, bits, bytes);
    assert_eq!(
        fast.as_deref().map(<[u8]>::escape_ascii).map(|text| text.to_string()),
        slow.as_deref().map(<[u8]>::escape_ascii).map(|text| text.to_string()),
        "text {} symbols {symbols:?} bits {bits:?}, {bytes} bytes",
        text.escape_ascii()
    );
    fast
}

fn lines() -> String {
    let address = |n: usize| format!("10.0.{}.{}:{}", n % 3, n % 7, 5000 + n * 37);
    (0..24)
        .map(|n| {
            format!(
                "{:02}:{:02} node{} from {} id {:08x} took {}\n",
                n / 2,
                n * 7 % 60,
                n % 4,
                address(n),
                n * 0x0123_4567,
                n * n * 991
            )
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_streams_are_a_text_or_malformed(
        entries in vec("[\\x01\\x02a=. ]{0,8}", 0..6),
        lists in vec(vec(prop_oneof![0..4u8, 30..40u8, any::<u8>()], 0..8), 0..6),
        bits in vec(any::<u8>(), 0..8),
        bytes in 0..60usize,
    ) {
        let text: String = entries.iter().map(|entry| format!("{entry}\n")).collect();
        let mut symbols = vec![lists.len() as u8];
        symbols.extend(lists.iter().map(|list| list.len() as u8));
        symbols.extend(lists.concat());
        judged(text.as_bytes(), &symbols, &bits, bytes);
    }

    #[test]
    fn any_bytes_are_a_text_or_malformed(
        text in vec(any::<u8>(), 0..40),
        symbols in vec(any::<u8>(), 0..40),
        bits in vec(any::<u8>(), 0..8),
        bytes in 0..60usize,
    ) {
        judged(&text, &symbols, &bits, bytes);
    }

    #[test]
    fn changed_streams_are_a_text_or_malformed(
        which in 0..3usize,
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
        lists in any::<bool>(),
    ) {
        // Long enough for a list for each column, or not.
        let raw = lines().repeat(if lists { 6 } else { 1 });
        let mut encoder = Box::new(Encoder::new());
        let sound = encoder.encode(raw.as_bytes()).unwrap();
        let mut streams = [sound.text.to_vec(), sound.symbols.to_vec(), sound.bits.to_vec()];
        let at = at.index(streams[which].len());
        if cut {
            streams[which].truncate(at);
        } else {
            streams[which][at] = byte;
        }
        let [text, symbols, bits] = streams;
        let is_sound = text == sound.text && symbols == sound.symbols && bits == sound.bits;
        let out = judged(&text, &symbols, &bits, raw.len());
        prop_assert!(!is_sound || out.as_deref() == Some(raw.as_bytes()));
    }
}

#[test]
fn streams_for_another_length_are_malformed() {
    let raw = lines();
    let mut encoder = Box::new(Encoder::new());
    let Streams { text, symbols, bits } = encoder.encode(raw.as_bytes()).unwrap();
    assert!(judged(text, symbols, bits, raw.len()).is_some());
    for bytes in (0..raw.len()).step_by(7).chain([raw.len() + 1, raw.len() + 100]) {
        assert_eq!(judged(text, symbols, bits, bytes), None, "{bytes} bytes");
    }
}

#[test]
fn streams_beyond_a_limit_are_refused_before_they_are_read() {
    let refused = |text: usize, symbols: usize, bits: usize, out: usize| {
        let streams = Streams { text: &vec![b'\n'; text], symbols: &vec![0; symbols], bits: &vec![0; bits] };
        let mut decoder = Box::new(Decoder::new());
        decoder.decode(&streams, &mut vec![0; out]).unwrap_err().to_string()
    };
    assert!(refused(TEXT_BYTES_MAX + 1, 0, 0, 0).contains("TEXT_BYTES_MAX"));
    assert!(refused(0, SYMBOLS_BYTES_MAX + 1, 0, 0).contains("SYMBOLS_BYTES_MAX"));
    assert!(refused(0, 0, BITS_BYTES_MAX + 1, 0).contains("BITS_BYTES_MAX"));
    assert!(refused(0, 0, 0, LINES_BYTES_MAX + 1).contains("LINES_BYTES_MAX"));
}

/// The worst that a few bytes can ask for is the text that the header announces, copied once.
#[test]
fn a_bomb_fills_what_was_announced_and_no_more() {
    let group = "x".repeat(30_000) + "\n";
    // A template of one variable, said as text, then the same again and again.
    let text = [b"\x01\n", group.as_bytes()].concat();
    let again = |count: u8| {
        let mut symbols = vec![2, 1 + count, 3 + count];
        symbols.push(1);
        symbols.extend(vec![3; count.into()]);
        symbols.extend([33 + 185, 96, 0]);
        symbols.extend(vec![0; count.into()]);
        symbols
    };
    let out = judged(&text, &again(3), b"", 4 * group.len()).unwrap();
    assert_eq!(out, group.repeat(4).into_bytes());
    assert_eq!(judged(&text, &again(100), b"", 4 * group.len()), None);
}
