//! Why a connection failed or ended, in the words of whoever has to mend it.

use std::fmt;
use std::io;

use driftlog_proto::limits::MESSAGE_BYTES_MAX;
#[cfg(feature = "tls")]
use rumqttc::TlsError;
use rumqttc::mqttbytes::Error as PacketError;
use rumqttc::{ConnectReturnCode, ConnectionError, StateError};

use super::mqtt::FLUSH_WAIT;
use crate::config::BrokerConfig;

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
