//! Why a connection failed or ended, in the words of whoever has to mend it.

use std::fmt;
use std::io;

use driftlog_proto::limits::MESSAGE_BYTES_MAX;
#[cfg(feature = "tls")]
use rumqttc::TlsError;
use rumqttc::mqttbytes::Error as PacketError;
use rumqttc::{ConnectReturnCode, ConnectionError, StateError};

use super::mqtt::FLUSH_WAIT;
#[cfg(feature = "tls")]
use super::tls;
use crate::config::BrokerConfig;

/// Why a connection did not come up.
#[derive(Debug)]
pub(super) enum Unopened {
    /// The broker's name cannot be resolved.
    Name(io::Error),
    /// A file that the configuration names cannot be used.
    File(String),
    /// It failed, or took too long.
    Connection(ConnectionError),
    /// The broker does not allow the subscriptions.
    Forbidden,
}

impl Unopened {
    /// What to do about it.
    pub(super) fn hint(&self, config: &BrokerConfig, up: &str) -> String {
        match self {
            Self::Name(_) if config.host.ends_with(".invalid") => {
                "set broker.url to where your broker is".to_owned()
            }
            Self::Name(_) => {
                "is the network up, with a DNS server, and the name right? An address in its place needs none"
                    .to_owned()
            }
            Self::File(_) => "the agent's user must be allowed to read it".to_owned(),
            Self::Forbidden => {
                format!(
                    "this user must be allowed to read {}/# and to publish to {up}",
                    up.trim_end_matches("/up")
                )
            }
            Self::Connection(ConnectionError::ConnectionRefused(code)) => login_hint(*code).to_owned(),
            Self::Connection(error) => {
                let Some(io) = io_error(error) else {
                    return if matches!(error, ConnectionError::NetworkTimeout) {
                        NETWORK_HINT.to_owned()
                    } else {
                        port_hint(config)
                    };
                };
                #[cfg(feature = "tls")]
                if let Some(error) = tls::cause(io) {
                    return tls::hint(error).to_owned();
                }
                connection_hint(io.kind(), config)
            }
        }
    }
}

/// The error of the operating system, or of TLS, below one of the MQTT library.
fn io_error(error: &ConnectionError) -> Option<&io::Error> {
    match error {
        ConnectionError::Io(error)
        | ConnectionError::MqttState(
            StateError::Io(error) | StateError::Deserialization(PacketError::Io(error)),
        ) => Some(error),
        #[cfg(feature = "tls")]
        ConnectionError::Tls(TlsError::Io(error)) => Some(error),
        _ => None,
    }
}

fn login_hint(code: ConnectReturnCode) -> &'static str {
    match code {
        ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => {
            "broker.username, and the first line of broker.password_file, must be as the broker knows them"
        }
        ConnectReturnCode::BadClientId => "give broker.client_id as the broker's rules want it",
        ConnectReturnCode::ServiceUnavailable => "try again, and look at the broker's log",
        ConnectReturnCode::RefusedProtocolVersion | ConnectReturnCode::Success => {
            "the broker has to speak MQTT 3.1.1"
        }
    }
}

const NETWORK_HINT: &str = "is the network up, does it lead there, and does a firewall let it through?";

fn connection_hint(kind: io::ErrorKind, config: &BrokerConfig) -> String {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, UnexpectedEof};
    match kind {
        ConnectionRefused => format!(
            "nobody listens on port {} there: is the broker running, and is broker.url its address?",
            config.port
        ),
        UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe => port_hint(config),
        _ => NETWORK_HINT.to_owned(),
    }
}

/// Somebody is there, and does not speak as expected.
fn port_hint(config: &BrokerConfig) -> String {
    let other = if config.tls.is_some() { "mqtt:// without" } else { "mqtts:// with" };
    let port = config.port;
    format!(
        "does port {port} want {other} TLS? A broker may also hang up on a user or a client id; its log says"
    )
}

/// An error of the MQTT library, to be shown to a person.
pub(super) struct Explained<'a> {
    pub(super) error: &'a ConnectionError,
    pub(super) config: &'a BrokerConfig,
}

impl fmt::Display for Explained<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.error {
            ConnectionError::Io(error) => write_io(f, error),
            // rustls hands its own error through the stream as an I/O error.
            #[cfg(feature = "tls")]
            ConnectionError::Tls(TlsError::Io(error)) => write!(f, "TLS: {error}"),
            #[cfg(feature = "tls")]
            ConnectionError::Tls(error) => write!(f, "{error}"),
            ConnectionError::NetworkTimeout => {
                write!(f, "no answer within {} s", self.config.connect_timeout_s)
            }
            ConnectionError::FlushTimeout => {
                write!(f, "nothing could be sent for {} s", FLUSH_WAIT.as_secs())
            }
            ConnectionError::ConnectionRefused(code) => f.write_str(refused(*code)),
            ConnectionError::MqttState(error) => self.write_state(f, error),
            error => write!(f, "{error}"),
        }
    }
}

impl Explained<'_> {
    fn write_state(&self, f: &mut fmt::Formatter<'_>, error: &StateError) -> fmt::Result {
        match error {
            StateError::ConnectionAborted => f.write_str("the broker closed the connection"),
            StateError::AwaitPingResp => {
                write!(f, "the broker has been silent for {} s", self.config.keep_alive_s)
            }
            StateError::Io(error) | StateError::Deserialization(PacketError::Io(error)) => write_io(f, error),
            StateError::Deserialization(PacketError::PayloadSizeLimitExceeded(bytes)) => {
                write!(f, "the broker sent {bytes} bytes at once, over the limit of {MESSAGE_BYTES_MAX}")
            }
            StateError::Deserialization(error) => write!(f, "not MQTT: {error}"),
            error => write!(f, "{error}"),
        }
    }
}

fn write_io(f: &mut fmt::Formatter<'_>, error: &io::Error) -> fmt::Result {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => f.write_str("the broker closed the connection"),
        _ => write!(f, "{error}"),
    }
}

fn refused(code: ConnectReturnCode) -> &'static str {
    match code {
        ConnectReturnCode::BadUserNamePassword => "the broker refused the user or the password",
        ConnectReturnCode::NotAuthorized => {
            "the broker refused the user or the password, or does not allow this client"
        }
        ConnectReturnCode::BadClientId => "the broker refused the client id",
        ConnectReturnCode::ServiceUnavailable => "the broker says that it is unavailable",
        ConnectReturnCode::RefusedProtocolVersion => "the broker does not speak MQTT 3.1.1",
        ConnectReturnCode::Success => "the broker refused without a reason",
    }
}
