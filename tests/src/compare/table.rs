//! The comparison as a person reads it.

use std::io;

use super::{Comparison, DeviceComparison};
use crate::table::{Table, grouped};

impl Comparison {
    /// Writes a row for each device, one for all, and what is wrong in words.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write_table(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let mut table = Table::new(&[
            "device",
            "files",
            "lines written",
            "lines on shore",
            "lost",
            "doubled",
            "out of order",
            "changed",
        ]);
        for (name, device) in &self.devices {
            table.row(row(name, device));
        }
        if self.devices.len() > 1 {
            table.rule();
            table.row(row("all", &self.total()));
        }
        table.write(out)?;
        for (name, device) in &self.devices {
            for finding in &device.findings {
                writeln!(out, "{name}: {finding}")?;
            }
        }
        self.strange.iter().try_for_each(|finding| writeln!(out, "{finding}"))
    }
}

fn row(name: &str, device: &DeviceComparison) -> Vec<String> {
    let numbers = [
        device.files,
        device.lines_in,
        device.lines_out,
        device.lost,
        device.doubled,
        device.disordered,
        device.changed,
    ];
    std::iter::once(name.to_owned()).chain(numbers.map(grouped)).collect()
}
