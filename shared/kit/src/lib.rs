//! Plumbing of both identity services: server, layers, telemetry, configuration and storage; no business rule.

pub mod consistency;
pub mod database;
pub mod entropy;
pub mod id;
pub mod outbox;
pub mod page;
pub mod password;
pub mod secret;
pub mod violations;

pub use identity_guard::{clock, deadline, position, status};
