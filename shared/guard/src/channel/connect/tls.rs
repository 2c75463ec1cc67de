//! The client side of TLS, read from files at every connection, so that certificates rotate without a restart.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::super::{ChannelConfig, ChannelError};

const HTTP_2: &[u8] = b"h2";

/// The files, and the name that the server's certificate must carry.
#[derive(Clone)]
pub(super) struct TlsFiles {
    ca: PathBuf,
    own: Option<(PathBuf, PathBuf)>,
    server_name: ServerName<'static>,
}

impl TlsFiles {
    pub(super) fn new(config: &ChannelConfig, host: &str) -> Result<Self, ChannelError> {
        let name = config.expected_san.as_deref().unwrap_or(host);
        let server_name =
            ServerName::try_from(name.to_owned()).map_err(|_| ChannelError::ServerName {
                name: name.to_owned(),
            })?;
        let own = match (&config.cert_file, &config.key_file) {
            (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
            (None, None) => None,
            _ => return Err(ChannelError::LoneCertificate),
        };
        Ok(Self {
            // Only this: a certificate of a public authority says nothing about being the peer.
            ca: config.ca_file.clone().ok_or(ChannelError::MissingCa)?,
            own,
            server_name,
        })
    }

    /// The configuration of the files as they are now. Blocks on them.
    pub(super) fn load(&self) -> Result<ClientConfig, ChannelError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.ca)? {
            roots.add(certificate).map_err(ChannelError::Tls)?;
        }
        // The provider is named, so that no other crate's choice for the process counts.
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(ChannelError::Tls)?
            .with_root_certificates(roots);
        let mut config = match &self.own {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let private = PrivateKeyDer::from_pem_file(key)
                    .map_err(|error| ChannelError::file(key, error))?;
                builder
                    .with_client_auth_cert(certificates(chain)?, private)
                    .map_err(ChannelError::Tls)?
            }
        };
        config.alpn_protocols = vec![HTTP_2.to_vec()];
        Ok(config)
    }

    pub(super) async fn connect(&self, tcp: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let files = self.clone();
        let config = tokio::task::spawn_blocking(move || files.load())
            .await
            .map_err(io::Error::other)??;
        let stream = TlsConnector::from(Arc::new(config))
            .connect(self.server_name.clone(), tcp)
            .await?;
        if stream.get_ref().1.alpn_protocol() != Some(HTTP_2) {
            return Err(io::Error::other("the server does not speak HTTP/2"));
        }
        Ok(stream)
    }
}

/// The certificates of a PEM file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ChannelError> {
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| ChannelError::file(path, error))?;
    if found.is_empty() {
        return Err(ChannelError::file(path, "holds no certificate"));
    }
    Ok(found)
}
