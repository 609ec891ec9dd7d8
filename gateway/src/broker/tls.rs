//! TLS to a broker: rustls with ring.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// A file that cannot be used: under which key it was given, and why not.
#[derive(Debug)]
pub(super) struct TlsError {
    pub(super) key: &'static str,
    pub(super) problem: String,
}

fn unusable(key: &'static str, path: &Path, reason: impl std::fmt::Display) -> TlsError {
    TlsError { key, problem: format!("{:?} cannot be used: {reason}", path.display().to_string()) }
}

/// What a client needs to speak TLS: whom it trusts, and who it is itself.
pub(super) fn client(
    authorities: Option<&Path>,
    own: Option<(&Path, &Path)>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = versions
        .map_err(|error| TlsError { key: "broker.url", problem: format!("TLS is not available: {error}") })?
        .with_root_certificates(roots(authorities)?);
    let Some((cert, key)) = own else { return Ok(Arc::new(builder.with_no_client_auth())) };
    let chain = certificates("broker.cert_file", cert)?;
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|error| unusable("broker.key_file", key, error))?;
    let config = builder.with_client_auth_cert(chain, private);
    config.map(Arc::new).map_err(|error| unusable("broker.key_file", key, error))
}

fn roots(authorities: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    match authorities {
        Some(path) => {
            for certificate in certificates("broker.ca_file", path)? {
                store.add(certificate).map_err(|error| unusable("broker.ca_file", path, error))?;
            }
        }
        None => {
            // Of the system's certificates some are usually of a kind that nobody reads.
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if store.is_empty() {
                let problem =
                    "the system has no certificates to trust: `broker.ca_file` is needed".to_owned();
                return Err(TlsError { key: "broker.url", problem });
            }
        }
    }
    Ok(store)
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(found) if found.is_empty() => Err(unusable(key, path, "it holds no certificate")),
        Ok(found) => Ok(found),
        Err(error) => Err(unusable(key, path, error)),
    }
}
