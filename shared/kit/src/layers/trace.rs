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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::{
        error::OTelSdkResult,
        propagation::TraceContextPropagator,
        trace::{SdkTracerProvider, SpanData, SpanExporter},
    };
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Debug, Clone, Default)]
    struct Kept(Arc<Mutex<Vec<SpanData>>>);

    impl SpanExporter for Kept {
        async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().expect("not poisoned").append(&mut batch);
            Ok(())
        }
    }

    fn request() -> Request<()> {
        Request::builder()
            .uri("/identity.auth.v1.AuthService/Login")
            .header("content-type", "application/grpc")
            .header(
                "traceparent",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            )
            .body(())
            .expect("a request")
    }

    #[tokio::test]
    async fn a_span_joins_the_callers_trace_and_says_how_the_call_ended() {
        global::set_text_map_propagator(TraceContextPropagator::new());
        let kept = Kept::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(kept.clone())
            .build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let subscriber = tracing_subscriber::registry().with(layer);
        let methods = Arc::new(Methods::new(&prometheus::Registry::new()).expect("registers"));
        tracing::subscriber::with_default(subscriber, || {
            let mut call = Call::begin(&methods, &request());
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", http::HeaderValue::from_static("14"));
            call.see(&trailers);
        });
        let spans = kept.0.lock().expect("not poisoned").clone();
        let [span] = spans.as_slice() else {
            panic!("expected one span, got {spans:?}")
        };
        assert_eq!(span.name, "identity.auth.v1.AuthService/Login");
        assert_eq!(span.span_kind, opentelemetry::trace::SpanKind::Server);
        assert_eq!(span.parent_span_id.to_string(), "b7ad6b7169203331");
        let trace = span.span_context.trace_id().to_string();
        assert_eq!(trace, "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(span.status, SpanStatus::error("UNAVAILABLE"));
        let attribute = |key: &str| {
            let found = span.attributes.iter().find(|one| one.key.as_str() == key);
            found.map(|one| one.value.to_string())
        };
        assert_eq!(attribute("rpc.system.name").as_deref(), Some("grpc"));
        assert_eq!(
            attribute("rpc.response.status_code").as_deref(),
            Some("UNAVAILABLE")
        );
        assert_eq!(attribute("error.type").as_deref(), Some("UNAVAILABLE"));
    }
}
