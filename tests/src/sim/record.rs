//! What was run so far, in a file: a line for each chunk of seeds and the commit that it ran on.
//! A long run that was interrupted goes on where it was, and its counts add up.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::campaign::{Total, name};

#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    commit: String,
    lines: Vec<Line>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    commit: String,
    seeds: String,
    worlds: u64,
    failed: u64,
    steps: u64,
    device_seconds: u64,
}

impl Line {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let (commit, seeds) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut number = || words.next()?.split_once('=')?.1.parse().ok();
        Some(Self {
            commit,
            seeds,
            worlds: number()?,
            failed: number()?,
            steps: number()?,
            device_seconds: number()?,
        })
    }

    fn text(&self) -> String {
        let Self { commit, seeds, worlds, failed, steps, device_seconds } = self;
        format!(
            "{commit} {seeds} worlds={worlds} failed={failed} steps={steps} device_seconds={device_seconds}\n"
        )
    }
}

impl Record {
    /// Opens the record, which may not be there yet.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        let mut lines = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = Line::parse(line).ok_or_else(|| {
                io::Error::other(format!(
                    "{}:{}: this is no line of a record: {line}",
                    path.display(),
                    at + 1
                ))
            })?;
            lines.push(line);
        }
        Ok(Self { path: path.to_owned(), commit: commit(), lines })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether these seeds were run on this commit.
    pub(super) fn has(&self, range: &Range<u64>) -> bool {
        let seeds = name(range);
        self.lines.iter().any(|line| line.commit == self.commit && line.seeds == seeds)
    }

    pub(super) fn add(&mut self, range: &Range<u64>, total: &Total) -> io::Result<()> {
        let line = Line {
            commit: self.commit.clone(),
            seeds: name(range),
            worlds: total.worlds,
            failed: total.failed,
            steps: total.steps,
            device_seconds: total.device_seconds,
        };
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&self.path)?;
        file.write_all(line.text().as_bytes())?;
        self.lines.push(line);
        Ok(())
    }

    /// The sums by commit, and over all.
    pub(super) fn sums(&self) -> String {
        let mut sums: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for line in &self.lines {
            let sum = sums.entry(&line.commit).or_default();
            *sum = (sum.0 + line.worlds, sum.1 + line.failed);
        }
        let all = sums.values().fold((0, 0), |all, sum| (all.0 + sum.0, all.1 + sum.1));
        let mut text = String::new();
        for (commit, (worlds, failed)) in sums.into_iter().chain([("all", all)]) {
            text.push_str(&format!("  {commit}: {worlds} worlds, {failed} failed\n"));
        }
        text
    }
}

/// The commit that is checked out, with a plus where files were changed since.
fn commit() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    let is_changed =
        git(&["status", "--porcelain", "--untracked-files=no"]).is_none_or(|text| !text.is_empty());
    if is_changed { format!("{commit}+") } else { commit }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(worlds: u64, failed: u64) -> Total {
        Total { worlds, failed, steps: 7, device_seconds: 9, ..Total::default() }
    }

    #[test]
    fn an_interrupted_run_goes_on_and_its_counts_add_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record");
        let mut record = Record::open(&path).unwrap();
        record.add(&(0..1000), &total(1000, 0)).unwrap();
        record.add(&(1000..2000), &total(1000, 2)).unwrap();
        let again = Record::open(&path).unwrap();
        assert!(again.has(&(0..1000)) && again.has(&(1000..2000)) && !again.has(&(2000..3000)));
        assert!(again.sums().ends_with("  all: 2000 worlds, 2 failed\n"), "{}", again.sums());
    }

    #[test]
    fn a_run_on_another_commit_does_not_count_for_this_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record");
        std::fs::write(&path, "0123456789ab 0..1000 worlds=1000 failed=0 steps=1 device_seconds=1\n")
            .unwrap();
        assert!(!Record::open(&path).unwrap().has(&(0..1000)));
    }

    #[test]
    fn what_is_no_record_is_not_appended_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        std::fs::write(&path, "buy milk\n").unwrap();
        assert!(Record::open(&path).unwrap_err().to_string().contains("no line of a record"));
    }
}
