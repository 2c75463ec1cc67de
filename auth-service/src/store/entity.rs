//! The tables as `SeaORM` entities; nothing outside of the store sees them.
#![expect(
    unreachable_pub,
    reason = "the derived items around a model are public, so the model is"
)]

pub(super) mod challenge;
pub(super) mod session;
pub(super) mod signing_key;
pub(super) mod throttle;
