//! Password hashes.

use sea_orm_migration::{
    DbErr, MigrationTrait, SchemaManager, async_trait, sea_orm::DeriveMigrationName,
};

use super::run;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            &["CREATE TABLE credentials (
                    user_id {key} PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
                    password_hash text,
                    change_required boolean NOT NULL,
                    version bigint NOT NULL,
                    operation_id text,
                    updated_at bigint NOT NULL
                )"],
        )
        .await
    }
}
