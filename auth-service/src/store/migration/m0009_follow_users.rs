//! How far the changes of user-service are applied, and which of them a session has outlived.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Where the rights were read that the session began with; of sessions from before, nowhere.
        for statement in [
            "ALTER TABLE sessions ADD COLUMN user_epoch TEXT NOT NULL DEFAULT ''",
            "ALTER TABLE sessions ADD COLUMN user_revision BIGINT NOT NULL DEFAULT 0",
            "CREATE TABLE user_feed (
                id INTEGER PRIMARY KEY CHECK (id = 1),
                epoch TEXT NOT NULL,
                revision BIGINT NOT NULL,
                nonce TEXT
            )",
            "INSERT INTO user_feed (id, epoch, revision, nonce) VALUES (1, '', 0, NULL)",
        ] {
            manager
                .get_connection()
                .execute_unprepared(statement)
                .await?;
        }
        Ok(())
    }
}
