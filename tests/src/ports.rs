//! Free TCP ports on loopback that stay free while a process that listens there is killed and
//! started again.
//!
//! They lie below the range from which the kernel takes ports for outgoing connections, so that no
//! connection takes the port of a gateway that is down for a moment.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

/// How many ports this process has tried.
static TRIED: AtomicU32 = AtomicU32::new(0);

/// A port on which nobody listens, and which this process has not been given before.
///
/// # Errors
/// When every port of the range is taken.
pub fn free() -> io::Result<u16> {
    for _ in 0..COUNT {
        // Each process begins elsewhere, so that test binaries side by side rarely meet.
        let at = std::process::id().wrapping_mul(97).wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + at % COUNT).unwrap_or(u16::MAX);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    let last = FIRST + COUNT - 1;
    Err(io::Error::new(io::ErrorKind::AddrInUse, format!("no port is free between {FIRST} and {last}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ports_differ_and_can_be_listened_on() {
        let (one, other) = (free().unwrap(), free().unwrap());
        assert_ne!(one, other);
        let _both = (
            TcpListener::bind((Ipv4Addr::LOCALHOST, one)).unwrap(),
            TcpListener::bind((Ipv4Addr::LOCALHOST, other)).unwrap(),
        );
    }
}
