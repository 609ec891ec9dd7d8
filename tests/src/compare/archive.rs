//! Reads an archive's lines, plain or compressed, in their order.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Calls `each` with every whole line of the archive. A last line without its newline, which a
/// gateway may just be writing, is left out. An archive that is not there has no lines.
///
/// # Errors
/// When a file cannot be read.
pub fn read_lines(archive: &Path, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    for file in files(archive)? {
        let opened = File::open(&file)?;
        let reader: Box<dyn Read> = match file.extension() {
            Some(ending) if ending == "zst" => Box::new(zstd::Decoder::new(opened)?),
            _ => Box::new(opened),
        };
        let mut reader = BufReader::with_capacity(1 << 18, reader);
        let mut line = Vec::new();
        loop {
            line.clear();
            reader.read_until(b'\n', &mut line)?;
            match line.strip_suffix(b"\n") {
                Some(line) => each(line)?,
                None => break,
            }
        }
    }
    Ok(())
}

/// The archive's files by number. Where a file stands there plain and compressed, compressing it
/// was not finished: the plain one counts.
fn files(archive: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found: Vec<(String, bool, PathBuf)> = Vec::new();
    if !archive.exists() {
        return Ok(Vec::new());
    }
    for day in fs::read_dir(archive)? {
        let day = day?.path();
        if !day.is_dir() {
            continue;
        }
        for file in fs::read_dir(&day)? {
            let path = file?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if let Some(number) = name.strip_suffix(".ndjson") {
                found.push((number.to_owned(), false, path));
            } else if let Some(number) = name.strip_suffix(".ndjson.zst") {
                found.push((number.to_owned(), true, path));
            }
        }
    }
    // Numbers have leading zeros and count over all days.
    found.sort();
    found.dedup_by(|later, earlier| later.0 == earlier.0);
    Ok(found.into_iter().map(|(_, _, path)| path).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(archive: &Path) -> Vec<String> {
        let mut lines = Vec::new();
        read_lines(archive, |line| {
            lines.push(String::from_utf8_lossy(line).into_owned());
            Ok(())
        })
        .unwrap();
        lines
    }

    #[test]
    fn plain_and_compressed_files_are_read_in_the_order_of_their_numbers() {
        let dir = tempfile::tempdir().unwrap();
        for day in ["2026-11-23", "2026-11-24"] {
            fs::create_dir(dir.path().join(day)).unwrap();
        }
        let at = |name: &str| dir.path().join(name);
        fs::write(at("ID"), "00").unwrap();
        fs::write(at("2026-11-24/000001.ndjson.zst"), zstd::encode_all(&b"a\nb\n"[..], 3).unwrap()).unwrap();
        fs::write(at("2026-11-23/000002.ndjson"), "c\n").unwrap();
        fs::write(at("2026-11-23/000002.ndjson.zst"), "half").unwrap();
        fs::write(at("2026-11-23/000002.ndjson.zst.part"), "half").unwrap();
        fs::write(at("2026-11-23/000003.ndjson"), "d\ntorn").unwrap();
        assert_eq!(lines(dir.path()), ["a", "b", "c", "d"]);
    }
}
