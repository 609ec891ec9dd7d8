//! The log file: lines are appended, and it is rotated away by renaming.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use crate::options::Options;

const NAME: &str = "app.log";

/// A log that is written to.
pub(crate) struct LogFile {
    folder: PathBuf,
    file: File,
    bytes: u64,
    rotate_bytes: u64,
    kept: usize,
    is_synced: bool,
}

impl LogFile {
    /// Goes on where the file ends. A last line that a power cut left without its end is ended.
    pub(crate) fn open(options: &Options) -> io::Result<Self> {
        fs::create_dir_all(&options.folder)?;
        let mut file = open(&options.folder)?;
        let bytes = file.metadata()?.len();
        let mut log = Self {
            folder: options.folder.clone(),
            bytes,
            rotate_bytes: options.rotate_bytes,
            kept: options.kept,
            is_synced: options.is_synced,
            file: file.try_clone()?,
        };
        let mut last = [b'\n'];
        if bytes > 0 {
            file.seek(SeekFrom::Start(bytes - 1))?;
            file.read_exact(&mut last)?;
        }
        if last != [b'\n'] {
            log.append(b"\n")?;
        }
        log.sync_folder()?;
        Ok(log)
    }

    /// Appends; on the flash when it returns, where this is asked for.
    pub(crate) fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if self.bytes >= self.rotate_bytes {
            self.rotate()?;
        }
        self.file.write_all(line)?;
        self.bytes += line.len() as u64;
        if self.is_synced {
            self.file.sync_data()?;
        }
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let prefix = format!("{NAME}-");
        let mut old: Vec<String> = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.starts_with(&prefix) {
                old.push(name);
            }
        }
        old.sort_unstable();
        let number = |name: &String| name.strip_prefix(&prefix).and_then(|number| number.parse::<u64>().ok());
        let next = old.last().and_then(number).map_or(1, |last| last + 1);
        fs::rename(self.folder.join(NAME), self.folder.join(format!("{prefix}{next:06}")))?;
        let excess = (old.len() + 1).saturating_sub(self.kept);
        for name in old.iter().take(excess) {
            fs::remove_file(self.folder.join(name))?;
        }
        self.file = open(&self.folder)?;
        self.bytes = 0;
        self.sync_folder()
    }

    /// Makes names durable.
    fn sync_folder(&self) -> io::Result<()> {
        if self.is_synced { File::open(&self.folder)?.sync_all() } else { Ok(()) }
    }
}

fn open(folder: &std::path::Path) -> io::Result<File> {
    OpenOptions::new().append(true).read(true).create(true).open(folder.join(NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_is_rotated_away_and_only_so_many_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let options =
            Options { folder: dir.path().to_owned(), rotate_bytes: 10, kept: 2, ..Options::default() };
        let mut log = LogFile::open(&options).unwrap();
        (0..5).for_each(|number| log.append(format!("line {number} 1234\n").as_bytes()).unwrap());
        let mut names: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort_unstable();
        assert_eq!(names, ["app.log", "app.log-000003", "app.log-000004"]);
        assert_eq!(fs::read(dir.path().join(NAME)).unwrap(), b"line 4 1234\n");
    }

    #[test]
    fn a_torn_last_line_is_ended_before_the_next_one_begins() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(NAME), "whole\ntor").unwrap();
        let options = Options { folder: dir.path().to_owned(), ..Options::default() };
        LogFile::open(&options).unwrap().append(b"next\n").unwrap();
        assert_eq!(fs::read(dir.path().join(NAME)).unwrap(), b"whole\ntor\nnext\n");
    }
}
