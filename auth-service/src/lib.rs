//! Who are you: login, tokens, sessions and keys.

pub mod domain;
pub mod store;
