//! A span and the metrics of every call, after OpenTelemetry's conventions for RPCs.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use opentelemetry::{
    global,
    propagation::Extractor,
    trace::{Status as SpanStatus, TraceContextExt},
};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tonic::Code;
use tracing::{Span, field::Empty, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::{
    method::{Methods, code_name, is_server_error},
    wire,
};
use crate::context::RequestId;

#[derive(Clone)]
pub(crate) struct Service<S> {
    inner: S,
    methods: Arc<Methods>,
}

impl<S> Service<S> {
    pub(super) fn new(inner: S, methods: Arc<Methods>) -> Self {
        Self { inner, methods }
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
        let call = Call::begin(&self.methods, &request);
        let inner = call.span.in_scope(|| self.inner.call(request));
        ResponseFuture {
            inner,
            call: Some(call),
        }
    }
}

/// A call under way; its end is counted when it is dropped.
struct Call {
    span: Span,
    /// Absent for plain HTTP.
    rpc: Option<Rpc>,
}

struct Rpc {
    methods: Arc<Methods>,
    number: usize,
    started: Instant,
    /// Absent until the status was seen: a call that is dropped before was cancelled.
    code: Option<Code>,
}

impl Call {
    fn begin<Q>(methods: &Arc<Methods>, request: &Request<Q>) -> Self {
        let id = request.extensions().get().map_or("", RequestId::as_str);
        if !wire::is_grpc(request) {
            return Self {
                span: info_span!("http", otel.kind = "server", request_id = id),
                rpc: None,
            };
        }
        let number = methods.find(request.uri().path());
        methods.start(number);
        let name = methods.get(number).name.as_str();
        let span = info_span!(
            "rpc",
            otel.name = name,
            otel.kind = "server",
            request_id = id,
            trace_id = Empty,
        );
        if !span.is_disabled() {
            join_trace(&span, request.headers());
            span.set_attribute("rpc.system.name", "grpc");
            span.set_attribute("rpc.method", name.to_owned());
        }
        Self {
            span,
            rpc: Some(Rpc {
                methods: Arc::clone(methods),
                number,
                started: Instant::now(),
                code: None,
            }),
        }
    }

    fn see(&mut self, headers: &HeaderMap) {
        if let Some(rpc) = &mut self.rpc
            && let Some(code) = wire::code(headers)
        {
            rpc.code = Some(code);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let Some(rpc) = &self.rpc else { return };
        let code = rpc.code.unwrap_or(Code::Cancelled);
        rpc.methods.end(rpc.number, code, rpc.started.elapsed());
        if self.span.is_disabled() {
            return;
        }
        self.span
            .set_attribute("rpc.response.status_code", code_name(code));
        if is_server_error(code) {
            self.span.set_attribute("error.type", code_name(code));
            self.span.set_status(SpanStatus::error(code_name(code)));
        }
    }
}

/// Makes the span a part of the caller's trace, and names the trace in the log.
fn join_trace(span: &Span, headers: &HeaderMap) {
    let caller =
        global::get_text_map_propagator(|propagator| propagator.extract(&Headers(headers)));
    let mut trace = caller.span().span_context().trace_id();
    // Without an exporter there is no span to join, and the caller's trace is still worth a name in the log.
    if span.set_parent(caller).is_ok() {
        trace = span.context().span().span_context().trace_id();
    }
    if trace != opentelemetry::TraceId::INVALID {
        span.record("trace_id", tracing::field::display(trace));
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

pin_project! {
    pub(crate) struct ResponseFuture<F> {
        #[pin]
        inner: F,
        call: Option<Call>,
    }
}

impl<F, B> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
{
    type Output = Result<Response<Body<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let entered = this.call.as_ref().map(|call| call.span.enter());
        let answer = ready!(this.inner.poll(cx))?;
        drop(entered);
        let mut call = this.call.take();
        if let Some(call) = &mut call {
            call.see(answer.headers());
        }
        Poll::Ready(Ok(answer.map(|inner| Body { inner, call })))
    }
}

pin_project! {
    /// A body at whose end the call ends.
    pub(crate) struct Body<B> {
        #[pin]
        inner: B,
        call: Option<Call>,
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
        let entered = this.call.as_ref().map(|call| call.span.enter());
        let frame = ready!(this.inner.poll_frame(cx));
        drop(entered);
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(trailers), Some(call)) = (frame.trailers_ref(), this.call.as_mut()) {
                    call.see(trailers);
                }
            }
            Some(Err(_)) | None => drop(this.call.take()),
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
