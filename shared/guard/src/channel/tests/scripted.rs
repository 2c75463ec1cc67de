//! A server that answers as a test says, on a loopback port.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::net::TcpListener;
use tokio_stream::{StreamExt, wrappers::TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::{
    Status,
    body::Body,
    server::NamedService,
    transport::{Server, ServerTlsConfig},
};

/// What to answer to one call.
pub(super) enum Answer {
    /// An empty message.
    Empty,
    /// A status without a message, and metadata with it.
    Status(Status),
    /// Never anything.
    Silence,
    /// The beginning of an answer and never the rest.
    Half,
}

/// The script and what has been seen of it. An ended script answers empty messages.
#[derive(Clone, Default)]
pub(super) struct Script {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    seen: Arc<Mutex<Vec<HeaderMap>>>,
}

impl Script {
    pub(super) fn of(answers: impl IntoIterator<Item = Answer>) -> Self {
        let script = Self::default();
        script.answers.lock().expect("lock").extend(answers);
        script
    }

    /// The metadata of every call so far.
    pub(super) fn seen(&self) -> Vec<HeaderMap> {
        self.seen.lock().expect("lock").clone()
    }
}

/// A running server; it ends when dropped.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) stop: CancellationToken,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(super) async fn serve(script: Script, tls: Option<ServerTlsConfig>) -> Running {
    serve_at("127.0.0.1:0".parse().expect("address"), script, tls).await
}

pub(super) async fn serve_at(
    address: SocketAddr,
    script: Script,
    tls: Option<ServerTlsConfig>,
) -> Running {
    let listener = TcpListener::bind(address).await.expect("bind");
    let address = listener.local_addr().expect("address");
    let stop = CancellationToken::new();
    let mut server = Server::builder();
    if let Some(tls) = tls {
        server = server.tls_config(tls).expect("tls");
    }
    // Dropped, not drained: the connections end with it.
    let until = stop.clone();
    let incoming = TcpListenerStream::new(listener).map(move |socket| {
        socket.map(|socket| Stopping {
            socket,
            until: Box::pin(until.clone().cancelled_owned()),
        })
    });
    let serving = server
        .add_service(Named::<Auth>::new(script.clone()))
        .add_service(Named::<Feed>::new(script))
        .serve_with_incoming(incoming);
    let until = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = until.cancelled() => {}
            _ = serving => {}
        }
    });
    Running { address, stop }
}

mod socket;
use socket::Stopping;

struct Auth;
struct Feed;

struct Named<N> {
    script: Script,
    name: std::marker::PhantomData<fn() -> N>,
}

impl<N> Named<N> {
    fn new(script: Script) -> Self {
        Self {
            script,
            name: std::marker::PhantomData,
        }
    }
}

impl<N> Clone for Named<N> {
    fn clone(&self) -> Self {
        Self::new(self.script.clone())
    }
}

impl NamedService for Named<Auth> {
    const NAME: &'static str = "identity.auth.v1.AuthService";
}

impl NamedService for Named<Feed> {
    const NAME: &'static str = "identity.auth.v1.AccessFeedService";
}

impl<N> tower::Service<Request<Body>> for Named<N> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let headers = request.headers().clone();
        self.script.seen.lock().expect("lock").push(headers);
        let answer = self.script.answers.lock().expect("lock").pop_front();
        Box::pin(async move {
            match answer.unwrap_or(Answer::Empty) {
                Answer::Empty => Ok(message(true)),
                Answer::Status(status) => Ok(status.into_http()),
                Answer::Silence => future::pending().await,
                Answer::Half => Ok(message(false)),
            }
        })
    }
}

/// An empty message, with or without its end.
fn message(whole: bool) -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let data = tokio_stream::once(Ok::<_, Status>(Frame::data(Bytes::from_static(&[0; 5]))));
    let body = if whole {
        Body::new(StreamBody::new(
            data.chain(tokio_stream::once(Ok(Frame::trailers(trailers)))),
        ))
    } else {
        Body::new(StreamBody::new(data.chain(tokio_stream::pending())))
    };
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}
