//! Plumbing of both identity services: server, layers, telemetry, configuration and storage; no business rule.

pub mod audit;
pub mod background;
pub mod config;
pub mod consistency;
pub mod context;
pub mod database;
pub mod entropy;
pub mod feed;
pub mod health;
pub mod id;
pub mod idempotency;
mod layers;
pub mod migrate;
pub mod outbox;
pub mod page;
pub mod password;
pub mod restore;
pub mod secret;
pub mod server;
pub mod shutdown;
pub mod telemetry;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod violations;

pub use identity_guard::{clock, deadline, position, status};
/// For implementations of this crate's traits in rooms that know no gRPC.
pub use tonic::async_trait;
