//! Types, rules and state machines of who somebody is; nothing here knows the wire or the database.

pub mod account;
pub mod challenge;
pub mod client;
pub mod event;
pub mod id;
pub mod identifier;
pub mod opaque_token;
pub mod policy;
pub mod refresh;
pub mod retry_key;
pub mod session;
pub mod signing_key;
pub mod throttle;
pub mod user_change;
