//! `[broker]`: which MQTT broker, as whom, and how patiently.

use std::path::PathBuf;

use driftlog_proto::limits::MESSAGE_BYTES_MAX;

use super::reader::{Given, Section};
use crate::link::tls;

/// `[broker]` as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerConfig {
    /// The broker's name or address.
    pub host: String,
    /// Its TCP port.
    pub port: u16,
    /// TLS, for `mqtts://`.
    pub tls: Option<TlsFiles>,
    /// The MQTT user.
    pub username: Option<String>,
    /// The file with its password; read again at each connection, a line end after it is not part of it.
    pub password_file: Option<PathBuf>,
    /// The MQTT client id; by default the device id and a few digits of the run.
    pub client_id: Option<String>,
    /// Seconds of silence after which the broker is asked whether it is there.
    pub keep_alive_s: u16,
    /// Seconds for name, TCP, TLS, MQTT and the subscriptions together.
    pub connect_timeout_s: u16,
    /// Milliseconds of the shortest wait before connecting again.
    pub backoff_ms_min: u32,
    /// Milliseconds of the longest wait before connecting again.
    pub backoff_ms_max: u32,
    /// Bytes of messages that the broker has not yet taken.
    pub in_flight_bytes_max: u32,
}

/// The files of a TLS connection, in PEM; read again at each connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Whom to believe about the broker; by default the system's bundle.
    pub ca: Option<PathBuf>,
    /// The client's certificate chain and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

struct Address {
    host: String,
    port: u16,
    is_tls: bool,
}

pub(super) fn read(mut section: Section<'_, '_>) -> Option<BrokerConfig> {
    let address = read_url(&mut section);
    let (username, password_file) = read_user(&mut section);
    let client_id = read_client_id(&mut section);
    let tls = read_tls(&mut section, address.as_ref());
    let keep_alive_s = section.number("keep_alive_s", 30, 5..=3_600);
    let connect_timeout_s = section.number("connect_timeout_s", 20, 1..=600);
    let backoff_ms_max = section.number("backoff_ms_max", 60_000, 10..=3_600_000);
    let backoff_ms_min = section.number("backoff_ms_min", backoff_ms_max.min(500), 10..=backoff_ms_max);
    let message = MESSAGE_BYTES_MAX as u64;
    let in_flight_bytes_max = section.number("in_flight_bytes_max", 2 * message, message..=128 * message);
    section.finish();
    let address = address?;
    Some(BrokerConfig {
        host: address.host,
        port: address.port,
        tls: address.is_tls.then_some(tls),
        username,
        password_file,
        client_id,
        keep_alive_s: u16::try_from(keep_alive_s).unwrap_or(u16::MAX),
        connect_timeout_s: u16::try_from(connect_timeout_s).unwrap_or(u16::MAX),
        backoff_ms_min: u32::try_from(backoff_ms_min).unwrap_or(u32::MAX),
        backoff_ms_max: u32::try_from(backoff_ms_max).unwrap_or(u32::MAX),
        in_flight_bytes_max: u32::try_from(in_flight_bytes_max).unwrap_or(u32::MAX),
    })
}

fn read_url(section: &mut Section<'_, '_>) -> Option<Address> {
    let document = section.document();
    let was_given = section.is_present();
    let Some(url) = section.text("url") else {
        let what = if was_given { "[broker] has no `url`" } else { "there is no [broker]" };
        document.fault_without_line(
            what.to_owned(),
            Some("say where the MQTT broker is: [broker] url = \"mqtt://127.0.0.1:1883\"".to_owned()),
        );
        return None;
    };
    match parse_url(&url.value) {
        Ok(address) => Some(address),
        Err((what, hint)) => {
            let shown = match (url.value.split_once("://"), url.value.rsplit_once('@')) {
                (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
                (None, Some((_, host))) => format!("…@{host}"),
                _ => url.value.clone(),
            };
            document.fault(&url.at, format!("`broker.url` is \"{shown}\": {what}"), Some(hint));
            None
        }
    }
}

fn parse_url(url: &str) -> Result<Address, (&'static str, String)> {
    const EXAMPLE: &str = "for example mqtt://10.0.0.1:1883 or mqtts://broker.example.com:8883";
    let (is_tls, rest) = match url.split_once("://") {
        Some(("mqtt" | "tcp", rest)) => (false, rest),
        Some(("mqtts" | "ssl", _)) if cfg!(not(feature = "tls")) => {
            let hint = "use mqtt:// on a network that can be trusted, or an agent that is built with TLS";
            return Err(("this agent is built without TLS", hint.to_owned()));
        }
        Some(("mqtts" | "ssl", rest)) => (true, rest),
        _ => return Err(("it must begin with mqtt:// or mqtts://", EXAMPLE.to_owned())),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains('@') {
        let hint = "use `broker.username` and `broker.password_file`, so that no secret is shown";
        return Err(("it must not hold a user or a password", hint.to_owned()));
    }
    if rest.contains(['/', '?', '#']) {
        return Err(("nothing may follow the port", EXAMPLE.to_owned()));
    }
    let bracket = rest.rfind(']').unwrap_or(0);
    let (host, port) = match rest.rfind(':').filter(|colon| *colon > bracket) {
        Some(colon) => (&rest[..colon], Some(&rest[colon + 1..])),
        None => (rest, None),
    };
    let is_bracketed = host.starts_with('[') && host.ends_with(']');
    let host_is_right = if is_bracketed {
        host[1..host.len() - 1].parse::<std::net::Ipv6Addr>().is_ok()
    } else {
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    };
    if !host_is_right {
        return Err(("there is no host in it", EXAMPLE.to_owned()));
    }
    if is_tls && is_bracketed {
        let hint = "name the broker as its certificate does";
        return Err(("a certificate cannot be checked against an address in brackets", hint.to_owned()));
    }
    let port = match port {
        None if is_tls => 8883,
        None => 1883,
        Some(text) => match text.parse() {
            Ok(port) if port > 0 => port,
            _ => return Err(("the port is not a number from 1 to 65535", EXAMPLE.to_owned())),
        },
    };
    Ok(Address { host: host.to_owned(), port, is_tls })
}

fn read_user(section: &mut Section<'_, '_>) -> (Option<String>, Option<PathBuf>) {
    let document = section.document();
    let username = section.text("username");
    let password_file = section.text("password_file");
    if let Some(file) = &password_file {
        if username.is_none() {
            document.fault(
                &file.at,
                "`broker.password_file` without `broker.username`".to_owned(),
                Some("MQTT 3.1.1 has no password without a user: add username".to_owned()),
            );
        }
        if let Err(error) = std::fs::read(&file.value) {
            document.fault(
                &file.at,
                format!("`broker.password_file`: cannot read {}: {error}", file.value),
                Some("the agent's user must be allowed to read it".to_owned()),
            );
        }
    }
    (username.map(|given| given.value), password_file.map(|given| given.value.into()))
}

fn read_client_id(section: &mut Section<'_, '_>) -> Option<String> {
    /// What MQTT 3.1.1 can carry is 65,535; brokers differ, and nobody needs more than this.
    const CLIENT_ID_BYTES_MAX: usize = 128;
    let given = section.text("client_id")?;
    if given.value.len() > CLIENT_ID_BYTES_MAX || given.value.chars().any(|c| c.is_control() || c == ' ') {
        section.document().fault(
            &given.at,
            "`broker.client_id` is too long or holds a space".to_owned(),
            Some(format!("at most {CLIENT_ID_BYTES_MAX} bytes, no spaces; the default is the device id and a few digits of the run")),
        );
    }
    Some(given.value)
}

fn read_tls(section: &mut Section<'_, '_>, address: Option<&Address>) -> TlsFiles {
    let document = section.document();
    let ca = section.text("ca_file");
    let cert = section.text("cert_file");
    let key = section.text("key_file");
    let Some(address) = address else { return TlsFiles::default() };
    for (name, given) in [("ca_file", &ca), ("cert_file", &cert), ("key_file", &key)] {
        if let (false, Some(given)) = (address.is_tls, given) {
            document.fault(
                &given.at,
                format!("`broker.{name}` has no effect: `broker.url` is not encrypted"),
                Some(format!("use url = \"mqtts://{}\", or remove this line", address.host)),
            );
            return TlsFiles::default();
        }
    }
    if !address.is_tls {
        return TlsFiles::default();
    }
    check_roots(section, ca.as_ref());
    let client = match (cert, key) {
        (Some(cert), Some(key)) => {
            let files = (PathBuf::from(&cert.value), PathBuf::from(&key.value));
            if let Err(error) = tls::check_client(&files.0, &files.1) {
                let at = if error.file == files.1 { &key.at } else { &cert.at };
                document.fault(
                    at,
                    error.to_string(),
                    Some("it must be readable by the agent, in PEM".to_owned()),
                );
            }
            Some(files)
        }
        (None, None) => None,
        (Some(one), None) | (None, Some(one)) => {
            document.fault(
                &one.at,
                "`broker.cert_file` and `broker.key_file` go together".to_owned(),
                Some("give both, or none".to_owned()),
            );
            None
        }
    };
    TlsFiles { ca: ca.map(|given| given.value.into()), client }
}

fn check_roots(section: &Section<'_, '_>, ca: Option<&Given<String>>) {
    let file = ca.map(|given| PathBuf::from(&given.value));
    let Err(error) = tls::roots(file.as_deref()) else { return };
    match ca {
        Some(given) => {
            let hint = "give the certificate of whoever signed the broker's, in PEM";
            section.document().fault(&given.at, error.to_string(), Some(hint.to_owned()));
        }
        None => section.document().fault_without_line(
            error.to_string(),
            Some("set broker.ca_file to the certificate of whoever signed the broker's".to_owned()),
        ),
    }
}
