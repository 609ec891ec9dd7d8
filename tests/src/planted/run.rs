//! Running a check with a bug switched on, within limits: a bug may make it run for ever, or eat
//! all memory.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::build::Built;
use super::checks::{Check, Given, Program, Seeds};
use super::copy::SWITCH;
use super::options::Options;
use super::tell;
use super::verdict::{self, Verdict};
use crate::clock;
use crate::usage::Usage;

/// Kilobytes of memory that a check may take.
const MEMORY_KB_MAX: u64 = 6 * 1024 * 1024;
/// Blocks of 512 bytes that a file which it writes may have.
const FILE_BLOCKS_MAX: u64 = 2 * 1024 * 1024;
/// How many times more of the processor than without a bug a check may take, and what is granted
/// besides. (Of the processor: the machine may have other work.)
const PATIENCE: (u32, Duration) = (8, Duration::from_secs(20));
/// How much it may take while that is not known.
const UNKNOWN: Duration = Duration::from_secs(1200);
/// How long it may take at all: a bug may make it sleep for ever.
const SLEEP_MAX: Duration = Duration::from_secs(3600);
/// Bytes of what a check says that are looked at, at its beginning and at its end.
const SAID_BYTES_MAX: u64 = 256 * 1024;

/// Where checks are run.
#[derive(Debug)]
pub(super) struct Bench {
    said: PathBuf,
    programs: BTreeMap<Program, Built>,
    /// For each check how much of the processor it may take.
    limits: BTreeMap<&'static str, Duration>,
}

impl Bench {
    pub(super) fn new(place: &Path, programs: BTreeMap<Program, Built>) -> io::Result<Self> {
        let said = place.join("said");
        fs::create_dir_all(&said)?;
        Ok(Self { said, programs, limits: BTreeMap::new() })
    }

    /// Runs these checks with no bug switched on, and remembers what each took; nothing if one
    /// fails.
    pub(super) fn with_limits(mut self, checks: &[&Check], options: &Options) -> io::Result<Option<Self>> {
        for check in checks {
            let ran = self.run(check, 0, options.seeds)?;
            if let Some(verdict) = ran.verdict {
                let said = self.said_by(check, 0);
                tell(&format!("{}: {}, although no bug is planted", verdict.check, verdict.what))?;
                let may_be_fewer = check.seeds.is_some_and(|seeds| seeds.may_be_fewer);
                let below = verdict.seeds.filter(|seeds| may_be_fewer && *seeds > 1);
                let fewer = below.map(|seeds| format!("; `--seeds {}` stays below it", seeds - 1));
                tell(&format!("hint: {} has what it said{}", said.display(), fewer.unwrap_or_default()))?;
                return Ok(None);
            }
            tell(&format!("  {}: {:.1} s of the processor", check.name, ran.cpu.as_secs_f64()))?;
            self.limits.insert(check.name, ran.cpu * PATIENCE.0 + PATIENCE.1);
        }
        Ok(Some(self))
    }

    /// Runs a check with this bug switched on (0: none), as many seeds as it takes to catch it.
    pub(super) fn run(&self, check: &Check, bug: usize, most: Option<u64>) -> io::Result<Ran> {
        let Some(seeds) = check.seeds else { return self.run_once(check, bug, None) };
        let count = most.filter(|_| seeds.may_be_fewer).unwrap_or(seeds.count);
        let (mut from, mut step) = (0, if bug == 0 { count } else { seeds.first });
        let mut ran = Ran::default();
        while from < count && ran.verdict.is_none() {
            let to = count.min(from + step);
            let next = self.run_once(check, bug, Some((seeds, from, to)))?;
            ran = Ran { verdict: next.verdict, cpu: ran.cpu + next.cpu };
            (from, step) = (to, step * 2);
        }
        Ok(ran)
    }

    /// What a check says with this bug switched on goes there, and stays there if it fails.
    fn said_by(&self, check: &Check, bug: usize) -> PathBuf {
        self.said.join(format!("{bug}-{}.txt", check.name.replace(' ', "-")))
    }

    fn run_once(&self, check: &Check, bug: usize, seeds: Option<(Seeds, u64, u64)>) -> io::Result<Ran> {
        let built = self.programs.get(&check.program).ok_or_else(|| io::Error::other("it was not built"))?;
        let path = self.said_by(check, bug);
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
        let (ending, cpu) = self.wait(command, check, &path)?;
        if ending == Ending::Passed {
            fs::remove_file(&path)?;
            return Ok(Ran { verdict: None, cpu });
        }
        let from = seeds.map(|(_, from, _)| from);
        let verdict = verdict::read(check.name, &text(&path)?, ending == Ending::Failed, from);
        Ok(Ran { verdict: Some(verdict), cpu })
    }

    /// How it ended, and what it took. A suite is ended at the first test that fails.
    fn wait(&self, mut command: Command, check: &Check, said: &Path) -> io::Result<(Ending, Duration)> {
        let limit = self.limits.get(check.name).copied().unwrap_or(UNKNOWN);
        let mut child = command.spawn()?;
        let (mut ended, mut has_failed, mut length, mut cpu) = (None, false, 0, Duration::ZERO);
        clock::wait_until(SLEEP_MAX, || {
            ended = child.try_wait().transpose();
            cpu = Usage::of(child.id()).map_or(cpu, |usage| usage.cpu.max(cpu));
            let now = fs::metadata(said).map_or(0, |said| said.len());
            if check.seeds.is_none() && now != std::mem::replace(&mut length, now) {
                has_failed = text(said).is_ok_and(|said| verdict::failed_test(&said).is_some());
            }
            ended.is_some() || has_failed || cpu > limit
        });
        if let Some(status) = ended {
            return Ok((if status?.success() { Ending::Passed } else { Ending::Failed }, cpu));
        }
        child.kill()?;
        child.wait()?;
        Ok((if has_failed { Ending::Failed } else { Ending::OutOfTime }, cpu))
    }
}

/// What came of running a check.
#[derive(Clone, Debug, Default)]
pub(super) struct Ran {
    /// What caught the bug, if anything did.
    pub(super) verdict: Option<Verdict>,
    /// What it took of the processor.
    pub(super) cpu: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Passed,
    Failed,
    OutOfTime,
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
