//! Tables and numbers for people.

use std::io;

/// A table: its first column to the left, the others to the right.
#[derive(Clone, Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
    rules: Vec<usize>,
    is_text: Vec<bool>,
}

impl Table {
    /// A table with these columns.
    #[must_use]
    pub fn new(columns: &[&str]) -> Self {
        let head = columns.iter().map(|column| (*column).to_owned()).collect();
        let is_text = (0..columns.len()).map(|at| at == 0).collect();
        Self { rows: vec![head], rules: vec![1], is_text }
    }

    /// Puts this column to the left too.
    #[must_use]
    pub fn with_text(mut self, column: usize) -> Self {
        if let Some(is_text) = self.is_text.get_mut(column) {
            *is_text = true;
        }
        self
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Draws a line below what is there.
    pub fn rule(&mut self) {
        self.rules.push(self.rows.len());
    }

    /// Writes the table.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |at: usize| {
            self.rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let rule = "─".repeat(widths.iter().sum::<usize>() + 2 * columns.saturating_sub(1));
        for (number, row) in self.rows.iter().enumerate() {
            if self.rules.contains(&number) {
                writeln!(out, "{rule}")?;
            }
            let mut line = String::new();
            for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let space = " ".repeat(width - cell.chars().count());
                let is_text = self.is_text.get(at).copied().unwrap_or(false);
                line.push_str(if at == 0 { "" } else { "  " });
                line.push_str(&if is_text { format!("{cell}{space}") } else { format!("{space}{cell}") });
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A number with its digits in groups of three.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in a unit that fits.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..10_000 => format!("{:.1} KB", bytes as f64 / 1e3),
        10_000..1_000_000 => format!("{} KB", bytes / 1_000),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

/// A time span in a unit that fits.
#[must_use]
pub fn span(ns: u64) -> String {
    const YEAR: f64 = 365.25 * 86_400e9;
    match ns as f64 {
        ns if ns < 1e6 => format!("{:.0} µs", ns / 1e3),
        ns if ns < 1e9 => format!("{:.1} ms", ns / 1e6),
        ns if ns < 120e9 => format!("{:.1} s", ns / 1e9),
        ns if ns < 7_200e9 => format!("{:.0} min", ns / 60e9),
        ns if ns < 172_800e9 => format!("{:.1} h", ns / 3_600e9),
        ns if ns < YEAR => format!("{:.1} days", ns / 86_400e9),
        ns => format!("{:.1} years", ns / YEAR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["device", "lines"]);
        table.row(vec!["pump-1".to_owned(), grouped(1_234_567)]);
        table.rule();
        table.row(vec!["all".to_owned(), grouped(999)]);
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "device      lines\n─────────────────\npump-1  1,234,567\n─────────────────\nall           999\n"
        );
    }

    #[test]
    fn spans_and_bytes_take_a_unit_that_fits() {
        assert_eq!(span(1_500_000), "1.5 ms");
        assert_eq!(span(56 * 365 * 86_400_000_000_000 + 14 * 86_400_000_000_000), "56.0 years");
        assert_eq!(
            (bytes(999), bytes(1_234), bytes(45_600_000)),
            ("999 B".into(), "1.2 KB".into(), "45.6 MB".into())
        );
    }
}
