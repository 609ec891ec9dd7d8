//! `cat`, `audit` and `rebuild`: the archive without a running gateway.

use std::io::{BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use super::{Failure, Options, elsewhere, written};
use crate::audit::{Progress, Report, SpoolLane, compare};
use crate::cat::{CatError, CatOptions, Format};
use crate::config::Config;
use crate::lock::Lock;
use crate::rebuild::RebuildOptions;
use crate::sink::archive::directory::OsDirectory;
use crate::sink::archive::state::{ARCHIVE, ArchiveId};
use crate::{entropy, store};

/// How often an archive that is followed is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// The archive's folder, which must be there.
fn folder(config: &Config, options: &Options) -> Result<PathBuf, Failure> {
    let folder = match &options.archive {
        Some(folder) => folder.clone(),
        None => config.data_dir.join(store::ARCHIVE_FOLDER),
    };
    if !folder.is_dir() {
        let hint = "hint: `--config FILE` (its data_dir) or `--archive DIR` tells where it is";
        return Err(Failure::failed(format_args!("there is no archive in {}\n{hint}", folder.display())));
    }
    Ok(folder)
}

pub(super) fn cat(config: &Config, options: Options) -> Result<(), Failure> {
    let folder = folder(config, &options)?;
    let Some(device) = options.device else { return Err(Failure::usage("which device?")) };
    let format = match (options.json, options.raw) {
        (true, _) => Format::Json,
        (_, true) => Format::Raw,
        _ => Format::Text,
    };
    let shown = CatOptions { device, lane: options.lane, format };
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut follow = || {
        if options.follow {
            std::thread::sleep(LOOK_AGAIN);
        }
        options.follow
    };
    match crate::cat::cat(&OsDirectory::new(&folder), &shown, &mut out, &mut follow) {
        Ok(0) => {
            let (device, folder) = (&shown.device, folder.display());
            let hint = "hint: `driftlog-gateway audit` lists every device that is there";
            Err(Failure::failed(format_args!("the archive in {folder} has nothing of {device}\n{hint}")))
        }
        Ok(_) => Ok(()),
        Err(CatError::Output(error)) => written(Err(error)),
        Err(error) => Err(Failure::failed(error)),
    }
}

fn of_archive(config: &Config, options: &Options, spools: &[SpoolLane]) -> Result<Report, Failure> {
    let folder = folder(config, options)?;
    let is_terminal = std::io::stderr().is_terminal();
    let mut progress = |progress: Progress| {
        let Progress { files, of_files, lines } = progress;
        if is_terminal {
            // Whether a person sees how far it is changes nothing about the audit.
            let _ = write!(std::io::stderr(), "\rread {files} of {of_files} files, {lines} lines ");
        }
    };
    let report = crate::audit::audit(&OsDirectory::new(&folder), spools, &mut progress);
    if is_terminal {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    report.map_err(Failure::failed)
}

pub(super) fn audit(config: &Config, options: &Options) -> Result<(), Failure> {
    let mut spools = Vec::new();
    for path in &options.spools {
        let failed = |reason: String| Failure::failed(format_args!("{}: {reason}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        spools.extend(SpoolLane::parse(&text).map_err(failed)?);
    }
    let sinks = if options.sinks.is_empty() { &[None][..] } else { &options.sinks };
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut reports: Vec<(&str, Report)> = Vec::new();
    for sink in sinks {
        let name = sink.map_or(ARCHIVE, elsewhere::Elsewhere::name);
        let report = match sink {
            Some(sink) => elsewhere::audit(config, *sink, &spools)?,
            None => of_archive(config, options, &spools)?,
        };
        let shown = match (options.json, sinks.len()) {
            (true, _) => report.write_json(name, &mut out),
            (false, 1) => report.write_table(&mut out),
            (false, _) => writeln!(out, "{name}:")
                .and_then(|()| report.write_table(&mut out))
                .and_then(|()| writeln!(out)),
        };
        written(shown)?;
        reports.push((name, report));
    }
    let compared = compare(&reports);
    let shown = match (reports.len(), options.json) {
        (1, _) => Ok(()),
        (_, true) => compared.write_json(&mut out),
        (_, false) => compared.write_text(&mut out),
    };
    written(shown.and_then(|()| out.flush()))?;
    if reports.iter().any(|(_, report)| report.is_broken()) {
        return Err(Failure::failed("a sink does not keep the promise; the report says where"));
    }
    if compared.is_broken() {
        return Err(Failure::failed("the sinks do not have the same; the report says where"));
    }
    Ok(())
}

#[cfg(feature = "kafka")]
fn rebuild_in_kafka(config: &Config, options: &Options) -> Result<(), Failure> {
    let instance = entropy::bytes().map_err(|error| {
        Failure::failed(format_args!("cannot read random bytes from the system: {error}"))
    })?;
    let instance = crate::sink::kafka::Instance(instance);
    let rebuilt = crate::rebuild::rebuild_in_kafka(&config.kafka, instance, options.without_marks);
    super::print(&format!(
        "{}\n",
        rebuilt.map_err(|reason| Failure::failed(format_args!("kafka: {reason}")))?
    ))
}

#[cfg(not(feature = "kafka"))]
fn rebuild_in_kafka(_: &Config, _: &Options) -> Result<(), Failure> {
    Err(Failure::failed(crate::sink::kafka::WITHOUT))
}

pub(super) fn rebuild(config: &Config, options: &Options) -> Result<(), Failure> {
    if config.kafka.is_on() {
        return rebuild_in_kafka(config, options);
    }
    let archive = folder(config, options)?;
    let _lock = Lock::take(&config.data_dir).map_err(Failure::failed)?;
    let fresh = entropy::bytes().map_err(|error| {
        Failure::failed(format_args!("cannot read random bytes from the system: {error}"))
    })?;
    let how = RebuildOptions {
        force: options.force,
        without_marks: options.without_marks,
        fresh: ArchiveId(fresh),
    };
    let ledger = config.data_dir.join(store::LEDGER_FOLDER);
    let mut out = std::io::stdout().lock();
    let rebuilt = crate::rebuild::rebuild_folder(&archive, &ledger, &how, &mut out);
    rebuilt.map(drop).map_err(Failure::failed)
}
