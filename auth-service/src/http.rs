//! The public documents over HTTP: the key set and the metadata of this issuer.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::header::CACHE_CONTROL,
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};

use crate::authority::Authority;

/// How long verifiers may keep a document: short, so that a new key spreads fast.
const CACHE: &str = "public, max-age=60";

/// The routes. They answer whatever the health.
pub fn routes(authority: Arc<Authority>) -> Router {
    Router::new()
        .route("/.well-known/jwks.json", get(key_set))
        .route("/.well-known/oauth-authorization-server", get(metadata))
        .route("/.well-known/openid-configuration", get(metadata))
        .with_state(authority)
}

/// The key set of RFC 7517.
async fn key_set(State(authority): State<Arc<Authority>>) -> Response {
    document(authority.keys.key_set(authority.now()))
}

/// The metadata of RFC 8414. It lists no grant and no response type: logins are made over gRPC.
async fn metadata(State(authority): State<Arc<Authority>>) -> Response {
    let issuer = authority.issuer.trim_end_matches('/');
    document(json!({
        "issuer": authority.issuer,
        "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
        "response_types_supported": [],
        "grant_types_supported": [],
    }))
}

fn document(document: Value) -> Response {
    ([(CACHE_CONTROL, CACHE)], Json(document)).into_response()
}
