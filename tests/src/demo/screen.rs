//! How a moment is drawn: lines of words with colours, for a terminal.

use super::view::{Row, View};
use crate::table::{bytes, grouped, span};

/// How a word looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Ink {
    #[default]
    Plain,
    Bold,
    Dim,
    Red,
    Green,
}

impl Ink {
    /// The ANSI sequence that begins it (ECMA-48, SGR).
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "\x1b[1m",
            Self::Dim => "\x1b[2m",
            Self::Red => "\x1b[31m",
            Self::Green => "\x1b[32m",
        }
    }
}

/// One line of the screen.
#[derive(Clone, Debug, Default)]
pub(super) struct Line(Vec<(Ink, String)>);

impl Line {
    fn of(ink: Ink, text: impl Into<String>) -> Self {
        Self(vec![(ink, text.into())])
    }

    fn and(mut self, ink: Ink, text: impl Into<String>) -> Self {
        self.0.push((ink, text.into()));
        self
    }

    /// The line with its colours, cut to the width of the screen.
    pub(super) fn ansi(&self, width: usize, has_colours: bool) -> String {
        let mut out = String::new();
        let mut room = width;
        for (ink, text) in &self.0 {
            let shown: String = text.chars().take(room).collect();
            room -= shown.chars().count();
            match ink.code() {
                code if has_colours && !code.is_empty() => out.push_str(&format!("{code}{shown}\x1b[0m")),
                _ => out.push_str(&shown),
            }
        }
        out
    }
}

/// From this width on there is room for a bar.
const BAR_WIDTH: usize = 115;
/// From this width on there is room for what was written.
const WRITTEN_WIDTH: usize = 103;

/// The screen at one moment; no more than `height` lines.
pub(super) fn frame(view: &View, width: usize, height: usize) -> Vec<Line> {
    let mut lines = vec![title(view), Line::default(), head(width)];
    lines.extend(view.rows.iter().map(|device| row(device, width)));
    lines.push(gateway(view));
    lines.push(Line::default());
    let room = height.saturating_sub(lines.len() + 1).max(1);
    let skipped = view.events.len().saturating_sub(room);
    for event in view.events.iter().skip(skipped) {
        let (ink, mark) = if event.is_blow { (Ink::Red, "✗") } else { (Ink::Green, "✓") };
        let at = format!("  {:>5.1} s  ", event.at.as_secs_f64());
        lines.push(Line::of(Ink::Dim, at).and(ink, mark).and(Ink::Plain, format!(" {}", event.what)));
    }
    lines
}

fn title(view: &View) -> Line {
    let (elapsed, time) = (view.elapsed.as_secs(), view.time.as_secs());
    let now = if elapsed < time {
        format!("{elapsed} s of {time}")
    } else {
        format!("{elapsed} s: nothing is written any more, the rest is coming in")
    };
    let devices = view.rows.len();
    let what = format!(
        " · {devices} device{} and a gateway, all real processes · ",
        if devices == 1 { "" } else { "s" }
    );
    Line::of(Ink::Bold, "driftlog").and(Ink::Plain, what).and(Ink::Bold, now)
}

fn head(width: usize) -> Line {
    let written = if width < WRITTEN_WIDTH { String::new() } else { format!("{:>9}", "written") };
    let bar = if width < BAR_WIDTH { "" } else { "            " };
    let head = format!(
        "{:<10}{:<18}{written}{:>9}{:>12}{:>10}{:>9}{bar}  {}",
        "device", "now", "spooled", "on the air", "on shore", "lag", "its clock is"
    );
    Line::of(Ink::Dim, head)
}

fn row(row: &Row, width: usize) -> Line {
    let air = if row.in_flight_bytes == 0 { "-".to_owned() } else { bytes(row.in_flight_bytes) };
    let written = if width < WRITTEN_WIDTH { String::new() } else { format!("{:>9}", grouped(row.written)) };
    let numbers = format!(
        "{written}{:>9}{air:>12}{:>10}{:>9}",
        grouped(row.spooled),
        grouped(row.on_shore.min(row.written)),
        grouped(row.lag())
    );
    let ink = if row.is_hit { Ink::Red } else { Ink::Plain };
    let line = Line::of(Ink::Bold, format!("{:<10}", row.name))
        .and(ink, format!("{:<18}", row.state))
        .and(Ink::Plain, numbers);
    let bar_ink = if row.lag() > 2_000 { Ink::Red } else { Ink::Green };
    let line = match width {
        ..BAR_WIDTH => line,
        _ => line.and(bar_ink, format!("  {}", bar(row.on_shore, row.written))),
    };
    line.and(Ink::Plain, format!("  {}", clock(row.clock)))
}

fn gateway(view: &View) -> Line {
    let (ink, state) = if view.gateway.is_up { (Ink::Plain, "runs") } else { (Ink::Red, "killed") };
    let restarts = match view.gateway.starts {
        0 | 1 => String::new(),
        2 => "started again once".to_owned(),
        3 => "started again twice".to_owned(),
        starts => format!("started again {} times", starts - 1),
    };
    Line::of(Ink::Bold, format!("{:<11}", "gateway"))
        .and(ink, format!("{state:<19}"))
        .and(Ink::Plain, restarts)
}

/// How much of the whole is there, in ten cells of eight steps.
fn bar(part: u64, whole: u64) -> String {
    const STEPS: [char; 8] = ['░', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (part.min(whole) * 80).checked_div(whole).unwrap_or(0);
    let cell = |at: u64| match eighths.saturating_sub(at * 8) {
        8.. => '█',
        rest => STEPS.get(rest as usize).copied().unwrap_or('░'),
    };
    (0..10).map(cell).collect()
}

/// How far a clock is off, and how sure that is.
pub(super) fn clock(clock: Option<(i64, u64)>) -> String {
    let Some((offset, bound)) = clock else { return "not known yet".to_owned() };
    let off = offset.unsigned_abs();
    if off <= bound {
        return format!("right ±{}", span(bound));
    }
    let way = if offset < 0 { "slow" } else { "fast" };
    format!("{} {way} ±{}", span(off), span(bound))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::view::{Event, Gateway};
    use super::*;

    fn view() -> View {
        let row = Row {
            name: "meter-3".to_owned(),
            state: "clock at 1970",
            written: 12_000,
            spooled: 500,
            in_flight_bytes: 4_000,
            on_shore: 11_250,
            clock: Some((-1_795_000_000_000_000_000, 1_500_000)),
            ..Row::default()
        };
        let event = |second| Event {
            at: Duration::from_secs(second),
            is_blow: second % 2 == 0,
            what: format!("event {second}"),
        };
        View {
            elapsed: Duration::from_secs(3),
            time: Duration::from_secs(24),
            gateway: Gateway { is_up: true, starts: 2 },
            rows: vec![row],
            events: (0..30).map(event).collect(),
        }
    }

    #[test]
    fn a_frame_shows_every_device_and_the_latest_events_and_fits_the_screen() {
        let lines = frame(&view(), 120, 16);
        assert!(lines.len() < 16);
        let text: Vec<String> = lines.iter().map(|line| line.ansi(120, false)).collect();
        assert!(text[0].starts_with("driftlog · 1 device and a gateway, all real processes · 3 s of 24"));
        assert_eq!(
            text[3],
            "meter-3   clock at 1970        12,000      500      4.0 KB    11,250      750  █████████▍  \
             56.9 years slow ±1.5 ms"
        );
        assert!(text[4].ends_with("started again once"));
        assert_eq!(text.last().unwrap(), "   29.0 s  ✓ event 29");
    }

    #[test]
    fn a_narrow_screen_has_no_bar_and_keeps_the_clock() {
        let line = frame(&view(), 95, 16)[3].ansi(95, false);
        let expected =
            "meter-3   clock at 1970           500      4.0 KB    11,250      750  56.9 years slow ±1.5 ms";
        assert_eq!(line, expected);
    }

    #[test]
    fn a_line_is_cut_to_the_width_of_the_screen_and_its_colours_end() {
        let line = Line::of(Ink::Red, "abc").and(Ink::Plain, "defg");
        assert_eq!(line.ansi(5, true), "\x1b[31mabc\x1b[0mde");
        assert_eq!(line.ansi(2, true), "\x1b[31mab\x1b[0m");
        assert_eq!(line.ansi(9, false), "abcdefg");
    }

    #[test]
    fn a_clock_that_is_off_by_less_than_its_bound_is_right() {
        assert_eq!(clock(Some((200_000, 300_000))), "right ±300 µs");
        assert_eq!(clock(Some((2_000_000, 300_000))), "2.0 ms fast ±300 µs");
        assert_eq!(clock(None), "not known yet");
    }
}
