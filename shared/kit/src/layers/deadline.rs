//! Ends a call when its time is over, and says so with the code that the contract names.

use std::{
    collections::HashSet,
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use identity_guard::status::Failure;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;

use super::{mend::passed, wire};

/// The metadata key of the time that a caller gives.
const HEADER: &str = "grpc-timeout";

/// How long calls may take.
pub(super) struct Times {
    /// When the caller does not say, or says more.
    pub(super) longest: Duration,
    /// Methods that take as long as the caller listens.
    pub(super) endless: HashSet<&'static str>,
}

impl Times {
    /// When a call that arrives now must be done.
    fn of<B>(&self, request: &Request<B>) -> Result<Option<Instant>, Malformed> {
        let asked = timeout(request.headers())?;
        let allowed = (!self.endless.contains(request.uri().path())).then_some(self.longest);
        let time = asked.into_iter().chain(allowed).min();
        Ok(time.and_then(|time| Instant::now().checked_add(time)))
    }
}

/// A `grpc-timeout` that is none.
#[derive(Debug, PartialEq, Eq)]
struct Malformed;

/// Reads `grpc-timeout`: at most eight digits and a unit, once.
fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Malformed> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Malformed);
    }
    parse(value).map(Some)
}

fn parse(value: &HeaderValue) -> Result<Duration, Malformed> {
    let (unit, digits) = value.as_bytes().split_last().ok_or(Malformed)?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Malformed);
    }
    let amount = digits.iter().fold(0, |amount: u64, digit| {
        amount * 10 + u64::from(digit - b'0')
    });
    match unit {
        b'H' => Ok(Duration::from_secs(amount * 3600)),
        b'M' => Ok(Duration::from_secs(amount * 60)),
        b'S' => Ok(Duration::from_secs(amount)),
        b'm' => Ok(Duration::from_millis(amount)),
        b'u' => Ok(Duration::from_micros(amount)),
        b'n' => Ok(Duration::from_nanos(amount)),
        _ => Err(Malformed),
    }
}

/// When a call must be done; an extension of its request.
#[derive(Clone, Copy)]
pub(super) struct Deadline(pub(super) Instant);

#[derive(Clone)]
pub(crate) struct Service<S> {
    inner: S,
    times: Arc<Times>,
}

impl<S> Service<S> {
    pub(super) fn new(inner: S, times: Arc<Times>) -> Self {
        Self { inner, times }
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

    fn call(&mut self, mut request: Request<Q>) -> Self::Future {
        let grpc = wire::is_grpc(&request);
        let Ok(deadline) = self.times.of(&request) else {
            return ResponseFuture::Refused { grpc };
        };
        if let Some(deadline) = deadline {
            request.extensions_mut().insert(Deadline(deadline));
        }
        ResponseFuture::Served {
            inner: self.inner.call(request),
            timer: deadline.map(sleep_until),
            deadline,
            grpc,
        }
    }
}

pin_project! {
    #[project = Projected]
    pub(crate) enum ResponseFuture<F> {
        Served {
            #[pin]
            inner: F,
            #[pin]
            timer: Option<Sleep>,
            deadline: Option<Instant>,
            grpc: bool,
        },
        Refused { grpc: bool },
    }
}

impl<F, B> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
    B: Default,
{
    type Output = Result<Response<Body<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            Projected::Served {
                inner,
                timer,
                deadline,
                grpc,
            } => {
                // The timer registers itself at its first poll: a call that never waits never pays for it.
                if let Poll::Ready(answer) = inner.poll(cx) {
                    let deadline = deadline.filter(|_| *grpc);
                    return Poll::Ready(answer.map(|answer| Body::wrap(answer, deadline)));
                }
                if let Some(timer) = timer.as_pin_mut()
                    && timer.poll(cx).is_ready()
                {
                    return Poll::Ready(Ok(Body::wrap(late(*grpc), None)));
                }
                Poll::Pending
            }
            Projected::Refused { grpc } => Poll::Ready(Ok(Body::wrap(malformed(*grpc), None))),
        }
    }
}

fn late<B: Default>(grpc: bool) -> Response<B> {
    if grpc {
        return wire::refusal(passed());
    }
    let mut answer = Response::new(B::default());
    *answer.status_mut() = StatusCode::GATEWAY_TIMEOUT;
    answer
}

fn malformed<B: Default>(grpc: bool) -> Response<B> {
    if grpc {
        return wire::refusal(Failure::invalid_fields([(
            HEADER,
            "must be one to eight digits and a unit of H, M, S, m, u, n",
        )]));
    }
    let mut answer = Response::new(B::default());
    *answer.status_mut() = StatusCode::BAD_REQUEST;
    answer
}

pin_project! {
    /// A stream of answers that ends with the deadline.
    #[derive(Default)]
    pub(crate) struct Body<B> {
        #[pin]
        inner: B,
        deadline: Option<Instant>,
        timer: Option<Pin<Box<Sleep>>>,
        over: bool,
    }
}

impl<B> Body<B> {
    fn wrap(answer: Response<B>, deadline: Option<Instant>) -> Response<Self> {
        answer.map(|inner| Self {
            inner,
            deadline,
            timer: None,
            over: false,
        })
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
        if let Poll::Ready(frame) = this.inner.poll_frame(cx) {
            return Poll::Ready(frame);
        }
        let Some(deadline) = *this.deadline else {
            return Poll::Pending;
        };
        let timer = this
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        *this.over = true;
        Poll::Ready(Some(Ok(Frame::trailers(wire::trailers(passed())))))
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Result<Duration, Malformed> {
        parse(&HeaderValue::from_static(text))
    }

    #[test]
    fn a_timeout_is_digits_and_a_unit() {
        assert_eq!(read("1H"), Ok(Duration::from_hours(1)));
        assert_eq!(read("2M"), Ok(Duration::from_mins(2)));
        assert_eq!(read("3S"), Ok(Duration::from_secs(3)));
        assert_eq!(read("99999999m"), Ok(Duration::from_millis(99_999_999)));
        assert_eq!(read("5u"), Ok(Duration::from_micros(5)));
        assert_eq!(read("0n"), Ok(Duration::ZERO));
        for bad in [
            "",
            "S",
            "1",
            "1s",
            "-1S",
            "+1S",
            "1.5S",
            " 1S",
            "123456789S",
        ] {
            assert_eq!(read(bad), Err(Malformed), "{bad:?}");
        }
    }

    #[test]
    fn two_timeouts_are_none() {
        let mut headers = HeaderMap::new();
        headers.append(HEADER, HeaderValue::from_static("1S"));
        headers.append(HEADER, HeaderValue::from_static("2S"));
        assert_eq!(timeout(&headers), Err(Malformed));
    }
}
