//! Gives every call an id, the caller's own where it has a good one, and tells it with the answer.

use std::{
    convert::Infallible,
    future::Future,
    hash::{BuildHasher, Hasher, RandomState},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use http::{HeaderName, HeaderValue, Request, Response};
use pin_project_lite::pin_project;

use crate::context::RequestId;

/// The metadata key of request ids.
const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is taken from a caller.
const MAX_LENGTH: usize = 64;

/// Makes ids that differ between calls, restarts and replicas. They are names, not secrets.
pub(super) struct RequestIds {
    process: u64,
    next: AtomicU64,
}

impl RequestIds {
    pub(super) fn new() -> Self {
        Self {
            process: RandomState::new().build_hasher().finish(),
            next: AtomicU64::new(0),
        }
    }

    fn make(&self) -> RequestId {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        let text = format!("{:016x}-{count:x}", self.process);
        RequestId::new(HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("none")))
    }

    fn of<B>(&self, request: &Request<B>) -> RequestId {
        match request.headers().get(HEADER) {
            Some(id) if is_good(id.as_bytes()) => RequestId::new(id.clone()),
            _ => self.make(),
        }
    }
}

/// Whether an id of the caller's can stand in logs and answers.
fn is_good(id: &[u8]) -> bool {
    (1..=MAX_LENGTH).contains(&id.len())
        && id
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
}

#[derive(Clone)]
pub(crate) struct Service<S> {
    inner: S,
    ids: Arc<RequestIds>,
}

impl<S> Service<S> {
    pub(super) fn new(inner: S, ids: Arc<RequestIds>) -> Self {
        Self { inner, ids }
    }
}

impl<S, Q, B> tower::Service<Request<Q>> for Service<S>
where
    S: tower::Service<Request<Q>, Response = Response<B>, Error = Infallible>,
{
    type Response = Response<B>;
    type Error = Infallible;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Q>) -> Self::Future {
        let id = self.ids.of(&request);
        request.extensions_mut().insert(id.clone());
        ResponseFuture {
            inner: self.inner.call(request),
            id,
        }
    }
}

pin_project! {
    pub(crate) struct ResponseFuture<F> {
        #[pin]
        inner: F,
        id: RequestId,
    }
}

impl<F, B> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut answer = ready!(this.inner.poll(cx))?;
        answer
            .headers_mut()
            .insert(HEADER, this.id.header().clone());
        Poll::Ready(Ok(answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_plain_ids_are_taken_from_callers() {
        assert!(is_good(b"a.B_9-z"));
        assert!(is_good(&[b'a'; 64]));
        for bad in [&b""[..], &[b'a'; 65], b"a b", b"a\"b", "ä".as_bytes()] {
            assert!(!is_good(bad), "{bad:?}");
        }
    }

    #[test]
    fn made_ids_are_good_and_differ() {
        let ids = RequestIds::new();
        let (first, second) = (ids.make(), ids.make());
        assert_ne!(first.as_str(), second.as_str());
        assert!(is_good(first.as_str().as_bytes()));
    }
}
