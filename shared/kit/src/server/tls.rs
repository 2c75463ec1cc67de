//! TLS of a listener: certificates from files, read anew when they change, and the names in client certificates.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{Context, Digest, SHA256};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};
use tokio_rustls::TlsAcceptor;
use x509_parser::{extensions::GeneralName, prelude::FromDer};
use zeroize::Zeroizing;

/// Makes aws-lc-rs the crypto library of this process; without harm when it is already.
pub fn install_crypto() {
    // The error gives back what is installed already, and nothing in this tree installs another one.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
}

/// The PEM files of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and whatever stands between it and its root.
    pub cert_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
    /// The authorities whose client certificates are taken. A client may still come without one: what it may call
    /// then is the guard's to decide, and a health check has none.
    pub client_ca_file: Option<PathBuf>,
}

impl TlsFiles {
    /// Whether they can be used as they are now.
    pub(crate) fn check(&self) -> Result<(), TlsError> {
        install_crypto();
        Contents::read(self)?.config(self).map(drop)
    }
}

/// Why files cannot be used for TLS.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {} for TLS: {problem}", file.display())]
pub struct TlsError {
    pub(crate) file: PathBuf,
    problem: String,
}

impl TlsError {
    fn of(file: &Path, problem: &impl fmt::Display) -> Self {
        Self {
            file: file.to_owned(),
            problem: problem.to_string(),
        }
    }
}

/// What stands in the files now.
struct Contents {
    cert: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    client_ca: Option<Vec<u8>>,
}

impl Contents {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let read = |file: &PathBuf| {
            std::fs::read(file).map_err(|error: io::Error| TlsError::of(file, &error))
        };
        Ok(Self {
            cert: read(&files.cert_file)?,
            key: Zeroizing::new(read(&files.key_file)?),
            client_ca: files.client_ca_file.as_ref().map(read).transpose()?,
        })
    }

    /// What tells these contents from others, without keeping the key.
    fn fingerprint(&self) -> Digest {
        let mut digest = Context::new(&SHA256);
        let parts = [Some(&self.cert), Some(&*self.key), self.client_ca.as_ref()];
        for part in parts.into_iter().flatten() {
            digest.update(&part.len().to_be_bytes());
            digest.update(part);
        }
        digest.finish()
    }

    fn config(&self, files: &TlsFiles) -> Result<ServerConfig, TlsError> {
        let chain = certificates(&files.cert_file, &self.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|error| TlsError::of(&files.key_file, &error))?;
        let clients = match (&files.client_ca_file, &self.client_ca) {
            (Some(file), Some(client_ca)) => {
                let mut roots = RootCertStore::empty();
                for root in certificates(file, client_ca)? {
                    roots
                        .add(root)
                        .map_err(|error| TlsError::of(file, &error))?;
                }
                WebPkiClientVerifier::builder(Arc::new(roots))
                    .allow_unauthenticated()
                    .build()
                    .map_err(|error| TlsError::of(file, &error))?
            }
            _ => WebPkiClientVerifier::no_client_auth(),
        };
        let mut config = ServerConfig::builder()
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, key)
            .map_err(|error| TlsError::of(&files.cert_file, &error))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn certificates(file: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsError::of(file, &error))?;
    if found.is_empty() {
        return Err(TlsError::of(file, &"it has no certificate"));
    }
    Ok(found)
}

/// The certificates of a listener as they stand in its files.
pub(super) struct Certificates {
    files: TlsFiles,
    config: ArcSwap<ServerConfig>,
    read: ArcSwap<Digest>,
}

impl Certificates {
    /// Reads the files.
    pub(super) fn read(files: TlsFiles) -> Result<Self, TlsError> {
        let contents = Contents::read(&files)?;
        Ok(Self {
            config: ArcSwap::from_pointee(contents.config(&files)?),
            read: ArcSwap::from_pointee(contents.fingerprint()),
            files,
        })
    }

    /// What shakes hands with the certificates of now. Connections that are open keep theirs.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config())
    }

    /// The configuration of now.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        self.config.load_full()
    }

    /// Reads the files again and again; never ends.
    pub(super) async fn follow(self: Arc<Self>, every: Duration) {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut broken = false;
        loop {
            ticks.tick().await;
            let this = Arc::clone(&self);
            let Ok(renewed) = spawn_blocking(move || this.renew()).await else {
                continue;
            };
            match renewed {
                Ok(true) => tracing::info!("the certificates were renewed"),
                Ok(false) => {}
                // Told once, not at every look, for as long as it lasts.
                Err(error) if !broken => {
                    tracing::error!(%error, "the certificates cannot be renewed; the old ones stay");
                    broken = true;
                    continue;
                }
                Err(_) => continue,
            }
            broken = false;
        }
    }

    /// Takes the files' contents when they have changed; keeps the old ones when the new ones cannot be used.
    pub(super) fn renew(&self) -> Result<bool, TlsError> {
        let contents = Contents::read(&self.files)?;
        let fingerprint = contents.fingerprint();
        if fingerprint.as_ref() == self.read.load().as_ref().as_ref() {
            return Ok(false);
        }
        let config = contents.config(&self.files)?;
        self.config.store(Arc::new(config));
        self.read.store(Arc::new(fingerprint));
        Ok(true)
    }
}

/// The subject alternative names of the client's certificate: DNS names and URIs. Empty without a certificate.
pub(super) fn subject_names(connection: &ServerConnection) -> Vec<String> {
    let Some(certificate) = connection.peer_certificates().and_then(<[_]>::first) else {
        return Vec::new();
    };
    let Ok((_, certificate)) = x509_parser::certificate::X509Certificate::from_der(certificate)
    else {
        return Vec::new();
    };
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    names
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) | GeneralName::URI(name) => Some((*name).to_owned()),
            _ => None,
        })
        .collect()
}
