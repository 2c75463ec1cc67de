//! Turns a panic of a handler or of its answer into INTERNAL; the process and the connection go on.
//!
//! The panic hook has logged it by then, so nothing is logged here.

use std::{
    convert::Infallible,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use identity_guard::status::Failure;
use pin_project_lite::pin_project;
use tonic::Status;

use super::wire;

#[derive(Clone)]
pub(crate) struct Service<S> {
    inner: S,
}

impl<S> Service<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S, Q, B> tower::Service<Request<Q>> for Service<S>
where
    S: tower::Service<Request<Q>, Response = Response<B>, Error = Infallible>,
    B: Default,
{
    type Response = Response<Body<B>>;
    type Error = Infallible;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let grpc = wire::is_grpc(&request);
        // Nothing of the service is used again after a panic but what is shared with other calls anyway, and that
        // is guarded by locks which poison or by atomics.
        let inner = catch_unwind(AssertUnwindSafe(|| self.inner.call(request))).ok();
        ResponseFuture { inner, grpc }
    }
}

pin_project! {
    pub(crate) struct ResponseFuture<F> {
        #[pin]
        inner: Option<F>,
        grpc: bool,
    }
}

impl<F, B> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
    B: Default,
{
    type Output = Result<Response<Body<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let polled = match this.inner.as_pin_mut() {
            Some(inner) => catch_unwind(AssertUnwindSafe(|| inner.poll(cx))),
            None => Ok(Poll::Ready(Ok(defect(*this.grpc)))),
        };
        let grpc = *this.grpc;
        polled
            .unwrap_or_else(|_| Poll::Ready(Ok(defect(grpc))))
            .map_ok(|answer| {
                answer.map(|inner| Body {
                    inner,
                    grpc,
                    over: false,
                })
            })
    }
}

/// The answer to a call whose handler panicked.
fn defect<B: Default>(grpc: bool) -> Response<B> {
    if grpc {
        return wire::refusal(Failure::internal());
    }
    let mut answer = Response::new(B::default());
    *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    answer
}

pin_project! {
    /// A body that may panic.
    pub(crate) struct Body<B> {
        #[pin]
        inner: B,
        grpc: bool,
        over: bool,
    }
}

impl<B> http_body::Body for Body<B>
where
    B: http_body::Body<Data = Bytes, Error = Status>,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.project();
        if *this.over {
            return Poll::Ready(None);
        }
        catch_unwind(AssertUnwindSafe(|| this.inner.poll_frame(cx))).unwrap_or_else(|_| {
            *this.over = true;
            let failure = Failure::internal();
            Poll::Ready(Some(if *this.grpc {
                Ok(Frame::trailers(wire::trailers(failure)))
            } else {
                Err(failure.into())
            }))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
