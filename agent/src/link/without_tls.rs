//! What stands in the place of TLS where the agent is built without it: `mqtts://` is refused, first by the
//! configuration.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rumqttc::Transport;

use crate::clock::Clock;
use crate::config::TlsFiles;

/// There is no TLS.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TlsError {
    pub(crate) file: PathBuf,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: this agent is built without TLS", self.file.display())
    }
}

pub(crate) fn roots(ca: Option<&Path>) -> Result<(), TlsError> {
    Err(TlsError { file: ca.unwrap_or(Path::new("/etc/ssl")).to_owned() })
}

pub(crate) fn check_client(cert: &Path, _key: &Path) -> Result<(), TlsError> {
    roots(Some(cert))
}

pub(crate) fn transport(files: &TlsFiles, _clock: &Arc<Clock>) -> Result<Transport, TlsError> {
    roots(files.ca.as_deref()).map(|()| Transport::Tcp)
}
