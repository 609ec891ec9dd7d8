//! The right certificate, and every wrong one.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto::ring};

use super::*;

pub(super) type Authority = CertifiedIssuer<'static, KeyPair>;

pub(super) struct Files(tempfile::TempDir);

impl Files {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

pub(super) fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for `name` and its key, in PEM.
pub(super) fn signed(
    authority: &Authority,
    name: &str,
    change: impl FnOnce(&mut CertificateParams),
) -> (String, String) {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

pub(super) fn server((cert, key): &(String, String), clients: Option<&Authority>) -> ServerConfig {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der().clone()).unwrap();
            let provider = Arc::new(ring::default_provider());
            let verifier =
                WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain = vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()];
    builder.with_single_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap()
}

/// Starts a link that believes `authority`, and lets the broker accept until the link says something.
async fn outcome(broker: &Broker, authority: &Authority, more: &str, clock: Option<&Path>) -> LinkEvent {
    let files = Files::new();
    let ca = files.write("ca.pem", &authority.pem());
    let config = config("mqtts", broker.port(), &format!("ca_file = \"{}\"\n{more}", ca.display()));
    let mut link = Mqtt::start(config, &device(), RUN, Arc::new(Clock::new(clock).unwrap()));
    tokio::select! {
        event = next(&mut link) => event,
        () = serve(broker) => unreachable!(),
    }
}

async fn serve(broker: &Broker) {
    let mut peers = Vec::new();
    loop {
        peers.push(broker.accept_up().await);
    }
}

#[track_caller]
fn is_refused(event: &LinkEvent, why: &str) {
    let LinkEvent::Down { reason } = event else { panic!("not refused but {event:?}") };
    assert!(reason.contains("TLS: ") && reason.contains(why), "{reason}");
}

#[tokio::test]
async fn a_broker_with_the_right_certificate_is_believed() {
    let authority = authority("ours");
    let broker = Broker::tls(server(&signed(&authority, "localhost", |_| {}), None)).await;
    let event = outcome(&broker, &authority, "", None).await;
    assert!(matches!(event, LinkEvent::Up { .. }), "{event:?}");
}

#[tokio::test]
async fn a_broker_of_an_unknown_authority_or_with_another_name_is_not_believed() {
    let (ours, theirs) = (authority("ours"), authority("theirs"));
    let broker = Broker::tls(server(&signed(&theirs, "localhost", |_| {}), None)).await;
    is_refused(&outcome(&broker, &ours, "", None).await, "UnknownIssuer");
    let broker = Broker::tls(server(&signed(&ours, "broker.example.com", |_| {}), None)).await;
    is_refused(&outcome(&broker, &ours, "", None).await, "not valid for name");
}

#[tokio::test]
async fn a_broker_whose_certificate_has_expired_or_has_not_begun_is_not_believed() {
    let authority = authority("ours");
    let expired = signed(&authority, "localhost", |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    let broker = Broker::tls(server(&expired, None)).await;
    is_refused(&outcome(&broker, &authority, "", None).await, "expired");
    let future = signed(&authority, "localhost", |params| {
        params.not_before = date_time_ymd(3000, 1, 1);
        params.not_after = date_time_ymd(3001, 1, 1);
    });
    let broker = Broker::tls(server(&future, None)).await;
    is_refused(&outcome(&broker, &authority, "", None).await, "not valid yet");
}

#[tokio::test]
async fn a_clock_at_1970_locks_nobody_out_and_lets_no_stranger_in() {
    let (ours, theirs) = (authority("ours"), authority("theirs"));
    let begins_2025 = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(2025, 1, 1);
        params.not_after = date_time_ymd(2035, 1, 1);
    };
    let files = Files::new();
    let since_1970_ms = Clock::new(None).unwrap().now().wall.0 / 1_000_000;
    let clock = files.write("clock", &format!("wall_offset_ms=-{since_1970_ms}\n"));
    let broker = Broker::tls(server(&signed(&ours, "localhost", begins_2025), None)).await;
    let event = outcome(&broker, &ours, "", Some(&clock)).await;
    assert!(matches!(event, LinkEvent::Up { .. }), "{event:?}");
    is_refused(&outcome(&broker, &theirs, "", Some(&clock)).await, "UnknownIssuer");
    let broker = Broker::tls(server(&signed(&ours, "another", begins_2025), None)).await;
    is_refused(&outcome(&broker, &ours, "", Some(&clock)).await, "not valid for name");
}

#[tokio::test]
async fn a_broker_that_asks_for_a_certificate_gets_ours_and_refuses_who_has_none() {
    let authority = authority("ours");
    let broker = Broker::tls(server(&signed(&authority, "localhost", |_| {}), Some(&authority))).await;
    let files = Files::new();
    let (cert, key) = signed(&authority, "pump-7", |_| {});
    let (cert, key) = (files.write("cert.pem", &cert), files.write("key.pem", &key));
    let more = format!("cert_file = \"{}\"\nkey_file = \"{}\"", cert.display(), key.display());
    let event = outcome(&broker, &authority, &more, None).await;
    assert!(matches!(event, LinkEvent::Up { .. }), "{event:?}");
    let event = outcome(&broker, &authority, "", None).await;
    // In TLS 1.3 the client hears of it only after its own side of the handshake is done.
    let LinkEvent::Down { reason } = &event else { panic!("not refused but {event:?}") };
    assert!(reason.contains("CertificateRequired"), "{reason}");
}

#[tokio::test]
async fn a_broker_without_tls_is_told_apart() {
    let authority = authority("ours");
    let broker = Broker::plain().await;
    let files = Files::new();
    let ca = files.write("ca.pem", &authority.pem());
    let config = config("mqtts", broker.port(), &format!("ca_file = \"{}\"", ca.display()));
    let mut link = start(config);
    let mut tcp = broker.tcp().await;
    tokio::io::AsyncWriteExt::write_all(&mut tcp, &[0x20, 2, 0, 0, 0, 0, 0, 0]).await.unwrap();
    let reason = down(&mut link).await;
    assert!(reason.contains("TLS: "), "{reason}");
}
