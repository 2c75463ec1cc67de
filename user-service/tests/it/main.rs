//! The service as its callers meet it: the real stack on free ports, on every engine that is there.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what a test expects and does not get is its failure"
)]

mod administrators;
mod audit;
mod bad_input;
mod bounds;
mod credentials;
mod door;
mod erasure;
mod events;
mod feed;
mod grants;
mod harness;
mod lists;
mod names;
mod replicas;
mod revisions;
mod seeds;
mod superiors;
mod takers;
mod users;
