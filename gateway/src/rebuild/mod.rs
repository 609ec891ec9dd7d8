//! Making a new ledger from the archive alone, or from Kafka's topic of records.
//!
//! When the ledger is lost, what is there still says how far each run had come: every start, gap and
//! notice, and the last record of every block carry the chain after them. The marks made from them
//! are the ones that the lost ledger had, or, for a batch that was whole in the archive and not yet
//! in the ledger, newer ones.
//!
//! What it cannot bring back: clock models (they are learnt anew) and when runs were first heard of.
//! Nothing is destroyed: what is cut off the end of the archive is kept in its folder `cut`, and a
//! ledger that is replaced is kept beside the new one.

#[cfg(feature = "kafka")]
mod kafka;
mod marks;

use std::io::{self, Read};
use std::path::{Path, PathBuf};

#[cfg(feature = "kafka")]
pub(crate) use self::kafka::rebuild_in_kafka;
use self::marks::Marks;
use crate::ledger::sled::SledLedger;
use crate::ledger::{Ledger, LedgerError, Write};
use crate::sink::archive::directory::{Directory, DiskError, OsDirectory};
use crate::sink::archive::read::{self, File, Lines};
use crate::sink::archive::state::{ARCHIVE, ArchiveId, Closed, Head, ID_KEY, Open, Stored};
use crate::sink::archive::{read_id, write_id};
use crate::sink::ecs::document::Outline;

/// How a ledger is rebuilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RebuildOptions {
    /// Replace a ledger that is there.
    pub force: bool,
    /// Make no marks: every lane begins at its device's base, with a notice, and what was not yet
    /// acknowledged comes into the archive a second time.
    pub without_marks: bool,
    /// The id of an archive that has none.
    pub fresh: ArchiveId,
}

/// What a rebuilt ledger was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// The archive.
    pub archive: ArchiveId,
    /// Its files.
    pub files: usize,
    /// Its documents.
    pub documents: u64,
    /// Lanes that have marks.
    pub lanes: usize,
    /// Runs that have marks.
    pub runs: usize,
    /// Bytes that were cut off its end, and where they are kept.
    pub cut: Option<(u64, String)>,
    /// Lines within it that are no documents: see `driftlog-gateway audit`.
    pub damaged_lines: u64,
    /// Where the ledger that was replaced is kept.
    pub replaced: Option<PathBuf>,
}

/// Why no ledger was made.
#[derive(Debug)]
pub enum RebuildError {
    /// There is one.
    LedgerExists,
    /// The ledger that is to be replaced cannot be moved aside.
    Replace(PathBuf, io::Error),
    /// A file of the archive cannot be read or written.
    Disk(DiskError),
    /// The new ledger cannot be written.
    Ledger(LedgerError),
}

impl From<DiskError> for RebuildError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

impl From<LedgerError> for RebuildError {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

impl std::fmt::Display for RebuildError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::LedgerExists => f.write_str(
                "there is a ledger already: a rebuilt one would know less\nhint: if it is damaged or \
                 belongs to another archive, `--force` sets it aside and makes a new one",
            ),
            Self::Replace(path, error) => write!(f, "cannot set {} aside: {error}", path.display()),
            Self::Disk(error) => error.fmt(f),
            Self::Ledger(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RebuildError {}

/// Makes the ledger in the folder `ledger` from the archive in the folder `archive`, and says in
/// `out` what was done. The gateway must not be running.
///
/// # Errors
/// [`RebuildError`]; the archive then has lost nothing and the ledger is not made, or as it was.
pub fn rebuild_folder(
    archive: &Path,
    ledger: &Path,
    options: &RebuildOptions,
    out: &mut dyn io::Write,
) -> Result<Rebuilt, RebuildError> {
    let mut open = SledLedger::open(ledger);
    let mut replaced = None;
    let is_in_use = match &open {
        Ok(open) => is_in_use(open)?,
        Err(_) => true,
    };
    if is_in_use {
        if !options.force {
            // One that cannot be opened says why; one that can is simply there.
            return Err(open.err().map_or(RebuildError::LedgerExists, RebuildError::Ledger));
        }
        drop(open);
        replaced = Some(set_aside(ledger).map_err(|error| RebuildError::Replace(ledger.to_owned(), error))?);
        open = SledLedger::open(ledger);
    }
    let mut directory = OsDirectory::new(archive);
    let mut rebuilt = rebuild(&mut directory, &mut open?, options)?;
    rebuilt.replaced = replaced;
    // Whether a person reads it changes nothing about the ledger.
    let _told = rebuilt.write(out);
    Ok(rebuilt)
}

/// Gives a folder another name beside it.
fn set_aside(folder: &Path) -> io::Result<PathBuf> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let names = (1..).map(|number| folder.with_file_name(format!("{name}.replaced-{number}")));
    let free = names.into_iter().find(|path| !path.exists()).unwrap_or_default();
    std::fs::rename(folder, &free)?;
    Ok(free)
}

fn is_in_use(ledger: &dyn Ledger) -> Result<bool, LedgerError> {
    Ok(ledger.get(ID_KEY)?.is_some() || !ledger.scan(b"lane/")?.is_empty())
}

/// Makes a ledger from an archive: marks for every run that the archive tells of, and the state of
/// its files, in one commit.
///
/// # Errors
/// [`RebuildError`]; the archive then has lost nothing and the ledger is as it was.
pub fn rebuild(
    directory: &mut dyn Directory,
    ledger: &mut dyn Ledger,
    options: &RebuildOptions,
) -> Result<Rebuilt, RebuildError> {
    if is_in_use(ledger)? {
        return Err(RebuildError::LedgerExists);
    }
    // Also one that was found: the gateway may have died before it synced it, and the ledger names only
    // what is durable.
    let id = read_id(directory, &directory.list()?)?.unwrap_or(options.fresh);
    write_id(directory, id)?;
    let files = read::files(directory)?;
    let is_headless = files.first().is_some_and(|first| first.name.number > 1);
    let mut reader = Reader { marks: Marks::new(ARCHIVE, is_headless), documents: 0, damaged_lines: 0 };
    let mut writes = vec![Write { key: ID_KEY.to_vec(), value: Some(id.0.to_vec()) }];
    let mut head = Head::default();
    let mut cut = None;
    for (at, file) in files.iter().enumerate() {
        let is_last = at + 1 == files.len();
        let extent = reader.read(&*directory, file, is_last)?;
        head.next = file.name.number + 1;
        if is_last && file.stored == Stored::Plain {
            cut = cut_off(directory, file, extent)?;
            head.open = Some(Open { name: file.name, bytes: extent });
        } else {
            let compressed_bytes = (file.stored == Stored::Zstd).then_some(file.disk_bytes);
            let closed = Closed { name: file.name, bytes: extent, compressed_bytes, is_leaving: false };
            writes.push(closed.write());
        }
        if file.stored == Stored::Plain {
            directory.open(&file.name.path(Stored::Plain))?.sync()?;
            directory.sync_names(&file.name.path(Stored::Plain))?;
        }
    }
    writes.push(head.write());
    if options.without_marks {
        reader.marks = Marks::new(ARCHIVE, is_headless);
    }
    let (lanes, runs) = (reader.marks.lanes(), reader.marks.runs());
    writes.extend(reader.marks.writes());
    ledger.commit(&writes)?;
    Ok(Rebuilt {
        archive: id,
        files: files.len(),
        documents: reader.documents,
        lanes,
        runs,
        cut,
        damaged_lines: reader.damaged_lines,
        replaced: None,
    })
}

/// Cuts the last file after its last whole entry; keeps what is cut off.
fn cut_off(
    directory: &mut dyn Directory,
    file: &File,
    extent: u64,
) -> Result<Option<(u64, String)>, DiskError> {
    let cut = file.disk_bytes.saturating_sub(extent);
    if cut == 0 {
        return Ok(None);
    }
    let path = file.name.path(Stored::Plain);
    let kept = format!("cut/{:06}-from-{extent}", file.name.number);
    let mut rest = directory.read(&path, extent)?;
    let mut copy = directory.create(&kept)?;
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let failed = |reason| DiskError { operation: "read", path: path.clone(), reason };
        let read = rest.read(&mut chunk).map_err(failed)?;
        if read == 0 {
            break;
        }
        copy.append(&chunk[..read])?;
    }
    copy.sync()?;
    directory.sync_names(&kept)?;
    directory.open(&path)?.cut(extent)?;
    Ok(Some((cut, kept)))
}

/// Follows the archive's documents.
struct Reader {
    marks: Marks,
    documents: u64,
    damaged_lines: u64,
}

impl Reader {
    /// Reads a file; answers with the bytes of its lines, of the last file up to the last whole
    /// entry: a block whose last record is missing was not committed, and neither was anything
    /// behind a line that is no document.
    fn read(&mut self, directory: &dyn Directory, file: &File, is_last: bool) -> Result<u64, DiskError> {
        let Some(mut lines) = Lines::open(directory, file)? else { return Ok(0) };
        let mut whole = 0;
        while let Some(line) = lines.next_line()? {
            let outline = Outline::parse(line.bytes).ok().filter(|_| line.is_whole && !line.is_cut);
            let Some(outline) = outline else {
                if is_last && file.stored == Stored::Plain {
                    return Ok(whole);
                }
                self.damaged_lines += 1;
                continue;
            };
            self.documents += 1;
            if let Some(end) = outline.end() {
                whole = line.end;
                self.marks.follow(&outline, end);
            }
        }
        Ok(if is_last && file.stored == Stored::Plain { whole } else { lines.end() })
    }
}

impl Rebuilt {
    /// Writes what was done, for a person.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write(&self, out: &mut dyn io::Write) -> io::Result<()> {
        writeln!(
            out,
            "archive {}: {} documents in {} files; the new ledger has {} runs in {} lanes",
            self.archive, self.documents, self.files, self.runs, self.lanes
        )?;
        if let Some(replaced) = &self.replaced {
            writeln!(out, "the old ledger is kept in {}", replaced.display())?;
        }
        if let Some((bytes, path)) = &self.cut {
            writeln!(out, "{bytes} bytes of an unfinished commit were cut off; they are kept in {path}")?;
        }
        if self.damaged_lines > 0 {
            writeln!(out, "{} lines are damaged\nhint: see `driftlog-gateway audit`", self.damaged_lines)?;
        }
        Ok(())
    }
}
