//! The store of the kit on both engines.
#![expect(clippy::unwrap_used, reason = "tests say what they expect by failing")]

mod audit;
mod feed;
mod follow;
mod idempotency;
mod migrate;
mod read;
mod restore;
mod schema;
mod write;
