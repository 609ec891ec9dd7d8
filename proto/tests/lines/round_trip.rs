//! Any text comes back from its streams, by both decoders.

use driftlog_proto::lines::{Decoder, Encoder, LINES_BYTES_MAX};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::reference;

/// Encodes, decodes in both ways, and returns the bytes of the three streams.
pub(crate) fn comes_back(raw: &[u8]) -> [usize; 3] {
    let mut encoder = Box::new(Encoder::new());
    let Ok(streams) = encoder.encode(raw) else { return [usize::MAX; 3] };
    let mut out = vec![0xaa; raw.len()];
    let mut decoder = Box::new(Decoder::new());
    decoder.decode(&streams, &mut out).unwrap();
    assert!(out == raw, "the decoder:\n{}\n{}", raw.escape_ascii(), out.escape_ascii());
    let slow = reference::decode(streams.text, streams.symbols, streams.bits, raw.len()).unwrap();
    assert!(slow == raw, "the reference:\n{}\n{}", raw.escape_ascii(), slow.escape_ascii());
    [streams.text.len(), streams.symbols.len(), streams.bits.len()]
}

/// Words as logs have them, and some that they should not have.
fn word() -> impl Strategy<Value = Vec<u8>> {
    let numbers = prop_oneof![
        any::<u64>().prop_map(|n| n.to_string()),
        (0..300u32).prop_map(|n| n.to_string()),
        (0..100u32, 0..6usize).prop_map(|(n, width)| format!("{n:0width$}")),
        any::<u32>().prop_map(|n| format!("{n:x}")),
        any::<u64>().prop_map(|n| format!("{n:016X}")),
        any::<u32>().prop_map(|n| format!("0x{n:x}")),
        any::<u128>().prop_map(|n| format!("{n:032x}")),
        any::<i64>().prop_map(|n| n.to_string()),
        (any::<u8>(), any::<u8>()).prop_map(|(a, b)| format!("10.0.{a}.{b}")),
        (0..30u8, 0..70u8, 0..70u8).prop_map(|(h, m, s)| format!("{h:02}:{m:02}:{s:02}")),
        "[a-z]{1,4}[0-9]{1,3}",
        "[a-f0-9]{1,40}",
        "[0-9]{17,45}",
        "([a-z][0-9]){1,5}",
    ];
    prop_oneof![
        4 => numbers.prop_map(String::into_bytes),
        3 => "[a-z]{1,8}".prop_map(String::into_bytes),
        1 => "\\PC{0,5}".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..5),
    ]
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    let separator = prop_oneof![
        Just(" "),
        Just("="),
        Just("."),
        Just(":"),
        Just("-"),
        Just("\t"),
        Just(", "),
        Just("_"),
        Just("\r"),
        Just("\x1b[31m")
    ];
    vec((word(), separator), 0..14).prop_map(|words| {
        words
            .into_iter()
            .flat_map(|(word, separator)| [word, separator.as_bytes().to_vec()].concat())
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn lines_come_back(lines in vec(line(), 0..30), picks in vec(any::<prop::sample::Index>(), 0..200), ends in any::<bool>()) {
        // Lines that come again in some order are what the codec is for.
        let picked = picks.iter().filter(|_| !lines.is_empty()).map(|pick| pick.get(&lines).clone());
        let mut raw = picked.collect::<Vec<_>>().join(&b'\n');
        if ends {
            raw.push(b'\n');
        }
        comes_back(&raw);
    }

    #[test]
    fn any_bytes_come_back(raw in vec(any::<u8>(), 0..3000)) {
        comes_back(&raw);
    }

    #[test]
    fn few_bytes_in_any_order_come_back(raw in vec(prop::sample::select(&b"\x01\x02\n0 a1=."[..]), 0..600)) {
        comes_back(&raw);
    }
}

#[test]
fn numbers_at_every_edge_come_back() {
    let edges = "0 00 -0 +1 007 7 18446744073709551615 18446744073709551616 9223372036854775807 9223372036854775808 \
        9999999999999999999 10000000000000000000 99999999999999999999 ffffffffffffffff FFFFFFFFFFFFFFFF fFfF1 0xffffffffffffffff \
        0xfffffffffffffffff 0x 0x1 0X1F 0x1fG 24:61:00 00:00:00 2026-02-30 1e9 1.5 .5 5. 1..2 12ab ab12 a1b a1b2 a1b2c3 \
        deadbeef deadbee5 DEADBEE5 DeadBee5 127.0.0.1 ::1 fe80::1 1_000 v1.2.3-rc4 x86_64 0123456789012345678901234567890123456789";
    comes_back(edges.replace(' ', "\n").as_bytes());
    comes_back(edges.as_bytes());
    // Each of them in the column of each other.
    let words: Vec<&str> = edges.split_whitespace().collect();
    let pairs: Vec<String> =
        words.iter().flat_map(|a| words.iter().map(move |b| format!("value={a};\nvalue={b};\n"))).collect();
    for pairs in pairs.chunks(400) {
        comes_back(pairs.concat().as_bytes());
    }
}

#[test]
fn the_shortest_texts_come_back() {
    for raw in [
        &b""[..],
        b"\n",
        b"\n\n",
        b"a",
        b"1",
        b"1\n",
        b"\x01",
        b"\x02",
        b"\x01\n\x02",
        b"\x021\n",
        b"1\x02",
        b"\x02\x01\x021\x01",
    ] {
        comes_back(raw);
    }
    assert_eq!(comes_back(b""), [0, 1, 0], "no list");
}

#[test]
fn what_stays_is_said_once_and_what_changes_in_few_symbols() {
    let raw: String = (0..500).map(|n| format!("pump {n} of node 7 is at {} bar\n", n * 3)).collect();
    let [text, symbols, bits] = comes_back(raw.as_bytes());
    assert_eq!((text, bits), ("pump \x01 of node \x01 is at \x01 bar\n".len(), 0));
    assert!(symbols < 4 * 500 + 20, "{symbols}");
}

#[test]
fn every_limit_is_reached_and_what_is_beyond_it_comes_back_too() {
    // Templates: each line is another.
    let name =
        |n: usize| -> String { n.to_string().bytes().map(|digit| char::from(digit + b'a' - b'0')).collect() };
    let templates: String = (0..700).chain(0..700).map(|n| format!("{} {n}\n", name(n))).collect();
    comes_back(templates.as_bytes());
    // Columns: as many words before numbers.
    let columns: String = (0..90)
        .map(|n| (0..10).map(|m| format!("{}={m} ", name(n * 10 + m))).collect::<String>() + "\n")
        .collect();
    comes_back(columns.repeat(2).as_bytes());
    // Slots: lines of a hundred variables, each another.
    let slots: String = (0..60).map(|n| name(n) + &" 1".repeat(100) + "\n").collect();
    comes_back(slots.repeat(2).as_bytes());
    // Variables in one line, and in one group.
    for separator in [" ", "."] {
        for count in [127, 128, 129, 300] {
            let line = vec!["42"; count].join(separator);
            comes_back(format!("{line}\n{line}\n").as_bytes());
        }
    }
}

#[test]
fn a_text_that_does_not_fit_is_refused_and_the_next_finds_the_encoder_as_good_as_new() {
    let mut encoder = Box::new(Encoder::new());
    let sound = b"sound 1\nsound 2\n";
    let expected =
        encoder.encode(sound).map(|streams| (streams.text.to_vec(), streams.symbols.to_vec())).unwrap();
    let too_long = vec![b'a'; LINES_BYTES_MAX + 1];
    let too_many_symbols = b"\n".repeat(60_000);
    let noise = (0..20_000u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40);
    let too_many_bits: String = noise.map(|n| format!("{n:06} ")).collect();
    let too_many_bits = too_many_bits.replace("0 ", "0\n");
    for raw in [&too_long[..], &too_many_symbols, too_many_bits.as_bytes()] {
        assert!(encoder.encode(raw).is_err());
        let streams = encoder.encode(sound).unwrap();
        assert_eq!((streams.text.to_vec(), streams.symbols.to_vec()), expected);
    }
    assert!(encoder.encode(&vec![b'a'; LINES_BYTES_MAX - 1]).is_ok(), "one line as long as may be");
}

#[test]
fn neither_side_takes_more_memory_than_it_says() {
    assert!(size_of::<Encoder>() <= 345 * 1024, "{}", size_of::<Encoder>());
    assert!(size_of::<Decoder>() <= 65 * 1024, "{}", size_of::<Decoder>());
}
