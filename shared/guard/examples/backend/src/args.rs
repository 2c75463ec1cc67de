//! The command line.

use std::{net::SocketAddr, path::PathBuf};

/// A notes server behind the guard.
#[derive(Debug, clap::Parser)]
pub(crate) struct Args {
    /// Where to serve notes.
    #[arg(long, default_value = "127.0.0.1:50071")]
    pub(crate) listen: SocketAddr,
    /// The internal listener of auth-service.
    #[arg(long, default_value = "https://127.0.0.1:50062")]
    pub(crate) auth_url: String,
    /// The certificates, PEM, of which one must have signed auth-service's.
    #[arg(long)]
    pub(crate) ca_file: Option<PathBuf>,
    /// Our own certificate chain, PEM, for mutual TLS.
    #[arg(long, requires = "key_file")]
    pub(crate) cert_file: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, requires = "cert_file")]
    pub(crate) key_file: Option<PathBuf>,
    /// The key that proves to auth-service who calls, at least 32 characters.
    #[arg(long)]
    pub(crate) service_key_file: Option<PathBuf>,
    /// The `iss` that access tokens must have: auth-service's `--issuer`.
    #[arg(long, default_value = "http://127.0.0.1:50061")]
    pub(crate) issuer: String,
    /// The `aud` that access tokens must have: auth-service's `--audience`.
    #[arg(long, default_value = "identity")]
    pub(crate) audience: String,
}
