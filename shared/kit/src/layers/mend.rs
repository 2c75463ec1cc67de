//! Gives every error that leaves the server a reason of the contract, and defects the id to report them with.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use identity_guard::status::{ErrorReason, Failure, reason_of};
use pin_project_lite::pin_project;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{arrival, wire};
use crate::context::RequestId;

/// What the library says of a message that it cannot read. It has no other way of telling these from defects.
const UNREADABLE: [&str; 6] = [
    "failed to decode Protobuf message",
    "protocol error: received message with",
    "Error decompressing:",
    "Unexpected EOF decoding stream",
    "Missing request message",
    "Content is compressed with",
];

/// What it says of a message that is too large.
const TOO_LARGE: [&str; 3] = [
    "decoded message length too large",
    "encoded message length too large",
    "exceeded while decompressing message",
];

/// What it says when the caller went away, or broke the protocol, before its message was here.
const CALLER_GONE: [&str; 1] = ["error reading a body from connection"];

/// Mends the status that headers or trailers carry.
fn mend(headers: &mut HeaderMap, id: Option<&RequestId>) {
    if matches!(wire::code(headers), None | Some(Code::Ok)) {
        return;
    }
    let Some(status) = Status::from_header_map(headers) else {
        return;
    };
    let failure = match reason_of(&status) {
        Some(ErrorReason::Internal) if status.get_details_request_info().is_none() => {
            Failure::internal()
        }
        Some(_) => return,
        None => match translate(&status) {
            Some(failure) => failure,
            None => return wire::write_cancelled(headers),
        },
    };
    let failure = match id {
        Some(id) if failure.reason() == ErrorReason::Internal => {
            failure.with_request_id(id.as_str())
        }
        _ => failure,
    };
    wire::write(headers, failure);
}

/// The failure of the contract that a foreign status stands for; `None` for a call that nobody waits for.
fn translate(status: &Status) -> Option<Failure> {
    let says = |texts: &[&str]| texts.iter().any(|text| status.message().contains(text));
    Some(match status.code() {
        _ if says(&TOO_LARGE) => Failure::new(
            ErrorReason::MessageTooLarge,
            "the message is larger than the server takes",
        ),
        // gRPC-Web's translation puts the error of the body into words of its own.
        _ if says(&[arrival::LATE]) => arrival::late(),
        Code::Internal | Code::Unimplemented if says(&UNREADABLE) => Failure::new(
            ErrorReason::MalformedMessage,
            "the message cannot be decoded",
        ),
        Code::Unimplemented => {
            Failure::new(ErrorReason::MethodNotFound, "the server has no such method")
        }
        // Reflection says so of symbols that it does not know.
        Code::NotFound => Failure::new(ErrorReason::NotFound, "no such object"),
        Code::DeadlineExceeded => passed(),
        Code::Cancelled if says(&["Timeout expired"]) => passed(),
        Code::Cancelled => return None,
        _ if says(&CALLER_GONE) => return None,
        Code::Unavailable => Failure::unavailable("a dependency", Duration::from_secs(1)),
        code => {
            tracing::error!(?code, "a status without a reason of the contract");
            Failure::internal()
        }
    })
}

/// The failure of a call whose time is over.
pub(super) fn passed() -> Failure {
    Failure::new(
        ErrorReason::DeadlinePassed,
        "the deadline passed before the call was done",
    )
}

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
{
    type Response = Response<Body<B>>;
    type Error = Infallible;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        ResponseFuture {
            id: request.extensions().get().cloned(),
            inner: self.inner.call(request),
        }
    }
}

pin_project! {
    pub(crate) struct ResponseFuture<F> {
        #[pin]
        inner: F,
        id: Option<RequestId>,
    }
}

impl<F, B> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
{
    type Output = Result<Response<Body<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut answer = ready!(this.inner.poll(cx))?;
        mend(answer.headers_mut(), this.id.as_ref());
        let id = this.id.take();
        Poll::Ready(Ok(answer.map(|inner| Body { inner, id })))
    }
}

pin_project! {
    /// A body whose trailers are mended.
    pub(crate) struct Body<B> {
        #[pin]
        inner: B,
        id: Option<RequestId>,
    }
}

impl<B: http_body::Body<Data = Bytes>> http_body::Body for Body<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let mut frame = ready!(this.inner.poll_frame(cx));
        if let Some(Ok(frame)) = &mut frame
            && let Some(trailers) = frame.trailers_mut()
        {
            mend(trailers, this.id.as_ref());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mended(status: &Status) -> Status {
        let mut headers = HeaderMap::new();
        status.add_header(&mut headers).expect("fits into headers");
        let id = RequestId::new(http::HeaderValue::from_static("q1"));
        mend(&mut headers, Some(&id));
        Status::from_header_map(&headers).expect("has a status")
    }

    #[test]
    fn foreign_statuses_get_the_reasons_of_the_contract() {
        let limit = "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes";
        for (status, code, reason) in [
            (
                Status::internal("failed to decode Protobuf message: invalid tag value: 0"),
                Code::InvalidArgument,
                ErrorReason::MalformedMessage,
            ),
            (
                Status::out_of_range(limit),
                Code::ResourceExhausted,
                ErrorReason::MessageTooLarge,
            ),
            (
                Status::unimplemented(""),
                Code::Unimplemented,
                ErrorReason::MethodNotFound,
            ),
            (
                Status::cancelled("Timeout expired"),
                Code::DeadlineExceeded,
                ErrorReason::DeadlinePassed,
            ),
            (
                Status::permission_denied("by somebody else"),
                Code::Internal,
                ErrorReason::Internal,
            ),
        ] {
            let mended = mended(&status);
            assert_eq!(mended.code(), code);
            assert_eq!(reason_of(&mended), Some(reason));
        }
    }

    #[test]
    fn a_defect_tells_nothing_but_the_request_id() {
        for defect in [
            Status::unknown("password of ada is hunter2"),
            Failure::internal().into(),
        ] {
            let mended = mended(&defect);
            assert_eq!(mended.message(), Failure::internal().message());
            let info = mended.get_details_request_info().expect("names the call");
            assert_eq!(info.request_id, "q1");
        }
    }

    #[test]
    fn a_caller_who_left_is_no_defect() {
        for left in [
            Status::unknown("h2 protocol error: error reading a body from connection"),
            Status::internal("h2 protocol error: error reading a body from connection"),
            Status::cancelled("operation was canceled"),
        ] {
            let mended = mended(&left);
            assert_eq!(mended.code(), Code::Cancelled);
            assert_eq!(mended.message(), "");
            assert_eq!(reason_of(&mended), None);
        }
    }

    #[test]
    fn our_own_failures_pass_unchanged() {
        let ours = Status::from(Failure::permission_required("users.read"));
        let mended = mended(&ours);
        assert_eq!(mended.details(), ours.details());
        assert_eq!(mended.message(), ours.message());
    }
}
