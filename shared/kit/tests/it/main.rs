//! The store of the kit on both engines.

mod feed;
mod follow;
mod idempotency;
mod migrate;
mod schema;
mod write;
