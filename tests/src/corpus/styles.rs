//! What a line of each style looks like.

use super::{Random, Style};

/// When a line is written.
pub(super) struct Moment {
    /// Milliseconds since 1970.
    pub(super) ms: u64,
    /// Milliseconds since the first line.
    pub(super) since_ms: u64,
    /// The number of the line, from 1.
    pub(super) count: u64,
}

impl Moment {
    /// Hours, minutes, seconds and milliseconds of its day; the corpus stays within a month.
    fn clock(&self) -> (u64, u64, u64, u64) {
        (self.ms / 3_600_000 % 24, self.ms / 60_000 % 60, self.ms / 1000 % 60, self.ms % 1000)
    }

    /// The day of November 2026, which goes on counting.
    fn day(&self) -> u64 {
        self.ms / 86_400_000 - (1_795_413_600_000 / 86_400_000) + 23
    }
}

const UNITS: [&str; 8] =
    ["pump", "valve-2", "gateway", "modem", "battery", "inverter", "flow-meter", "watchdog"];
const WORDS: [&str; 12] = [
    "calibrated",
    "opened",
    "closed",
    "restarted",
    "timed out",
    "reconnected",
    "suspended",
    "resumed",
    "saturated",
    "drained",
    "polled",
    "throttled",
];

/// Appends a line without its ending. Errors and warnings are as rare as they are in the field.
pub(super) fn write(style: Style, moment: &Moment, random: &mut Random, out: &mut Vec<u8>) {
    let line = match style {
        Style::Syslog => syslog(moment, random),
        Style::Json => json(moment, random),
        Style::Logfmt => logfmt(moment, random),
        Style::Nginx => nginx(moment, random),
        Style::Kernel => kernel(moment, random),
        Style::Android => android(moment, random),
    };
    out.extend_from_slice(line.as_bytes());
}

fn level<'a>(random: &mut Random, names: [&'a str; 4]) -> &'a str {
    let [debug, info, warn, error] = names;
    match random.below(200) {
        0 => error,
        1..8 => warn,
        8..40 => debug,
        _ => info,
    }
}

fn stamp(moment: &Moment) -> String {
    let (h, m, s, ms) = moment.clock();
    format!("2026-11-{:02}T{h:02}:{m:02}:{s:02}.{ms:03}Z", moment.day())
}

fn syslog(moment: &Moment, random: &mut Random) -> String {
    let (h, m, s, _) = moment.clock();
    let (unit, word) = (random.pick(&UNITS), random.pick(&WORDS));
    let pid = random.between(200, 240);
    let said = match random.below(4) {
        0 => format!("{unit} {word} after {} ms", random.below(900)),
        1 => format!("session {} opened for user operator(uid={})", moment.count, random.below(1200)),
        2 => format!(
            "{}: {unit} {word}, attempt {}",
            level(random, ["debug", "info", "warning", "error"]),
            random.below(9)
        ),
        _ => format!(
            "voltage {}.{:02} V, current {} mA",
            random.between(11, 14),
            random.below(100),
            random.below(2200)
        ),
    };
    format!("Nov {:2} {h:02}:{m:02}:{s:02} node-7 {unit}d[{pid}]: {said}", moment.day())
}

fn json(moment: &Moment, random: &mut Random) -> String {
    let level = level(random, ["debug", "info", "warn", "error"]);
    let (unit, word) = (random.pick(&UNITS), random.pick(&WORDS));
    format!(
        r#"{{"ts":"{}","level":"{level}","unit":"{unit}","msg":"{unit} {word}","n":{},"took_ms":{},"temp_c":{}.{}}}"#,
        stamp(moment),
        moment.count,
        random.below(1500),
        random.between(10, 85),
        random.below(10)
    )
}

fn logfmt(moment: &Moment, random: &mut Random) -> String {
    let level = level(random, ["debug", "info", "warn", "error"]);
    let (unit, word) = (random.pick(&UNITS), random.pick(&WORDS));
    format!(
        r#"time={} level={level} unit={unit} msg="{word}" request={:08x} took={}ms bytes={}"#,
        stamp(moment),
        random.number() as u32,
        random.below(800),
        random.below(100_000)
    )
}

fn nginx(moment: &Moment, random: &mut Random) -> String {
    const PATHS: [&str; 6] = [
        "/",
        "/api/v1/readings",
        "/api/v1/commands?since=",
        "/static/app.js",
        "/healthz",
        "/firmware/latest",
    ];
    let (h, m, s, _) = moment.clock();
    let status = match random.below(60) {
        0 => 500,
        1 => 404,
        2..5 => 304,
        _ => 200,
    };
    format!(
        r#"10.0.{}.{} - - [{:02}/Nov/2026:{h:02}:{m:02}:{s:02} +0000] "GET {} HTTP/1.1" {status} {} "-" "meter/2.{}""#,
        random.below(4),
        random.below(250),
        moment.day(),
        random.pick(&PATHS),
        random.below(30_000),
        random.below(10)
    )
}

fn kernel(moment: &Moment, random: &mut Random) -> String {
    let (s, us) = (moment.since_ms / 1000 + 4, moment.since_ms % 1000 * 1000 + random.below(1000));
    let said = match random.below(5) {
        0 => format!("usb 1-1: new high-speed USB device number {} using dwc2", random.below(120)),
        1 => {
            format!("mmc0: card {:04x} is ready, {} MiB", random.below(65_536), random.between(1900, 30_000))
        }
        2 => format!("EXT4-fs (mmcblk0p2): mounted filesystem, {} orphan inodes deleted", random.below(4)),
        3 => format!(
            "wlan0: deauthenticated from 02:00:00:{:02x}:{:02x}:01",
            random.below(256),
            random.below(256)
        ),
        _ => format!("cfg80211: regulatory domain changed, {} channels", random.between(11, 40)),
    };
    format!("[{s:5}.{us:06}] {said}")
}

fn android(moment: &Moment, random: &mut Random) -> String {
    let (h, m, s, ms) = moment.clock();
    let level = level(random, ["D", "I", "W", "E"]);
    let pid = random.between(900, 4000);
    let (unit, word) = (random.pick(&UNITS), random.pick(&WORDS));
    format!(
        "11-{:02} {h:02}:{m:02}:{s:02}.{ms:03} {pid:5} {:5} {level} {unit}Service: {word} (#{}, {} ns)",
        moment.day(),
        pid + random.below(40),
        moment.count,
        random.below(1_000_000)
    )
}
