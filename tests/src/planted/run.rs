//! Running a check with a bug switched on, within limits: a bug may make it run for ever, or eat
//! all memory.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use super::build::Built;
use super::checks::{CHECKS, Check, Given, Program, Seeds};
use super::copy::SWITCH;
use super::options::Options;
use super::tell;
use super::verdict::{self, Verdict};
use crate::clock;

/// Kilobytes of memory that a check may take.
const MEMORY_KB_MAX: u64 = 6 * 1024 * 1024;
/// Blocks of 512 bytes that a file which it writes may have.
const FILE_BLOCKS_MAX: u64 = 2 * 1024 * 1024;
/// How many times longer than without a bug a check may take, and what is granted besides.
const PATIENCE: (u32, Duration) = (8, Duration::from_secs(40));
/// How long a check may take while that is not known.
const UNKNOWN: Duration = Duration::from_secs(1200);
/// Bytes of what a check says that are looked at, at its beginning and at its end.
const SAID_BYTES_MAX: u64 = 256 * 1024;

/// Where checks are run.
#[derive(Debug)]
pub(super) struct Bench {
    said: PathBuf,
    programs: BTreeMap<Program, Built>,
    /// For each check how long it may take.
    limits: BTreeMap<&'static str, Duration>,
}

impl Bench {
    pub(super) fn new(place: &Path, programs: BTreeMap<Program, Built>) -> io::Result<Self> {
        let said = place.join("said");
        fs::create_dir_all(&said)?;
        Ok(Self { said, programs, limits: BTreeMap::new() })
    }

    /// Runs every check with no bug switched on, and remembers how long each took; nothing if one
    /// fails.
    pub(super) fn with_limits(mut self, options: &Options) -> io::Result<Option<Self>> {
        for check in &CHECKS {
            let begun = clock::now();
            if let Some(verdict) = self.run(check, 0, options.seeds)? {
                tell(&format!("{verdict}, although no bug is planted"))?;
                return Ok(None);
            }
            let took = begun.elapsed();
            tell(&format!("  {}: {:.1} s", check.name, took.as_secs_f64()))?;
            self.limits.insert(check.name, took * PATIENCE.0 + PATIENCE.1);
        }
        Ok(Some(self))
    }

    /// Runs a check with this bug switched on (0: none); what caught it, if anything did.
    pub(super) fn run(&self, check: &Check, bug: usize, most: Option<u64>) -> io::Result<Option<Verdict>> {
        let Some(seeds) = check.seeds else { return self.run_once(check, bug, None) };
        let count = most.unwrap_or(seeds.count);
        let (mut from, mut step) = (0, if bug == 0 { count } else { seeds.first });
        while from < count {
            let to = count.min(from + step);
            let verdict = self.run_once(check, bug, Some((seeds, from, to)))?;
            if verdict.is_some() {
                return Ok(verdict);
            }
            (from, step) = (to, step * 2);
        }
        Ok(None)
    }

    fn run_once(
        &self,
        check: &Check,
        bug: usize,
        seeds: Option<(Seeds, u64, u64)>,
    ) -> io::Result<Option<Verdict>> {
        let built = self.programs.get(&check.program).ok_or_else(|| io::Error::other("it was not built"))?;
        let path = self.said.join(format!("{bug}-{}.txt", check.name.replace(' ', "-")));
        let said = File::create(&path)?;
        let mut command = Command::new("sh");
        let limits =
            format!("ulimit -v {MEMORY_KB_MAX} && ulimit -f {FILE_BLOCKS_MAX} && exec \"$0\" \"$@\"");
        command.arg("-c").arg(limits).arg(&built.program).args(check.args).current_dir(&built.folder);
        command.env("CARGO_MANIFEST_DIR", &built.folder).env("RUST_BACKTRACE", "0");
        command.env(SWITCH, bug.to_string()).stdin(Stdio::null());
        if let Some((seeds, from, to)) = seeds {
            let range = format!("{from}..{to}");
            match seeds.given {
                Given::Option(option) => command.args([option, &range]),
                Given::Variable(variable) => command.env(variable, &range),
            };
        }
        command.stdout(said.try_clone()?).stderr(said);
        let status = self.wait(command, check)?;
        if status.is_some_and(|status| status.success()) {
            fs::remove_file(&path)?;
            return Ok(None);
        }
        Ok(Some(verdict::read(check.name, &text(&path)?, status, seeds.map(|(_, from, _)| from))))
    }

    /// How the process ended; nothing when its time was over and it was killed.
    fn wait(&self, mut command: Command, check: &Check) -> io::Result<Option<ExitStatus>> {
        let limit = self.limits.get(check.name).copied().unwrap_or(UNKNOWN);
        let mut child = command.spawn()?;
        let mut ended = None;
        clock::wait_until(limit, || {
            ended = child.try_wait().transpose();
            ended.is_some()
        });
        match ended {
            Some(status) => status.map(Some),
            None => {
                child.kill()?;
                child.wait()?;
                Ok(None)
            }
        }
    }
}

/// The beginning and the end of what a check said.
fn text(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    (&mut file).take(SAID_BYTES_MAX).read_to_end(&mut bytes)?;
    let length = file.metadata()?.len();
    if length > SAID_BYTES_MAX {
        file.seek(SeekFrom::Start(length.saturating_sub(SAID_BYTES_MAX).max(SAID_BYTES_MAX)))?;
        file.read_to_end(&mut bytes)?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
