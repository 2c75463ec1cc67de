//! The server of both services: three listeners, every limit explicit, one runtime a core, an end within a bound.

mod accept;
mod admin;
mod connection;
mod endpoint;
mod limits;
mod reflection;
mod refusals;
mod shares;
mod tls;
mod usage;
mod workers;

use std::{
    convert::Infallible,
    fmt, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    time::Duration,
};

use http::{Request, Response};
use prometheus::Registry;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tonic::{body::Body, service::Routes};
use tower::{Layer, Service, util::BoxCloneSyncService};

use crate::{
    config::{ConfigError, ServerArgs},
    health::Health,
    layers::{self, Calls, Doors, Services},
    shutdown::Shutdown,
};
use endpoint::{Endpoint, Face};
pub use limits::{Limits, MAX_MESSAGE_BYTES};
use refusals::RefusalMetric;
pub use tls::{TlsError, TlsFiles, install_crypto};
use workers::Workers;

/// A gRPC service as the layers see it: whole requests, no errors.
pub type RpcService = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// The sockets of a server. They are exclusive: binding an address that is taken fails.
#[derive(Debug)]
pub struct Listeners {
    /// For everybody.
    pub public: TcpListener,
    /// For the other service and for guards.
    pub internal: TcpListener,
    /// For operators.
    pub admin: TcpListener,
}

/// Where a server can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// Of the public listener.
    pub public: SocketAddr,
    /// Of the internal listener.
    pub internal: SocketAddr,
    /// Of the operators' listener.
    pub admin: SocketAddr,
}

impl Listeners {
    /// Free ports of the loopback address.
    ///
    /// # Errors
    /// The operating system has none.
    pub fn on_free_ports() -> io::Result<Self> {
        let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        Ok(Self {
            public: bind()?,
            internal: bind()?,
            admin: bind()?,
        })
    }

    /// The addresses that were bound.
    ///
    /// # Errors
    /// The operating system does not tell them.
    pub fn addresses(&self) -> io::Result<Addresses> {
        Ok(Addresses {
            public: self.public.local_addr()?,
            internal: self.internal.local_addr()?,
            admin: self.admin.local_addr()?,
        })
    }
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A socket cannot be used.
    #[error("a listener cannot be used: {0}")]
    Listener(io::Error),
    /// A thread or its runtime cannot be made.
    #[error("the threads of the server cannot be made: {0}")]
    Thread(io::Error),
    /// A certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The names of the server's metrics are taken in the registry.
    #[error("the metrics of the server cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// A server before its start: what it serves on which listener, and within which limits.
#[must_use = "a server does nothing until `serve` is called"]
pub struct ServerBuilder {
    listeners: Listeners,
    limits: Limits,
    io_threads: usize,
    public: Routes,
    http: axum::Router,
    internal: Routes,
    public_tls: Option<TlsFiles>,
    internal_tls: Option<TlsFiles>,
    guard: Box<dyn Fn(RpcService) -> RpcService + Send>,
    public_health: Health,
    internal_health: Health,
    reflected: Vec<String>,
    endless: Vec<&'static str>,
    short: Vec<&'static str>,
    registry: Registry,
    drain_delay: Duration,
    drain_timeout: Duration,
}

impl ServerBuilder {
    /// A server on these sockets that serves nothing yet.
    pub fn new(listeners: Listeners) -> Self {
        Self {
            listeners,
            limits: Limits::default(),
            io_threads: 0,
            public: Routes::default(),
            http: axum::Router::new(),
            internal: Routes::default(),
            public_tls: None,
            internal_tls: None,
            guard: Box::new(|service| service),
            public_health: Health::new([]),
            internal_health: Health::new([]),
            reflected: Vec::new(),
            endless: Vec::new(),
            short: Vec::new(),
            registry: Registry::new(),
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(10),
        }
    }

    /// Takes limits, threads, certificates and the times of the end from the configuration.
    ///
    /// # Errors
    /// Certificate files that do not go together.
    pub fn configured(mut self, args: &ServerArgs) -> Result<Self, ConfigError> {
        self.public_tls = args.public_tls()?;
        self.internal_tls = args.internal_tls()?;
        self.io_threads = args.io_threads;
        Ok(self
            .limits(args.limits())
            .drain(args.drain_delay(), args.drain_timeout()))
    }

    /// Serves these RPCs, gRPC-Web for them, and these HTTP routes on the public listener.
    pub fn public(mut self, rpcs: Routes, http: axum::Router) -> Self {
        self.public = rpcs;
        self.http = http;
        self
    }

    /// Serves these RPCs on the internal listener.
    pub fn internal(mut self, rpcs: Routes) -> Self {
        self.internal = rpcs;
        self
    }

    /// Puts a layer in front of every RPC of both listeners, but for health and reflection.
    pub fn guard<L>(mut self, layer: L) -> Self
    where
        L: Layer<RpcService> + Send + 'static,
        L::Service: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        <L::Service as Service<Request<Body>>>::Future: Send + 'static,
    {
        self.guard = Box::new(move |service| BoxCloneSyncService::new(layer.layer(service)));
        self
    }

    /// Serves `grpc.health.v1.Health`: one state for the public listener, one for the internal listener.
    pub fn health(mut self, public: Health, internal: Health) -> Self {
        self.public_health = public;
        self.internal_health = internal;
        self
    }

    /// Serves gRPC reflection of these services on the public listener, where `enabled`.
    pub fn reflection(mut self, enabled: bool, services: &[&str]) -> Self {
        self.reflected = if enabled {
            services.iter().map(ToString::to_string).collect()
        } else {
            Vec::new()
        };
        self
    }

    /// Gives these methods (`/package.Service/Method`) no deadline but the caller's: they answer for as long as
    /// somebody listens.
    pub fn endless(mut self, methods: &[&'static str]) -> Self {
        self.endless.extend(methods);
        self
    }

    /// Runs these methods (`/package.Service/Method`) on the threads of their connections, which saves two changes of
    /// thread. Only for those that are as short whatever they are asked: meanwhile the other connections of the
    /// thread wait.
    pub fn short(mut self, methods: &[&'static str]) -> Self {
        self.short.extend(methods);
        self
    }

    /// Sets the limits of the connections and calls.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Encrypts the public listener.
    pub fn public_tls(mut self, files: TlsFiles) -> Self {
        self.public_tls = Some(files);
        self
    }

    /// Encrypts the internal listener, and verifies client certificates where the files name their authorities.
    pub fn internal_tls(mut self, files: TlsFiles) -> Self {
        self.internal_tls = Some(files);
        self
    }

    /// Shows this registry at `/metrics`, and counts the calls in it.
    pub fn metrics(mut self, registry: Registry) -> Self {
        self.registry = registry;
        self
    }

    /// Sets the times of the end: how long to say `NOT_SERVING` while still accepting, and how long accepted calls
    /// may take after that.
    pub fn drain(mut self, delay: Duration, timeout: Duration) -> Self {
        self.drain_delay = delay;
        self.drain_timeout = timeout;
        self
    }

    /// Serves until the shutdown is over. RPCs run on the runtime that calls this, but for health and the
    /// [`short`](Self::short) ones.
    ///
    /// # Errors
    /// The server cannot start. Nothing that happens to a connection ends it.
    pub async fn serve(self, shutdown: Shutdown) -> Result<(), ServeError> {
        install_crypto();
        let closed = CancellationToken::new();
        // Whoever drops this future, or an error on the way, ends what has begun so far.
        let _close = closed.clone().drop_guard();
        let _drain = shutdown.draining().clone().drop_guard();
        let calls = Calls::new(
            &self.registry,
            &self.limits,
            &self.endless,
            &self.short,
            Handle::current(),
        )?;
        let refusals = RefusalMetric::new(&self.registry)?;
        let among_peers = self.limits.among_peers();
        let public = Endpoint::new(
            "public",
            self.listeners.public,
            self.public_tls.as_ref(),
            self.limits,
            &refusals,
            Face::rpcs_and_web(
                calls.stack(Doors::new(Services {
                    rpcs: (self.guard)(boxed(self.public)),
                    health: boxed(Routes::new(self.public_health.server(&shutdown))),
                    reflection: reflection::service(self.reflected),
                    http: layers::http(self.http),
                })),
                calls.arrivals(),
            ),
        )?;
        let internal = Endpoint::new(
            "internal",
            self.listeners.internal,
            self.internal_tls.as_ref(),
            among_peers.clone(),
            &refusals,
            Face::rpcs(
                calls.stack(Doors::new(Services {
                    rpcs: (self.guard)(boxed(self.internal)),
                    health: boxed(Routes::new(self.internal_health.server(&shutdown))),
                    reflection: None,
                    http: layers::http(axum::Router::new()),
                })),
                calls.arrivals(),
            ),
        )?;
        let admin = Endpoint::new(
            "admin",
            self.listeners.admin,
            None,
            among_peers,
            &refusals,
            Face::Http(admin::router(
                self.registry,
                self.public_health.clone(),
                self.internal_health.clone(),
            )),
        )?;
        let workers = Workers::start(self.io_threads, &closed)?;
        let public = public.open(&workers, shutdown.draining(), &closed)?;
        let internal = internal.open(&workers, shutdown.draining(), &closed)?;
        // The operators' listener outlives the others, so that the end can be watched.
        admin.open(&workers, &closed, &closed)?;

        shutdown.started().cancelled().await;
        self.public_health.stop();
        self.internal_health.stop();
        let drain = async {
            tokio::time::sleep(self.drain_delay).await;
            shutdown.drain();
            let all = async { tokio::join!(public.wait(), internal.wait()) };
            if tokio::time::timeout(self.drain_timeout, all).await.is_err() {
                tracing::warn!("connections were cut off at the end of the drain timeout");
            }
        };
        tokio::select! {
            () = drain => {}
            () = shutdown.forced().cancelled() => {}
        }
        shutdown.drain();
        closed.cancel();
        workers.ended().await;
        Ok(())
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("listeners", &self.listeners)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

fn boxed(routes: Routes) -> RpcService {
    BoxCloneSyncService::new(routes.prepare())
}

#[cfg(test)]
mod tests;
