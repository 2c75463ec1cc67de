//! What the channel adds to a call's metadata: the deadline, the trace and the service key.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::Injector;
use tracing_opentelemetry::OpenTelemetrySpanExt;

pub(super) const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The most that `grpc-timeout` can hold: eight digits.
const MAX_DIGITS: u128 = 99_999_999;

/// A time left, in the finest unit that it fits into.
pub(super) fn timeout_value(left: Duration) -> HeaderValue {
    let text = if left.as_micros() <= MAX_DIGITS {
        format!("{}u", left.as_micros())
    } else if left.as_millis() <= MAX_DIGITS {
        format!("{}m", left.as_millis())
    } else {
        format!("{}S", u128::from(left.as_secs()).min(MAX_DIGITS))
    };
    // Digits and a letter are always a header value.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("0u"))
}

/// The time left that a call's own metadata asks for.
pub(super) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

/// Writes the trace context of the current span, in the format that the process has chosen (W3C in our services).
pub(super) fn inject_trace(headers: &mut HeaderMap) {
    let context = tracing::Span::current().context();
    opentelemetry::global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&context, &mut Headers(headers));
    });
}

struct Headers<'h>(&'h mut HeaderMap);

impl Injector for Headers<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SdkTracerProvider};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn the_current_span_is_carried_on_as_traceparent() {
        opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
        let tracer = SdkTracerProvider::builder().build().tracer("test");
        let layer = tracing_opentelemetry::layer().with_tracer(tracer);
        let mut headers = HeaderMap::new();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info_span!("call").in_scope(|| inject_trace(&mut headers));
        });
        let value = headers["traceparent"].to_str().expect("text");
        assert!(value.starts_with("00-") && value.len() == 55, "{value}");
    }

    #[test]
    fn a_timeout_reads_back_and_never_grows() {
        for left in [
            Duration::ZERO,
            Duration::from_nanos(1_500),
            Duration::from_millis(1_234),
            Duration::from_secs(90),
            Duration::from_secs(500),
            Duration::from_secs(10_000_000),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(TIMEOUT, timeout_value(left));
            let read = timeout(&headers).expect("readable");
            assert!(
                read <= left && read + Duration::from_secs(1) > left,
                "{left:?}"
            );
        }
    }

    #[test]
    fn an_unreadable_timeout_is_none() {
        for text in ["", "S", "12", "123456789m", "1x", "-1S"] {
            let mut headers = HeaderMap::new();
            headers.insert(TIMEOUT, HeaderValue::try_from(text).expect("header"));
            assert_eq!(timeout(&headers), None, "{text:?}");
        }
    }
}
