//! Chooses the thread of a call: the store's runtime, or the connection's own for health, which never waits.

use std::{
    convert::Infallible,
    future::Future,
    panic::resume_unwind,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response, StatusCode};
use identity_guard::{deadline, status::Failure};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use tonic::body::Body;
use tracing::{Instrument, Span};

use super::{deadline::Deadline, doors, wire};

#[derive(Clone)]
pub(crate) struct Service<S> {
    inner: S,
    /// Where the database pools and the feeds are.
    store: Handle,
}

impl<S> Service<S> {
    pub(super) fn new(inner: S, store: Handle) -> Self {
        Self { inner, store }
    }
}

type Answer = Result<Response<Body>, Infallible>;

impl<S> tower::Service<Request<Body>> for Service<S>
where
    S: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> ResponseFuture {
        let deadline = request.extensions().get().map(|Deadline(at)| *at);
        if doors::is_health(request.uri().path()) {
            let call = self.inner.call(request);
            return ResponseFuture::Here(Box::pin(deadline::scope(deadline, call)));
        }
        let grpc = wire::is_grpc(&request);
        let mut inner = self.inner.clone();
        // What stands in the guard's way runs on the store's runtime too, so it is called only there.
        let call = async move { inner.call(request).await };
        let task = deadline::scope(deadline, call).instrument(Span::current());
        ResponseFuture::There {
            task: AbortOnDropHandle::new(self.store.spawn(task)),
            grpc,
        }
    }
}

/// A call under way. When it is dropped, since the caller left, the work ends wherever it runs.
pub(crate) enum ResponseFuture {
    Here(Pin<Box<dyn Future<Output = Answer> + Send>>),
    There {
        task: AbortOnDropHandle<Answer>,
        grpc: bool,
    },
}

impl Future for ResponseFuture {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let (task, grpc) = match self.get_mut() {
            Self::Here(call) => return call.as_mut().poll(cx),
            Self::There { task, grpc } => (task, *grpc),
        };
        Poll::Ready(match ready!(Pin::new(task).poll(cx)) {
            Ok(answer) => answer,
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => Ok(stopping(grpc)),
            },
        })
    }
}

/// The answer to a call whose runtime has ended.
fn stopping(grpc: bool) -> Response<Body> {
    if grpc {
        return wire::refusal(Failure::unavailable(
            "the server, which is stopping,",
            std::time::Duration::from_secs(1),
        ));
    }
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    answer
}
