//! Who are you: login, tokens, sessions and keys.

pub mod after_restore;
pub mod app;
pub mod authority;
pub mod cli;
pub mod client;
pub mod config;
pub mod domain;
pub mod feed;
pub mod grpc;
pub mod housekeeping;
pub mod http;
mod routes;
pub mod setup;
pub mod signer;
pub mod store;
mod upstream;
