//! A record as it goes into a block and comes out again.

use crate::time::Mono;

/// How serious a record is: the severity number of OpenTelemetry's log data model, 0 (not
/// stated) to 24.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Severity(u8);

impl Severity {
    /// The record does not say.
    pub const UNSPECIFIED: Self = Self(0);
    /// Fine-grained debugging.
    pub const TRACE: Self = Self(1);
    /// Debugging.
    pub const DEBUG: Self = Self(5);
    /// Something happened.
    pub const INFO: Self = Self(9);
    /// Something is not as it should be.
    pub const WARN: Self = Self(13);
    /// Something went wrong.
    pub const ERROR: Self = Self(17);
    /// Something ended because of it.
    pub const FATAL: Self = Self(21);
    /// The highest number.
    pub const MAX: Self = Self(24);

    /// The severity with this number, if there is one.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number <= Self::MAX.0 { Some(Self(number)) } else { None }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The name of its range; `None` where the record does not say.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0 => return None,
            1..=4 => "trace",
            5..=8 => "debug",
            9..=12 => "info",
            13..=16 => "warn",
            17..=20 => "error",
            _ => "fatal",
        })
    }

    /// The lowest severity of the range with this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::TRACE, Self::DEBUG, Self::INFO, Self::WARN, Self::ERROR, Self::FATAL]
            .into_iter()
            .find(|severity| severity.name() == Some(name))
    }
}

/// What followed the body in its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Ending {
    /// A newline, which is not a part of the body.
    #[default]
    Newline,
    /// Nothing, or nothing yet; or the body is a part and the line goes on.
    None,
}

/// Which piece of a line a record is: a line longer than a record may be is carried as parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Part {
    /// All of it.
    #[default]
    Whole,
    /// Its beginning.
    First,
    /// Neither its beginning nor its end.
    Middle,
    /// Its end.
    Last,
}

/// What the body is made of, as far as it was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// Bytes.
    #[default]
    Raw,
    /// A JSON object.
    Json,
}

/// One log event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// When it was read. A block keeps whole microseconds: it comes out rounded down to one.
    pub mono: Mono,
    /// How serious it is.
    pub severity: Severity,
    /// Its source, as an index into the block's sources.
    pub source: u16,
    /// Where its body begins in the file, bytes from the beginning.
    pub offset: u64,
    /// What followed it there.
    pub ending: Ending,
    /// Which piece of a line it is.
    pub part: Part,
    /// The line was longer than a line may be, and the rest of it is not carried.
    pub cut: bool,
    /// What the body is made of.
    pub format: Format,
    /// The bytes of the line, exactly.
    pub body: &'a [u8],
}

impl Record<'_> {
    /// Where the next record of this file begins if nothing is left out.
    pub(super) fn end_offset(&self) -> u64 {
        let newline = u64::from(self.ending == Ending::Newline);
        self.offset.wrapping_add(self.body.len() as u64).wrapping_add(newline)
    }
}

/// A file, or whatever else lines were read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source<'a> {
    /// Its path.
    pub path: &'a [u8],
    /// Which file it was that stood at this path.
    pub file: u64,
}

/// Bits of a record's entry in the column of flags.
const ENDING_NONE: u8 = 1;
const PART_SHIFT: u8 = 1;
const PART_MASK: u8 = 3;
const CUT: u8 = 1 << 3;
const JSON: u8 = 1 << 4;

/// What the column of flags holds about a record.
#[derive(Clone, Copy)]
pub(super) struct Flags {
    pub(super) ending: Ending,
    pub(super) part: Part,
    pub(super) cut: bool,
    pub(super) format: Format,
}

impl Flags {
    pub(super) fn of(record: &Record<'_>) -> Self {
        Self { ending: record.ending, part: record.part, cut: record.cut, format: record.format }
    }

    pub(super) fn encode(self) -> u8 {
        let part = match self.part {
            Part::Whole => 0,
            Part::First => 1,
            Part::Middle => 2,
            Part::Last => 3,
        };
        let bit = |claim: bool, bit: u8| if claim { bit } else { 0 };
        bit(self.ending == Ending::None, ENDING_NONE)
            | (part << PART_SHIFT)
            | bit(self.cut, CUT)
            | bit(self.format == Format::Json, JSON)
    }

    pub(super) fn decode(byte: u8) -> Option<Self> {
        if byte & !(ENDING_NONE | (PART_MASK << PART_SHIFT) | CUT | JSON) != 0 {
            return None;
        }
        let part = match (byte >> PART_SHIFT) & PART_MASK {
            0 => Part::Whole,
            1 => Part::First,
            2 => Part::Middle,
            _ => Part::Last,
        };
        Some(Self {
            ending: if byte & ENDING_NONE == 0 { Ending::Newline } else { Ending::None },
            part,
            cut: byte & CUT != 0,
            format: if byte & JSON == 0 { Format::Raw } else { Format::Json },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_flags_is_known_or_refused() {
        for byte in 0..=u8::MAX {
            match Flags::decode(byte) {
                Some(flags) => assert_eq!(flags.encode(), byte),
                None => assert!(byte >= 32, "{byte} has no unknown bit"),
            }
        }
    }

    #[test]
    fn a_severity_has_the_number_and_range_of_opentelemetry() {
        assert_eq!(Severity::new(24), Some(Severity::MAX));
        assert_eq!(Severity::new(25), None);
        assert_eq!(Severity::UNSPECIFIED.name(), None);
        assert_eq!(Severity::new(18).and_then(Severity::name), Some("error"));
        assert_eq!(Severity::from_name("warn"), Some(Severity::WARN));
        assert_eq!(Severity::from_name("loud"), None);
    }
}
