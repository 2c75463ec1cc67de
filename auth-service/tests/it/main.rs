//! The whole service in this process, on each engine, before a user directory in memory.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what a test expects and does not get is its failure"
)]

mod challenge;
mod control;
mod directory;
mod endings;
mod feed;
mod harness;
mod housekeeping;
mod input;
mod keys;
mod log;
mod login;
mod mint;
mod refresh;
mod replicas;
mod restore;
mod sessions;
mod start;
mod throttle;
