//! Bytes that reach the flash for each byte of log.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::clock;
use crate::corpus::{Corpus, Style};
use crate::machine::{Console, Image, Machine};
use crate::process::Programs;
use crate::shore::{GatewaySettings, Shore};
use crate::table::Table;

const FLASH_MB: u64 = 256;
const SECTOR_BYTES: u64 = 512;
/// Lines of the log that is played again and again.
const CORPUS_LINES: usize = 20_000;
/// Durabilities times rates, as the script has them.
const CELLS: u64 = 8;
/// Seconds around each, and for the kernel, on a slow host.
const MORE_S: u64 = 60;

/// Measures both ways, side by side.
pub(super) fn measure(image: &Image, folder: &Path, seconds: u64) -> io::Result<Table> {
    let (online, offline) = std::thread::scope(|scope| {
        let on = scope.spawn(|| device(image, &folder.join("connected"), seconds, true));
        let off = scope.spawn(|| device(image, &folder.join("offline"), seconds, false));
        (on.join(), off.join())
    });
    let panicked = |_| io::Error::other("a machine's thread panicked");
    let (online, offline) = (online.map_err(panicked)??, offline.map_err(panicked)??);
    let mut table =
        Table::new(&["durability", "lines/s", "log", "connected", "per log byte", "offline", "per log byte"]);
    for (on, off) in online.iter().zip(&offline) {
        let ratio = |cell: &Cell| format!("{:.3}", cell.flash_bytes as f64 / cell.log_bytes.max(1) as f64);
        table.row(vec![
            on.durability.clone(),
            on.rate.to_string(),
            crate::table::bytes(on.log_bytes),
            crate::table::bytes(on.flash_bytes),
            ratio(on),
            crate::table::bytes(off.flash_bytes),
            ratio(off),
        ]);
    }
    Ok(table)
}

/// One durability and rate.
#[derive(Debug, PartialEq, Eq)]
struct Cell {
    durability: String,
    rate: u64,
    log_bytes: u64,
    flash_bytes: u64,
}

impl Cell {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("F ")?.split(' ');
        let durability = words.next()?.to_owned();
        let mut number = || words.next()?.parse::<u64>().ok();
        Some(Self {
            durability,
            rate: number()?,
            log_bytes: number()?,
            flash_bytes: number()? * SECTOR_BYTES,
        })
    }
}

fn device(image: &Image, folder: &Path, seconds: u64, is_connected: bool) -> io::Result<Vec<Cell>> {
    let mut shore =
        Shore::new(&Programs::in_myself()?, &folder.join("gateway"), &GatewaySettings::default())?;
    if is_connected {
        shore.start()?;
        shore.wait_ready()?;
    }
    let mut corpus = Corpus::new(Style::Syslog, 1, false);
    let mut log = Vec::new();
    (0..CORPUS_LINES).for_each(|_| corpus.line(&mut log));
    let log = String::from_utf8_lossy(&log);
    let config = format!(
        "device_id = \"virtual\"\nstate_dir = \"/data/driftlog\"\n[broker]\nurl = \"mqtt://10.0.2.2:{}\"\n\
         [spool]\ndurability = \"DURABILITY\"\n[[source]]\ntype = \"file\"\npaths = [\"/run/logs/*\"]\n",
        shore.broker().port()
    );
    let script = format!("SECONDS_EACH={seconds}\n{}", include_str!("flash.sh"));
    let brought = [
        ("etc/driftlog/boot", script.as_str()),
        ("etc/driftlog/agent.toml", &config),
        ("etc/driftlog/corpus.log", &log),
    ];
    let mut machine = Machine::new("the device", folder, image, FLASH_MB)?;
    let console: Console = machine.switch_on(&brought)?;
    let limit = Duration::from_secs(CELLS * (seconds + MORE_S) * 2);
    let has_ended = clock::wait_until(limit, || {
        std::thread::sleep(Duration::from_secs(1));
        console.newest("END").is_some() || machine.check().is_err()
    });
    machine.check()?;
    machine.cut();
    let cells: Vec<Cell> = console.lines().iter().filter_map(|line| Cell::parse(line)).collect();
    if has_ended && cells.len() as u64 == CELLS {
        return Ok(cells);
    }
    Err(io::Error::other(format!(
        "the device did not come to its end; its console: {}",
        console.file().display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_device_says_is_understood() {
        let cell = Cell { durability: "block".to_owned(), rate: 10, log_bytes: 900, flash_bytes: 1_024 };
        assert_eq!(Cell::parse("F block 10 900 2"), Some(cell));
        assert_eq!(Cell::parse("F block 10"), None);
    }
}
