//! Making a connection: the name resolved anew, addresses tried from a random one on, TLS from the files as they are.

mod tls;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Uri, uri::Scheme};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    time::timeout,
};

use super::{ChannelConfig, ChannelError, retry::chance};
use tls::TlsFiles;

/// Where the server is and how it proves itself.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) origin: Uri,
    host: String,
    port: u16,
    tls: Option<TlsFiles>,
}

impl Target {
    pub(super) fn new(config: &ChannelConfig) -> Result<Self, ChannelError> {
        let bad = || ChannelError::Url {
            url: config.url.clone(),
        };
        let origin: Uri = config.url.parse().map_err(|_| bad())?;
        let host = origin
            .host()
            .filter(|host| !host.is_empty())
            .ok_or_else(bad)?;
        // An IPv6 address stands in brackets.
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        if !matches!(
            origin.path_and_query().map_or("/", |p| p.as_str()),
            "/" | ""
        ) {
            return Err(bad());
        }
        let (tls, default_port) = match origin.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => (Some(TlsFiles::new(config, &host)?), 443),
            Some(scheme) if *scheme == Scheme::HTTP => {
                if !is_loopback_name(&host) {
                    return Err(ChannelError::Plaintext {
                        url: config.url.clone(),
                    });
                }
                (None, 80)
            }
            _ => return Err(bad()),
        };
        let port = origin.port_u16().unwrap_or(default_port);
        Ok(Self {
            origin,
            host,
            port,
            tls,
        })
    }

    async fn connect(&self, per_connection: Duration) -> io::Result<Box<dyn Io>> {
        let tcp = self.connect_tcp(per_connection).await?;
        match &self.tls {
            None => Ok(Box::new(tcp)),
            Some(files) => Ok(Box::new(files.connect(tcp).await?)),
        }
    }

    async fn connect_tcp(&self, limit: Duration) -> io::Result<TcpStream> {
        let mut addresses: Vec<SocketAddr> = lookup_host((self.host.as_str(), self.port))
            .await?
            .collect();
        if self.tls.is_none() {
            // What a resolver says `localhost` is must be it, too.
            addresses.retain(|address| address.ip().is_loopback());
        }
        let count = addresses.len().max(1);
        addresses.rotate_left(usize::from(chance()) % count);
        // An address that swallows packets must not use up the time of the others.
        let share = limit / u32::try_from(count).unwrap_or(u32::MAX);
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no usable address");
        for address in addresses {
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(tcp)) => {
                    tcp.set_nodelay(true)?;
                    return Ok(tcp);
                }
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(last)
    }
}

fn is_loopback_name(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Makes connections for the transport.
#[derive(Clone)]
pub(super) struct Connector {
    target: Arc<Target>,
    limit: Duration,
}

impl Connector {
    /// A connector; reads the TLS files once, so that a mistake shows at the start.
    pub(super) fn new(target: Target, limit: Duration) -> Result<Self, ChannelError> {
        if let Some(files) = &target.tls {
            files.load()?;
        }
        Ok(Self {
            target: Arc::new(target),
            limit,
        })
    }

    async fn connect(self) -> io::Result<TokioIo<Box<dyn Io>>> {
        let connecting = self.target.connect(self.limit);
        let io = timeout(self.limit, connecting).await??;
        Ok(TokioIo::new(io))
    }
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Io>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect())
    }
}

/// A connection of either kind.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}
