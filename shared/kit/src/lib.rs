//! Plumbing of both identity services: server, layers, telemetry, configuration and storage; no business rule.

pub mod consistency;
pub mod database;
pub mod entropy;
pub mod id;
pub mod idempotency;
pub mod migrate;
pub mod outbox;
pub mod page;
pub mod password;
pub mod secret;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod violations;

pub use identity_guard::{clock, deadline, position, status};
