//! Traces and metrics for OpenTelemetry, as far as its standard variables ask for them.

use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator};
use opentelemetry_otlp::{ExporterBuildError, MetricExporter, SpanExporter};
use opentelemetry_sdk::{
    Resource,
    metrics::SdkMeterProvider,
    propagation::{BaggagePropagator, TraceContextPropagator},
    trace::SdkTracerProvider,
};
use prometheus::Registry;

/// Why telemetry cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// A variable of the environment has a value that cannot be followed.
    #[error("{name}={value} cannot be followed; {fix}")]
    Variable {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// What to do about it.
        fix: String,
    },
    /// The exporter refuses its configuration.
    #[error("the OTLP exporter cannot be made: {0}; see the OTEL_EXPORTER_OTLP_* variables")]
    Exporter(#[from] ExporterBuildError),
    /// The metrics cannot be shown to Prometheus.
    #[error("the metrics cannot be registered: {0}")]
    Prometheus(String),
    /// The process logs already.
    #[error("telemetry was begun twice in one process")]
    Twice,
}

/// What the variables ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    traces: bool,
    metrics: bool,
    disabled: bool,
    /// The operator's name for this program.
    name: Option<String>,
    propagators: Vec<String>,
}

impl Settings {
    /// Reads the variables that the libraries leave to the program.
    pub(super) fn read(
        variable: impl Fn(&'static str) -> Option<String>,
    ) -> Result<Self, TelemetryError> {
        let get = |name| variable(name).filter(|value| !value.is_empty());
        let list = |name, default: &str, known: &[&str]| {
            let value = get(name).unwrap_or_else(|| default.to_owned());
            let words: Vec<String> = value
                .split(',')
                .map(|word| word.trim().to_owned())
                .collect();
            if words.iter().all(|word| known.contains(&word.as_str())) {
                return Ok(words);
            }
            let fix = format!("use {}", known.join(", "));
            Err(TelemetryError::Variable { name, value, fix })
        };
        let exporters = ["otlp", "none"];
        let traces = list("OTEL_TRACES_EXPORTER", "otlp", &exporters)?;
        // The pull endpoint on the operators' listener is there in any case, so asking for it changes nothing.
        let metrics = list(
            "OTEL_METRICS_EXPORTER",
            "otlp",
            &["otlp", "prometheus", "none"],
        )?;
        let propagators = list(
            "OTEL_PROPAGATORS",
            "tracecontext,baggage",
            &["tracecontext", "baggage", "none"],
        )?;
        let disabled = get("OTEL_SDK_DISABLED").is_some_and(|on| on.eq_ignore_ascii_case("true"));
        let endpoint =
            |signal| get("OTEL_EXPORTER_OTLP_ENDPOINT").is_some() || get(signal).is_some();
        let has = |words: &[String], word: &str| words.iter().any(|one| one == word);
        Ok(Self {
            traces: !disabled
                && has(&traces, "otlp")
                && endpoint("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
            metrics: !disabled
                && has(&metrics, "otlp")
                && endpoint("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"),
            disabled,
            name: get("OTEL_SERVICE_NAME"),
            propagators,
        })
    }

    /// Reads and writes the context of traces in the metadata of calls from now on.
    pub(super) fn propagate(&self) {
        let propagators = self
            .propagators
            .iter()
            .filter_map(|name| -> Option<Box<dyn TextMapPropagator + Send + Sync>> {
                match name.as_str() {
                    "tracecontext" => Some(Box::new(TraceContextPropagator::new())),
                    "baggage" => Some(Box::new(BaggagePropagator::new())),
                    _ => None,
                }
            })
            .collect();
        opentelemetry::global::set_text_map_propagator(TextMapCompositePropagator::new(
            propagators,
        ));
    }

    /// What sends spans; `None` where nobody asked for them.
    pub(super) fn tracer_provider(
        &self,
        service: &'static str,
    ) -> Result<Option<SdkTracerProvider>, TelemetryError> {
        if !self.traces {
            return Ok(None);
        }
        let exporter = SpanExporter::builder().with_tonic().build()?;
        let provider = SdkTracerProvider::builder()
            .with_resource(self.resource(service))
            .with_batch_exporter(exporter)
            .build();
        Ok(Some(provider))
    }

    /// What shows metrics to Prometheus, and sends them where somebody asked for that.
    pub(super) fn meter_provider(
        &self,
        service: &'static str,
        registry: &Registry,
    ) -> Result<Option<SdkMeterProvider>, TelemetryError> {
        if self.disabled {
            return Ok(None);
        }
        let pulled = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .build()
            .map_err(|error| TelemetryError::Prometheus(error.to_string()))?;
        let mut provider = SdkMeterProvider::builder()
            .with_resource(self.resource(service))
            .with_reader(pulled);
        if self.metrics {
            let exporter = MetricExporter::builder().with_tonic().build()?;
            provider = provider.with_periodic_exporter(exporter);
        }
        Ok(Some(provider.build()))
    }

    /// Who tells all this.
    fn resource(&self, service: &'static str) -> Resource {
        let name = self.name.clone().unwrap_or_else(|| service.to_owned());
        Resource::builder().with_service_name(name).build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, TelemetryError> {
        Settings::read(|name| {
            let found = variables.iter().find(|(known, _)| *known == name)?;
            Some(found.1.to_owned())
        })
    }

    #[test]
    fn nothing_is_sent_without_an_endpoint() {
        let settings = read(&[]).expect("no variable is good");
        assert!(!settings.traces && !settings.metrics);
        assert_eq!(settings.propagators, ["tracecontext", "baggage"]);
    }

    #[test]
    fn an_endpoint_sends_and_the_switches_stop_it() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317");
        let both = read(&[endpoint]).expect("good");
        assert!(both.traces && both.metrics);
        let metrics = read(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]).expect("good");
        assert!(!metrics.traces && metrics.metrics);
        let traces = read(&[endpoint, ("OTEL_METRICS_EXPORTER", "prometheus")]).expect("good");
        assert!(traces.traces && !traces.metrics);
        let neither = read(&[endpoint, ("OTEL_SDK_DISABLED", "TRUE")]).expect("good");
        assert!(!neither.traces && !neither.metrics);
        let alone = (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "http://collector:4317",
        );
        let traces = read(&[alone]).expect("good");
        assert!(traces.traces && !traces.metrics);
    }

    #[test]
    fn what_cannot_be_followed_is_an_error_that_names_it() {
        let error = read(&[("OTEL_TRACES_EXPORTER", "zipkin")]).expect_err("is not known");
        let text = error.to_string();
        assert!(text.contains("OTEL_TRACES_EXPORTER=zipkin"), "{text}");
        assert!(read(&[("OTEL_PROPAGATORS", "b3")]).is_err());
        let none = read(&[("OTEL_PROPAGATORS", "none")]).expect("good");
        assert_eq!(none.propagators, ["none"]);
    }
}
