//! The settings that both services share.

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, ValueEnum};

use super::{ConfigError, Network, blame::TlsFlags};
use crate::server::{Limits, Listeners, TlsError, TlsFiles};

const PUBLIC_TLS: TlsFlags = TlsFlags {
    cert: "--tls-cert-file",
    key: "--tls-key-file",
    client_ca: "",
};

const INTERNAL_TLS: TlsFlags = TlsFlags {
    cert: "--internal-tls-cert-file",
    key: "--internal-tls-key-file",
    client_ca: "--internal-tls-client-ca-file",
};

/// What a server listens on, and how.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server")]
pub struct ServerArgs {
    /// Address of the public listener: gRPC, gRPC-Web, and the public documents over HTTP
    #[arg(long, value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Address of the internal listener, for the other service and for guards
    #[arg(long, value_name = "ADDRESS")]
    pub internal_listen: SocketAddr,
    /// Address of the operators' HTTP: /metrics, /livez, /readyz
    #[arg(long, value_name = "ADDRESS")]
    pub admin_listen: SocketAddr,
    /// PEM chain of the public listener; read anew when it changes
    #[arg(long, value_name = "FILE")]
    pub tls_cert_file: Option<PathBuf>,
    /// PEM key of the public listener
    #[arg(long, value_name = "FILE")]
    pub tls_key_file: Option<PathBuf>,
    /// PEM chain of the internal listener; read anew when it changes
    #[arg(long, value_name = "FILE")]
    pub internal_tls_cert_file: Option<PathBuf>,
    /// PEM key of the internal listener
    #[arg(long, value_name = "FILE")]
    pub internal_tls_key_file: Option<PathBuf>,
    /// PEM authorities of the client certificates that the internal listener takes
    #[arg(long, value_name = "FILE")]
    pub internal_tls_client_ca_file: Option<PathBuf>,
    /// Serve gRPC reflection on the public listener
    #[arg(long, value_name = "BOOL", default_value_t = false, num_args = 0..=1,
          require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub reflection: bool,
    /// How long accepted calls may take to end after the first SIGTERM, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub drain_timeout_seconds: u16,
    /// How long to say `NOT_SERVING` and still accept after the first SIGTERM, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub drain_delay_seconds: u16,
    /// Most open connections of each listener; more are refused
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().max_connections)]
    pub max_connections: usize,
    /// Most open connections of one source address (an IPv4 address, or an IPv6 /64) on the public listener; more are
    /// closed at once. 0 means no share; not set means an eighth of --max-connections
    #[arg(long, value_name = "COUNT")]
    pub max_connections_per_address: Option<usize>,
    /// Most calls under way of one source address on the public listener; more are refused with OVERLOADED. 0 means no
    /// share
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().max_calls_per_address.unwrap_or_default())]
    pub max_calls_per_address: usize,
    /// Address or network (203.0.113.0/24) of a proxy or gateway that stands for many callers, and so has no share of
    /// its own; may be repeated
    #[arg(long, value_name = "NETWORK")]
    pub shared_address: Vec<Network>,
    /// How long a connection of the public listener may be open without a call under way, in seconds; 0 means for its
    /// whole age
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub idle_timeout_seconds: u32,
    /// How long the message of a call may take to arrive after its headers, in seconds; 0 means for the time of the
    /// call
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub message_timeout_seconds: u16,
    /// Threads that serve connections; 0 means one a core
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub io_threads: usize,
}

impl ServerArgs {
    /// Binds the three listeners.
    ///
    /// # Errors
    /// Names the flag whose address cannot be bound.
    pub fn bind(&self) -> Result<Listeners, ConfigError> {
        Ok(Listeners {
            public: bind("--listen", self.listen)?,
            internal: bind("--internal-listen", self.internal_listen)?,
            admin: bind("--admin-listen", self.admin_listen)?,
        })
    }

    /// Reads the certificates, so that what could not be served is found before a port is bound.
    ///
    /// # Errors
    /// Names the flag whose file cannot be used, and an internal listener that would be open to others in plaintext.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.require_private_internal_listener()?;
        for (flags, files) in [
            (&PUBLIC_TLS, self.public_tls()?),
            (&INTERNAL_TLS, self.internal_tls()?),
        ] {
            if let Some(files) = files {
                let blame = |error: TlsError| ConfigError::of_tls(flags, &files, &error);
                files.check().map_err(blame)?;
            }
        }
        Ok(())
    }

    /// The certificate files of the public listener; none means plaintext.
    ///
    /// # Errors
    /// One of certificate and key without the other.
    pub fn public_tls(&self) -> Result<Option<TlsFiles>, ConfigError> {
        tls_files(&PUBLIC_TLS, [&self.tls_cert_file, &self.tls_key_file], None)
    }

    /// The certificate files of the internal listener; none means plaintext.
    ///
    /// # Errors
    /// One of certificate and key without the other, or client authorities without them.
    pub fn internal_tls(&self) -> Result<Option<TlsFiles>, ConfigError> {
        let files = tls_files(
            &INTERNAL_TLS,
            [&self.internal_tls_cert_file, &self.internal_tls_key_file],
            self.internal_tls_client_ca_file.clone(),
        )?;
        if files.is_none() && self.internal_tls_client_ca_file.is_some() {
            return Err(ConfigError::new(
                INTERNAL_TLS.client_ca,
                "client certificates need TLS",
                "set --internal-tls-cert-file and --internal-tls-key-file too",
            ));
        }
        Ok(files)
    }

    /// Refuses an internal listener that would take service keys in plaintext from other machines.
    ///
    /// # Errors
    /// The address is not a loopback one and there is no TLS.
    pub fn require_private_internal_listener(&self) -> Result<(), ConfigError> {
        if self.internal_listen.ip().is_loopback() || self.internal_tls_cert_file.is_some() {
            return Ok(());
        }
        Err(ConfigError::new(
            "--internal-listen",
            format!(
                "{} would carry service keys in plaintext",
                self.internal_listen
            ),
            "listen on 127.0.0.1, or set --internal-tls-cert-file and --internal-tls-key-file",
        ))
    }

    /// The limits of the listeners.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let share = self
            .max_connections_per_address
            .unwrap_or_else(|| (self.max_connections / Limits::SHARE_PARTS).max(1));
        Limits {
            max_connections: self.max_connections,
            max_connections_per_address: Some(share).filter(|&count| count > 0),
            max_calls_per_address: Some(self.max_calls_per_address).filter(|&count| count > 0),
            shared_addresses: self.shared_address.clone(),
            idle_timeout: seconds(self.idle_timeout_seconds),
            message_timeout: seconds(self.message_timeout_seconds.into()),
            ..Limits::default()
        }
    }

    /// How long accepted calls may take to end once streams are told to end.
    #[must_use]
    pub fn drain_timeout(&self) -> Duration {
        Duration::from_secs(self.drain_timeout_seconds.into())
    }

    /// How long to say `NOT_SERVING` before that.
    #[must_use]
    pub fn drain_delay(&self) -> Duration {
        Duration::from_secs(self.drain_delay_seconds.into())
    }
}

/// A time that is none when it is 0.
fn seconds(count: u32) -> Option<Duration> {
    (count > 0).then(|| Duration::from_secs(count.into()))
}

fn bind(flag: &'static str, address: SocketAddr) -> Result<TcpListener, ConfigError> {
    TcpListener::bind(address).map_err(|error| {
        ConfigError::new(
            flag,
            format!("cannot listen on {address}: {error}"),
            "end the program that holds the address, or choose another one",
        )
    })
}

fn tls_files(
    flags: &TlsFlags,
    files: [&Option<PathBuf>; 2],
    client_ca_file: Option<PathBuf>,
) -> Result<Option<TlsFiles>, ConfigError> {
    let TlsFlags { cert, key, .. } = flags;
    match files {
        [Some(cert_file), Some(key_file)] => Ok(Some(TlsFiles {
            cert_file: cert_file.clone(),
            key_file: key_file.clone(),
            client_ca_file,
        })),
        [None, None] => Ok(None),
        [Some(_), None] => Err(ConfigError::new(
            key,
            "a certificate needs its key",
            format!("set {key}, or leave {cert} out"),
        )),
        [None, Some(_)] => Err(ConfigError::new(
            cert,
            "a key needs its certificate",
            format!("set {cert}, or leave {key} out"),
        )),
    }
}

/// What is told about the program's work.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Telemetry")]
pub struct TelemetryArgs {
    /// Form of the log on standard error; `RUST_LOG` filters it, the `OTEL_*` variables lead traces and metrics out
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Human)]
    pub log_format: LogFormat,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}
