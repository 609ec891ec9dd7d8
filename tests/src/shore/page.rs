//! The gateway's page for operators, as a program asks it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use driftlog_gateway::status::Status;

/// Time for a gateway to answer on its page.
const ANSWER_WAIT: Duration = Duration::from_millis(500);

/// The page of a gateway, whether it runs or not.
#[derive(Clone, Copy, Debug)]
pub struct Page(pub(super) SocketAddr);

impl Page {
    /// How gateway and devices stand; nothing while it does not answer.
    #[must_use]
    pub fn status(self) -> Option<Status> {
        serde_json::from_str(&ask(self.0, "/status").ok()?).ok()
    }

    /// Whether it says that the gateway is ready.
    #[must_use]
    pub fn is_ready(self) -> bool {
        ask(self.0, "/readyz").is_ok()
    }

    /// A metric, by its name with its labels; nothing while it does not answer.
    #[must_use]
    pub fn metric(self, name: &str) -> Option<f64> {
        let text = ask(self.0, "/metrics").ok()?;
        let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        text.lines().find_map(value)
    }
}

/// The body of a page of the gateway.
fn ask(web: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&web, ANSWER_WAIT)?;
    stream.set_read_timeout(Some(ANSWER_WAIT))?;
    // HTTP/1.0: the answer comes in one piece and ends with the connection.
    stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: gateway\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.lines().next() {
        Some(first) if first.contains(" 200 ") => Ok(body.to_owned()),
        first => Err(io::Error::other(format!("{path}: {first:?}"))),
    }
}
