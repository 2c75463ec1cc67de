//! Refuses calls beyond what the server takes at once.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Request, Response, StatusCode};
use identity_guard::status::{ErrorReason, Failure};
use pin_project_lite::pin_project;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::wire;

/// When to come back after a refusal.
const RETRY_AFTER: Duration = Duration::from_secs(1);

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
        match Arc::clone(&self.slots).try_acquire_owned() {
            Ok(slot) => ResponseFuture::Served {
                inner: self.inner.call(request),
                slot,
            },
            Err(_) => ResponseFuture::Refused {
                grpc: wire::is_grpc(&request),
            },
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
        Refused { grpc: bool },
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
            Projected::Refused { grpc } => Poll::Ready(Ok(overloaded(*grpc))),
        }
    }
}

fn overloaded<B: Default>(grpc: bool) -> Response<B> {
    if grpc {
        return wire::refusal(
            Failure::new(
                ErrorReason::Overloaded,
                "the server has more work than it can do in time",
            )
            .with_retry_after(RETRY_AFTER),
        );
    }
    let mut answer = Response::new(B::default());
    *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    answer
}
