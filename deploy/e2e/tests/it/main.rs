//! Black-box tests: the two services as real processes, on SQLite and on PostgreSQL, seen from outside alone.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on panics"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "real processes live in real time, and the environment says where they are"
)]

#[macro_use]
mod harness;

mod answers;
mod audit;
mod bad_input;
mod cargo_dev;
mod cascade;
mod erasure;
mod fire;
mod import;
mod internal_link;
mod journey;
mod kills;
mod matrix;
mod people;
mod readme;
mod refresh;
mod replicas;
mod restore;
mod settings;
mod shutdown;
mod start_order;
mod subscriptions;
mod suspension;
mod telemetry;
mod timing;
mod whole;
