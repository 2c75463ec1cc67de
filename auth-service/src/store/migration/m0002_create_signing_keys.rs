//! The keys that sign access tokens.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("signing_keys")
                    .col(ColumnDef::new("id").text().primary_key().not_null())
                    .col(ColumnDef::new("algorithm").text().not_null())
                    .col(ColumnDef::new("state").text().not_null())
                    .col(ColumnDef::new("public_jwk").text().not_null())
                    .col(ColumnDef::new("private_sealed").blob().not_null())
                    .col(ColumnDef::new("created_at").big_integer().not_null())
                    .col(ColumnDef::new("activated_at").big_integer().null())
                    .col(ColumnDef::new("expires_at").big_integer().null())
                    .to_owned(),
            )
            .await?;
        // One key signs: of two replicas that make the first one at once, one fails here and takes the other's.
        manager
            .create_index(
                Index::create()
                    .name("signing_keys_one_active")
                    .table("signing_keys")
                    .col("state")
                    .unique()
                    .and_where(Expr::col("state").eq("active"))
                    .to_owned(),
            )
            .await
    }
}
