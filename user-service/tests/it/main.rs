//! The service as its callers meet it: the real stack on free ports, on every engine that is there.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what a test expects and does not get is its failure"
)]

mod administrators;
mod bad_input;
mod batch;
mod bounds;
mod credentials;
mod door;
mod ends;
mod events;
mod feed;
mod grants;
mod harness;
mod lists;
mod model;
mod names;
mod replicas;
mod revisions;
mod seeds;
mod subscriptions;
mod superiors;
mod takers;
mod users;
