//! Which users were imported, and what their sources call them.

use sea_orm_migration::{
    DbErr, MigrationTrait, SchemaManager, async_trait, sea_orm::DeriveMigrationName,
};

use super::run;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // What a source calls a person is about that person: it goes with the user.
        run(
            manager,
            &[
                "CREATE TABLE user_imports (
                    source {key} NOT NULL,
                    external_id {key} NOT NULL,
                    user_id {key} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
                    created_at bigint NOT NULL,
                    PRIMARY KEY (source, external_id)
                )",
                "CREATE INDEX user_imports_by_user ON user_imports (user_id)",
            ],
        )
        .await
    }
}
