//! TLS to the broker: rustls with ring, certificates in PEM from files.
//!
//! A device whose clock was never set must not be locked out by it (a certificate "not yet valid"
//! in 1970). While the clock is unset, the beginning of a certificate's validity is taken as the
//! time of the check: the chain, the name and the signatures are checked as always; that it has
//! expired cannot be known then, and is not.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use driftlog_proto::time::ClockState;
use rumqttc::Transport;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};

use crate::clock::Clock;
use crate::config::TlsFiles;

/// Where distributions keep the certificates of the public authorities.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// Certificates of one chain whose beginnings of validity are tried in turn.
const CHAIN_MAX: usize = 8;

/// A file of the TLS configuration that cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TlsError {
    pub(crate) file: PathBuf,
    what: String,
}

impl TlsError {
    fn new(file: &Path, what: impl fmt::Display) -> Self {
        Self { file: file.to_owned(), what: what.to_string() }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.what)
    }
}

/// Whom to believe: the file's certificates, or the system's where none is given.
pub(crate) fn roots(ca: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let file = match ca {
        Some(file) => file,
        None => SYSTEM_BUNDLES.iter().map(Path::new).find(|file| file.is_file()).ok_or_else(|| {
            TlsError::new(Path::new("/etc/ssl"), "the system has no bundle of certificates")
        })?,
    };
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates(file)?);
    if added == 0 {
        return Err(TlsError::new(file, "holds no certificate that could be used"));
    }
    Ok(roots)
}

/// Whether a client's certificate and key can be read and belong to each other.
pub(crate) fn check_client(cert: &Path, key: &Path) -> Result<(), TlsError> {
    let (chain, private) = client(cert, key)?;
    let signer = ring::default_provider()
        .key_provider
        .load_private_key(private)
        .map_err(|error| TlsError::new(key, format_args!("the key cannot be used: {error}")))?;
    match rustls::sign::CertifiedKey::new(chain, signer).keys_match() {
        Err(Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
            Err(TlsError::new(key, format_args!("is not the key of {}", cert.display())))
        }
        _ => Ok(()),
    }
}

/// The way for one connection; reads the files anew, so that a renewed certificate counts.
pub(crate) fn transport(files: &TlsFiles, clock: &Arc<Clock>) -> Result<Transport, TlsError> {
    Ok(Transport::tls_with_config(client_config(files, clock)?.into()))
}

/// The configuration for one connection.
fn client_config(files: &TlsFiles, clock: &Arc<Clock>) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let ca = files.ca.as_deref();
    let named = ca.unwrap_or(Path::new("/etc/ssl"));
    let verifier = Verifier::new(roots(ca)?, &provider, clock).map_err(|what| TlsError::new(named, what))?;
    let builder = ClientConfig::builder_with_details(provider, Arc::new(WallClock(Arc::clone(clock))))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::new(named, error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    match &files.client {
        None => Ok(builder.with_no_client_auth()),
        Some((cert, key)) => {
            let (chain, private) = client(cert, key)?;
            builder.with_client_auth_cert(chain, private).map_err(|error| TlsError::new(cert, error))
        }
    }
}

type Client = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn client(cert: &Path, key: &Path) -> Result<Client, TlsError> {
    let chain = certificates(cert)?;
    let bytes = read(key)?;
    let private = PrivateKeyDer::from_pem_slice(&bytes)
        .map_err(|error| TlsError::new(key, format_args!("holds no private key: {error}")))?;
    Ok((chain, private))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if found.is_empty() => Err(TlsError::new(file, "holds no certificate in PEM")),
        Ok(found) => Ok(found),
        Err(error) => Err(TlsError::new(file, format_args!("is not PEM: {error}"))),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(file).map_err(|error| TlsError::new(file, format_args!("cannot be read: {error}")))
}

/// The error of TLS that rustls handed through the stream as one of I/O.
pub(crate) fn cause(error: &std::io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// What to do about an error of TLS.
pub(crate) fn hint(error: &Error) -> &'static str {
    use CertificateError as Certificate;
    match error {
        Error::InvalidCertificate(Certificate::UnknownIssuer | Certificate::BadSignature) => {
            "broker.ca_file must hold the certificate of whoever signed the broker's"
        }
        Error::InvalidCertificate(
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
        ) => "name the broker in broker.url as its certificate does",
        Error::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            "the broker needs a new certificate, unless this device's clock is wrong"
        }
        Error::InvalidCertificate(Certificate::NotValidYet | Certificate::NotValidYetContext { .. }) => {
            "this device's clock is behind, or the broker's certificate was made with one that was ahead"
        }
        Error::InvalidCertificate(_) => "the broker's certificate cannot be used: give it another",
        Error::AlertReceived(
            AlertDescription::HandshakeFailure
            | AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity,
        ) => "the broker has to speak TLS 1.2 or 1.3",
        Error::AlertReceived(_) => {
            "the broker refuses this device's certificate, or wants one: broker.cert_file and broker.key_file"
        }
        _ => "does that port speak TLS? mqtt:// is without",
    }
}

/// The agent's clock, as rustls asks for it.
#[derive(Debug)]
struct WallClock(Arc<Clock>);

impl rustls::time_provider::TimeProvider for WallClock {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().wall.0 / 1_000_000_000).unwrap_or(0);
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// The usual checks, and what to do about the time while the clock is unset.
#[derive(Debug)]
struct Verifier {
    inner: Arc<WebPkiServerVerifier>,
    clock: Arc<Clock>,
}

impl Verifier {
    fn new(roots: RootCertStore, provider: &Arc<CryptoProvider>, clock: &Arc<Clock>) -> Result<Self, String> {
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { inner, clock: Arc::clone(clock) })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verify =
            |now| self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let mut result = verify(now);
        if self.clock.now().state != ClockState::Unset {
            return result;
        }
        for _ in 0..CHAIN_MAX {
            // Each round satisfies one more certificate of the chain: the latest beginning wins.
            let Err(Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) =
                result
            else {
                break;
            };
            log::warn!("the clock is unset: the broker's certificate is checked as of its beginning");
            result = verify(not_before);
        }
        result
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
