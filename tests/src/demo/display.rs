//! Where a moment is shown: redrawn in place on a terminal, told in plain lines elsewhere.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use super::screen::frame;
use super::view::View;
use crate::table::grouped;

/// How often a terminal is redrawn, at most.
const REDRAW_EVERY: Duration = Duration::from_millis(200);
/// How often plain lines say how it stands.
const TELL_EVERY: Duration = Duration::from_secs(4);

/// A terminal, or not.
pub(super) struct Display {
    is_terminal: bool,
    has_colours: bool,
    lines_drawn: usize,
    events_told: usize,
    shown_at: Option<Duration>,
    last_told: String,
}

impl Display {
    /// What stdout is.
    pub(super) fn new() -> Self {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let is_terminal = io::stdout().is_terminal() && !is_dumb;
        let has_colours = is_terminal && std::env::var_os("NO_COLOR").is_none();
        Self {
            is_terminal,
            has_colours,
            lines_drawn: 0,
            events_told: 0,
            shown_at: None,
            last_told: String::new(),
        }
    }

    /// Shows a moment, if it is time to, or in any case if asked to.
    pub(super) fn show(&mut self, view: &View, is_forced: bool) -> io::Result<()> {
        let every = if self.is_terminal { REDRAW_EVERY } else { TELL_EVERY };
        let is_due = is_forced || self.shown_at.is_none_or(|at| view.elapsed >= at + every);
        let has_news = self.events_told < view.events.len();
        if !is_due && !has_news {
            return Ok(());
        }
        if is_due {
            self.shown_at = Some(view.elapsed);
        }
        if self.is_terminal { self.redraw(view) } else { self.tell(view, is_due) }
    }

    fn redraw(&mut self, view: &View) -> io::Result<()> {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok();
        let width = size.map_or(100, |size| usize::from(size.ws_col)).max(20);
        let height = size.map_or(24, |size| usize::from(size.ws_row)).max(8);
        let mut text = String::new();
        if self.lines_drawn > 0 {
            text.push_str(&format!("\x1b[{}A", self.lines_drawn));
        }
        let lines = frame(view, width, height);
        for line in &lines {
            text.push_str(&format!("\r\x1b[2K{}\n", line.ansi(width - 1, self.has_colours)));
        }
        text.push_str("\x1b[J");
        self.lines_drawn = lines.len();
        self.events_told = view.events.len();
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    fn tell(&mut self, view: &View, with_state: bool) -> io::Result<()> {
        let mut out = io::stdout().lock();
        for event in view.events.iter().skip(self.events_told) {
            let mark = if event.is_blow { '✗' } else { '✓' };
            writeln!(out, "{:>6.1} s  {mark} {}", event.at.as_secs_f64(), event.what)?;
        }
        self.events_told = view.events.len();
        let state = state(view);
        if with_state && state != self.last_told {
            writeln!(out, "{:>6.1} s    {state}", view.elapsed.as_secs_f64())?;
            self.last_told = state;
        }
        out.flush()
    }
}

/// How it stands, in one line.
fn state(view: &View) -> String {
    let sum = |of: fn(&super::view::Row) -> u64| view.rows.iter().map(of).sum::<u64>();
    let mut line = format!(
        "{} lines written, {} on shore",
        grouped(sum(|row| row.written)),
        grouped(sum(|row| row.on_shore.min(row.written)))
    );
    let behind = view.rows.iter().filter(|row| row.lag() > 1_000);
    let behind: Vec<String> = behind.map(|row| format!("{} by {}", row.name, grouped(row.lag()))).collect();
    if !behind.is_empty() {
        line.push_str(&format!("; behind: {}", behind.join(", ")));
    }
    line
}
