//! A collector of OTLP that keeps what it is sent.

use std::{
    collections::BTreeSet,
    fmt::Write,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use opentelemetry_proto::tonic::{
    collector::{
        metrics::v1::{
            ExportMetricsServiceRequest, ExportMetricsServiceResponse,
            metrics_service_server::{MetricsService, MetricsServiceServer},
        },
        trace::v1::{
            ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_server::{TraceService, TraceServiceServer},
        },
    },
    common::v1::any_value::Value,
    resource::v1::Resource,
};
use tokio::{net::TcpListener, task::AbortHandle};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

/// A span, as far as the place in its trace goes.
#[derive(Clone, Debug)]
pub(super) struct Span {
    /// The `service.name` of who sent it.
    pub(super) service: String,
    pub(super) name: String,
    pub(super) id: String,
    pub(super) parent: String,
    trace: String,
}

/// A running collector. Dropping it ends it.
pub(super) struct Collector {
    address: SocketAddr,
    heard: Heard,
    server: AbortHandle,
}

/// What was sent.
#[derive(Clone, Default)]
struct Heard {
    spans: Arc<Mutex<Vec<Span>>>,
    measured: Arc<Mutex<BTreeSet<String>>>,
}

impl Collector {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Heard::default();
        let server = Server::builder()
            .add_service(TraceServiceServer::new(heard.clone()))
            .add_service(MetricsServiceServer::new(heard.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        Self {
            address,
            heard,
            server: tokio::spawn(server).abort_handle(),
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The spans of a trace so far.
    pub(super) fn spans_of(&self, trace: &str) -> Vec<Span> {
        let spans = self.heard.spans.lock().unwrap();
        let of_trace = spans.iter().filter(|span| span.trace == trace);
        of_trace.cloned().collect()
    }

    /// Who has sent figures about its calls so far.
    pub(super) fn measured(&self) -> BTreeSet<String> {
        self.heard.measured.lock().unwrap().clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[tonic::async_trait]
impl TraceService for Heard {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut heard = self.spans.lock().unwrap();
        for sent in request.into_inner().resource_spans {
            let service = name_of(sent.resource.as_ref());
            for span in sent.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                heard.push(Span {
                    service: service.clone(),
                    name: span.name,
                    id: hex(&span.span_id),
                    parent: hex(&span.parent_span_id),
                    trace: hex(&span.trace_id),
                });
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Heard {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        for sent in request.into_inner().resource_metrics {
            let mut metrics = sent.scope_metrics.iter().flat_map(|scope| &scope.metrics);
            if metrics.any(|metric| metric.name == "rpc.server.call.duration") {
                let service = name_of(sent.resource.as_ref());
                self.measured.lock().unwrap().insert(service);
            }
        }
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

fn name_of(resource: Option<&Resource>) -> String {
    let attributes = resource.map(|resource| resource.attributes.as_slice());
    let name = attributes
        .unwrap_or_default()
        .iter()
        .find(|attribute| attribute.key == "service.name")
        .and_then(|attribute| attribute.value.as_ref()?.value.as_ref());
    match name {
        Some(Value::StringValue(name)) => name.clone(),
        other => panic!("no name: {other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
