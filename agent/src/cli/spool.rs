//! `spool inspect|verify|export`: what a spool holds, with or without its agent.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::args::{Format, SpoolAction, SpoolCommand, SpoolFrom};
use super::{DONE, FAILED, USAGE, fail, say};
use crate::config::Config;
use crate::spool::offline::{Inspection, LaneView, lanes};

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
    in_directory(&SpoolCommand { action, from: SpoolFrom::Directory(directory.to_owned()), lane: None }, directory)
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
    let mut code = DONE;
    for (lane, folder) in found {
        code = code.max(match LaneView::open(lane, &folder) {
            Ok(mut view) => act(command.action, &mut view),
            Err(error) => fail(FAILED, format_args!("error: {}: {error}", folder.display())),
        });
    }
    code
}

fn act(action: SpoolAction, view: &mut LaneView) -> u8 {
    match action {
        SpoolAction::Inspect { json } => show(&view.inspect(false), json),
        SpoolAction::Verify { json } => {
            let shown = view.inspect(true);
            let code = show(&shown, json);
            if shown.damage.is_empty() { code } else { FAILED }
        }
        SpoolAction::Export { format } => {
            let mut out = BufWriter::new(io::stdout().lock());
            let mut aside = io::stderr().lock();
            let written = match format {
                Format::Text => view.export_text(&mut out, &mut aside),
                Format::Ndjson => view.export_ndjson(&mut out, &mut aside),
            };
            match written.and_then(|()| out.flush()) {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    fail(FAILED, format_args!("error: cannot write: {error}"))
                }
                _ => DONE,
            }
        }
    }
}

fn show(shown: &Inspection, json: bool) -> u8 {
    if !json {
        return say(&words(shown));
    }
    match serde_json::to_string(shown) {
        Ok(line) => say(&(line + "\n")),
        Err(error) => fail(FAILED, format_args!("error: {error}")),
    }
}

fn words(shown: &Inspection) -> String {
    let mut text = format!(
        "lane {} of {}\n  acknowledged below  {} of run {}\n  sealed up to        {} of run {}\n  waiting             {} \
         records in {} blocks, {} bytes, from {} starts\n  on flash            {} bytes in {} segments\n",
        shown.lane,
        shown.device_id,
        shown.base.seq,
        shown.base.run,
        shown.next.seq,
        shown.next.run,
        shown.records,
        shown.blocks,
        shown.block_bytes,
        shown.starts,
        shown.file_bytes,
        shown.segments
    );
    // Writing to a String does not fail.
    for gap in &shown.gaps {
        let _ = writeln!(
            text,
            "  lost                {} records from {} on ({})",
            gap.records, gap.from.seq, gap.cause
        );
    }
    if shown.cut_bytes > 0 {
        let _ = writeln!(
            text,
            "  torn                {} bytes at the end; their lines are read again",
            shown.cut_bytes
        );
    }
    for damage in &shown.damage {
        let _ = writeln!(text, "  DAMAGED             {damage}");
    }
    text
}
