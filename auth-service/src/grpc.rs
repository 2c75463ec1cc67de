//! The RPCs: one a file, each reading as parse, act, render.

pub mod auth;
mod convert;
mod parse;
pub mod session;
pub mod signing_key;
mod status;

pub(crate) use convert::signing_key as signing_key_to_wire;
