//! The tables as SeaORM entities; nothing outside of the store sees them.

pub(super) mod challenge;
pub(super) mod session;
pub(super) mod signing_key;
pub(super) mod throttle;
