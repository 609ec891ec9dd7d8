//! Instants and days as text (RFC 3339, UTC).

use driftlog_proto::time::Unix;
use serde::{Deserialize, Serialize};

const SECOND_NS: i64 = 1_000_000_000;
const DAY_S: i64 = 86_400;

/// A day of the UTC calendar, counted from 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Day(pub i32);

impl Day {
    /// The day of an instant.
    #[must_use]
    pub fn of(time: Unix) -> Self {
        // An i64 of nanoseconds spans 213,504 days.
        Self((time.0.div_euclid(SECOND_NS * DAY_S)) as i32)
    }

    /// Reads `YYYY-MM-DD`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let number = |range| -> Option<i32> {
            let digits: &str = text.get(range)?;
            if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
        };
        let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
        // Howard Hinnant, "chrono-compatible low-level date algorithms", days_from_civil.
        let y = if month <= 2 { year - 1 } else { year };
        let era = y.div_euclid(400);
        let year_of_era = y.rem_euclid(400);
        let month_from_march = (month + 9) % 12;
        let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let found = Self(era * 146_097 + day_of_era - 719_468);
        (found.to_string() == text).then_some(found)
    }

    fn civil(self) -> (i32, u8, u8) {
        // As above, civil_from_days.
        let z = self.0 + 719_468;
        let era = z.div_euclid(146_097);
        let day_of_era = z.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year_of_era + era * 400 + i32::from(month <= 2);
        (year, month as u8, day as u8)
    }
}

impl std::fmt::Display for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (year, month, day) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// Writes instants as `2026-11-23T21:20:39.123456789Z`, quickly where they follow each other.
#[derive(Debug)]
pub struct Stamp {
    second: Option<i64>,
    /// `2026-11-23T21:20:39.`
    text: [u8; 20],
}

impl Default for Stamp {
    fn default() -> Self {
        Self { second: None, text: *b"0000-00-00T00:00:00." }
    }
}

impl Stamp {
    /// Writes an instant.
    pub fn write(&mut self, time: Unix, out: &mut Vec<u8>) {
        let second = time.0.div_euclid(SECOND_NS);
        if self.second != Some(second) {
            self.remember(second);
        }
        let mut nanos = time.0.rem_euclid(SECOND_NS) as u32;
        let mut tail = *b"000000000Z";
        for at in (0..9).rev() {
            tail[at] = b'0' + (nanos % 10) as u8;
            nanos /= 10;
        }
        out.extend_from_slice(&self.text);
        out.extend_from_slice(&tail);
    }

    fn remember(&mut self, second: i64) {
        self.second = Some(second);
        let day = Day(second.div_euclid(DAY_S) as i32);
        let of_day = second.rem_euclid(DAY_S);
        let (year, month, date) = day.civil();
        let mut put = |at: usize, digits: usize, value: i64| {
            let mut rest = value;
            for slot in self.text[at..at + digits].iter_mut().rev() {
                *slot = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        };
        put(0, 4, i64::from(year));
        put(5, 2, i64::from(month));
        put(8, 2, i64::from(date));
        put(11, 2, of_day / 3600);
        put(14, 2, of_day / 60 % 60);
        put(17, 2, of_day % 60);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(time: i64) -> String {
        let mut out = Vec::new();
        Stamp::default().write(Unix(time), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn instants_from_the_first_to_the_last_are_written_right() {
        assert_eq!(text(0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(text(1_795_468_839_123_456_789), "2026-11-23T21:20:39.123456789Z");
        assert_eq!(text(951_827_696_000_000_001), "2000-02-29T12:34:56.000000001Z");
        assert_eq!(text(-1), "1969-12-31T23:59:59.999999999Z");
        assert_eq!(text(i64::MAX), "2262-04-11T23:47:16.854775807Z");
        assert_eq!(text(i64::MIN), "1677-09-21T00:12:43.145224192Z");
    }

    #[test]
    fn a_day_is_read_as_it_is_written() {
        for day in [-106_752, -1, 0, 11_016, 20_780, 106_751] {
            assert_eq!(Day::parse(&Day(day).to_string()), Some(Day(day)));
        }
        assert_eq!(Day::of(Unix(-1)).to_string(), "1969-12-31");
        for wrong in ["2026-02-30", "2026-1-01", "2026-11-23x", "+026-11-23", ""] {
            assert_eq!(Day::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn one_stamp_writes_many_instants() {
        let mut stamp = Stamp::default();
        let mut out = Vec::new();
        for time in [1_000_000_000, 1_000_000_001, 2_000_000_000, 86_400_000_000_000] {
            stamp.write(Unix(time), &mut out);
        }
        let all = "1970-01-01T00:00:01.000000000Z1970-01-01T00:00:01.000000001Z\
                   1970-01-01T00:00:02.000000000Z1970-01-02T00:00:00.000000000Z";
        assert_eq!(String::from_utf8(out).unwrap(), all);
    }
}
