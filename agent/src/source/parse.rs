//! Severity and JSON, seen at a glance: no allocation, and no more than the first bytes of a line.
//!
//! A line shows its severity as a field (`"level":"error"`, `level=warn`, `<3>` of syslog), as a
//! letter (`E0102 12:00:00` of glog, `01-02 12:00:00.000  12  34 E tag:` of Android), or as a word
//! between its time and its text (`ERROR`, `[warn]`, `Warning:`). A word further on is text: "no
//! error" says nothing. What is not recognised is [`Severity::UNSPECIFIED`].

use driftlog_proto::block::{Format, Severity};

/// Bytes of a line in which a field is looked for.
const FIELD_BYTES_MAX: usize = 512;
/// Bytes of a line in which a word or letter is looked for.
const WORD_BYTES_MAX: usize = 160;
/// Words, as of hosts and programs, that may come before the severity.
const WORDS_BEFORE_MAX: u32 = 2;

/// What a line shows: its severity, and whether it is a JSON object.
#[must_use]
pub fn recognise(body: &[u8]) -> (Severity, Format) {
    let line = body.trim_ascii();
    let head = line.get(..FIELD_BYTES_MAX).unwrap_or(line);
    if is_json(line) {
        let severity = json_level(head).or_else(|| json_level(tail(line)));
        return (severity.unwrap_or_default(), Format::Json);
    }
    let severity = priority(head)
        .or_else(|| glog(head))
        .or_else(|| field(head))
        .or_else(|| words(head.get(..WORD_BYTES_MAX).unwrap_or(head)));
    (severity.unwrap_or_default(), Format::Raw)
}

fn tail(line: &[u8]) -> &[u8] {
    line.get(line.len().saturating_sub(FIELD_BYTES_MAX)..).unwrap_or_default()
}

/// The object's first and last characters, and what an object must go on with.
fn is_json(line: &[u8]) -> bool {
    let inside = line.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}"));
    let inside = inside.map(<[u8]>::trim_ascii_start);
    inside.is_some_and(|inside| inside.is_empty() || (inside.starts_with(b"\"") && inside.contains(&b':')))
}

/// The severity that a word names, in any case.
fn word(word: &[u8]) -> Option<Severity> {
    // By first letter, so that most words are told apart by one comparison.
    let (names, severity): (&[&[u8]], _) = match word.first()? | 0x20 {
        b't' => (&[b"trace", b"trc"], Severity::TRACE),
        b'v' => (&[b"verbose"], Severity::TRACE),
        b'd' => (&[b"debug", b"dbg"], Severity::DEBUG),
        b'i' => (&[b"info", b"information", b"inf", b"informational"], Severity::INFO),
        b'n' => (&[b"notice"], Severity::INFO),
        b'w' => (&[b"warn", b"warning", b"wrn"], Severity::WARN),
        b'e' if word.get(1).is_some_and(|b| b | 0x20 == b'm') => (&[b"emerg", b"emergency"], Severity::FATAL),
        b'e' => (&[b"error", b"err", b"eror"], Severity::ERROR),
        b's' => (&[b"severe"], Severity::ERROR),
        b'f' if word.get(1).is_some_and(|b| b | 0x20 == b'i') => return fine(word),
        b'f' => (&[b"fatal", b"ftl"], Severity::FATAL),
        b'c' => (&[b"critical", b"crit"], Severity::FATAL),
        b'a' => (&[b"alert"], Severity::FATAL),
        b'p' => (&[b"panic"], Severity::FATAL),
        _ => return None,
    };
    names.iter().any(|name| name.eq_ignore_ascii_case(word)).then_some(severity)
}

/// The lower levels of java.util.logging.
fn fine(word: &[u8]) -> Option<Severity> {
    if word.eq_ignore_ascii_case(b"fine") {
        Some(Severity::DEBUG)
    } else if word.eq_ignore_ascii_case(b"finer") || word.eq_ignore_ascii_case(b"finest") {
        Some(Severity::TRACE)
    } else {
        None
    }
}

/// RFC 5424 section 6.2.1: severity is the priority modulo 8.
fn syslog(code: u32) -> Severity {
    match code & 7 {
        0..=2 => Severity::FATAL,
        3 => Severity::ERROR,
        4 => Severity::WARN,
        5 | 6 => Severity::INFO,
        _ => Severity::DEBUG,
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()
}

/// `<34>` at the beginning: a priority of syslog or of the kernel.
fn priority(line: &[u8]) -> Option<Severity> {
    let rest = line.strip_prefix(b"<")?;
    let end = rest.iter().take(4).position(|b| *b == b'>')?;
    number(rest.get(..end)?).filter(|code| *code <= 191).map(syslog)
}

/// `E0102 15:04:05.000000 …`: glog and klog.
fn glog(line: &[u8]) -> Option<Severity> {
    let (letter, rest) = line.split_first()?;
    let is_glog = rest.get(..4)?.iter().all(u8::is_ascii_digit)
        && rest.get(4) == Some(&b' ')
        && rest.get(5)?.is_ascii_digit()
        && rest.get(7) == Some(&b':');
    letter_of(*letter).filter(|_| is_glog)
}

/// The letters of glog and Android.
fn letter_of(letter: u8) -> Option<Severity> {
    Some(match letter {
        b'V' => Severity::TRACE,
        b'D' => Severity::DEBUG,
        b'I' => Severity::INFO,
        b'W' => Severity::WARN,
        b'E' => Severity::ERROR,
        b'F' => Severity::FATAL,
        _ => return None,
    })
}

/// The keys under which a severity is written.
const KEYS: [&[u8]; 5] = [b"level", b"severity", b"lvl", b"loglevel", b"log.level"];

/// `level=warn`, `severity="ERROR"`, `lvl: info` is not one.
fn field(line: &[u8]) -> Option<Severity> {
    let mut at = 0;
    while let Some(n) = memchr::memchr(b'=', line.get(at..)?) {
        let (before, after) = (line.get(..at + n)?, line.get(at + n + 1..)?);
        let key = before.rsplit(|b| !(b.is_ascii_alphanumeric() || *b == b'.')).next()?;
        if KEYS.iter().any(|name| name.eq_ignore_ascii_case(key)) {
            return value(after.strip_prefix(b"\"").unwrap_or(after));
        }
        at += n + 1;
    }
    None
}

/// `"level":"error"`, `"severity": "WARN"`, `"level":30`.
fn json_level(line: &[u8]) -> Option<Severity> {
    let mut at = 0;
    while let Some(n) = memchr::memchr(b':', line.get(at..)?) {
        let (before, after) = (line.get(..at + n)?, line.get(at + n + 1..)?.trim_ascii_start());
        let key =
            before.trim_ascii_end().strip_suffix(b"\"").and_then(|key| key.rsplit(|b| *b == b'"').next());
        if key.is_some_and(|key| KEYS.iter().any(|name| name.eq_ignore_ascii_case(key))) {
            return match after.strip_prefix(b"\"") {
                Some(text) => value(text),
                None => bunyan(after),
            };
        }
        at += n + 1;
    }
    None
}

fn value(text: &[u8]) -> Option<Severity> {
    let end = text.iter().position(|b| !b.is_ascii_alphabetic()).unwrap_or(text.len());
    word(text.get(..end)?).or_else(|| match text.get(..end)? {
        [letter] => letter_of(letter.to_ascii_uppercase()),
        _ => None,
    })
}

/// The numbers of bunyan and pino: 10 trace to 60 fatal.
fn bunyan(text: &[u8]) -> Option<Severity> {
    let end = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    Some(match number(text.get(..end)?)? {
        10..20 => Severity::TRACE,
        20..30 => Severity::DEBUG,
        30..40 => Severity::INFO,
        40..50 => Severity::WARN,
        50..60 => Severity::ERROR,
        60 => Severity::FATAL,
        _ => return None,
    })
}

const SEPARATOR: u8 = 1;
const DIGIT: u8 = 2;
const LETTER: u8 = 4;
const QUOTE: u8 = 8;

/// What each byte means between time and text.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0u8;
    loop {
        classes[byte as usize] = match byte {
            b' ' | b'\t' | b'|' | b',' | b'[' | b']' | b'(' | b')' | b'<' | b'>' => SEPARATOR,
            b'0'..=b'9' => DIGIT,
            b'a'..=b'z' | b'A'..=b'Z' => LETTER,
            b'"' | b'=' => QUOTE,
            _ => 0,
        };
        if byte == u8::MAX {
            break classes;
        }
        byte += 1;
    }
};

/// A word or letter between time and text.
fn words(line: &[u8]) -> Option<Severity> {
    let mut before = Before::default();
    let (mut start, mut seen) = (0, 0);
    for (at, byte) in line.iter().enumerate() {
        let class = CLASSES[usize::from(*byte)];
        if class != SEPARATOR {
            seen |= class;
            continue;
        }
        if seen != 0 {
            match before.take(line.get(start..at)?, seen) {
                Token::Severity(severity) => return Some(severity),
                Token::Text => return None,
                Token::Time => seen = 0,
            }
        }
        start = at + 1;
    }
    match before.take(line.get(start..)?, seen) {
        Token::Severity(severity) => Some(severity),
        Token::Text | Token::Time => None,
    }
}

/// What a token makes of the search.
enum Token {
    Severity(Severity),
    /// The text has begun: what follows says nothing.
    Text,
    Time,
}

/// How many tokens came before.
#[derive(Default)]
struct Before {
    numbers: u32,
    words: u32,
}

impl Before {
    fn take(&mut self, token: &[u8], seen: u8) -> Token {
        if seen & QUOTE != 0 {
            return Token::Text;
        }
        if seen & DIGIT != 0 {
            self.numbers += 1;
            return Token::Time;
        }
        if seen & LETTER == 0 {
            return Token::Time;
        }
        let bare = token.strip_suffix(b":").unwrap_or(token);
        let letter = match bare {
            [letter] if self.numbers > 0 && self.words == 0 => letter_of(*letter),
            _ => None,
        };
        // A severity in small letters counts only in front of the text or before a colon, as
        // otherwise it is a word like another.
        let is_loud = |bare: &[u8]| {
            self.words == 0 || token.len() > bare.len() || bare.iter().all(u8::is_ascii_uppercase)
        };
        if let Some(severity) = letter.or_else(|| word(bare).filter(|_| is_loud(bare))) {
            return Token::Severity(severity);
        }
        // Names of hosts and programs are words too; a few may come before.
        self.words += u32::from(!is_month_or_day(bare));
        if self.words > WORDS_BEFORE_MAX { Token::Text } else { Token::Time }
    }
}

fn is_month_or_day(word: &[u8]) -> bool {
    matches!(
        word,
        b"Jan"
            | b"Feb"
            | b"Mar"
            | b"Apr"
            | b"May"
            | b"Jun"
            | b"Jul"
            | b"Aug"
            | b"Sep"
            | b"Oct"
            | b"Nov"
            | b"Dec"
    ) || matches!(word, b"Mon" | b"Tue" | b"Wed" | b"Thu" | b"Fri" | b"Sat" | b"Sun")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn severity(line: &str) -> Severity {
        recognise(line.as_bytes()).0
    }

    #[test]
    fn severities_are_recognised_where_common_formats_show_them() {
        for (line, expected) in [
            ("2026-01-02T03:04:05Z ERROR disk is full", Severity::ERROR),
            ("2026-01-02 03:04:05,123 - app - WARNING - slow", Severity::WARN),
            ("[2026-01-02 03:04:05] [error] [pid 12] core", Severity::ERROR),
            ("[ERROR] it broke", Severity::ERROR),
            ("error: no such file", Severity::ERROR),
            ("INFO starting", Severity::INFO),
            ("Jan  2 03:04:05 pump-7 app[12]: WARN low", Severity::WARN),
            ("Jan  2 03:04:05 pump-7 kernel: CRITICAL: hot", Severity::FATAL),
            ("081109 203615 148 INFO dfs.DataNode: x", Severity::INFO),
            ("17/06/09 20:10:40 INFO executor.Backend: y", Severity::INFO),
            ("03-17 16:13:38.811  1702  2395 D WindowManager: z", Severity::DEBUG),
            ("03-17 16:13:38.811  1702  2395 E Tag: z", Severity::ERROR),
            ("E0102 15:04:05.000000       1 main.go:1] x", Severity::ERROR),
            ("I0102 15:04:05.000000       1 main.go:1] error", Severity::INFO),
            ("time=\"2026-01-02\" level=warning msg=\"error\"", Severity::WARN),
            ("ts=1 severity=\"FATAL\" x", Severity::FATAL),
            ("<11>Jan 2 03:04:05 host app: x", Severity::ERROR),
            ("<30>Jan 2 03:04:05 host app: ERROR", Severity::INFO),
            (r#"{"ts":1,"level":"error","msg":"x"}"#, Severity::ERROR),
            (r#"{"severity": "WARNING", "level_": 1}"#, Severity::WARN),
            (r#"{"level":50,"msg":"x"}"#, Severity::ERROR),
            (r#"{"log.level":"debug"}"#, Severity::DEBUG),
        ] {
            assert_eq!(severity(line), expected, "{line}");
        }
    }

    #[test]
    fn a_word_in_the_text_is_not_a_severity() {
        for line in [
            "",
            "all went well and there was no error at all",
            "the fatal flaw",
            "user said \"ERROR\"",
            r#"{"msg":"level: error"}"#,
            "Jan  2 03:04:05 host app[1]: connection closed without error",
            "<999>x",
            "<x",
            "1234567890",
        ] {
            assert_eq!(severity(line), Severity::UNSPECIFIED, "{line}");
        }
    }

    #[test]
    fn json_objects_are_recognised_and_nothing_else() {
        for line in ["{}", r#"{"a":1}"#, "  {\"a\": {\"b\": 2}}\r"] {
            assert_eq!(recognise(line.as_bytes()).1, Format::Json, "{line}");
        }
        for line in ["", "{", "}", "[1]", "{a}", r#"{"a"}"#, r#"x {"a":1}"#, r#"{"a":1"#] {
            assert_eq!(recognise(line.as_bytes()).1, Format::Raw, "{line}");
        }
    }

    #[test]
    fn a_level_at_the_end_of_a_long_object_is_found() {
        let line = format!(r#"{{"msg":"{}","level":"warn"}}"#, "x".repeat(5000));
        assert_eq!(recognise(line.as_bytes()), (Severity::WARN, Format::Json));
    }

    #[test]
    fn any_bytes_are_looked_at_without_harm() {
        let mut seed = 1u64;
        for _ in 0..20_000 {
            let mut line = Vec::new();
            for _ in 0..(seed >> 60) + (seed >> 61) * 7 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let alphabet = b"<>{}\":= E0[]levrrow\xff\n";
                line.push(alphabet[(seed >> 33) as usize % alphabet.len()]);
            }
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let _ = recognise(&line);
        }
    }
}
