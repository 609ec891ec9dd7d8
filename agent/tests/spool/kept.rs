//! A spool that version 1 wrote, kept as a directory of files: what an agent finds after an update.
//!
//! Three runs of both lanes. Of the first run the first block is acknowledged and the second one refused, for which a
//! gap stands; the second run sealed nothing. Blocks are stored and plain zstd, cursors those of two files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use driftlog_agent::decompress::Zstd as Decompressor;
use driftlog_agent::pipeline::{Cpu, Pipeline, PipelineConfig};
use driftlog_agent::source::{FileSource, Patterns, SimFiles, Sources, SourcesConfig};
use driftlog_agent::spool::disk::OsDisk;
use driftlog_agent::spool::offline::{ExportFormat, Offline};
use driftlog_agent::spool::{SPOOL_VERSION, Spool, SpoolConfig};
use driftlog_proto::block::Severity;
use driftlog_proto::checksum::crc32c;
use driftlog_proto::ids::{BootId, DeviceId, Lane, RunId};
use driftlog_proto::item::{Cause, ItemHeader};
use driftlog_proto::message::Labels;
use driftlog_proto::time::{ClockState, Mono, Now, Unix};

use crate::support::*;

const LOGS: [&str; 2] = ["/log/pump.log", "/log/valve.log"];
const SECOND: u64 = 1_000_000_000;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/spool/kept-v1")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// A copy of what is kept, to be written to.
fn kept() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy(&folder(), dir.path());
    dir
}

/// Every file below a directory, by its path.
fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(contents(&entry.path())),
            false => drop(found.insert(entry.path(), fs::read(entry.path()).unwrap())),
        }
    }
    found
}

fn lane(directory: &Path, lane: Lane, run: u64) -> Spool<OsDisk> {
    let disk = OsDisk::open(directory.join(lane.name())).unwrap();
    let config = SpoolConfig { lane, ..config() };
    Spool::open(disk, config, RunId(run), HARDWARE).unwrap()
}

fn agent(directory: &Path, files: &SimFiles, run: u64) -> Pipeline<OsDisk, SimFiles> {
    let sources = SourcesConfig {
        files: vec![FileSource { patterns: Patterns::new(&LOGS, &[]).unwrap(), idle_line_ms: 5_000 }],
        stdin_idle_line_ms: None,
        poll_ms: 1_000,
        rescan_ms: 10_000,
    };
    let config = PipelineConfig {
        device: DeviceId::new("pump-7").unwrap(),
        labels: Labels::default(),
        boot: BootId([run as u8; 16]),
        delay_ms_min: 1_000,
        delay_ms_max: 1_000,
        delay_offline_ms_max: 10_000,
        in_flight_bytes_max: 256 * 1024,
        urgent_min: Some(Severity::ERROR),
        cpu: Cpu::Low,
    };
    let (bulk, urgent) = (lane(directory, Lane::Bulk, run), lane(directory, Lane::Urgent, run));
    let cursors: Vec<_> = bulk.cursors().map(|(key, bytes)| (key, bytes.to_vec())).collect();
    let sources = Sources::new(sources, files.clone(), config.boot, cursors.into_iter());
    Pipeline::new(config, sources, bulk, Some(urgent), at(100))
}

fn at(seconds: u64) -> Now {
    let wall = Unix(1_790_000_000 * SECOND as i64 + (seconds * SECOND) as i64);
    Now { mono: Mono(seconds * SECOND), wall, state: ClockState::Unsynchronised }
}

/// Thirteen lines, one of them urgent: words, which zstd makes smaller and templates do not, or bytes that nothing does.
fn write(files: &SimFiles, round: u64) {
    let mut random = Random(7 * round);
    let words = if round % 2 == 1 { 11 } else { 0 };
    for line in 0..=words {
        let text: String = (0..30).map(|_| if random.chance(2) { "ab" } else { "ba" }).collect();
        let severity = if line == words { "ERROR" } else { "INFO" };
        files.append(LOGS[0], format!("{severity} {text}\n").as_bytes());
    }
    for _ in words..12 {
        let noise = (0..300).map(|_| random.below(256) as u8).filter(|byte| *byte != b'\n');
        files.append(LOGS[1], &noise.chain([b'\n']).collect::<Vec<u8>>());
    }
}

/// Reads and seals what there is; returns how many lines that were.
fn seal(agent: &mut Pipeline<OsDisk, SimFiles>, seconds: u64) -> u64 {
    let before = agent.status(at(seconds)).lines;
    for later in [0, 1, 2, 3, 14] {
        agent.handle_changed();
        (0..4).for_each(|_| agent.poll(at(seconds + later)));
    }
    agent.status(at(seconds)).lines - before
}

fn export(directory: &Path, lane: Lane) -> String {
    let mut out = Vec::new();
    let mut spool = Offline::open(&directory.join(lane.name())).unwrap();
    let exported =
        spool.export(ExportFormat::Ndjson, &mut Decompressor::new(), &mut out, &mut |_| {}).unwrap();
    assert_eq!((exported.damaged, exported.not_unpacked), (0, 0), "{exported:?}");
    String::from_utf8(out).unwrap()
}

/// The files that the lines of the kept spool were read from.
fn logs() -> SimFiles {
    let files = SimFiles::default();
    [1, 2, 3, 4, 6].into_iter().for_each(|round| write(&files, round));
    files
}

/// A new version of the format has its own to keep: this one, from `target/tmp`, under another name.
#[test]
fn a_spool_is_written_as_the_one_was_that_is_kept() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kept");
    let _ = fs::remove_dir_all(&directory);
    let files = SimFiles::default();
    let mut first = agent(&directory, &files, 0x1001);
    for round in 1..=3 {
        write(&files, round);
        assert_eq!(seal(&mut first, 100 * round), 13);
    }
    drop(first);
    let mut second = lane(&directory, Lane::Bulk, 0x1002);
    let seen = walk(&mut second);
    second.refuse(&seen[2].item.begin, Cause::Refused).unwrap();
    second.trim(&seen[1].item.end);
    second.append_cursors(Mono(0), &[], &[]).unwrap();
    drop(second);
    let mut third = agent(&directory, &files, 0x1003);
    // What nothing makes smaller is stored from the second block on.
    for (round, seconds) in [(4, 500), (6, 520)] {
        write(&files, round);
        assert_eq!(seal(&mut third, seconds), 13);
    }
    drop(third);
    for lane in Lane::ALL {
        fs::write(directory.join(format!("{}.ndjson", lane.name())), export(&directory, lane)).unwrap();
    }
}

#[test]
fn a_spool_that_was_kept_is_read_to_the_last_byte() {
    assert_eq!(SPOOL_VERSION, 1, "a new version has a spool of its own to keep");
    let dir = kept();
    let before = contents(dir.path());
    for lane in Lane::ALL {
        let known = fs::read_to_string(dir.path().join(format!("{}.ndjson", lane.name()))).unwrap();
        assert_eq!(export(dir.path(), lane), known, "lane {}", lane.name());
    }
    assert!(contents(dir.path()) == before, "an export changes nothing");
    let mut codecs = [0; 3];
    for (name, records, gone) in [(Lane::Bulk, 36, 12), (Lane::Urgent, 5, 0)] {
        let mut spool = lane(dir.path(), name, 0x2001);
        let recovery = spool.recovery().clone();
        assert_eq!(
            (recovery.damaged_frames, recovery.cut_bytes, recovery.records_lost),
            (0, 0, 0),
            "{recovery:?}"
        );
        let seen = walk(&mut spool);
        assert_eq!((crate::support::records(&seen), lost(&seen)), (records, gone), "lane {}", name.name());
        assert_eq!(seen.last().unwrap().item.end.run, RunId(0x1003));
        for published in &seen {
            if let ItemHeader::Block(block) = &published.header {
                codecs[usize::from(block.codec)] += 1;
            }
        }
    }
    assert!(codecs[0] > 0 && codecs[1] > 0 && codecs[2] == 0, "stored, zstd, strong: {codecs:?}");
}

#[test]
fn an_agent_goes_on_in_a_spool_that_was_kept_and_reads_no_line_again() {
    let dir = kept();
    let files = logs();
    let mut agent = agent(dir.path(), &files, 0x2001);
    assert_eq!(seal(&mut agent, 600), 0);
    write(&files, 5);
    assert_eq!(seal(&mut agent, 700), 13);
    drop(agent);
    for (lane, more) in [(Lane::Bulk, 12), (Lane::Urgent, 1)] {
        let known = fs::read_to_string(dir.path().join(format!("{}.ndjson", lane.name()))).unwrap();
        let now = export(dir.path(), lane);
        assert!(now.starts_with(&known), "{now}");
        assert_eq!(now.lines().count() - known.lines().count(), more, "{now}");
    }
}

#[test]
fn an_agent_refuses_a_spool_of_a_newer_version_and_leaves_every_byte_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let spool = dir.path().join("state/spool");
    copy(&folder(), &spool);
    for file in contents(&spool.join("bulk")).keys() {
        let mut bytes = fs::read(file).unwrap();
        for header in bytes[..1024].chunks_mut(512).filter(|header| header.starts_with(b"driftspl")) {
            header[8] = 2;
            let checksum = crc32c(&header[..508]).to_le_bytes();
            header[508..].copy_from_slice(&checksum);
        }
        fs::write(file, bytes).unwrap();
    }
    let before = contents(&spool);
    let config = dir.path().join("agent.toml");
    let state = dir.path().join("state");
    let text = format!(
        "device_id = \"pump-7\"\nstate_dir = \"{}\"\n[broker]\nurl = \"mqtt://127.0.0.1:1\"\n[spool]\nbulk.bytes_max = 1048576\n\
         urgent.bytes_max = 1048576\n[[source]]\ntype = \"stdin\"\n",
        state.display()
    );
    fs::write(&config, text).unwrap();
    let agent = |args: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_driftlog-agent")).args(args).arg(&config).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, _, said) = agent(&["run", "--config"]);
    let why = "000000.segment has spool format 2, which this agent does not know";
    let hint = "hint: run the agent that wrote it until all is acknowledged, or move the directory away";
    assert_eq!((code, said), (Some(1), format!("error: the spool of the lane bulk: {why}\n{hint}\n")));
    let (code, said, _) = agent(&["check", "--online", "--config"]);
    assert_eq!(code, Some(1));
    let line = format!("spool    wrong  {}: {why}\n{hint}\n", spool.join("bulk").display());
    assert!(said.contains(&line), "{said}");
    assert!(contents(&spool) == before, "no byte has changed, and no file has come or gone");
}
