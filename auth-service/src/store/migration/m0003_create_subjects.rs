//! What holds for all credentials of a user: the generation, and how new their rights were.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("subjects")
                    .col(ColumnDef::new("user_id").text().primary_key().not_null())
                    .col(ColumnDef::new("generation").big_integer().not_null())
                    .col(ColumnDef::new("user_epoch").text().not_null())
                    .col(ColumnDef::new("user_revision").big_integer().not_null())
                    .col(ColumnDef::new("retain_until").big_integer().null())
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("subjects_revoked")
                    .table("subjects")
                    .col("retain_until")
                    .and_where(Expr::col("retain_until").is_not_null())
                    .to_owned(),
            )
            .await
    }
}
