//! Every refresh token that was given, so that a used one is known again.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("refresh_tokens")
                    .col(ColumnDef::new("id").text().primary_key().not_null())
                    .col(ColumnDef::new("session_id").text().not_null())
                    .col(ColumnDef::new("secret_hash").blob().not_null())
                    .col(ColumnDef::new("expires_at").big_integer().not_null())
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("refresh_tokens_expiring")
                    .table("refresh_tokens")
                    .col("expires_at")
                    .to_owned(),
            )
            .await
    }
}
