//! The client channel between services: deadlines carried on, careful retries, a breaker, TLS that can be rotated.

mod breaker;
mod call;
mod connect;
mod delivery;
mod metadata;
mod methods;
pub(crate) mod retry;
mod service_key;
mod timed;

use std::{
    fmt, io,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use tonic::{
    Status,
    body::Body,
    transport::{Channel, Endpoint},
};

use crate::{clock::SharedClock, deadline, services::ServiceIdentityError};
use breaker::Breaker;
use connect::{Connector, Target};
use service_key::ServiceKey;

pub use delivery::{Delivery, delivery};

/// How to reach another service.
#[derive(Clone, Debug)]
pub struct ChannelConfig {
    /// `https://host:port`, or `http://` on the loopback interface.
    pub url: String,
    /// The certificates, PEM, of which one must have signed the server's; needed for `https`.
    pub ca_file: Option<PathBuf>,
    /// The own certificate chain, PEM, for mutual TLS; together with `key_file`.
    pub cert_file: Option<PathBuf>,
    /// Its private key, PEM.
    pub key_file: Option<PathBuf>,
    /// The DNS name or address that the server's certificate must carry; the URL's host unless set.
    pub expected_san: Option<String>,
    /// The file with the service key that proves who calls, at least 32 bytes.
    pub service_key_file: Option<PathBuf>,
    /// The longest time to connect, with the TLS handshake.
    pub connect_timeout: Duration,
    /// The longest time of a unary call, with its retries.
    pub call_timeout: Duration,
}

/// Why a channel cannot be made. Always a matter of configuration: whether the server is there shows in the calls.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// Not a URL of the kind that is needed.
    #[error("{url:?} is not a URL such as https://host:port")]
    Url {
        /// The URL.
        url: String,
    },
    /// Secrets would travel in the clear.
    #[error("{url:?} is without TLS and not on the loopback interface; use https")]
    Plaintext {
        /// The URL.
        url: String,
    },
    /// `https` without a file of trusted certificates.
    #[error("https needs a file of the certificates to trust")]
    MissingCa,
    /// A certificate without its key, or the other way round.
    #[error("a client certificate and its key come together")]
    LoneCertificate,
    /// The name that the server's certificate must carry is not one.
    #[error("{name:?} is not a DNS name or address that a server's certificate can carry")]
    ServerName {
        /// The name.
        name: String,
    },
    /// A certificate or key file cannot be read.
    #[error("{path}: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it; never its content.
        problem: String,
    },
    /// The certificates do not fit together.
    #[error("the TLS files do not fit together")]
    Tls(#[source] rustls::Error),
    /// The service key cannot be used.
    #[error(transparent)]
    ServiceKey(#[from] ServiceIdentityError),
}

impl ChannelError {
    fn file(path: &std::path::Path, problem: impl fmt::Display) -> Self {
        Self::File {
            path: path.to_owned(),
            problem: problem.to_string(),
        }
    }
}

impl From<ChannelError> for io::Error {
    fn from(error: ChannelError) -> Self {
        Self::other(error)
    }
}

/// A channel to another service, for generated clients: `AuthServiceClient::new(channel)`. Cloning is cheap and
/// shares the connection and the breaker.
///
/// - It connects at the first call and again when a connection is lost. Each time the name is resolved anew and the
///   addresses are tried from a random one on, which spreads connections over replicas; and the certificates are
///   read anew from their files. A changed service key counts within a second.
/// - A unary call ends at the earlier of `call_timeout` and the deadline of the call that is being served
///   ([`deadline::current`]), and says so to the server. A stream has the latter alone.
/// - A unary call that the server answered UNAVAILABLE, or that was never sent, is tried again up to twice, with
///   backoff and jitter, within that deadline. A call of unknown outcome is not: see [`delivery()`].
/// - After five connection failures in a row calls are refused at once, until a single one has got through again.
#[derive(Clone)]
pub struct IdentityChannel {
    shared: Arc<Shared>,
    transport: Channel,
}

struct Shared {
    breaker: Breaker,
    service_key: Option<ServiceKey>,
    call_timeout: Duration,
}

impl IdentityChannel {
    /// A channel. Files are read once here, so that a mistake shows at the start.
    ///
    /// Must be called within a tokio runtime: the connection lives there.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn new(config: ChannelConfig, clock: SharedClock) -> Result<Self, ChannelError> {
        let target = Target::new(&config)?;
        let origin = target.origin.clone();
        let connector = Connector::new(target, config.connect_timeout)?;
        let service_key = config
            .service_key_file
            .map(|path| ServiceKey::new(path, Arc::clone(&clock)))
            .transpose()?;
        Ok(Self {
            shared: Arc::new(Shared {
                breaker: Breaker::new(clock),
                service_key,
                call_timeout: config.call_timeout,
            }),
            transport: endpoint(origin).connect_with_connector_lazy(connector),
        })
    }
}

/// The HTTP/2 settings: every limit and every keep-alive explicit.
fn endpoint(origin: Uri) -> Endpoint {
    // The connector knows the address and does the TLS; tonic would refuse `https` without its own.
    Endpoint::from(Uri::from_static("http://connector.invalid"))
        .origin(origin)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(5))
        .keep_alive_while_idle(true)
        .initial_stream_window_size(1024 * 1024)
        .initial_connection_window_size(2 * 1024 * 1024)
        .http2_max_header_list_size(16 * 1024)
        .buffer_size(256)
}

impl tower::Service<http::Request<Body>> for IdentityChannel {
    type Response = http::Response<Body>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Status>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        // Readiness is awaited within a call, where its deadline and the breaker count.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let carried = deadline::current();
        Box::pin(call::send(
            Arc::clone(&self.shared),
            self.transport.clone(),
            request,
            carried,
        ))
    }
}

impl fmt::Debug for IdentityChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityChannel").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
