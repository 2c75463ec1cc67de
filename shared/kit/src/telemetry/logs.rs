//! The log: its form and what of it is shown.

use tracing::Subscriber;
use tracing_subscriber::{
    Layer,
    filter::Targets,
    fmt::{self, MakeWriter},
    registry::LookupSpan,
};

use super::TelemetryError;
use crate::config::LogFormat;

/// The variable that filters.
const VARIABLE: &str = "RUST_LOG";

/// What is shown unless `RUST_LOG` says otherwise. The database drivers repeat every notice of the server at INFO.
const DEFAULT_FILTER: &str =
    "info,sqlx=warn,sqlx::postgres::notice=warn,h2=warn,hyper=warn,tonic=warn,opentelemetry=warn";

/// The filter of log and spans: levels and `target=level`, with commas between.
///
/// Filters by the fields of spans would bring three engines for regular expressions with them.
#[expect(clippy::disallowed_methods, reason = "the standard RUST_LOG")]
pub(super) fn filter() -> Result<Targets, TelemetryError> {
    let directives = std::env::var(VARIABLE).unwrap_or_default();
    parse(if directives.is_empty() {
        DEFAULT_FILTER
    } else {
        &directives
    })
}

fn parse(directives: &str) -> Result<Targets, TelemetryError> {
    directives
        .parse()
        .map_err(|error| TelemetryError::Variable {
            name: VARIABLE,
            value: directives.to_owned(),
            fix: format!("use levels and target=level, with commas between: {error}"),
        })
}

/// Log lines in a form, with the fields of the spans around them: request id and trace id.
pub(super) fn layer<S, W>(format: LogFormat, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    match format {
        LogFormat::Human => {
            use std::io::IsTerminal;
            fmt::layer()
                .with_ansi(std::io::stderr().is_terminal())
                .with_writer(writer)
                .boxed()
        }
        LogFormat::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .with_writer(writer)
            .boxed(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::Level;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn the_drivers_are_quieter_than_the_services_by_default() {
        let filter = parse(DEFAULT_FILTER).expect("is good");
        assert!(filter.would_enable("user_service::app", &Level::INFO));
        assert!(!filter.would_enable("user_service::app", &Level::DEBUG));
        assert!(filter.would_enable("sqlx::query", &Level::WARN));
        assert!(!filter.would_enable("sqlx::query", &Level::INFO));
    }

    #[test]
    fn a_filter_that_cannot_be_followed_is_an_error_that_names_it() {
        let error = parse("identity_kit=loud").expect_err("is no level");
        assert!(
            error.to_string().contains("RUST_LOG=identity_kit=loud"),
            "{error}"
        );
    }

    #[test]
    fn a_json_line_names_request_and_trace() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&written);
        let writer = move || Sink(Arc::clone(&sink));
        let subscriber = tracing_subscriber::registry().with(layer(LogFormat::Json, writer));
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("rpc", request_id = "q1", trace_id = "t1");
            span.in_scope(|| tracing::info!(count = 3, "done"));
        });
        let line = written.lock().expect("not poisoned").clone();
        let line: serde_json::Value = serde_json::from_slice(&line).expect("is JSON");
        assert_eq!(line["message"], "done");
        assert_eq!(line["count"], 3);
        assert_eq!(line["span"]["request_id"], "q1");
        assert_eq!(line["span"]["trace_id"], "t1");
    }

    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0
                .lock()
                .expect("not poisoned")
                .extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
}
