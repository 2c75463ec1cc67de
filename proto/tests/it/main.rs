//! What the contract is held to: its style, its rules, its secrets, its last accepted form, and who may import whom.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do: by panicking"
)]

mod contract;
mod direction;
mod secrets;
mod snapshot;
mod style;
