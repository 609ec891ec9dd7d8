//! How the broker is configured.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::tls;
use crate::config::{ConfigError, Document};

/// The section `[broker]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BrokerConfig {
    /// Where the embedded broker listens.
    pub listen: SocketAddr,
    /// Another broker, in place of the embedded one.
    pub url: Option<String>,
    /// The user at that broker.
    pub username: Option<String>,
    /// Holds the user's password.
    pub password_file: Option<PathBuf>,
    /// Certificates of those who may vouch for that broker.
    pub ca_file: Option<PathBuf>,
    /// The gateway's own certificate.
    pub cert_file: Option<PathBuf>,
    /// The key of that certificate.
    pub key_file: Option<PathBuf>,
    /// The MQTT client id.
    pub client_id: Option<String>,
    /// How often a quiet connection is tried.
    pub keep_alive_s: u16,
    /// The client of the other broker, made of all this by the check; nothing where the embedded
    /// one is used.
    #[serde(skip)]
    pub client: Option<ClientConfig>,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 1883)),
            url: None,
            username: None,
            password_file: None,
            ca_file: None,
            cert_file: None,
            key_file: None,
            client_id: None,
            keep_alive_s: 30,
            client: None,
        }
    }
}

const KEEP_ALIVE_S: std::ops::RangeInclusive<u16> = 5..=3600;
const CLIENT_ID_BYTES_MAX: usize = 64;
/// Keys that only make sense with another broker.
const OF_ANOTHER_BROKER: [&str; 7] = [
    "broker.username",
    "broker.password_file",
    "broker.ca_file",
    "broker.cert_file",
    "broker.key_file",
    "broker.client_id",
    "broker.keep_alive_s",
];

impl BrokerConfig {
    pub(crate) fn check(&mut self, document: &Document) -> Result<(), ConfigError> {
        if self.url.is_some() && document.has("broker.listen") {
            let problem = "stands beside `broker.url`: the embedded broker and another one".to_owned();
            let hint = "leave one of the two out".to_owned();
            return Err(document.mistake("broker.listen", problem, Some(hint)));
        }
        if self.url.is_none()
            && let Some(key) = OF_ANOTHER_BROKER.into_iter().find(|key| document.has(key))
        {
            let problem = "has no meaning for the embedded broker".to_owned();
            let hint = "give `broker.url` to use another broker, or leave this out".to_owned();
            return Err(document.mistake(key, problem, Some(hint)));
        }
        if !KEEP_ALIVE_S.contains(&self.keep_alive_s) {
            return Err(document.wrong("broker.keep_alive_s", self.keep_alive_s, "is out of bounds"));
        }
        if let Some(id) = &self.client_id
            && (id.is_empty()
                || id.len() > CLIENT_ID_BYTES_MAX
                || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)))
        {
            return Err(document.wrong("broker.client_id", format_args!("{id:?}"), "is not a client id"));
        }
        self.client = self.client_of_another(document)?;
        Ok(())
    }

    fn client_of_another(&self, document: &Document) -> Result<Option<ClientConfig>, ConfigError> {
        let Some(url) = &self.url else { return Ok(None) };
        let Some((host, port, with_tls)) = parse_url(url) else {
            return Err(document.wrong("broker.url", format_args!("{url:?}"), "is not the URL of a broker"));
        };
        let mut client = ClientConfig::new(host, port);
        client.keep_alive = Duration::from_secs(u64::from(self.keep_alive_s));
        if let Some(id) = &self.client_id {
            client.client_id.clone_from(id);
        }
        client.credentials = self.credentials(document)?;
        client.tls = self.tls(document, with_tls)?;
        Ok(Some(client))
    }

    fn credentials(&self, document: &Document) -> Result<Option<Credentials>, ConfigError> {
        let Some(username) = &self.username else {
            if self.password_file.is_some() {
                let problem = "stands without `broker.username`".to_owned();
                let hint = "give `broker.username`, too".to_owned();
                return Err(document.mistake("broker.password_file", problem, Some(hint)));
            }
            return Ok(None);
        };
        let password = match &self.password_file {
            None => String::new(),
            Some(path) => read(document, "broker.password_file", path)?,
        };
        let password = password.strip_suffix('\n').unwrap_or(&password);
        let password = password.strip_suffix('\r').unwrap_or(password);
        Ok(Some(Credentials { username: username.clone(), password: password.to_owned() }))
    }

    fn tls(
        &self,
        document: &Document,
        with_tls: bool,
    ) -> Result<Option<Arc<rustls::ClientConfig>>, ConfigError> {
        if !with_tls {
            let keys = ["broker.ca_file", "broker.cert_file", "broker.key_file"];
            if let Some(key) = keys.into_iter().find(|key| document.has(key)) {
                let problem = "has no meaning for a connection without TLS".to_owned();
                let hint = "write `broker.url` with mqtts://, or leave this out".to_owned();
                return Err(document.mistake(key, problem, Some(hint)));
            }
            return Ok(None);
        }
        for (key, own, other_key, other) in [
            ("broker.cert_file", &self.cert_file, "broker.key_file", &self.key_file),
            ("broker.key_file", &self.key_file, "broker.cert_file", &self.cert_file),
        ] {
            if own.is_some() && other.is_none() {
                let problem = format!("stands without `{other_key}`");
                return Err(document.mistake(key, problem, Some(format!("give `{other_key}`, too"))));
            }
        }
        let own = self.cert_file.as_deref().zip(self.key_file.as_deref());
        tls::client(self.ca_file.as_deref(), own).map(Some).map_err(|error| {
            let hint = Some("the file must hold PEM blocks of that kind".to_owned());
            document.mistake(error.key, error.problem, hint)
        })
    }
}

fn read(document: &Document, key: &str, path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|error| {
        document.wrong(
            key,
            format_args!("{:?}", path.display().to_string()),
            format_args!("cannot be read: {error}"),
        )
    })
}

/// Host, port and whether TLS is spoken; nothing when it is not the URL of a broker.
fn parse_url(url: &str) -> Option<(String, u16, bool)> {
    let (scheme, rest) = url.split_once("://")?;
    let (with_tls, usual) = match scheme {
        "mqtt" | "tcp" => (false, 1883),
        "mqtts" | "ssl" => (true, 8883),
        _ => return None,
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok().filter(|port| *port != 0)?),
        _ => (rest, usual),
    };
    let plain = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let is_host = match plain {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(is_name),
    };
    is_host.then(|| (host.to_owned(), port, with_tls))
}

/// A user and the password, which is not shown.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) username: String,
    pub(super) password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({})", self.username)
    }
}

/// Everything that one connection to a broker needs.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) client_id: String,
    pub(super) credentials: Option<Credentials>,
    pub(super) tls: Option<Arc<rustls::ClientConfig>>,
    pub(super) keep_alive: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) backoff_min: Duration,
    pub(super) backoff_max: Duration,
    /// Seeds the jitter: random in each process.
    pub(super) jitter: std::hash::RandomState,
}

impl ClientConfig {
    fn new(host: String, port: u16) -> Self {
        let jitter = std::hash::RandomState::new();
        let digits = std::hash::BuildHasher::hash_one(&jitter, "client id");
        Self {
            host,
            port,
            client_id: format!("driftlog-gateway-{:08x}", digits as u32),
            credentials: None,
            tls: None,
            keep_alive: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(20),
            backoff_min: Duration::from_millis(500),
            backoff_max: Duration::from_secs(30),
            jitter,
        }
    }

    /// A client of the gateway's own broker: it is near, so neither waits long.
    #[must_use]
    pub fn local(address: SocketAddr) -> Self {
        let host = match address {
            SocketAddr::V4(v4) => v4.ip().to_string(),
            SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
        };
        Self {
            connect_timeout: Duration::from_secs(5),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(1),
            ..Self::new(host, address.port())
        }
    }

    /// Where it connects to, for people.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// How long to wait after so many failures in a row: doubled each time up to a bound, and
    /// between half of it and all of it by `random`, so that a region does not return at once.
    pub(super) fn backoff(&self, failures: u32, random: u64) -> Duration {
        let doubled = self.backoff_min.saturating_mul(1u32 << failures.saturating_sub(1).min(16));
        let half = doubled.min(self.backoff_max) / 2;
        half + half.mul_f64((random % 1024) as f64 / 1024.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_s_url_says_host_port_and_whether_tls_is_spoken() {
        let parsed = |url| parse_url(url);
        assert_eq!(parsed("mqtt://broker.example"), Some(("broker.example".to_owned(), 1883, false)));
        assert_eq!(parsed("mqtts://10.0.0.1:8884/"), Some(("10.0.0.1".to_owned(), 8884, true)));
        assert_eq!(parsed("mqtt://[::1]:1884"), Some(("[::1]".to_owned(), 1884, false)));
        assert_eq!(parsed("mqtt://[::1]"), Some(("[::1]".to_owned(), 1883, false)));
        for wrong in ["broker:1883", "http://broker", "mqtt://", "mqtt://a b", "mqtt://h:0", "mqtt://h:x"] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_wait_between_attempts_doubles_up_to_its_bound_and_is_never_the_same_for_all() {
        let config = ClientConfig::new("broker".to_owned(), 1883);
        for failures in [1, 2, 3, 8, 1000, u32::MAX] {
            let full = Duration::from_millis(500 << (failures - 1).min(16)).min(Duration::from_secs(30));
            let (least, most) = (config.backoff(failures, 0), config.backoff(failures, 1023));
            assert_eq!(least, full / 2);
            assert!(most > least && most <= full, "{most:?} of {full:?}");
        }
    }
}
