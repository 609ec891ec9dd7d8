//! Real servers, each started by its script in `tests/servers/`, which installs what is missing.
//!
//! A server listens on a port of its own on 127.0.0.1, keeps all in a folder of its own, can be killed and started
//! again, and ends with the thread that started it. What is in it is read by its own means, not by the
//! gateway's code.

mod broker;
mod kafka;
mod nginx;
mod search;
mod with;

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub use broker::{Broker, Kind, Setup};
pub use kafka::{Kafka, Wants};
pub use nginx::Nginx;
pub use search::{Family, Search};
pub use with::{NAMES, With};

use crate::clock;
use crate::ports;
use crate::process::{Process, run};

/// Time for a server to be ready, the first time with its installation.
const READY_WAIT: Duration = Duration::from_secs(600);
/// Time for one attempt to connect.
const CONNECT_WAIT: Duration = Duration::from_millis(500);

/// A server that a gateway has for a sink.
pub trait Sink {
    /// The sink's name.
    fn name(&self) -> &'static str;

    /// The gateway's section for it, with more keys.
    ///
    /// # Errors
    /// When a file that the section names cannot be written.
    fn section(&self, more: &str) -> io::Result<String>;

    /// Every document that is committed there, each lane's in order.
    ///
    /// # Errors
    /// When they cannot be read.
    fn documents(&self) -> io::Result<Vec<String>>;
}

/// A server as a process: what is the same for all of them.
#[derive(Debug)]
pub struct Server {
    script: &'static str,
    folder: PathBuf,
    port: u16,
    /// What the script wants to know besides folder and port.
    rest: Vec<OsString>,
    environment: Vec<(&'static str, String)>,
    process: Option<Process>,
}

impl Server {
    /// Makes its folder. Nothing runs yet.
    fn new(
        script: &'static str,
        folder: &Path,
        rest: Vec<OsString>,
        environment: Vec<(&'static str, String)>,
    ) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let folder = std::fs::canonicalize(folder)?;
        Ok(Self { script, folder, port: ports::free()?, rest, environment, process: None })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Its data, certificates and log.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it says.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    /// The command by which a person starts it again, with what it has stored.
    #[must_use]
    pub fn by_hand(&self) -> String {
        let words = [crate::place::shown(&script(self.script)), crate::place::shown(&self.folder)];
        let rest = self.rest.iter().map(|word| word.to_string_lossy().into_owned());
        words.into_iter().chain([self.port.to_string()]).chain(rest).collect::<Vec<_>>().join(" ")
    }

    /// Starts it with what it has stored; does not wait for it.
    fn begin(&mut self) -> io::Result<()> {
        let mut command = Command::new(script(self.script));
        command.arg(&self.folder).arg(self.port.to_string()).args(&self.rest);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        self.process = Some(Process::start(self.script, command, &self.log())?);
        Ok(())
    }

    /// Waits until it is ready.
    fn wait(&mut self, mut is_ready: impl FnMut(&Self) -> bool) -> io::Result<()> {
        let mut has_ended = false;
        let waited = clock::wait_until(READY_WAIT, || {
            has_ended = self.has_ended();
            has_ended || is_ready(self)
        });
        match self.process.as_ref().filter(|_| has_ended || !waited) {
            Some(process) => Err(process.error("does not answer".to_owned()).into()),
            None => Ok(()),
        }
    }

    /// Kills it where it stands.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Stops it where it stands.
    pub fn pause(&self) {
        self.process.iter().for_each(Process::pause);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.process.iter().for_each(Process::resume);
    }

    /// An error if it should run and does not.
    ///
    /// # Errors
    /// It ended by itself.
    pub fn check(&mut self) -> io::Result<()> {
        let has_ended = self.has_ended();
        match self.process.as_ref().filter(|_| has_ended) {
            Some(process) => Err(process.error("ended by itself".to_owned()).into()),
            None => Ok(()),
        }
    }

    fn has_ended(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.ended().is_some())
    }

    fn listens(&self) -> bool {
        TcpStream::connect_timeout(&self.address(), CONNECT_WAIT).is_ok()
    }
}

/// Installs a Debian package if its program is not there.
///
/// # Errors
/// When it cannot be installed.
pub fn install(package: &str, program: &str) -> io::Result<()> {
    if Command::new(program).arg("--help").output().is_ok() {
        return Ok(());
    }
    let mut command = Command::new(script("install"));
    command.arg(package);
    let output = run(command)?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            Err(io::Error::other(format!("{package} cannot be installed: {said}")))
        }
    }
}

/// One of the scripts.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("servers").join(name)
}
