//! HTTP to the nodes of a search cluster: one request, one answer.
//!
//! A node that gives no answer is passed over for the next; who asks decides what is tried again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ureq::Agent;
use ureq::http::Request;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::config::{Login, SearchConfig};

/// Bytes of an answer at most: a million items of a bulk request have less.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;
const CONNECT: Duration = Duration::from_secs(10);

/// What a node answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The beginning of what it says, on one line, and what an operator can do about it where that is known.
    pub(crate) fn text(&self) -> String {
        let text: String = String::from_utf8_lossy(&self.body).chars().take(300).collect();
        let hint = match self.status {
            401 => {
                "\nhint: search.username and search.password_file, or search.api_key_file, say who the gateway is"
            }
            403 => "\nhint: docs/search.md lists what the user must be allowed to do",
            _ => "",
        };
        format!("status {}: {}{hint}", self.status, text.replace(['\n', '\r'], " "))
    }

    pub(crate) fn json(&self) -> Result<serde_json::Value, String> {
        serde_json::from_slice(&self.body).map_err(|error| format!("not JSON ({error}): {}", self.text()))
    }
}

/// A cluster.
#[derive(Debug)]
pub(crate) struct Client {
    agent: Agent,
    nodes: Vec<String>,
    /// The node that answered last.
    at: AtomicUsize,
    authorization: Option<String>,
}

impl Client {
    /// # Errors
    /// When a file of the configuration cannot be read: what is wrong with it.
    pub(crate) fn new(config: &SearchConfig) -> Result<Self, String> {
        let tls = TlsConfig::builder()
            .root_certs(roots(config)?)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(Duration::from_millis(config.timeout_ms)))
            .max_idle_connections_per_host(config.in_flight.into())
            .tls_config(tls)
            .build();
        let authorization = match config.login()? {
            Login::None => None,
            Login::Basic { user, password } => {
                Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
            }
            Login::ApiKey(key) => Some(format!("ApiKey {key}")),
        };
        let nodes = config.urls.iter().map(|url| url.trim_end_matches('/').to_owned()).collect();
        Ok(Self { agent: agent.into(), nodes, at: AtomicUsize::new(0), authorization })
    }

    /// Asks the nodes in turn until one answers.
    ///
    /// # Errors
    /// Why the last of them gave no answer; whether it did what was asked is not known then.
    pub(crate) fn call(&self, method: &str, path: &str, body: Body<'_>) -> Result<Answer, String> {
        let first = self.at.load(Ordering::Relaxed);
        let mut reason = String::from("no node is configured");
        for offset in 0..self.nodes.len() {
            let at = (first + offset) % self.nodes.len();
            let Some(node) = self.nodes.get(at) else { continue };
            match self.ask(node, method, path, &body) {
                Ok(answer) => {
                    self.at.store(at, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(error) => reason = told(node, &error),
            }
        }
        Err(reason)
    }

    fn ask(&self, node: &str, method: &str, path: &str, body: &Body<'_>) -> Result<Answer, ureq::Error> {
        let mut request = Request::builder().method(method).uri(format!("{node}{path}"));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        if let Some(kind) = body.kind {
            request = request.header("content-type", kind);
        }
        if body.is_gzip {
            request = request.header("content-encoding", "gzip");
        }
        let request = request.body(body.bytes)?;
        let mut response = self.agent.run(request)?;
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
        Ok(Answer { status, body })
    }
}

/// Why a node gave no answer, with what to do about it where that is known.
fn told(node: &str, error: &ureq::Error) -> String {
    let reason = error.to_string();
    let hint = match reason.contains("invalid peer certificate") {
        true => "\nhint: search.ca_file names those who vouch for the cluster",
        false => "",
    };
    format!("{node}: {reason}{hint}")
}

/// What is sent along.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Body<'a> {
    kind: Option<&'static str>,
    is_gzip: bool,
    bytes: &'a [u8],
}

impl<'a> Body<'a> {
    pub(crate) const NONE: Self = Self { kind: None, is_gzip: false, bytes: &[] };

    pub(crate) const fn json(bytes: &'a [u8]) -> Self {
        Self { kind: Some("application/json"), is_gzip: false, bytes }
    }

    pub(crate) const fn lines(bytes: &'a [u8], is_gzip: bool) -> Self {
        Self { kind: Some("application/x-ndjson"), is_gzip, bytes }
    }
}

fn roots(config: &SearchConfig) -> Result<RootCerts, String> {
    let certificates: Vec<Certificate<'static>> = match &config.ca_file {
        Some(path) => {
            let text = std::fs::read(path)
                .map_err(|error| format!("search.ca_file: {}: {error}", path.display()))?;
            let certificates: Result<Vec<_>, _> = ureq::tls::parse_pem(&text)
                .filter_map(|item| match item {
                    Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(Ok(certificate)),
                    Ok(_) => None,
                    Err(error) => Some(Err(error)),
                })
                .collect();
            certificates.map_err(|error| format!("search.ca_file: {}: {error}", path.display()))?
        }
        None => {
            let native = rustls_native_certs::load_native_certs().certs;
            native.iter().map(|der| Certificate::from_der(der).to_owned()).collect()
        }
    };
    Ok(RootCerts::Specific(Arc::new(certificates)))
}
