//! An MQTT broker of the figures' own, so that the gateway's process is the gateway alone.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use crate::clock;
use crate::ports;
use crate::process::{Process, Programs};

/// Time for it to listen.
const WAIT: Duration = Duration::from_secs(60);

/// A broker that listens, and where.
pub(super) fn broker(programs: &Programs, folder: &Path) -> io::Result<(SocketAddr, Process)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()?));
    let mut command = programs.broker();
    command.arg(address.to_string());
    let mut broker = Process::start("the MQTT broker", command, &folder.join("broker.log"))?;
    let mut listens = false;
    clock::wait_until(WAIT, || {
        listens = TcpStream::connect(address).is_ok();
        listens || broker.ended().is_some()
    });
    match listens {
        true => Ok((address, broker)),
        false => Err(broker.error(format!("does not listen on {address}")).into()),
    }
}
