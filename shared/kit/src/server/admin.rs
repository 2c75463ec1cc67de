//! The operators' HTTP: metrics for Prometheus, and whether the process lives and serves.

use axum::{
    Router, http::StatusCode, http::header::CONTENT_TYPE, response::IntoResponse, routing::get,
};
use prometheus::{Encoder, Registry, TextEncoder};

use crate::health::Health;

/// `/metrics`, `/livez` and `/readyz`.
///
/// Ready means that the internal listener serves, which needs the own database alone. The public listener's health
/// needs the other service too, so each service would wait for the other if an orchestrator withheld both.
pub(super) fn router(registry: Registry, public: Health, internal: Health) -> Router {
    Router::new()
        .route("/metrics", get(move || async move { metrics(&registry) }))
        .route("/livez", get(|| async { "alive\n" }))
        .route(
            "/readyz",
            get(move || async move { ready(&public, &internal) }),
        )
}

fn metrics(registry: &Registry) -> impl IntoResponse + use<> {
    let mut text = Vec::new();
    match TextEncoder::new().encode(&registry.gather(), &mut text) {
        Ok(()) => Ok(([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text)),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be shown");
            Err(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

fn ready(public: &Health, internal: &Health) -> impl IntoResponse + use<> {
    let word = |health: &Health| match health.is_serving("") {
        Some(true) => "SERVING",
        _ => "NOT_SERVING",
    };
    let status = match internal.is_serving("") {
        Some(true) => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let text = format!("internal: {}\npublic: {}\n", word(internal), word(public));
    (status, text)
}
