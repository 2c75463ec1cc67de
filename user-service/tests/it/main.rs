//! The service as its callers meet it: the real stack on free ports, on every engine that is there.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what a test expects and does not get is its failure"
)]

mod administrators;
mod audit;
mod awaited;
mod bad_input;
mod batch;
mod bounds;
mod credentials;
mod door;
mod ends;
mod erasure;
mod events;
mod exports;
mod feed;
mod grants;
mod harness;
mod imports;
mod lists;
mod model;
mod names;
mod people;
mod registration;
mod replicas;
mod restore;
mod revisions;
mod search;
mod seeds;
mod subscriptions;
mod superiors;
mod takers;
mod users;
mod verbs;
