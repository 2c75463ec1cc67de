//! Who are you: login, tokens, sessions and keys.

pub mod authority;
pub mod client;
pub mod domain;
pub mod grpc;
pub mod signer;
pub mod store;
