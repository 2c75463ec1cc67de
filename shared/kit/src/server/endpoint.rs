//! One listener: what it serves, to whom, and within which limits.

use std::{convert::Infallible, net::TcpListener, sync::Arc};

use http::{Request, Response, header::CONTENT_TYPE};
use http_body_util::Either;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioTimer},
    server::conn::auto,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::body::Body;
use tonic_web::{GrpcWebLayer, GrpcWebService};
use tower::{Layer, Service};

use super::{
    Limits, ServeError, accept,
    refusals::{RefusalMetric, Refusals},
    shares::Shares,
    tls::{Certificates, TlsFiles},
    workers::Workers,
};
use crate::layers::{Arrivals, Stack, StackBody};

/// The least that the library takes as the buffer of an HTTP/1.1 connection.
const MIN_BUFFER_BYTES: usize = 8192;

/// The body of an answer: straight from the layers, or translated.
pub(super) type AnswerBody = Either<StackBody, Body>;

/// What a listener speaks.
pub(super) enum Face {
    /// gRPC and the HTTP routes of the stack; gRPC-Web where it is there.
    Rpcs {
        native: Stack,
        web: Option<GrpcWebService<Stack>>,
        arrivals: Arrivals,
    },
    /// Plain HTTP.
    Http(axum::Router),
}

impl Face {
    /// gRPC and gRPC-Web.
    ///
    /// The translation stands beside the native path: in front of it, it would refuse every other HTTP/1.1 request.
    pub(super) fn rpcs_and_web(stack: Stack, arrivals: Arrivals) -> Self {
        Self::Rpcs {
            web: Some(GrpcWebLayer::new().layer(stack.clone())),
            native: stack,
            arrivals,
        }
    }

    /// gRPC alone.
    pub(super) fn rpcs(stack: Stack, arrivals: Arrivals) -> Self {
        Self::Rpcs {
            native: stack,
            web: None,
            arrivals,
        }
    }

    /// Answers a request of a connection.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<AnswerBody>, Infallible> {
        match self {
            Self::Rpcs {
                web: Some(web),
                arrivals,
                ..
            } if is_grpc_web(&request) => {
                let answer = web.clone().call(arrivals.bound(request)).await?;
                Ok(answer.map(Either::Right))
            }
            Self::Rpcs {
                native, arrivals, ..
            } => {
                let request = arrivals.bound(request).map(Body::new);
                let answer = native.clone().call(request).await?;
                Ok(answer.map(Either::Left))
            }
            Self::Http(router) => {
                let answer = router.clone().call(request).await?;
                Ok(answer.map(|body| Either::Right(Body::new(body))))
            }
        }
    }
}

fn is_grpc_web<B>(request: &Request<B>) -> bool {
    request
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc-web"))
}

/// A listener before it is opened.
pub(super) struct Endpoint {
    listener: TcpListener,
    shared: Shared,
    refusals: Refusals,
}

/// What all connections of a listener share.
pub(super) struct Shared {
    pub(super) name: &'static str,
    pub(super) face: Face,
    pub(super) certificates: Option<Arc<Certificates>>,
    pub(super) limits: Limits,
    pub(super) http: auto::Builder<TokioExecutor>,
    pub(super) connections: TaskTracker,
    pub(super) shares: Option<Arc<Shares>>,
}

impl Endpoint {
    /// A listener that serves `face`, encrypted where there are files.
    pub(super) fn new(
        name: &'static str,
        listener: TcpListener,
        tls: Option<&TlsFiles>,
        limits: Limits,
        refusals: &RefusalMetric,
        face: Face,
    ) -> Result<Self, ServeError> {
        let certificates = tls
            .cloned()
            .map(Certificates::read)
            .transpose()?
            .map(Arc::new);
        Ok(Self {
            listener,
            refusals: refusals.of(name, limits.refusal_log_interval),
            shared: Shared {
                name,
                face,
                certificates,
                http: protocols(&limits),
                connections: TaskTracker::new(),
                shares: Shares::within(&limits),
                limits,
            },
        })
    }

    /// Accepts connections until `until`, and serves them on the workers. The answer tracks the open ones.
    pub(super) fn open(
        self,
        workers: &Workers,
        until: &CancellationToken,
        closed: &CancellationToken,
    ) -> Result<TaskTracker, ServeError> {
        self.listener
            .set_nonblocking(true)
            .map_err(ServeError::Listener)?;
        let listener =
            tokio::net::TcpListener::from_std(self.listener).map_err(ServeError::Listener)?;
        let connections = self.shared.connections.clone();
        connections.close();
        let shared = Arc::new(self.shared);
        if let Some(certificates) = &shared.certificates {
            let follow = Arc::clone(certificates).follow(shared.limits.certificate_poll);
            let closed = closed.clone();
            tokio::spawn(async move { closed.run_until_cancelled(follow).await });
        }
        tracing::info!(
            listener = shared.name,
            address = listener.local_addr().ok().map(tracing::field::display),
            tls = shared.certificates.is_some(),
            "listening"
        );
        tokio::spawn(accept::accept(
            listener,
            shared,
            workers.queues(),
            self.refusals,
            until.clone(),
        ));
        Ok(connections)
    }
}

/// Both protocols with every limit set, since their own defaults are open or change.
fn protocols(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read_timeout)
        .max_headers(limits.max_header_lines)
        .max_buf_size((limits.max_header_bytes as usize).max(MIN_BUFFER_BYTES))
        .keep_alive(true)
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .adaptive_window(false)
        .initial_stream_window_size(limits.stream_window_bytes)
        .initial_connection_window_size(limits.connection_window_bytes)
        .max_concurrent_streams(limits.max_concurrent_streams)
        .max_frame_size(limits.max_frame_bytes)
        .max_header_list_size(limits.max_header_bytes)
        .max_send_buf_size(limits.max_send_buffer_bytes)
        .max_pending_accept_reset_streams(limits.max_pending_accept_reset_streams)
        .max_local_error_reset_streams(limits.max_local_error_reset_streams)
        .keep_alive_interval(limits.keep_alive_interval)
        .keep_alive_timeout(limits.keep_alive_timeout);
    builder
}
