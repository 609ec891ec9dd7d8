//! What was written, kept apart from the files that the agent sees: the truth that the archive is
//! compared with.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Every file that was written, byte for byte.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    /// The files, in the order in which they were made. One that is rotated away and one that takes
    /// its name are two.
    pub files: Vec<Written>,
}

/// One file that was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// The name under which it was made.
    pub name: String,
    /// The copy that only the journal knows.
    pub copy: PathBuf,
    /// Bytes.
    pub bytes: u64,
    /// Lines; one without an ending counts.
    pub lines: u64,
    /// For some offsets, rising, the wall clock just before the byte there was written.
    pub moments: Vec<(u64, i64)>,
}

impl Journal {
    /// A journal of files as they lie there: for tests that write them all at once.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn of_files(files: &[PathBuf]) -> io::Result<Self> {
        let written = |path: &PathBuf| -> io::Result<Written> {
            let text = fs::read(path)?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let (bytes, lines) = (text.len() as u64, count_lines(&text));
            Ok(Written { name, copy: path.clone(), bytes, lines, moments: Vec::new() })
        };
        Ok(Self { files: files.iter().map(written).collect::<io::Result<_>>()? })
    }

    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Lines of all files.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.files.iter().map(|file| file.lines).sum()
    }
}

/// Lines in a text; a last one without an ending counts.
#[must_use]
pub fn count_lines(text: &[u8]) -> u64 {
    let ended = text.iter().filter(|byte| **byte == b'\n').count() as u64;
    ended + u64::from(text.last().is_some_and(|byte| *byte != b'\n'))
}

/// The copy of a file that is being written.
#[derive(Debug)]
pub(super) struct Copy {
    file: File,
    pub(super) written: Written,
}

impl Copy {
    /// Begins the journal of a new file.
    pub(super) fn begin(folder: &Path, number: u64, name: &str) -> io::Result<Self> {
        let copy = folder.join(format!("{number:04}-{name}"));
        let file = File::create(&copy)?;
        let written = Written { name: name.to_owned(), copy, bytes: 0, lines: 0, moments: Vec::new() };
        Ok(Self { file, written })
    }

    /// Keeps what was written at `moment` or just after. Whoever writes ends with a whole line.
    pub(super) fn keep(&mut self, bytes: &[u8], moment: i64) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.written.moments.push((self.written.bytes, moment));
        self.written.bytes += bytes.len() as u64;
        self.written.lines += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        Ok(())
    }
}
