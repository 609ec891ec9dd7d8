//! Brokers: the one in the gateway, and those that are processes of their own.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use super::Server;
use crate::ports;

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

/// The variable with more of its configuration.
const MORE: &str = "MORE";

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

/// A broker that is a process of its own.
#[derive(Debug)]
pub struct Broker(Server);

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
        let secure = if setup.is_secure { "1" } else { "" };
        let environment = vec![("SECURE", secure.to_owned()), (MORE, setup.more.to_owned())];
        let mut broker = Self(Server::new(kind.name(), folder, rest, environment)?);
        broker.start_again()?;
        broker.wait_listening()?;
        Ok(Some(broker))
    }

    /// Waits until it listens.
    ///
    /// # Errors
    /// When it has ended, or does not in time.
    pub fn wait_listening(&mut self) -> io::Result<()> {
        self.0.wait(Server::listens)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Gives it another configuration, from its next start on.
    pub fn configure(&mut self, more: &str) {
        self.0.environment.retain(|(name, _)| *name != MORE);
        self.0.environment.push((MORE, more.to_owned()));
    }

    /// Its log, certificates and store.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.0.folder()
    }

    /// Starts it with what its store holds; does not wait for it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_again(&mut self) -> io::Result<()> {
        self.0.begin()
    }

    /// The server that it is.
    pub fn server(&mut self) -> &mut Server {
        &mut self.0
    }

    /// Removes what it had stored; only while it is killed.
    ///
    /// # Errors
    /// When that cannot be removed.
    pub fn wipe(&self) -> io::Result<()> {
        match fs::remove_dir_all(self.folder().join("store")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
