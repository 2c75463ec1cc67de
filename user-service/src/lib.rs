//! What can you do: people, credentials, roles and permissions.

pub mod after_restore;
pub mod app;
pub mod cli;
pub mod config;
pub mod create_admin;
pub mod domain;
pub mod export_users;
pub mod feed;
pub mod grpc;
pub mod import_users;
mod progress;
mod rights;
mod routes;
pub mod setup;
pub mod store;
mod upkeep;
pub mod verify_audit;
