//! A device's records, in order, out of the archive.
//!
//! Within a lane the archive has the device's order; without a choice of lane, both come as they
//! arrived. What follows the archive as it grows sees the newest commit while it is being made:
//! should that fail (a full disk), its records are shown again when they come again.

use std::io::{self, Write};

use driftlog_proto::ids::{DeviceId, Lane};

use crate::sink::archive::directory::{Directory, DiskError};
use crate::sink::archive::read::{self, File, Lines};
use crate::sink::archive::state::Stored;
use crate::sink::ecs::document::Document;

/// How records are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Time, level, file and message; what is not a printable character is escaped.
    Text,
    /// The documents as they stand.
    Json,
    /// Only the records' bodies and newlines, bit for bit.
    Raw,
}

/// What is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatOptions {
    /// The device.
    pub device: DeviceId,
    /// The lane; both where there is none.
    pub lane: Option<Lane>,
    /// How.
    pub format: Format,
}

/// Why it ended early.
#[derive(Debug)]
pub enum CatError {
    /// The archive cannot be read.
    Disk(DiskError),
    /// The output cannot be written. (A reader that went away is [`io::ErrorKind::BrokenPipe`].)
    Output(io::Error),
}

impl From<DiskError> for CatError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

impl From<io::Error> for CatError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl std::fmt::Display for CatError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Disk(error) => error.fmt(f),
            Self::Output(error) => write!(f, "cannot write the output: {error}"),
        }
    }
}

impl std::error::Error for CatError {}

/// Writes a device's records to `out` and answers how many documents that were. `follow` is asked
/// whenever everything is shown: it waits a while and says whether to look again.
///
/// # Errors
/// [`CatError`].
pub fn cat(
    directory: &dyn Directory,
    options: &CatOptions,
    out: &mut dyn Write,
    follow: &mut dyn FnMut() -> bool,
) -> Result<u64, CatError> {
    let mut shown = 0;
    let mut last = 0;
    loop {
        let files = read::files(directory)?;
        let Some(file) = files.iter().find(|file| file.name.number > last).copied() else {
            out.flush()?;
            if follow() {
                continue;
            }
            return Ok(shown);
        };
        last = file.name.number;
        let Some(mut lines) = Lines::open(directory, &file)? else { continue };
        loop {
            shown += show(&mut lines, options, out)?;
            let files = read::files(directory)?;
            if files.iter().any(|other| other.name.number > last) {
                // The file was complete before the next one was made, but perhaps not when read.
                shown += show(&mut lines, options, out)?;
                break;
            }
            out.flush()?;
            if !follow() {
                return Ok(shown);
            }
            resume_if_cut(directory, &file, &mut lines)?;
        }
    }
}

/// After a failed commit the file is shorter than what was read of it: goes back to its end.
fn resume_if_cut(directory: &dyn Directory, file: &File, lines: &mut Lines) -> Result<(), DiskError> {
    let now = read::files(directory)?.into_iter().find(|other| other.name == file.name);
    if let Some(now) = now.filter(|now| now.stored == Stored::Plain && now.disk_bytes < lines.end()) {
        let path = file.name.path(Stored::Plain);
        *lines = Lines::from(directory.read(&path, now.disk_bytes)?, path, now.disk_bytes);
    }
    Ok(())
}

/// Shows the rest of a file.
fn show(lines: &mut Lines, options: &CatOptions, out: &mut dyn Write) -> Result<u64, CatError> {
    let mut shown = 0;
    while let Some(line) = lines.next_whole_line()? {
        if !is_of(line.bytes, &options.device) {
            continue;
        }
        // What is no document is the audit's business.
        let Ok(document) = serde_json::from_slice::<Document<'_>>(line.bytes) else { continue };
        if options.lane.is_some_and(|lane| document.driftlog.lane != lane.name()) {
            continue;
        }
        shown += 1;
        match options.format {
            Format::Text => text(&document, out)?,
            Format::Json => {
                out.write_all(line.bytes)?;
                out.write_all(b"\n")?;
            }
            Format::Raw => raw(&document, out)?,
        }
    }
    Ok(shown)
}

/// Whether a line is of this device, without reading it as JSON. (Within a string the quotes of
/// the key would be escaped.)
fn is_of(line: &[u8], device: &DeviceId) -> bool {
    const KEY: &[u8] = b"\"host\":{\"id\":\"";
    let Some(at) = line.windows(KEY.len()).rposition(|window| window == KEY) else { return false };
    let rest = line.get(at + KEY.len()..).and_then(|rest| rest.strip_prefix(device.as_str().as_bytes()));
    rest.is_some_and(|rest| rest.first() == Some(&b'"'))
}

fn text(document: &Document<'_>, out: &mut dyn Write) -> io::Result<()> {
    // Microseconds are what a block keeps.
    let time = document.timestamp.get(..26).unwrap_or(&document.timestamp);
    let level = match (document.driftlog.kind.as_ref(), &document.log.level) {
        ("record", level) => level.as_deref().unwrap_or("-").to_ascii_uppercase(),
        (kind, _) => format!("[{kind}]"),
    };
    let path = document.log.file.as_ref().map_or("driftlog", |file| file.path.as_ref());
    write!(out, "{time}Z {level:<5} {}: ", Printable(path))?;
    writeln!(out, "{}", Printable(&document.message))
}

fn raw(document: &Document<'_>, out: &mut dyn Write) -> io::Result<()> {
    if document.driftlog.kind != "record" {
        return Ok(());
    }
    let body = document.body().ok_or_else(|| io::Error::other("a body that is not base64"))?;
    out.write_all(&body)?;
    if document.driftlog.ending.is_none() { out.write_all(b"\n") } else { Ok(()) }
}

/// Text in which a terminal finds no commands.
struct Printable<'a>(&'a str);

impl std::fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let is_shown = |char: char| char == '\t' || !char.is_control();
        for char in self.0.chars() {
            if is_shown(char) { write!(f, "{char}")? } else { write!(f, "{}", char.escape_default())? }
        }
        Ok(())
    }
}
