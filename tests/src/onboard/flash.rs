//! Bytes that reach the flash for each byte of log.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::options::Options;
use crate::clock;
use crate::corpus::{Corpus, Style};
use crate::machine::{Console, Flash, Image, Machine};
use crate::process::Programs;
use crate::shore::{GatewaySettings, Shore};
use crate::table::Table;

const FLASH_MB: u64 = 600;
const SECTOR_BYTES: u64 = 512;
const SECONDS_A_DAY: u64 = 86_400;
/// Lines of the log that is played again and again.
const CORPUS_LINES: usize = 20_000;
/// Seconds around each rate, and before the first of a durability, on a slow host.
const MORE_S: (u64, u64) = (60, 300);

/// A file system and a spool.
struct Setting {
    name: &'static str,
    block_bytes: u64,
    /// How the file system is mounted, beside its defaults.
    mount: &'static str,
    /// Of the lanes bulk and urgent.
    spool_bytes: (u64, u64),
    delay_ms_max: u64,
    /// Durabilities, each with its rates.
    runs: &'static [(&'static str, &'static [u64])],
}

/// Small enough that each of its files has been written before anything is counted: one that is written for
/// the first time costs a commit of the file system's journal with each block.
const USUAL: Setting = Setting {
    name: "ext4",
    block_bytes: 4_096,
    mount: "",
    spool_bytes: (1 << 20, 1 << 20),
    delay_ms_max: 4_500,
    runs: &[("block", &[1, 10, 100, 1_000]), ("interval", &[100, 1_000])],
};
const PART: Setting = Setting { runs: &[("block", &[100, 1_000])], ..USUAL };

/// Those of a row are measured one after the other, the rows side by side.
const SETTINGS: [&[Setting]; 2] = [
    &[USUAL],
    &[
        Setting { name: "files written for the first time", spool_bytes: (256 << 20, 16 << 20), ..PART },
        Setting { name: "blocks of 1 KiB", block_bytes: 1_024, ..PART },
        Setting { name: "lazytime", mount: "lazytime", ..PART },
        Setting { name: "lazytime, delay 10 s", mount: "lazytime", delay_ms_max: 10_000, ..PART },
        Setting { name: "commit=60, delay 10 s", mount: "commit=60", delay_ms_max: 10_000, ..PART },
    ],
];

/// Measures each setting, connected and offline side by side.
pub(super) fn measure(image: &Image, folder: &Path, options: &Options) -> io::Result<Table> {
    let one = |setting| both_ways(image, folder, options.seconds, setting);
    let is_wanted = |setting: &&Setting| setting.name.contains(&options.with);
    let rows = std::thread::scope(|scope| {
        let threads = SETTINGS.map(|settings| {
            scope.spawn(move || settings.iter().filter(is_wanted).map(one).collect::<io::Result<Vec<_>>>())
        });
        let rows = threads.map(|thread| thread.join().map_err(panicked)?);
        rows.into_iter().collect::<io::Result<Vec<_>>>()
    })?;
    let mut table = Table::new(&[
        "file system",
        "durability",
        "lines/s",
        "log",
        "connected",
        "per log byte",
        "a day",
        "offline",
        "per log byte",
        "a day",
    ])
    .with_text(1);
    for (at, rows) in rows.into_iter().flatten().enumerate() {
        if at > 0 {
            table.rule();
        }
        rows.into_iter().for_each(|row| table.row(row));
    }
    Ok(table)
}

fn panicked<E>(_: E) -> io::Error {
    io::Error::other("a machine's thread panicked")
}

/// The table's rows of one setting.
fn both_ways(image: &Image, folder: &Path, seconds: u64, setting: &Setting) -> io::Result<Vec<Vec<String>>> {
    let folder = folder.join(setting.name.replace([' ', ','], "-"));
    let (online, offline) = std::thread::scope(|scope| {
        let on = scope.spawn(|| device(image, &folder.join("connected"), seconds, setting, true));
        let off = scope.spawn(|| device(image, &folder.join("offline"), seconds, setting, false));
        (on.join(), off.join())
    });
    let (online, offline) = (online.map_err(panicked)??, offline.map_err(panicked)??);
    let flash = |cell: &Cell| {
        [
            crate::table::bytes(cell.flash_bytes),
            format!("{:.3}", cell.flash_bytes as f64 / cell.log_bytes.max(1) as f64),
            crate::table::bytes(cell.flash_bytes * SECONDS_A_DAY / seconds),
        ]
    };
    let row = |(on, off): (&Cell, &Cell)| {
        let mut row = vec![setting.name.to_owned(), on.durability.clone(), on.rate.to_string()];
        row.push(crate::table::bytes(on.log_bytes));
        row.extend(flash(on).into_iter().chain(flash(off)));
        row
    };
    Ok(online.iter().zip(&offline).map(row).collect())
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
    /// `F DURABILITY RATE LINES FLASH_SECTORS`, of a log in which so many lines are so many bytes.
    fn parse(line: &str, (log_lines, log_bytes): (usize, usize)) -> Option<Self> {
        let mut words = line.strip_prefix("F ")?.split(' ');
        let durability = words.next()?.to_owned();
        let mut number = || words.next()?.parse::<u64>().ok();
        Some(Self {
            durability,
            rate: number()?,
            log_bytes: number()? * log_bytes as u64 / log_lines as u64,
            flash_bytes: number()? * SECTOR_BYTES,
        })
    }
}

fn device(
    image: &Image,
    folder: &Path,
    seconds: u64,
    setting: &Setting,
    is_connected: bool,
) -> io::Result<Vec<Cell>> {
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
         [spool]\ndurability = \"DURABILITY\"\nbulk.bytes_max = {}\nurgent.bytes_max = {}\n\
         delay_ms_max = {}\n\
         [[source]]\ntype = \"file\"\npaths = [\"/run/logs/*\", \"/data/logs/*\"]\n",
        shore.broker().port(),
        setting.spool_bytes.0,
        setting.spool_bytes.1,
        setting.delay_ms_max
    );
    let runs: Vec<String> = setting.runs.iter().map(|(durability, rates)| run(durability, rates)).collect();
    let script = format!(
        "SECONDS_EACH={seconds}\nMOUNT={}\nRUNS='{}'\n{}",
        setting.mount,
        runs.join(" "),
        include_str!("flash.sh")
    );
    let brought = [
        ("etc/driftlog/boot", script.as_str()),
        ("etc/driftlog/agent.toml", &config),
        ("etc/driftlog/corpus.log", &log),
    ];
    let flash = Flash { megabytes: FLASH_MB, block_bytes: setting.block_bytes };
    let mut machine = Machine::new("the device", folder, image, flash)?;
    let console: Console = machine.switch_on(&brought)?;
    let cells_wanted: u64 = setting.runs.iter().map(|(_, rates)| rates.len() as u64).sum();
    let seconds_max = cells_wanted * (seconds + MORE_S.0) + setting.runs.len() as u64 * MORE_S.1;
    let has_ended = clock::wait_until(Duration::from_secs(seconds_max * 2), || {
        std::thread::sleep(Duration::from_secs(1));
        console.newest("END").is_some() || machine.check().is_err()
    });
    machine.check()?;
    machine.cut();
    let cells: Vec<Cell> =
        console.lines().iter().filter_map(|line| Cell::parse(line, (CORPUS_LINES, log.len()))).collect();
    if has_ended && cells.len() as u64 == cells_wanted && cells.iter().all(|cell| cell.log_bytes > 0) {
        return Ok(cells);
    }
    Err(io::Error::other(format!(
        "the device did not come to its end, or its agent took nothing; its console: {}",
        console.file().display()
    )))
}

/// A durability and its rates, as the script takes them.
fn run(durability: &str, rates: &[u64]) -> String {
    let rates: Vec<String> = rates.iter().map(u64::to_string).collect();
    format!("{durability}:{}", rates.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_device_says_is_understood() {
        let cell = Cell { durability: "block".to_owned(), rate: 10, log_bytes: 900, flash_bytes: 1_024 };
        assert_eq!(Cell::parse("F block 10 30 2", (2, 60)), Some(cell));
        assert_eq!(Cell::parse("F block 10", (2, 60)), None);
    }

    #[test]
    fn the_device_is_told_a_durability_and_its_rates_in_one_word() {
        assert_eq!(run("block", &[1, 100]), "block:1,100");
    }
}
