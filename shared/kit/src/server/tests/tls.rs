//! TLS of the listeners: renewal, client certificates, HTTP/1.1.

use std::{fs, path::Path, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use tempfile::TempDir;
use tokio::time::timeout;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};

use super::harness::{PATIENCE, TestServer, list};
use crate::{
    health::probe,
    server::{
        Limits, TlsFiles,
        tls::{Certificates, install_crypto},
    },
};
use identity_proto::auth::v1::session_service_client::SessionServiceClient;

const SAN: &str = "spiffe://identity.example/auth-service";

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("generates");
        let mut params = CertificateParams::new(Vec::new()).expect("good names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("signs").pem();
        let issuer = Issuer::new(params, key);
        Self { pem, issuer }
    }

    /// Certificate and key in PEM.
    fn issue(&self, names: Vec<SanType>) -> (String, String) {
        let key = KeyPair::generate().expect("generates");
        let mut params = CertificateParams::new(Vec::new()).expect("good names");
        params.subject_alt_names = names;
        let certificate = params.signed_by(&key, &self.issuer).expect("signs");
        (certificate.pem(), key.serialize_pem())
    }
}

fn localhost() -> Vec<SanType> {
    vec![SanType::DnsName("localhost".try_into().expect("a name"))]
}

fn write(folder: &Path, (cert, key): &(String, String)) -> TlsFiles {
    let files = TlsFiles {
        cert_file: folder.join("cert.pem"),
        key_file: folder.join("key.pem"),
        client_ca_file: None,
    };
    fs::write(&files.key_file, key).expect("writes");
    fs::write(&files.cert_file, cert).expect("writes");
    files
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_up_without_a_restart() {
    let authority = Authority::new();
    let folder = TempDir::new().expect("a folder");
    let files = write(folder.path(), &authority.issue(localhost()));
    let server = TestServer::start_with(|builder| {
        builder.public_tls(files.clone()).limits(Limits {
            certificate_poll: Duration::from_millis(5),
            ..Limits::default()
        })
    });
    let address = server.addresses.public;
    let check = async || {
        let file = Some(files.cert_file.as_path());
        probe(address, file, "", Duration::from_secs(5)).await
    };
    check().await.expect("the first certificate");
    write(folder.path(), &authority.issue(localhost()));
    // The probe takes exactly the certificate that is in the file now.
    timeout(PATIENCE, async { while check().await.is_err() {} })
        .await
        .expect("the second certificate");
    server.stop().await;
}

#[test]
fn broken_files_leave_the_old_certificate_in_use() {
    install_crypto();
    let authority = Authority::new();
    let folder = TempDir::new().expect("a folder");
    let files = write(folder.path(), &authority.issue(localhost()));
    let certificates = Certificates::read(files.clone()).expect("good files");
    let before = certificates.config();
    assert!(!certificates.renew().expect("unchanged"));
    fs::write(&files.cert_file, "half a file").expect("writes");
    let error = certificates.renew().expect_err("cannot be used");
    assert!(error.to_string().contains("cert.pem"), "{error}");
    assert!(std::sync::Arc::ptr_eq(&before, &certificates.config()));
    // A key that does not belong to the certificate.
    write(
        folder.path(),
        &(
            authority.issue(localhost()).0,
            authority.issue(localhost()).1,
        ),
    );
    certificates.renew().expect_err("cannot be used");
    write(folder.path(), &authority.issue(localhost()));
    assert!(certificates.renew().expect("good again"));
}

#[tokio::test]
async fn the_names_of_a_client_certificate_reach_the_handler() {
    let authority = Authority::new();
    let folder = TempDir::new().expect("a folder");
    let client_ca = folder.path().join("ca.pem");
    fs::write(&client_ca, &authority.pem).expect("writes");
    let files = TlsFiles {
        client_ca_file: Some(client_ca),
        ..write(folder.path(), &authority.issue(localhost()))
    };
    let server = TestServer::start_with(|builder| builder.internal_tls(files));
    let (cert, key) = authority.issue(vec![SanType::URI(SAN.try_into().expect("a URI"))]);
    let trusted = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(&authority.pem))
        .domain_name("localhost");
    let call = async |tls: ClientTlsConfig| {
        let channel = Channel::from_shared(format!("https://{}", server.addresses.internal))
            .expect("an address")
            .tls_config(tls)
            .expect("good files")
            .connect_lazy();
        SessionServiceClient::new(channel)
            .list_sessions(list("ada"))
            .await
    };
    let with = call(trusted.clone().identity(Identity::from_pem(cert, key))).await;
    assert_eq!(with.expect("answers").get_ref().sessions[0].amr, [SAN]);
    let without = call(trusted.clone()).await;
    assert!(
        without.expect("answers").get_ref().sessions[0]
            .amr
            .is_empty()
    );
    let (cert, key) = Authority::new().issue(vec![SanType::URI(SAN.try_into().expect("a URI"))]);
    let forged = call(trusted.identity(Identity::from_pem(cert, key))).await;
    forged.expect_err("the authority is not known");
    server.stop().await;
}
