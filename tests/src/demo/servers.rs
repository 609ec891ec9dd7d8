//! Real servers that the demo starts when it is asked for them: a broker, and sinks beside the archive.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;

use crate::servers::{Broker, Kafka, Kind, Search, Setup, Sink, Wants, With};

/// The servers that run.
#[derive(Debug, Default)]
pub(super) struct Servers {
    pub(super) broker: Option<Broker>,
    kafka: Option<Kafka>,
    search: Option<Search>,
}

impl Servers {
    /// Starts what is asked for and waits until it answers.
    pub(super) fn start(with: With, folder: &Path) -> io::Result<Self> {
        let mut servers = Self::default();
        if with.broker != Kind::Embedded {
            tell(with.broker.name())?;
            servers.broker = Broker::start(with.broker, &folder.join("broker"), &Setup::default())?;
        }
        if with.has_kafka {
            tell("Kafka")?;
            servers.kafka = Some(Kafka::start(&folder.join("kafka"), Wants::default())?);
        }
        if let Some(family) = with.search {
            tell(family.title())?;
            servers.search = Some(Search::start(family, &folder.join("search"), "driftlog", None)?);
        }
        Ok(servers)
    }

    /// Those that are sinks.
    pub(super) fn sinks(&self) -> impl Iterator<Item = &dyn Sink> {
        let kafka = self.kafka.iter().map(|kafka| kafka as &dyn Sink);
        kafka.chain(self.search.iter().map(|search| search as &dyn Sink))
    }

    /// The gateway's sections for them.
    pub(super) fn sections(&self) -> io::Result<String> {
        self.sinks().map(|sink| sink.section("")).collect()
    }

    /// Where the broker listens that is not the gateway's own.
    pub(super) fn broker_address(&self) -> Option<SocketAddr> {
        self.broker.as_ref().map(Broker::address)
    }

    /// An error if one of them has ended.
    pub(super) fn check(&mut self) -> io::Result<()> {
        let Self { broker, kafka, search } = self;
        broker.as_mut().map_or(Ok(()), |broker| broker.server().check())?;
        kafka.as_mut().map_or(Ok(()), |kafka| kafka.server().check())?;
        search.as_mut().map_or(Ok(()), |search| search.server().check())
    }

    /// The commands by which a person starts the sinks again, with what they hold.
    pub(super) fn by_hand(&mut self) -> Vec<String> {
        let kafka = self.kafka.as_mut().map(|kafka| kafka.server().by_hand());
        kafka.into_iter().chain(self.search.as_mut().map(|search| search.server().by_hand())).collect()
    }
}

fn tell(name: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "Starting {name} (the first time it is installed, which takes a minute or more) …")?;
    out.flush()
}
