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
pub(super) enum Kind {
    /// rumqttd in the gateway: it dies with it and remembers nothing.
    #[default]
    Embedded,
    Mosquitto,
    RabbitMq,
}

impl Kind {
    /// Every broker.
    pub(super) const ALL: [Self; 3] = [Self::Embedded, Self::Mosquitto, Self::RabbitMq];

    /// Its name, on the command line too.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Mosquitto => "mosquitto",
            Self::RabbitMq => "rabbitmq",
        }
    }

    /// The broker of this name.
    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A broker that is a process of its own, started by its script in `tests/servers/`.
#[derive(Debug)]
pub(super) struct Broker {
    kind: Kind,
    folder: PathBuf,
    port: u16,
    /// What the script wants to know besides folder and port.
    rest: Vec<OsString>,
    process: Option<Process>,
}

impl Broker {
    /// Makes its folder and waits until it listens; nothing for the embedded one. `wrong_clock` is
    /// what `faketime` calls a time.
    pub(super) fn start(kind: Kind, folder: &Path, wrong_clock: Option<&str>) -> io::Result<Option<Self>> {
        let rest = match kind {
            Kind::Embedded => return Ok(None),
            Kind::Mosquitto => wrong_clock.map(OsString::from).into_iter().collect(),
            Kind::RabbitMq => vec![ports::free()?.to_string().into(), ports::free()?.to_string().into()],
        };
        fs::create_dir_all(folder)?;
        let mut broker = Self { kind, folder: folder.to_owned(), port: ports::free()?, rest, process: None };
        broker.start_again()?;
        broker.wait_listening()?;
        Ok(Some(broker))
    }

    /// Waits until it listens.
    pub(super) fn wait_listening(&mut self) -> io::Result<()> {
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
    pub(super) fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Starts it with what its store holds; does not wait for it.
    pub(super) fn start_again(&mut self) -> io::Result<()> {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("servers");
        let mut command = Command::new(scripts.join(self.kind.name()));
        command.arg(&self.folder).arg(self.port.to_string()).args(&self.rest);
        let process = Process::start(self.kind.name(), command, &self.folder.join("broker.log"))?;
        self.process = Some(process);
        Ok(())
    }

    /// Kills it where it stands.
    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Removes what it had stored; only while it is killed.
    pub(super) fn wipe(&self) -> io::Result<()> {
        match fs::remove_dir_all(self.folder.join("store")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Stops it where it stands.
    pub(super) fn pause(&self) {
        self.process.iter().for_each(Process::pause);
    }

    /// Lets it go on.
    pub(super) fn resume(&self) {
        self.process.iter().for_each(Process::resume);
    }

    /// An error if it should run and does not.
    pub(super) fn check(&mut self) -> io::Result<()> {
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
