//! The schema, one step a file; a step that was released is never changed.

use identity_kit::{
    migrate::{Schema, Step},
    steps,
};

mod m0001_create_feed;
mod m0002_create_signing_keys;
mod m0003_create_subjects;
mod m0004_create_sessions;
mod m0005_create_refresh_tokens;
mod m0006_create_challenges;
mod m0007_create_throttles;
mod m0008_sweep_subjects;
mod m0009_follow_users;
mod m0010_feed_watchers;
mod m0011_feed_past;

/// The schema of this service.
#[derive(Debug)]
pub struct Migrator;

impl Schema for Migrator {
    const STEPS: &'static [Step] = steps![
        m0001_create_feed,
        m0002_create_signing_keys,
        m0003_create_subjects,
        m0004_create_sessions,
        m0005_create_refresh_tokens,
        m0006_create_challenges,
        m0007_create_throttles,
        m0008_sweep_subjects,
        m0009_follow_users,
        m0010_feed_watchers,
        m0011_feed_past,
    ];
}
