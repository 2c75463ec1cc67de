//! Runs the pair as real processes: `cargo dev`, and the parts of it that the end-to-end tests stand on.
#![expect(
    clippy::disallowed_methods,
    reason = "time, randomness and the environment of a developer's machine come in here"
)]

pub mod administrator;
pub mod api;
pub mod args;
pub mod binaries;
pub mod health;
pub mod journey;
pub mod keeper;
pub mod material;
pub mod pair;
pub mod ports;
pub mod private_file;
pub mod problem;
pub mod process;
pub mod refusal;
pub mod run;
pub mod service;
pub mod session;
pub mod tour;
