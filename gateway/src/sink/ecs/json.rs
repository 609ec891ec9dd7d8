//! JSON, written by hand: a record costs no allocation and no tree of values.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// For each byte: 0 where it stands for itself in a JSON string, `u` where it needs `\u00XX`, else
/// the letter after the backslash (RFC 8259 section 7).
static ESCAPES: [u8; 256] = {
    let mut table = [0u8; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = b'u';
        byte += 1;
    }
    table[0x08] = b'b';
    table[0x09] = b't';
    table[0x0a] = b'n';
    table[0x0c] = b'f';
    table[0x0d] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Writes `text` as a JSON string, with its quotes.
pub fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    escape(text, out);
    out.push(b'"');
}

/// Writes bytes as a JSON string, with its quotes; what is not UTF-8 becomes U+FFFD. Answers
/// whether the string holds the very bytes.
pub fn lossy(bytes: &[u8], out: &mut Vec<u8>) -> bool {
    if let Ok(text) = std::str::from_utf8(bytes) {
        string(text, out);
        return true;
    }
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        escape(chunk.valid(), out);
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    out.push(b'"');
    false
}

fn escape(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let mut from = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let letter = ESCAPES[usize::from(byte)];
        if letter == 0 {
            continue;
        }
        out.extend_from_slice(&bytes[from..at]);
        from = at + 1;
        out.extend_from_slice(&[b'\\', letter]);
        if letter == b'u' {
            out.extend_from_slice(b"00");
            out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
    out.extend_from_slice(&bytes[from..]);
}

/// Writes a number.
pub fn number(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Writes 16 hexadecimal digits with quotes.
pub fn hex(value: u64, out: &mut Vec<u8>) {
    let mut text = *b"\"0000000000000000\"";
    for (slot, shift) in text[1..17].iter_mut().zip((0..16).rev()) {
        *slot = HEX[(value >> (4 * shift) & 15) as usize];
    }
    out.extend_from_slice(&text);
}

/// Writes bytes as base64 (RFC 4648 section 4) with quotes.
pub fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let at = out.len();
    out.resize(at + bytes.len().div_ceil(3) * 4, 0);
    // The room is exactly what the encoding takes.
    let written = STANDARD.encode_slice(bytes, &mut out[at..]).unwrap_or(0);
    out.truncate(at + written);
    out.push(b'"');
}

/// Reads what `base64` wrote between the quotes.
#[must_use]
pub fn base64_decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    #[test]
    fn every_character_below_u800_comes_back_through_a_json_reader() {
        for code in 0..0x800 {
            let text: String = ['a', char::from_u32(code).unwrap(), 'z'].into_iter().collect();
            let json = written(|out| string(&text, out));
            assert_eq!(serde_json::from_slice::<String>(&json).unwrap(), text);
            assert!(!json.contains(&b'\n'));
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_replaced_and_reported() {
        let json = written(|out| assert!(!lossy(b"a\xff\xfe\"b\xe2\x82", out)));
        let read: String = serde_json::from_slice(&json).unwrap();
        assert_eq!(read, String::from_utf8_lossy(b"a\xff\xfe\"b\xe2\x82"));
        assert!(lossy("ü".as_bytes(), &mut Vec::new()));
    }

    #[test]
    fn base64_comes_back_for_every_length() {
        for length in 0..20u8 {
            let bytes: Vec<u8> = (0..length).map(|byte| byte.wrapping_mul(151)).collect();
            let json = written(|out| base64(&bytes, out));
            let text: String = serde_json::from_slice(&json).unwrap();
            assert_eq!(base64_decode(&text).unwrap(), bytes);
        }
    }

    #[test]
    fn numbers_are_written_in_decimal_and_hexadecimal() {
        assert_eq!(written(|out| number(u64::MAX, out)), b"18446744073709551615");
        assert_eq!(written(|out| number(-5i64, out)), b"-5");
        assert_eq!(written(|out| hex(0x00ab_cdef_0123_4567, out)), b"\"00abcdef01234567\"");
    }
}
