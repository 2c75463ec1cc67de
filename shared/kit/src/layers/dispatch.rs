//! Chooses the thread of a call: one of the store's runtime, or the connection's own for methods named as short.
//!
//! Going to another thread and back wakes two threads, which costs as much as a short read itself. Whatever is not
//! known to be short goes there all the same: on its connection's thread it would hold up the calls of all other
//! connections.

use std::{
    collections::HashSet,
    convert::Infallible,
    future::Future,
    panic::resume_unwind,
    pin::Pin,
    sync::Arc,
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
    /// The paths of the methods that stay on the connection's thread.
    short: Arc<HashSet<&'static str>>,
}

impl<S> Service<S> {
    pub(super) fn new(inner: S, store: Handle, short: Arc<HashSet<&'static str>>) -> Self {
        Self {
            inner,
            store,
            short,
        }
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
        let grpc = wire::is_grpc(&request);
        let path = request.uri().path();
        // Health never waits.
        let is_short = doors::is_health(path) || self.short.contains(path);
        let mut inner = self.inner.clone();
        // Called only where it runs: on the store's runtime, or within its context.
        let call = deadline::scope(deadline, async move { inner.call(request).await });
        if is_short {
            return ResponseFuture::Here(Here {
                call: Some(Box::pin(call)),
                store: self.store.clone(),
            });
        }
        let task = call.instrument(Span::current());
        ResponseFuture::There {
            task: AbortOnDropHandle::new(self.store.spawn(task)),
            grpc,
        }
    }
}

/// A call on this thread, within the context of the store's runtime: what it spawns and connects belongs there, and
/// outlives the connection and its thread.
pub(crate) struct Here {
    /// Nothing when it is being dropped.
    call: Option<Pin<Box<dyn Future<Output = Answer> + Send>>>,
    store: Handle,
}

impl Future for Here {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let this = self.get_mut();
        let _context = this.store.enter();
        match &mut this.call {
            Some(call) => call.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        let _context = self.store.enter();
        drop(self.call.take());
    }
}

/// A call under way. When it is dropped, since the caller left, the work ends wherever it runs.
pub(crate) enum ResponseFuture {
    Here(Here),
    There {
        task: AbortOnDropHandle<Answer>,
        grpc: bool,
    },
}

impl Future for ResponseFuture {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let (task, grpc) = match self.get_mut() {
            Self::Here(call) => return Pin::new(call).poll(cx),
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

#[cfg(test)]
mod tests {
    use std::future::ready;

    use tower::Service as _;

    use super::*;

    #[tokio::test]
    async fn only_what_is_named_as_short_stays_on_its_connections_thread() {
        let inner = tower::service_fn(|_| ready(Ok(Response::new(Body::empty()))));
        let short = Arc::new(HashSet::from(["/a.B/GetOne"]));
        let mut service = Service::new(inner, Handle::current(), short);
        for (path, stays) in [
            ("/a.B/GetOne", true),
            ("/a.B/GetAll", false),
            ("/c.D/GetOne", false),
            ("/grpc.health.v1.Health/Check", true),
        ] {
            let mut request = Request::new(Body::empty());
            *request.uri_mut() = path.parse().expect("a path");
            let call = service.call(request);
            assert_eq!(matches!(call, ResponseFuture::Here(_)), stays, "{path}");
        }
    }
}
