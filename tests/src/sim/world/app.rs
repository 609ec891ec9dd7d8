//! A program on a device that writes logs: what it wrote is what the archive is held against.

use driftlog_agent::source::SimFiles;

use super::random::Random;

/// How a program's lines look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// Of a thousand lines so many are errors.
    pub(crate) errors_per_mille: u64,
    /// Of a thousand lines so many are longer than a record.
    pub(crate) long_per_mille: u64,
    /// The usual length at most.
    pub(crate) bytes_max: u64,
}

impl Default for Style {
    fn default() -> Self {
        Self { errors_per_mille: 50, long_per_mille: 2, bytes_max: 160 }
    }
}

/// One file as it was written, under whatever name it now has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written {
    pub(crate) bytes: Vec<u8>,
    /// The name that it was given when it was rotated away.
    name: Option<String>,
    /// What it was before a power cut took its end.
    pub(crate) past: Vec<Vec<u8>>,
    /// It went away: what of it was not sealed then is lost, and nobody says so.
    pub(crate) is_gone: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct App {
    name: String,
    path: String,
    pub(crate) style: Style,
    lines: u64,
    /// Every file that it wrote; the last one is open.
    pub(crate) files: Vec<Written>,
    rotations: u64,
    is_within_line: bool,
}

impl App {
    pub(crate) fn new(device: &str, at: usize, style: Style) -> Self {
        Self {
            name: format!("{device}.{at}"),
            path: format!("/log/app{at}.log"),
            style,
            lines: 0,
            files: vec![Written::default()],
            rotations: 0,
            is_within_line: false,
        }
    }

    /// A copy that goes on writing under its own name: what it writes then differs.
    pub(crate) fn copy(&self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self.clone() }
    }

    pub(crate) fn write(&mut self, files: &SimFiles, random: &mut Random, lines: u64) {
        for _ in 0..lines {
            self.end_line(files);
            let mut line = self.line(random);
            line.push(b'\n');
            self.put(files, &line);
        }
    }

    /// Writes the beginning of a line; its end comes later.
    pub(crate) fn write_part(&mut self, files: &SimFiles, random: &mut Random) {
        self.end_line(files);
        let line = self.line(random);
        let part = line.get(..1 + random.below(line.len() as u64) as usize).unwrap_or(&line).to_vec();
        self.put(files, &part);
        self.is_within_line = true;
    }

    pub(crate) fn end_line(&mut self, files: &SimFiles) {
        if self.is_within_line {
            self.put(files, b" and so on\n");
            self.is_within_line = false;
        }
    }

    /// `app.log` becomes `app.log.N`, and a new one begins.
    pub(crate) fn rotate(&mut self, files: &SimFiles) {
        if self.files.last().is_some_and(|file| file.bytes.is_empty()) {
            return;
        }
        self.end_line(files);
        let name = self.name_rotated();
        files.rename(&self.path, &name);
        self.files.push(Written::default());
    }

    /// `app.log` is copied to `app.log.N` and cut to nothing, as logrotate's copytruncate does.
    pub(crate) fn copy_and_truncate(&mut self, files: &SimFiles) {
        if self.files.last().is_none_or(|file| file.bytes.is_empty()) {
            return;
        }
        self.end_line(files);
        let name = self.name_rotated();
        files.copy(&self.path, &name, usize::MAX);
        files.truncate(&self.path, 0);
        self.files.push(Written::default());
    }

    /// Says that it wrote this, and did not.
    #[cfg(test)]
    pub(crate) fn claim(&mut self, line: &[u8]) {
        self.files.insert(0, Written { bytes: line.to_vec(), ..Written::default() });
    }

    fn name_rotated(&mut self) -> String {
        self.rotations += 1;
        let name = format!("{}.{}", self.path, self.rotations);
        if let Some(file) = self.files.last_mut() {
            file.name = Some(name.clone());
        }
        name
    }

    /// A file is removed: the newest of those rotated away that is still there, or else the
    /// current one.
    pub(crate) fn remove(&mut self, files: &SimFiles) {
        let rotated = self.files.iter_mut().rev().find(|file| file.name.is_some() && !file.is_gone);
        if let Some(file) = rotated {
            file.is_gone = true;
            return files.remove(file.name.as_deref().unwrap_or_default());
        }
        self.end_line(files);
        files.remove(&self.path);
        if let Some(file) = self.files.last_mut() {
            file.is_gone = true;
        }
        self.files.push(Written::default());
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The file's end is lost, as with a power cut before its writer synced.
    pub(crate) fn lose_tail(&mut self, files: &SimFiles, bytes: usize) {
        let Some(file) = self.files.last_mut() else { return };
        let kept = file.bytes.len().saturating_sub(bytes);
        file.past.push(file.bytes.clone());
        file.bytes.truncate(kept);
        files.truncate(&self.path, kept);
        self.is_within_line = file.bytes.last().is_some_and(|last| *last != b'\n');
    }

    fn put(&mut self, files: &SimFiles, bytes: &[u8]) {
        files.append(&self.path, bytes);
        if let Some(file) = self.files.last_mut() {
            file.bytes.extend_from_slice(bytes);
        }
    }

    fn line(&mut self, random: &mut Random) -> Vec<u8> {
        self.lines += 1;
        let is_error = random.per_mille(self.style.errors_per_mille);
        let level = if is_error { "ERROR" } else { ["INFO", "DEBUG", "WARN"][random.below(3) as usize] };
        if !is_error && random.one_in(100) {
            return Vec::new();
        }
        let mut line = format!("{level} {} {:07} ", self.name, self.lines).into_bytes();
        let mut length = random.below(self.style.bytes_max);
        if random.per_mille(self.style.long_per_mille) {
            length = random.within(20_000..90_000);
        }
        let is_binary = random.one_in(20);
        while (line.len() as u64) < length {
            let bytes = random.number().to_le_bytes();
            if is_binary {
                line.extend(bytes.iter().filter(|byte| **byte != b'\n'));
            } else {
                line.extend(
                    bytes.iter().map(|byte| b"0123456789abcdefghijklmnopqrst-/"[usize::from(byte & 31)]),
                );
            }
        }
        if random.one_in(50) {
            line.push(b'\r');
        }
        line
    }
}
