//! The schema, one step a file; a step that was released is never changed.

use sea_orm_migration::prelude::*;

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

/// All steps in order.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_create_feed::Migration),
            Box::new(m0002_create_signing_keys::Migration),
            Box::new(m0003_create_subjects::Migration),
            Box::new(m0004_create_sessions::Migration),
            Box::new(m0005_create_refresh_tokens::Migration),
            Box::new(m0006_create_challenges::Migration),
            Box::new(m0007_create_throttles::Migration),
            Box::new(m0008_sweep_subjects::Migration),
            Box::new(m0009_follow_users::Migration),
            Box::new(m0010_feed_watchers::Migration),
            Box::new(m0011_feed_past::Migration),
        ]
    }
}
