//! Logs, traces and metrics of a program.

mod logs;
mod otel;
mod panics;

use std::{io, time::Duration};

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::{metrics::SdkMeterProvider, trace::SdkTracerProvider};
use prometheus::Registry;
use tracing_subscriber::{layer::SubscriberExt, util::SubscriberInitExt};

use crate::{config::TelemetryArgs, server::install_crypto};
pub use otel::TelemetryError;

/// How long the last spans and figures may take on their way out.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);

/// The telemetry of this process. Call [`shutdown`](Self::shutdown) last, or what was not yet sent is lost.
#[derive(Debug)]
#[must_use = "what was not yet sent is lost unless `shutdown` is called"]
pub struct Telemetry {
    registry: Registry,
    traces: Option<SdkTracerProvider>,
    metrics: Option<SdkMeterProvider>,
}

/// Begins logging, and sends traces and metrics where the `OTEL_*` variables say.
///
/// - `RUST_LOG` filters the log: `info,identity_kit=debug`.
/// - `OTEL_EXPORTER_OTLP_ENDPOINT`, or the one for traces or metrics alone, switches the sending on.
/// - `OTEL_SDK_DISABLED`, `OTEL_TRACES_EXPORTER`, `OTEL_METRICS_EXPORTER` and `OTEL_PROPAGATORS` are honoured, and so
///   is whatever else OpenTelemetry's libraries read: service name, resource attributes, sampler, headers, intervals.
///
/// # Errors
/// A variable with a value that this program cannot follow, and a second call in one process.
///
/// # Panics
/// Outside of a tokio runtime.
#[expect(clippy::disallowed_methods, reason = "the standard OTEL_* variables")]
pub fn init(args: &TelemetryArgs, service: &'static str) -> Result<Telemetry, TelemetryError> {
    install_crypto();
    let settings = otel::Settings::read(|name| std::env::var(name).ok())?;
    settings.propagate();
    let registry = Registry::new();
    let traces = settings.tracer_provider(service)?;
    let metrics = settings.meter_provider(service, &registry)?;
    if let Some(provider) = &metrics {
        opentelemetry::global::set_meter_provider(provider.clone());
    }
    let spans = traces
        .as_ref()
        .map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer(service)));
    let log = logs::layer(args.log_format, io::stderr);
    tracing_subscriber::registry()
        .with(logs::filter()?)
        .with(spans)
        .with(log)
        .try_init()
        .map_err(|_| TelemetryError::Twice)?;
    panics::log_panics();
    Ok(Telemetry {
        registry,
        traces,
        metrics,
    })
}

impl Telemetry {
    /// The metrics of this process, for `/metrics`. Those of [`opentelemetry::global::meter`] are among them.
    #[must_use]
    pub fn registry(&self) -> Registry {
        self.registry.clone()
    }

    /// Sends what was not yet sent, within three seconds.
    pub async fn shutdown(self) {
        let flush = tokio::task::spawn_blocking(move || {
            if let Some(Err(error)) = self.traces.map(|p| p.shutdown_with_timeout(FLUSH_TIMEOUT)) {
                tracing::warn!(%error, "the last spans were lost");
            }
            if let Some(Err(error)) = self.metrics.map(|p| p.shutdown_with_timeout(FLUSH_TIMEOUT)) {
                tracing::warn!(%error, "the last figures were lost");
            }
        });
        if tokio::time::timeout(FLUSH_TIMEOUT, flush).await.is_err() {
            tracing::warn!("the last telemetry took too long");
        }
    }
}
