//! Refuses calls beyond what the server takes at once, from everybody or from one address.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{HeaderValue, Request, Response, StatusCode, header::RETRY_AFTER as RETRY_AFTER_HEADER};
use identity_guard::status::{ErrorReason, Failure};
use pin_project_lite::pin_project;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::wire;

/// When to come back after a refusal.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a refused caller is told.
const SERVER_FULL: &str = "the server has more work than it can do in time";
const CALLER_FULL: &str = "your address has more calls under way than it may have";

/// An extension of a request that is one more than the address of its caller may have.
#[derive(Clone, Copy)]
pub(crate) struct BeyondShare;

#[derive(Clone)]
pub(crate) struct Service<S> {
    inner: S,
    slots: Arc<Semaphore>,
}

impl<S> Service<S> {
    pub(super) fn new(inner: S, slots: Arc<Semaphore>) -> Self {
        Self { inner, slots }
    }
}

impl<S, Q, B> tower::Service<Request<Q>> for Service<S>
where
    S: tower::Service<Request<Q>, Response = Response<B>, Error = Infallible>,
    B: Default,
{
    type Response = Response<B>;
    type Error = Infallible;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let grpc = wire::is_grpc(&request);
        if request.extensions().get::<BeyondShare>().is_some() {
            return ResponseFuture::refused(grpc, StatusCode::TOO_MANY_REQUESTS, CALLER_FULL);
        }
        match Arc::clone(&self.slots).try_acquire_owned() {
            Ok(slot) => ResponseFuture::Served {
                inner: self.inner.call(request),
                slot,
            },
            Err(_) => ResponseFuture::refused(grpc, StatusCode::SERVICE_UNAVAILABLE, SERVER_FULL),
        }
    }
}

pin_project! {
    /// Holds its slot until the answer begins: a stream that is only listened to takes none.
    #[project = Projected]
    pub(crate) enum ResponseFuture<F> {
        Served {
            #[pin]
            inner: F,
            slot: OwnedSemaphorePermit,
        },
        Refused {
            grpc: bool,
            status: StatusCode,
            problem: &'static str,
        },
    }
}

impl<F> ResponseFuture<F> {
    fn refused(grpc: bool, status: StatusCode, problem: &'static str) -> Self {
        Self::Refused {
            grpc,
            status,
            problem,
        }
    }
}

impl<F, B> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
    B: Default,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            Projected::Served { inner, .. } => Poll::Ready(ready!(inner.poll(cx))),
            Projected::Refused {
                grpc,
                status,
                problem,
            } => Poll::Ready(Ok(overloaded(*grpc, *status, problem))),
        }
    }
}

fn overloaded<B: Default>(grpc: bool, status: StatusCode, problem: &'static str) -> Response<B> {
    if grpc {
        let failure = Failure::new(ErrorReason::Overloaded, problem);
        return wire::refusal(failure.with_retry_after(RETRY_AFTER));
    }
    let mut answer = Response::new(B::default());
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(RETRY_AFTER_HEADER, HeaderValue::from(RETRY_AFTER.as_secs()));
    answer
}
