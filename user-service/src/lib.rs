//! What can you do: people, credentials, roles and permissions.

pub mod domain;
pub mod grpc;
pub mod store;
