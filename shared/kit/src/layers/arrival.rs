//! Bounds how long a call waits for its message, so that headers alone do not hold a call's place.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use identity_guard::status::{ErrorReason, Failure};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tonic::Status;

use super::method::Methods;

/// What a caller is told whose message does not come.
pub(super) const LATE: &str = "the message did not arrive in time";

/// The failure of a call whose message does not come.
pub(super) fn late() -> Failure {
    Failure::new(ErrorReason::DeadlinePassed, LATE)
}

/// The bound for all calls that send one message; a stream of messages may take its time.
#[derive(Clone)]
pub(crate) struct Arrivals {
    bound: Option<Duration>,
    streams: Arc<[String]>,
}

impl Arrivals {
    pub(super) fn new(bound: Option<Duration>, methods: &Methods) -> Self {
        Self {
            bound,
            streams: methods.client_streams().into(),
        }
    }

    /// The request with the bound on its body.
    pub(crate) fn bound<B>(&self, request: Request<B>) -> Request<Arriving<B>> {
        let path = request.uri().path();
        let is_stream = self.streams.iter().any(|stream| stream == path);
        let bound = self.bound.filter(|_| !is_stream);
        request.map(|inner| Arriving {
            inner,
            bound,
            timer: None,
        })
    }
}

pin_project! {
    /// A body that fails when it is waited for too long.
    pub(crate) struct Arriving<B> {
        #[pin]
        inner: B,
        bound: Option<Duration>,
        // Made at the first wait, by whoever waits: a message that is here already never pays for it.
        timer: Option<Pin<Box<Sleep>>>,
    }
}

impl<B> Body for Arriving<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<tonic::codegen::StdError>,
{
    type Data = Bytes;
    type Error = tonic::codegen::StdError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.project();
        if let Poll::Ready(frame) = this.inner.poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let Some(bound) = *this.bound else {
            return Poll::Pending;
        };
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep(bound)));
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(Status::from(late()).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
