//! Attempts to log in.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("throttles")
                    .col(ColumnDef::new("id").blob().primary_key().not_null())
                    .col(ColumnDef::new("attempts").integer().not_null())
                    .col(ColumnDef::new("window_started_at").big_integer().not_null())
                    .col(ColumnDef::new("blocked_until").big_integer().null())
                    .col(ColumnDef::new("blocks").integer().not_null())
                    .col(ColumnDef::new("forgotten_at").big_integer().not_null())
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("throttles_forgotten")
                    .table("throttles")
                    .col("forgotten_at")
                    .to_owned(),
            )
            .await
    }
}
