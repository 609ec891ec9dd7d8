//! Real processes: kill -9 is real, and what they said before they died can be shown.
//!
//! A process is killed when its handle is dropped, and (where it is this very binary) by the kernel
//! when whoever started it dies.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::clock;
use crate::usage::Usage;

/// Set for the processes that we start: they end with us ([`end_with_parent`]).
const ENDS_WITH_PARENT: &str = "DRIFTLOG_ENDS_WITH_PARENT";
/// Lines of a log that an error shows.
const LINES_SHOWN: usize = 20;
/// Bytes at the end of a log that are looked at for them.
const TAIL_BYTES: u64 = 16 * 1024;

/// How the agent, the gateway and the floor are started.
#[derive(Clone, Debug)]
pub struct Programs {
    agent: Vec<OsString>,
    gateway: Vec<OsString>,
    floor: Vec<OsString>,
    broker: Vec<OsString>,
    producer: Vec<OsString>,
}

impl Programs {
    /// All of them are the binary `driftlog`, told by its first argument what to be.
    #[must_use]
    pub fn in_one(driftlog: &Path) -> Self {
        let role = |role: &str| vec![driftlog.as_os_str().to_owned(), role.into()];
        Self {
            agent: role("agent"),
            gateway: role("gateway"),
            floor: role("floor"),
            broker: role("broker"),
            producer: role("producer"),
        }
    }

    /// All of them are this very process's binary.
    ///
    /// # Errors
    /// When the kernel does not say which binary that is.
    pub fn in_myself() -> io::Result<Self> {
        Ok(Self::in_one(&std::env::current_exe()?))
    }

    /// The same, but the agent is this binary: the one that is flashed onto devices.
    #[must_use]
    pub fn with_agent(self, agent: &Path) -> Self {
        Self { agent: vec![agent.as_os_str().to_owned()], ..self }
    }

    /// The same, but the agent is this command: a program and its first arguments, with spaces between
    /// them. So an agent for another processor runs under an emulator.
    #[must_use]
    pub fn with_agent_command(self, words: &str) -> Self {
        Self { agent: words.split_ascii_whitespace().map(OsString::from).collect(), ..self }
    }

    /// A command that is the agent.
    #[must_use]
    pub fn agent(&self) -> Command {
        command(&self.agent)
    }

    /// A command that is the gateway.
    #[must_use]
    pub fn gateway(&self) -> Command {
        command(&self.gateway)
    }

    /// A command that is an MQTT broker which remembers nothing.
    #[must_use]
    pub fn broker(&self) -> Command {
        command(&self.broker)
    }

    /// A command that writes documents to Kafka and does nothing else.
    #[must_use]
    pub fn producer(&self) -> Command {
        command(&self.producer)
    }

    /// A command that is the floor of the figures.
    #[must_use]
    pub fn floor(&self) -> Command {
        command(&self.floor)
    }
}

fn command(words: &[OsString]) -> Command {
    let (program, rest) = words.split_first().map_or((OsStr::new(""), &[][..]), |(p, r)| (p.as_os_str(), r));
    let mut command = Command::new(program);
    command.args(rest).env(ENDS_WITH_PARENT, "1");
    command
}

/// Asks the kernel to kill this process when its parent dies, if the parent asked for that. The
/// first thing that this binary does.
pub fn end_with_parent() {
    if std::env::var_os(ENDS_WITH_PARENT).is_some() {
        // Where the kernel does not know this, the process outlives its parent, that is all.
        let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    }
}

/// A child process and the file with what it says.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a process; what it says on stdout and stderr is appended to `log`.
    ///
    /// # Errors
    /// When the log cannot be opened or the program cannot be started.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self, ProcessError> {
        use std::os::unix::process::CommandExt as _;
        let failed = |error: io::Error| ProcessError {
            name: name.to_owned(),
            what: format!("cannot be started: {error}"),
            log: log.to_owned(),
            said: Vec::new(),
        };
        let file = OpenOptions::new().append(true).create(true).open(log).map_err(failed)?;
        let twin = file.try_clone().map_err(failed)?;
        // In a group of its own a Ctrl-C reaches only us; then the kernel ends it with us.
        command.stdin(Stdio::null()).stdout(file).stderr(twin).process_group(0);
        let child = command.spawn().map_err(failed)?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has used so far.
    ///
    /// # Errors
    /// When it has ended.
    pub fn usage(&self) -> io::Result<Usage> {
        Usage::of(self.id())
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Kills it where it stands (SIGKILL) and waits until it is gone.
    pub fn kill(&mut self) {
        // One that has ended already is as dead as it can be.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until `has_begun` says that it has just begun something, looking as often as can be, and
    /// kills it there. Kills it anyhow at the end of `limit`.
    pub fn kill_when(&mut self, limit: Duration, mut has_begun: impl FnMut() -> bool) {
        let end = clock::now() + limit;
        while !has_begun() && clock::now() < end {
            std::thread::sleep(Duration::from_micros(50));
        }
        self.kill();
    }

    /// Asks it to stop (SIGTERM).
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Stops it where it stands (SIGSTOP), until it is [resumed](Self::resume).
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // One that has ended already hears nothing.
            let _ = kill_process(pid, signal);
        }
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// When it has not within `limit`; then it is killed.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus, ProcessError> {
        let end = clock::now() + limit;
        loop {
            if let Some(status) = self.ended() {
                return Ok(status);
            }
            if clock::now() >= end {
                self.kill();
                return Err(self.error(format!("has not ended within {limit:?}")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asks it to stop and waits; it has to end well (exit code 0).
    ///
    /// # Errors
    /// When it does not stop within `limit`, or not well.
    pub fn stop(&mut self, limit: Duration) -> Result<(), ProcessError> {
        self.terminate();
        let status = self.wait(limit)?;
        if status.success() { Ok(()) } else { Err(self.error(format!("ended with {status}"))) }
    }

    /// An error about it that shows its last lines.
    #[must_use]
    pub fn error(&self, what: String) -> ProcessError {
        let said = last_lines(&self.log, LINES_SHOWN);
        ProcessError { name: self.name.clone(), what, log: self.log.clone(), said }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a command to its end and takes what it says.
///
/// # Errors
/// When it cannot be started.
pub fn run(mut command: Command) -> io::Result<Output> {
    command.stdin(Stdio::null()).output()
}

/// The last lines of a file; none if it cannot be read.
#[must_use]
pub fn last_lines(path: &Path, count: usize) -> Vec<String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        file.read_to_end(&mut bytes)
    });
    if read.is_err() {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(count)).map(|line| (*line).to_owned()).collect()
}

/// A process did not do what was expected of it.
#[derive(Debug)]
pub struct ProcessError {
    name: String,
    what: String,
    log: PathBuf,
    said: Vec<String>,
}

impl fmt::Display for ProcessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.what)?;
        if !self.said.is_empty() {
            write!(f, "\nits last lines, from {}:", self.log.display())?;
        }
        self.said.iter().try_for_each(|line| write!(f, "\n    {line}"))
    }
}

impl std::error::Error for ProcessError {}

impl From<ProcessError> for io::Error {
    fn from(error: ProcessError) -> Self {
        Self::other(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_process_that_ends_badly_is_shown_with_its_last_lines() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut process = Process::start("agent", shell("echo one; echo two >&2; exit 3"), &log).unwrap();
        let status = process.wait(Duration::from_secs(20)).unwrap();
        assert_eq!(status.code(), Some(3));
        let error = process.error("failed".to_owned()).to_string();
        assert!(error.starts_with("agent failed\nits last lines"), "{error}");
        assert!(error.ends_with("\n    one\n    two"), "{error}");
    }

    #[test]
    fn a_process_can_be_asked_to_stop_or_be_killed() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let script = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done";
        let start = || {
            let process = Process::start("shell", shell(script), &log).unwrap();
            assert!(clock::wait_until(Duration::from_secs(20), || !last_lines(&log, 1).is_empty()));
            process
        };
        start().stop(Duration::from_secs(20)).unwrap();
        std::fs::remove_file(&log).unwrap();
        let mut killed = start();
        killed.kill();
        assert!(!killed.ended().unwrap().success());
    }

    #[test]
    fn a_paused_process_does_nothing_until_it_is_resumed() {
        let dir = tempfile::tempdir().unwrap();
        let (log, ask) = (dir.path().join("log"), dir.path().join("ask"));
        let script = format!("while ! [ -e {} ]; do :; done; echo seen", ask.display());
        let mut process = Process::start("shell", shell(&script), &log).unwrap();
        process.pause();
        let state = format!("/proc/{}/stat", process.id());
        let is_stopped = || std::fs::read_to_string(&state).unwrap().contains(") T ");
        assert!(clock::wait_until(Duration::from_secs(20), is_stopped));
        std::fs::write(&ask, "").unwrap();
        assert!(process.ended().is_none() && last_lines(&log, 1).is_empty());
        process.resume();
        assert!(process.wait(Duration::from_secs(20)).unwrap().success());
        assert_eq!(last_lines(&log, 1), ["seen"]);
    }

    #[test]
    fn whoever_does_not_stop_in_time_is_killed_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut process = Process::start("deaf", shell("trap '' TERM; while :; do :; done"), &log).unwrap();
        let error = process.wait(Duration::from_millis(50)).unwrap_err().to_string();
        assert!(error.contains("deaf has not ended within"), "{error}");
        assert!(process.ended().is_some());
    }
}
