//! `spool inspect|verify|export`: what a spool holds, with or without its agent.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use driftlog_proto::ids::Lane;
use serde::Serialize;

use super::args::{Format, SpoolAction, SpoolCommand, SpoolFrom};
use super::{DONE, FAILED, USAGE, fail, say};
use crate::config::Config;
use crate::decompress::Zstd;
use crate::pipeline::SPOOL_FOLDER;
use crate::spool::disk::OsDisk;
use crate::spool::offline::{ExportFormat, Exported, Inspection, Offline, Progress};
use crate::state_dir::DEVICE_ID_FILE;

/// Long work says how far it is after this many records, on a terminal.
const PROGRESS_RECORDS: u64 = 100_000;

pub(super) fn run(command: &SpoolCommand) -> u8 {
    match &command.from {
        SpoolFrom::Directory(directory) => in_directory(command, directory),
        SpoolFrom::Config(file) => match Config::load(file) {
            Ok(config) => in_directory(command, &config.state_dir),
            Err(error) => fail(USAGE, error),
        },
    }
}

/// What every lane of a state directory holds.
pub(super) fn shown_in(directory: &Path, json: bool) -> u8 {
    let action = SpoolAction::Inspect { json };
    in_directory(
        &SpoolCommand { action, from: SpoolFrom::Directory(directory.to_owned()), lane: None },
        directory,
    )
}

fn in_directory(command: &SpoolCommand, directory: &Path) -> u8 {
    let mut found = lanes(directory);
    found.retain(|(lane, _)| command.lane.is_none_or(|wanted| wanted == *lane));
    if found.is_empty() {
        return fail(
            FAILED,
            format_args!(
                "error: there is no spool in {}\nhint: name the agent's state directory, its spool folder, or the \
                 folder of one lane",
                directory.display()
            ),
        );
    }
    let each = found.iter().map(|(lane, folder)| match Offline::open(folder) {
        Ok(mut spool) => act(command.action, &mut spool, *lane, &device_id(folder)),
        Err(error) => fail(FAILED, format_args!("error: {}: {error}", folder.display())),
    });
    each.max().unwrap_or(DONE)
}

/// The lanes found in a directory: a state directory, its spool folder, or one lane's folder.
fn lanes(directory: &Path) -> Vec<(Lane, PathBuf)> {
    let below = |folder: PathBuf| {
        let lanes = Lane::ALL.map(|lane| (lane, folder.join(lane.name())));
        lanes.into_iter().filter(|(_, path)| path.is_dir()).collect::<Vec<_>>()
    };
    let own = directory.file_name().and_then(|name| name.to_str()).and_then(Lane::from_name);
    let found = [directory.join(SPOOL_FOLDER), directory.to_owned()].map(below);
    let found = found.into_iter().find(|lanes| !lanes.is_empty());
    found.unwrap_or_else(|| own.map(|lane| (lane, directory.to_owned())).into_iter().collect())
}

/// Whose spool it is, as its state directory says.
fn device_id(folder: &Path) -> String {
    let mut folders = folder.ancestors().take(3);
    let text = folders.find_map(|folder| std::fs::read_to_string(folder.join(DEVICE_ID_FILE)).ok());
    text.map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned())
}

fn act(action: SpoolAction, spool: &mut Offline<OsDisk>, lane: Lane, device_id: &str) -> u8 {
    let mut progress = Shown::default();
    match action {
        SpoolAction::Inspect { json } => {
            // A spool that never took a block does not say which lane it is; its folder does.
            show(&Inspection { lane: lane.name(), ..spool.inspect(device_id) }, json)
        }
        SpoolAction::Verify { json } => {
            let verified = spool.verify(&mut |at| progress.show(at));
            let code = show(&verified, json);
            if verified.is_sound() { code } else { FAILED }
        }
        SpoolAction::Export { format } => {
            let format = match format {
                Format::Text => ExportFormat::Text,
                Format::Ndjson => ExportFormat::Ndjson,
            };
            let mut out = BufWriter::new(io::stdout().lock());
            match spool.export(format, &mut Zstd::new(), &mut out, &mut |at| progress.show(at)) {
                Ok(exported) => close(&exported),
                Err(error) if error.is_broken_pipe() => DONE,
                Err(error) => fail(FAILED, format_args!("error: {error}")),
            }
        }
    }
}

/// What could not be exported is said, beside the output.
fn close(exported: &Exported) -> u8 {
    let Exported { records, gone, damaged, not_unpacked } = exported;
    let code = if damaged + not_unpacked > 0 { FAILED } else { DONE };
    if gone + damaged + not_unpacked > 0 {
        let _ = fail(
            code,
            format_args!(
                "{records} records exported; {gone} declared lost, {damaged} damaged, {not_unpacked} not unpacked"
            ),
        );
    }
    code
}

fn show(shown: &(impl Serialize + Display), json: bool) -> u8 {
    if !json {
        return say(&shown.to_string());
    }
    match serde_json::to_string(shown) {
        Ok(line) => say(&(line + "\n")),
        Err(error) => fail(FAILED, format_args!("error: {error}")),
    }
}

/// Progress of long work, on a terminal.
#[derive(Debug, Default)]
struct Shown {
    next: u64,
}

impl Shown {
    fn show(&mut self, at: Progress) {
        if at.done < self.next.max(PROGRESS_RECORDS) || !io::stderr().is_terminal() {
            return;
        }
        self.next = at.done + PROGRESS_RECORDS;
        // Who cannot be told how far it is loses nothing.
        let _ = write!(io::stderr(), "\r{} of {} records", at.done, at.total);
    }
}
