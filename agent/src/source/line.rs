//! Cutting bytes into lines and parts of lines: one pure step at a time.
//!
//! A line ends with `\n`, which is not a part of its body; a `\r` is. A line longer than
//! [`RECORD_BYTES_MAX`] becomes parts of that length. After [`LINE_BYTES_MAX`] it is cut: the part
//! that reaches the limit is the last, and what follows up to the newline is skipped.

use driftlog_proto::block::{Ending, Part};
use driftlog_proto::limits::{LINE_BYTES_MAX, RECORD_BYTES_MAX};
use memchr::memchr;
use serde::{Deserialize, Serialize};

/// Where in a line a cursor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) enum Within {
    /// At the beginning of a line.
    #[default]
    Start,
    /// In a line that began at offset `begun` and of which parts were given out. What the first
    /// part showed as its severity holds for all of them.
    Line { begun: u64, severity: u8 },
    /// In the rest of a line that was cut.
    Cut,
}

/// Whether more bytes may follow those at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Supply {
    /// They may, soon: wait for the end of the line.
    Open,
    /// Nothing came for so long that the unfinished line is given out as it is.
    Idle,
    /// None will ever.
    Over,
}

/// What to do with the bytes at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Give out the first `body` bytes and pass over `taken`.
    Give { body: usize, taken: usize, ending: Ending, part: Part, is_cut: bool },
    /// Pass over `taken` bytes of a line that was cut; `is_over` at its end.
    Skip { taken: usize, is_over: bool },
    /// Nothing can be given out yet.
    Wait,
}

/// The next step: `window` holds the bytes at hand from offset `at` on.
pub(crate) fn step(within: Within, at: u64, window: &[u8], supply: Supply) -> Step {
    let given = match within {
        Within::Start => None,
        Within::Line { begun, .. } => Some(usize::try_from(at - begun).unwrap_or(LINE_BYTES_MAX)),
        Within::Cut => return skip(window),
    };
    let room = LINE_BYTES_MAX.saturating_sub(given.unwrap_or(0));
    let limit = room.min(RECORD_BYTES_MAX);
    let near = window.get(..=limit).unwrap_or(window);
    let end = if given.is_some() { Part::Last } else { Part::Whole };
    let open = if given.is_some() { Part::Middle } else { Part::First };
    if let Some(body) = memchr(b'\n', near) {
        return Step::Give { body, taken: body + 1, ending: Ending::Newline, part: end, is_cut: false };
    }
    let give = |body, part, is_cut| Step::Give { body, taken: body, ending: Ending::None, part, is_cut };
    if near.len() > limit {
        // One byte more than fits and it is not a newline: the line goes on.
        return if room == limit { give(limit, end, true) } else { give(limit, open, false) };
    }
    match supply {
        Supply::Idle if !near.is_empty() => give(near.len(), open, false),
        Supply::Over if !near.is_empty() => give(near.len(), end, false),
        _ => Step::Wait,
    }
}

fn skip(window: &[u8]) -> Step {
    match memchr(b'\n', window) {
        Some(n) => Step::Skip { taken: n + 1, is_over: true },
        None if window.is_empty() => Step::Wait,
        None => Step::Skip { taken: window.len(), is_over: false },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(body: usize) -> Step {
        Step::Give { body, taken: body + 1, ending: Ending::Newline, part: Part::Whole, is_cut: false }
    }

    fn give(body: usize, part: Part, is_cut: bool) -> Step {
        Step::Give { body, taken: body, ending: Ending::None, part, is_cut }
    }

    fn within(begun: u64) -> Within {
        Within::Line { begun, severity: 0 }
    }

    fn line(bytes: usize) -> Vec<u8> {
        let mut line = vec![b'x'; bytes];
        line.push(b'\n');
        line
    }

    #[test]
    fn a_line_without_bytes_is_a_line() {
        assert_eq!(step(Within::Start, 0, b"\n\n", Supply::Open), whole(0));
    }

    #[test]
    fn a_carriage_return_stays_in_the_body() {
        assert_eq!(step(Within::Start, 0, b"ab\r\ncd", Supply::Open), whole(3));
    }

    #[test]
    fn a_line_of_a_records_length_is_whole_and_one_byte_more_makes_parts() {
        assert_eq!(step(Within::Start, 0, &line(RECORD_BYTES_MAX), Supply::Open), whole(RECORD_BYTES_MAX));
        let longer = line(RECORD_BYTES_MAX + 1);
        assert_eq!(step(Within::Start, 0, &longer, Supply::Open), give(RECORD_BYTES_MAX, Part::First, false));
        let rest = step(within(0), RECORD_BYTES_MAX as u64, &longer[RECORD_BYTES_MAX..], Supply::Open);
        let last = Step::Give { body: 1, taken: 2, ending: Ending::Newline, part: Part::Last, is_cut: false };
        assert_eq!(rest, last);
    }

    #[test]
    fn a_part_is_given_only_when_the_line_is_known_to_go_on() {
        let exact = vec![b'x'; RECORD_BYTES_MAX];
        assert_eq!(step(Within::Start, 0, &exact, Supply::Open), Step::Wait);
    }

    #[test]
    fn a_line_of_the_greatest_length_is_not_cut_and_one_byte_more_is() {
        let at = (LINE_BYTES_MAX - 10) as u64;
        let fits = step(within(0), at, b"0123456789\n", Supply::Open);
        assert!(matches!(fits, Step::Give { body: 10, taken: 11, is_cut: false, .. }), "{fits:?}");
        let cut = step(within(0), at, b"0123456789x\n", Supply::Open);
        assert_eq!(cut, give(10, Part::Last, true));
    }

    #[test]
    fn the_end_of_a_full_line_may_come_as_a_newline_alone_or_as_a_cut_without_bytes() {
        let at = LINE_BYTES_MAX as u64;
        let newline = step(within(0), at, b"\n", Supply::Open);
        assert!(matches!(newline, Step::Give { body: 0, taken: 1, is_cut: false, .. }));
        assert_eq!(step(within(0), at, b"x", Supply::Open), give(0, Part::Last, true));
    }

    #[test]
    fn the_rest_of_a_cut_line_is_skipped_to_its_newline() {
        assert_eq!(step(Within::Cut, 9, b"abc", Supply::Open), Step::Skip { taken: 3, is_over: false });
        assert_eq!(step(Within::Cut, 9, b"ab\nc", Supply::Open), Step::Skip { taken: 3, is_over: true });
        assert_eq!(step(Within::Cut, 9, b"", Supply::Over), Step::Wait);
    }

    #[test]
    fn an_unfinished_line_waits_then_is_given_as_a_part_and_at_the_end_of_the_file_whole() {
        assert_eq!(step(Within::Start, 0, b"abc", Supply::Open), Step::Wait);
        assert_eq!(step(Within::Start, 0, b"abc", Supply::Idle), give(3, Part::First, false));
        assert_eq!(step(within(0), 3, b"de", Supply::Idle), give(2, Part::Middle, false));
        assert_eq!(step(Within::Start, 0, b"abc", Supply::Over), give(3, Part::Whole, false));
        assert_eq!(step(within(0), 3, b"de", Supply::Over), give(2, Part::Last, false));
        assert_eq!(step(within(0), 3, b"", Supply::Idle), Step::Wait);
        assert_eq!(step(Within::Start, 0, b"", Supply::Over), Step::Wait);
    }
}
