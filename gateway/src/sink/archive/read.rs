//! Reading an archive from its files alone, in order, a line at a time.

use std::io::{self, BufRead, BufReader, Read};

use zstd::stream::read::Decoder;

use super::directory::{Directory, DiskError};
use super::state::{FileKind, FileName, Stored};

/// The longest line that is read: a dead letter in base64 with its labels, and to spare. What is
/// longer is no document.
const LINE_BYTES_MAX: usize = 1024 * 1024;
const BUFFER_BYTES: usize = 256 * 1024;

/// A file of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct File {
    /// Its number and day.
    pub name: FileName,
    /// Its form. Where both are there, the lines: a compressed file beside them may be unfinished.
    pub stored: Stored,
    /// Its length on the disk.
    pub disk_bytes: u64,
}

/// The files of an archive, in order.
///
/// # Errors
/// When the folder cannot be read.
pub fn files(directory: &dyn Directory) -> Result<Vec<File>, DiskError> {
    let mut files: Vec<File> = Vec::new();
    for (path, disk_bytes) in directory.list()? {
        if let Some((name, FileKind::Whole(stored))) = FileName::parse(&path) {
            files.push(File { name, stored, disk_bytes });
        }
    }
    files.sort_unstable();
    files.dedup_by(|second, first| second.name == first.name);
    Ok(files)
}

/// The lines of one file.
pub struct Lines {
    reader: BufReader<Box<dyn Read + Send>>,
    path: String,
    line: Vec<u8>,
    /// Bytes of lines before the present one, and with it.
    begin: u64,
    end: u64,
    number: u64,
    /// The present line has no newline yet.
    is_unfinished: bool,
}

/// One line.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// Its bytes, without the newline.
    pub bytes: &'a [u8],
    /// Where it begins among the file's lines.
    pub begin: u64,
    /// Where it ends, its newline included.
    pub end: u64,
    /// Counts the lines of the file from 1.
    pub number: u64,
    /// Whether a newline ends it.
    pub is_whole: bool,
    /// Whether it was longer than any document, and `bytes` is only its beginning.
    pub is_cut: bool,
}

impl Lines {
    /// Opens a file, in the form in which it now is: it may have been compressed since it was
    /// listed. `None` when it is there in neither.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(directory: &dyn Directory, file: &File) -> Result<Option<Self>, DiskError> {
        let forms = match file.stored {
            Stored::Plain => [Stored::Plain, Stored::Zstd],
            Stored::Zstd => [Stored::Zstd, Stored::Plain],
        };
        for stored in forms {
            let path = file.name.path(stored);
            let reader = match directory.read(&path, 0) {
                Err(error) if error.reason.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            let reader: Box<dyn Read + Send> = match stored {
                Stored::Plain => reader,
                Stored::Zstd => {
                    let failed = |reason| DiskError { operation: "read", path: path.clone(), reason };
                    Box::new(Decoder::new(reader).map_err(failed)?)
                }
            };
            return Ok(Some(Self::from(reader, path, 0)));
        }
        Ok(None)
    }

    /// The lines of a reader that stands at `offset` of the file.
    pub(crate) fn from(reader: Box<dyn Read + Send>, path: String, offset: u64) -> Self {
        let reader = BufReader::with_capacity(BUFFER_BYTES, reader);
        Self { reader, path, line: Vec::new(), begin: offset, end: offset, number: 0, is_unfinished: false }
    }

    /// The file's path below the archive.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Bytes of lines read so far.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The next line; a last one without a newline as it stands.
    ///
    /// # Errors
    /// When the file cannot be read or decompressed.
    pub fn next_line(&mut self) -> Result<Option<Line<'_>>, DiskError> {
        self.fill()?;
        if self.end == self.begin {
            return Ok(None);
        }
        Ok(Some(self.show()))
    }

    /// The next line that a newline ends. `None` is not for ever: when the file has grown, reading
    /// goes on, also within a line.
    ///
    /// # Errors
    /// When the file cannot be read or decompressed.
    pub fn next_whole_line(&mut self) -> Result<Option<Line<'_>>, DiskError> {
        self.fill()?;
        if self.end == self.begin || self.is_unfinished {
            return Ok(None);
        }
        Ok(Some(self.show()))
    }

    fn show(&mut self) -> Line<'_> {
        self.number += 1;
        let is_whole = !std::mem::take(&mut self.is_unfinished);
        let length = self.end - self.begin - u64::from(is_whole);
        Line {
            bytes: &self.line,
            begin: self.begin,
            end: self.end,
            number: self.number,
            is_whole,
            is_cut: length > self.line.len() as u64,
        }
    }

    /// Reads up to a newline or the end; keeps no more than a line may have.
    fn fill(&mut self) -> Result<(), DiskError> {
        if !self.is_unfinished {
            self.line.clear();
            self.begin = self.end;
        }
        loop {
            let available = match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(reason) => return Err(DiskError { operation: "read", path: self.path.clone(), reason }),
                Ok([]) => return Ok(()),
                Ok(available) => available,
            };
            let newline = available.iter().position(|byte| *byte == b'\n');
            let text = &available[..newline.unwrap_or(available.len())];
            let room = LINE_BYTES_MAX.saturating_sub(self.line.len());
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            let used = text.len() + usize::from(newline.is_some());
            self.reader.consume(used);
            self.end += used as u64;
            self.is_unfinished = newline.is_none();
            if !self.is_unfinished {
                return Ok(());
            }
        }
    }
}
