//! Brokers: the one in the gateway, and those that are processes of their own.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::clock;
use crate::ports;
use crate::process::Process;

/// Time for a broker to listen, the first time with its installation.
const LISTEN_WAIT: Duration = Duration::from_secs(300);
/// Time for one attempt to connect.
const CONNECT_WAIT: Duration = Duration::from_millis(500);

/// Which broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// rumqttd in the gateway: it dies with it and remembers nothing.
    #[default]
    Embedded,
    /// Eclipse Mosquitto.
    Mosquitto,
    /// RabbitMQ with its plugin for MQTT.
    RabbitMq,
}

impl Kind {
    /// Every broker.
    pub const ALL: [Self; 3] = [Self::Embedded, Self::Mosquitto, Self::RabbitMq];

    /// Its name, on the command line too.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Mosquitto => "mosquitto",
            Self::RabbitMq => "rabbitmq",
        }
    }

    /// The broker of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a broker is set up, where it is not open to everybody and at the right time.
#[derive(Clone, Debug, Default)]
pub struct Setup<'a> {
    /// What `faketime` calls a time; for mosquitto only.
    pub wrong_clock: Option<&'a str>,
    /// It wants TLS, users and passwords, and has the rules of docs/brokers.md.
    pub is_secure: bool,
    /// More of its configuration.
    pub more: &'a str,
}

/// A broker that is a process of its own, started by its script in `tests/servers/`.
#[derive(Debug)]
pub struct Broker {
    kind: Kind,
    folder: PathBuf,
    port: u16,
    /// What the script wants to know besides folder and port.
    rest: Vec<OsString>,
    is_secure: bool,
    more: String,
    process: Option<Process>,
}

impl Broker {
    /// Makes its folder and waits until it listens; nothing for the embedded one.
    ///
    /// # Errors
    /// When it does not listen in time.
    pub fn start(kind: Kind, folder: &Path, setup: &Setup<'_>) -> io::Result<Option<Self>> {
        let rest = match kind {
            Kind::Embedded => return Ok(None),
            Kind::Mosquitto => setup.wrong_clock.map(OsString::from).into_iter().collect(),
            Kind::RabbitMq => vec![ports::free()?.to_string().into(), ports::free()?.to_string().into()],
        };
        fs::create_dir_all(folder)?;
        let mut broker = Self {
            kind,
            folder: folder.to_owned(),
            port: ports::free()?,
            rest,
            is_secure: setup.is_secure,
            more: setup.more.to_owned(),
            process: None,
        };
        broker.start_again()?;
        broker.wait_listening()?;
        Ok(Some(broker))
    }

    /// Waits until it listens.
    ///
    /// # Errors
    /// When it has ended, or does not in time.
    pub fn wait_listening(&mut self) -> io::Result<()> {
        let mut has_ended = false;
        let listens = clock::wait_until(LISTEN_WAIT, || {
            has_ended = self.has_ended();
            has_ended || self.listens()
        });
        match self.process.as_ref().filter(|_| has_ended || !listens) {
            Some(process) => Err(process.error("does not listen".to_owned()).into()),
            None => Ok(()),
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Gives it another configuration, from its next start on.
    pub fn configure(&mut self, more: &str) {
        more.clone_into(&mut self.more);
    }

    /// Its log, certificates and store.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it says.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join("broker.log")
    }

    /// Starts it with what its store holds; does not wait for it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_again(&mut self) -> io::Result<()> {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("servers");
        let mut command = Command::new(scripts.join(self.kind.name()));
        command.arg(&self.folder).arg(self.port.to_string()).args(&self.rest);
        command.env("SECURE", if self.is_secure { "1" } else { "" }).env("MORE", &self.more);
        let process = Process::start(self.kind.name(), command, &self.log())?;
        self.process = Some(process);
        Ok(())
    }

    /// Kills it where it stands.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Removes what it had stored; only while it is killed.
    ///
    /// # Errors
    /// When that cannot be removed.
    pub fn wipe(&self) -> io::Result<()> {
        match fs::remove_dir_all(self.folder.join("store")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
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
