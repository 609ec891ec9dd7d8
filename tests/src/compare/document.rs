//! One line of the archive, as far as the comparison needs it; read with nothing of the gateway's.

use std::borrow::Cow;

use serde::Deserialize;

use super::base64;

/// The path under which the agent itself speaks.
const AGENT: &str = "driftlog:agent";

/// A record of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub(super) device: Cow<'a, str>,
    pub(super) lane: Cow<'a, str>,
    /// The file's identity on the device.
    pub(super) file: Cow<'a, str>,
    pub(super) path: Cow<'a, str>,
    /// Where in the file it begins.
    pub(super) offset: u64,
    /// The body as it stood in the file, without its newline.
    pub(super) body: Cow<'a, [u8]>,
    /// A newline followed.
    pub(super) is_ended: bool,
    /// The line was longer than a line may be: what follows up to its end was left out.
    pub(super) is_cut: bool,
    /// When it happened, by the gateway's reckoning.
    pub(super) time: i64,
    /// How far that may be wrong; `None` where it rests on the device's own clock.
    pub(super) bound: Option<u64>,
    /// When it arrived.
    pub(super) arrived: i64,
}

/// What a line is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Document<'a> {
    Piece(Piece<'a>),
    /// Records that are declared gone.
    Gap {
        device: Cow<'a, str>,
        records: u64,
    },
    /// A block that could not be unpacked.
    DeadLetter {
        device: Cow<'a, str>,
        records: u64,
    },
    /// A start, a notice, or what an agent says about itself.
    Other,
}

impl<'a> Document<'a> {
    /// Reads a line.
    pub(super) fn parse(line: &'a [u8]) -> Result<Self, String> {
        let raw: Raw<'a> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let device = raw.host.id;
        let records = |range: &Option<Range>| range.as_ref().map_or(0, |range| range.records);
        match raw.driftlog.kind.as_ref() {
            "record" => {}
            "gap" => return Ok(Self::Gap { device, records: records(&raw.driftlog.gap) }),
            "deadletter" => {
                return Ok(Self::DeadLetter { device, records: records(&raw.driftlog.deadletter) });
            }
            _ => return Ok(Self::Other),
        }
        let own = raw.driftlog;
        let log = raw.log.ok_or("a record without `log`")?;
        let path = log.file.ok_or("a record without `log.file.path`")?.path;
        if path == AGENT {
            return Ok(Self::Other);
        }
        let message = raw.message.ok_or("a record without `message`")?;
        let body = match own.body {
            Some(text) => base64::decode(&text).ok_or("`driftlog.body` is not base64")?.into(),
            None => match message {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            },
        };
        let clock = own.clock.ok_or("a record without `driftlog.clock`")?;
        Ok(Self::Piece(Piece {
            device,
            lane: own.lane.unwrap_or_default(),
            file: own.file.ok_or("a record without `driftlog.file`")?,
            path,
            offset: log.offset.ok_or("a record without `log.offset`")?,
            body,
            is_ended: own.ending.as_deref() != Some("none"),
            is_cut: own.cut.unwrap_or(false),
            time: instant(&raw.timestamp).ok_or_else(|| format!("{} is not a time", raw.timestamp))?,
            bound: (clock.basis != "device").then_some(clock.bound_ns),
            arrived: raw.event.ingested.as_deref().and_then(instant).ok_or("no `event.ingested`")?,
        }))
    }
}

/// Nanoseconds since 1970 of an RFC 3339 instant in UTC.
pub(super) fn instant(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    // A year may have a sign, so the date is taken apart from its end.
    let mut parts = date.rsplitn(3, '-');
    let (day, month, year): (i64, i64, i64) =
        (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut seconds = 0i64;
    for part in clock.split(':') {
        seconds = seconds * 60 + part.parse::<i64>().ok()?;
    }
    let ns: i64 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    // Days from civil (Howard Hinnant, chrono-compatible low-level date algorithms).
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468;
    (days * 86_400 + seconds).checked_mul(1_000_000_000)?.checked_add(ns)
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow, rename = "@timestamp")]
    timestamp: Cow<'a, str>,
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
    #[serde(borrow)]
    event: Event<'a>,
    #[serde(borrow)]
    log: Option<Log<'a>>,
    #[serde(borrow)]
    host: Host<'a>,
    #[serde(borrow)]
    driftlog: Own<'a>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    ingested: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Log<'a> {
    offset: Option<u64>,
    #[serde(borrow)]
    file: Option<LogFile<'a>>,
}

#[derive(Deserialize)]
struct LogFile<'a> {
    #[serde(borrow)]
    path: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Host<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Own<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    lane: Option<Cow<'a, str>>,
    #[serde(borrow)]
    file: Option<Cow<'a, str>>,
    #[serde(borrow)]
    ending: Option<Cow<'a, str>>,
    cut: Option<bool>,
    #[serde(borrow)]
    body: Option<Cow<'a, str>>,
    #[serde(borrow)]
    clock: Option<Clock<'a>>,
    gap: Option<Range>,
    deadletter: Option<Range>,
}

#[derive(Deserialize)]
struct Clock<'a> {
    bound_ns: u64,
    #[serde(borrow)]
    basis: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Range {
    records: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"@timestamp":"2026-11-23T06:00:00.000000007Z","message":"K?hl","event":{"sequence":5,"created":"1970-01-01T00:00:09.5Z","ingested":"2026-11-23T06:00:01.000000000Z","kind":"event","dataset":"driftlog.record"},"log":{"level":"info","offset":120,"file":{"path":"/logs/a.log"}},"driftlog":{"file":"00000000000000ff","mono_ns":9,"part":"last","ending":"none","cut":true,"body":"S/xobA==","chain":"0123456789abcdef","kind":"record","lane":"urgent","run":"0000000000000001","boot":"00","clock":{"bound_ns":1500,"basis":"measured"}},"host":{"id":"pump-1","name":"pump-1"},"labels":{"site":"x"},"ecs":{"version":"9"}}"#;

    #[test]
    fn a_record_is_read_with_its_body_bit_for_bit() {
        let Ok(Document::Piece(piece)) = Document::parse(LINE.as_bytes()) else { panic!("not a record") };
        assert_eq!(piece.body.as_ref(), b"K\xfchl");
        assert_eq!((piece.device.as_ref(), piece.lane.as_ref(), piece.offset), ("pump-1", "urgent", 120));
        assert!(!piece.is_ended && piece.is_cut);
        assert_eq!(piece.arrived - piece.time, 1_000_000_000 - 7);
        assert_eq!(piece.bound, Some(1500));
    }

    #[test]
    fn what_an_agent_says_about_itself_and_starts_are_no_lines_of_a_file() {
        let own = LINE.replace("/logs/a.log", AGENT);
        assert_eq!(Document::parse(own.as_bytes()), Ok(Document::Other));
        let start = LINE.replace(r#""kind":"record""#, r#""kind":"start""#);
        assert_eq!(Document::parse(start.as_bytes()), Ok(Document::Other));
    }

    #[test]
    fn instants_are_read_over_the_whole_range() {
        assert_eq!(instant("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(instant("2026-11-23T06:00:00.5Z"), Some(1_795_413_600_500_000_000));
        assert_eq!(instant("1969-12-31T23:59:59.999999999Z"), Some(-1));
        assert_eq!(instant("2000-02-29T12:00:00Z"), Some(951_825_600_000_000_000));
        assert_eq!(instant("yesterday"), None);
    }
}
