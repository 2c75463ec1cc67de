//! Asks a listener of this machine for its health, for images that have no shell to do it with.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::server::install_crypto;

/// Why a listener is not healthy.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Its own certificate file cannot be read.
    #[error("cannot read the certificate: {0}")]
    Certificate(String),
    /// It cannot be reached.
    #[error("cannot connect to {0}: {1}")]
    Connect(SocketAddr, String),
    /// It answered with an error.
    #[error("the check failed with {:?}: {}", .0.code(), .0.message())]
    Failed(tonic::Status),
    /// It says that it does not serve.
    #[error("it does not serve")]
    NotServing,
}

/// Asks the listener at `address` whether `service`, or everything for the empty name, serves.
///
/// With TLS, `certificate` is the listener's own file: the very certificate in it is expected, whatever names it has.
///
/// # Errors
/// It does not serve, or does not say so within `timeout`.
pub async fn probe(
    address: SocketAddr,
    certificate: Option<&Path>,
    service: &str,
    timeout: Duration,
) -> Result<(), ProbeError> {
    install_crypto();
    let channel = connect(address, certificate, timeout).await?;
    let mut request = tonic::Request::new(HealthCheckRequest {
        service: service.to_owned(),
    });
    request.set_timeout(timeout);
    let answer = HealthClient::new(channel)
        .check(request)
        .await
        .map_err(ProbeError::Failed)?;
    match answer.into_inner().status() {
        ServingStatus::Serving => Ok(()),
        _ => Err(ProbeError::NotServing),
    }
}

async fn connect(
    address: SocketAddr,
    certificate: Option<&Path>,
    timeout: Duration,
) -> Result<Channel, ProbeError> {
    let refused = |error: &dyn std::error::Error| ProbeError::Connect(address, error.to_string());
    let tls = certificate.map(pinned).transpose()?;
    // The scheme only fills the `:scheme` of the call: the connector below does the encryption.
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|error| refused(&error))?
        .connect_timeout(timeout)
        .timeout(timeout);
    let connector = tower::service_fn(move |_: Uri| {
        let tls = tls.clone();
        async move {
            let socket = TcpStream::connect(address).await?;
            let Some(tls) = tls else {
                return Ok::<_, std::io::Error>(TokioIo::new(Transport::Left(socket)));
            };
            let name = ServerName::IpAddress(address.ip().into());
            let socket = TlsConnector::from(tls).connect(name, socket).await?;
            Ok(TokioIo::new(Transport::Right(socket)))
        }
    });
    endpoint
        .connect_with_connector(connector)
        .await
        .map_err(|error| refused(&error))
}

type Transport = tokio_util::either::Either<TcpStream, tokio_rustls::client::TlsStream<TcpStream>>;

/// TLS that expects exactly the first certificate of a file.
fn pinned(path: &Path) -> Result<Arc<ClientConfig>, ProbeError> {
    let unreadable =
        |error: String| ProbeError::Certificate(format!("{}: {error}", path.display()));
    let expected = CertificateDer::from_pem_file(path).map_err(|e| unreadable(e.to_string()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| unreadable(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned { expected, provider }))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// Takes one certificate and no other.
#[derive(Debug)]
struct Pinned {
    expected: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *end_entity == self.expected {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
