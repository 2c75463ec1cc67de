//! Queries on the own database; rows become domain types at the bottom of each file.

pub mod challenges;
pub mod endings;
mod entity;
pub mod events;
pub mod housekeeping;
pub mod keys;
pub mod migration;
pub mod mint;
pub mod refresh;
pub mod restore;
pub mod sessions;
pub mod subjects;
pub mod throttles;
pub mod user_feed;
mod values;
