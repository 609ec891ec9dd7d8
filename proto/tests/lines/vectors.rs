//! Golden vectors: `tests/vectors/lines-v1.txt` has texts and their streams, and never changes.

use driftlog_proto::lines::{Decoder, Encoder, Streams};

const VECTORS: &str = include_str!("../vectors/lines-v1.txt");

/// Name and text of each vector.
fn texts() -> Vec<(&'static str, String)> {
    let repeated = |line: &str| format!("{line}\n").repeat(3);
    vec![
        ("nothing", String::new()),
        ("one line without an end", "pump started".to_owned()),
        ("numbers", (0..4).map(|n| format!("pump {n} is at {} bar\n", 1000 - n)).collect()),
        ("the same again", repeated("session 42 opened for user root(uid=0)")),
        ("widths", "08:59:59 up\n09:00:00 up\n10:00:01 up\n".to_owned()),
        ("forms", "id=deadbee5 end\nid=00000001 end\nid=DEADBEE5 end\nid=a1b2c3d4e5f6x7y8 end\n".to_owned()),
        ("large numbers", "t=18446744073 v=9999999999999999999\nt=18446745073 v=1\n".to_owned()),
        ("recent groups", "from 10.0.0.1\nfrom 10.0.0.2\nfrom 10.0.0.1\nto 10.0.0.2\n".to_owned()),
        ("templates come back", "open 1\nclose 1\nopen 2\nclose 2\nidle\nclose 3\n".to_owned()),
        ("escapes", "a \u{1}1\u{2}2 b\na \u{1}3\u{2}4 b\n".to_owned()),
        ("lists", (0..400).map(|n| format!("pump {} is at {} bar\n", n % 3, 1000 - n / 9)).collect()),
        ("a literal", "7 ".repeat(129) + "\n"),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// A text as the file shows it: a long one by its beginning.
fn shown(raw: &str) -> String {
    let escaped = raw.as_bytes().escape_ascii().to_string();
    if escaped.len() <= 1000 { escaped } else { format!("{}... {} bytes", &escaped[..200], raw.len()) }
}

fn written() -> String {
    let head = "# Golden vectors of the lines codec, version 1. They never change: see tests/lines/vectors.rs.\n\
        # A name, the text and the stream of text with escapes, then symbols and bits in hex.\n";
    let mut encoder = Box::new(Encoder::new());
    let vector = |(name, raw): (&str, String)| {
        let Streams { text, symbols, bits } = encoder.encode(raw.as_bytes()).unwrap();
        format!(
            "\n== {name}\nlines {}\ntext {}\nsymbols {}\nbits {}\n",
            shown(&raw),
            text.escape_ascii(),
            hex(symbols),
            hex(bits)
        )
    };
    head.to_owned() + &texts().into_iter().map(vector).collect::<String>()
}

#[test]
fn texts_have_their_streams() {
    let written = written();
    if written != VECTORS {
        let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/lines-v1.txt");
        std::fs::write(path, &written).unwrap();
        panic!("the streams are others; what they are now is in {path}");
    }
}

#[test]
fn streams_have_their_texts() {
    let mut decoder = Box::new(Decoder::new());
    for (name, raw) in texts() {
        let vector = VECTORS.split("== ").find(|vector| vector.starts_with(&format!("{name}\n"))).unwrap();
        let field = |key: &str| vector.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        let mut encoder = Box::new(Encoder::new());
        let text = encoder.encode(raw.as_bytes()).unwrap().text.to_vec();
        assert_eq!(field("text "), text.escape_ascii().to_string(), "{name}");
        let (symbols, bits) = (unhex(field("symbols ")), unhex(field("bits ")));
        let mut out = vec![0; raw.len()];
        decoder.decode(&Streams { text: &text, symbols: &symbols, bits: &bits }, &mut out).unwrap();
        assert_eq!(out, raw.as_bytes(), "{name}");
    }
}

#[test]
fn the_limits_on_the_page_are_those_of_the_code() {
    use driftlog_proto::lines;

    let page = include_str!("../../../docs/block-format.md");
    let on_the_page: Vec<(&str, usize)> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .filter(|(name, _)| name.ends_with("_MAX"))
        .map(|(name, rest)| (name, rest.split(' ').next().unwrap().parse().unwrap()))
        .collect();
    let in_code = [
        ("LINES_BYTES_MAX", lines::LINES_BYTES_MAX),
        ("TEXT_BYTES_MAX", lines::TEXT_BYTES_MAX),
        ("SYMBOLS_BYTES_MAX", lines::SYMBOLS_BYTES_MAX),
        ("BITS_BYTES_MAX", lines::BITS_BYTES_MAX),
        ("TEMPLATES_MAX", lines::TEMPLATES_MAX),
        ("SLOTS_MAX", lines::SLOTS_MAX),
        ("VARIABLES_MAX", lines::VARIABLES_MAX),
        ("COLUMNS_MAX", lines::COLUMNS_MAX),
    ];
    assert_eq!(on_the_page, in_code, "the table of limits in docs/block-format.md");
}
